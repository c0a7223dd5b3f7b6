"""Edits of the tables: what they change, what they leave, and what they refuse."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_folder import WEEKS, added, edited, options, tiny, write

import meio_jax as meio
from meio_jax.tables import normalise
from meio_jax.tables.change import with_changes
from meio_jax.tables.edit import with_edits

HISTORY = "item,region,period,quantity\n" + "".join(
    f"{item},{region},2025-12-{month},{k + month}\n"
    for k, item in enumerate("ABC")
    for region in ("North", "South")
    for month in (15, 22, 29)
)


def changed(folder, *asked, config=None):
    """The tables as they are and with the edits, clean."""
    tables, config = meio.read(folder), config or options()
    return normalise(tables, config), normalise(
        with_edits(tables, config, asked)[0], config
    )


def numbers(tables, name, column):
    return getattr(tables, name)[column].to_numpy(float)


@pytest.mark.parametrize(
    ("kind", "word", "table", "column", "rows", "after"),
    [
        ("demand", "+5%", "demand", "mean", {}, lambda x: 1.05 * x),
        ("demand", "+5%", "demand", "std", {}, lambda x: 1.05 * x),
        ("demand", "A:*2", "demand", "mean", {"item": "A"}, lambda x: 2 * x),
        ("demand", "region=North:-10%", "demand", "mean", {"region": "North"},
         lambda x: 0.9 * x),
        ("cost", "ship_options.unit_cost:*1.2", "ship_options", "unit_cost", {},
         lambda x: 1.2 * x),
        ("cost", "items.lost_sale_cost:+10%", "items", "penalty", {},
         lambda x: 1.1 * x),
        ("cost", "items.unit_cost:item=B:=9", "items", "unit_cost", {"item": "B"},
         lambda x: 0 * x + 9),
        ("cost", "demand.std:+1", "demand", "std", {}, lambda x: x + 1),
        ("cost", "lanes.unit_cost:EAST:+1", "lanes", "unit_cost", None, None),
        ("lead_time", "lanes:+1", "lanes", "lead_time", {}, lambda x: x + 1),
        ("lead_time", "DC>WEST:-1", "lanes", "lead_time", {"destination": "WEST"},
         lambda x: x - 1),
        ("cutoff", "EAST:-4", "ship_options", "cutoff_hour", {"node": "EAST"},
         lambda x: x - 4),
        ("cutoff", "*:+4", "ship_options", "cutoff_hour", {}, lambda x: x),
    ],
)  # fmt: skip
def test_an_edit_changes_its_cells_alone(
    kind, word, table, column, rows, after, tmp_path
):
    folder = write(tmp_path)
    if rows is None:
        with pytest.raises(meio.InputError, match="no source 'EAST'"):
            changed(folder, (kind, word))
        return
    old, new = changed(folder, (kind, word))
    frame = getattr(old, table)
    here = np.ones(len(frame), bool)
    for name, value in rows.items():
        here &= (frame[name] == value).to_numpy(bool)
    assert 0 < here.sum()
    before, now = numbers(old, table, column), numbers(new, table, column)
    assert_allclose(now[here], after(before[here]), rtol=1e-12)
    assert_allclose(now[~here], before[~here], rtol=0)


def test_history_stays_whole_and_keeps_its_sum(tmp_path):
    left_out = "demand.csv", "capacities.csv"
    files = {k: v for k, v in tiny().items() if k not in left_out}
    folder = write(tmp_path, files | {"history.csv": HISTORY})
    old, new = changed(folder, ("demand", "+15%"))
    before, after = (numbers(t, "history", "quantity") for t in (old, new))
    assert (after % 1 == 0).all()
    assert abs(after.sum() - 1.15 * before.sum()) <= 0.5
    assert_allclose(after, 1.15 * before, atol=1)


def test_a_column_counts_in_the_unit_of_its_header(tmp_path):
    header = tiny() | {
        "lanes.csv": tiny()["lanes.csv"].replace("lead_time", "lead_time_days")
    }
    old, new = changed(write(tmp_path, header), ("lead_time", "lanes:+7"))
    lead = [numbers(t, "lanes", "lead_time") for t in (old, new)]
    assert_allclose(lead[1] - lead[0], 1)  # a week


def test_a_closed_node_has_no_room_and_holds_nothing(tmp_path):
    folder = write(
        tmp_path, added("item_nodes.csv", "item,node,max_stock", "A,WEST,9", "B,EAST,7")
    )
    _, new = changed(folder, ("close", "EAST"))
    east = new.capacities[new.capacities["node"] == "EAST"]
    assert not east["capacity"].any()
    most = new.item_nodes.set_index(["item", "node"])["max_stock"]
    assert most.to_dict() == {
        ("A", "WEST"): 9, **dict.fromkeys([(i, "EAST") for i in "ABC"], 0)
    }  # fmt: skip


def test_edits_are_made_in_turn_with_capacities(tmp_path):
    tables, config = meio.read(write(tmp_path)), options()
    key = {"node": "EAST", "resource": "storage", "period": WEEKS[0], "capacity": 9.0}
    closing = {"kind": "close", "word": "EAST"}
    last = normalise(with_changes(tables, config, [key, closing]), config).capacities
    assert not last.loc[last["node"] == "EAST", "capacity"].any()
    dear = {"kind": "cost", "word": "items.unit_cost:*2"}
    twice = normalise(with_changes(tables, config, [dear, key, dear]), config)
    assert_allclose(numbers(twice, "items", "unit_cost"), [20, 30, 80])


WRONG = [
    ([("demand", "5%")], "'5%' is not a change"),
    ([("demand", "D:+5%")], "no item 'D'"),
    ([("demand", "region=Noth:+5%")], "no region 'Noth'; did you mean 'North'"),
    ([("cost", "ship_option.unit_cost:*2")], "no table 'ship_option'; did you mean"),
    ([("cost", "items.lost_cost:*2")], "of items 'lost_cost'; did you mean"),
    ([("cost", "items:*2")], "'items' is not a table and a column"),
    ([("cost", "items.holding_rate:*2")], "items.holding_rate has no numbers there"),
    ([("cost", "items.unit_cost:-6")], "leaves -1: unit_cost must be 0 or more"),
    (
        [("lead_time", "lane:+1")],
        "neither lanes, vendors, lane_times, lead_times nor a lane",
    ),
    ([("lead_time", "vendors:+1")], "the tables have no vendors"),
    ([("lead_time", "DC>EAT:+1")], "no destination 'EAT'; did you mean 'EAST'"),
    ([("cutoff", "+1")], "no node is named"),
    ([("cutoff", "EAT:+1")], "no node 'EAT'; did you mean 'EAST'"),
    ([("close", "EAT")], "no node that ships 'EAT'; did you mean 'EAST'"),
    ([("close", "DC")], "no node that ships 'DC'"),
    ([("clse", "EAST")], "no kind of change 'clse'; did you mean 'close'"),
    ([("demand", "+5%"), ("demand", "A:+5%")], "is changed by another change too"),
]


@pytest.mark.parametrize(("asked", "text"), WRONG)
def test_wrong_edits_get_one_clear_error(asked, text, tmp_path):
    with pytest.raises(meio.InputError, match=text) as error:
        changed(write(tmp_path), *asked)
    assert len(error.value.faults) == 1


def test_an_empty_cell_that_has_no_default_stays_empty(tmp_path):
    folder = write(tmp_path, edited("items.csv", "lost_sale_cost", "", 2))
    tables, said = with_edits(
        meio.read(folder), options(), [("cost", "items.lost_sale_cost:+10%")]
    )
    assert said[0]["text"].startswith("items.lost_sale_cost, 2 of 3 rows: mean 21 to")
    assert tables.items["lost_sale_cost"].isna().tolist() == [True, False, False]

"""A plan: what holds in every one, its folder on disk, odd numbers in its tables."""

import io
import math
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from tiny_folder import added, edited, options, tiny, write

import meio_jax
from meio_jax.api import solve
from meio_jax.faults import InputError
from meio_jax.plan import SAVED, TABLES
from meio_jax.tables import check_folder

FITS = ("optimal_within_gap", "gap_above_target", "stopped")
FILES = ("run.json", "metrics.jsonl", *(f"{name}.parquet" for name in TABLES))
REST = ("state.npz", "exceptions.parquet")  # which a plan is read without


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """Solves files as given, in a folder of their own."""
    root, number = tmp_path_factory.mktemp("tables"), count()

    def run(files=None, *changes, **kwargs):
        folder = write(root / str(next(number)), tiny() if files is None else files)
        return solve(folder, config=options(*changes), **kwargs)

    return run


@pytest.fixture(scope="module")
def plan(solved):
    return solved()


@pytest.fixture(scope="module")
def scarce(solved):
    """A plan with hardly any storage: most of the demand is lost."""
    nodes = tiny()["nodes.csv"].replace(",60\n", ",5\n").replace(",80\n", ",5\n")
    return solved(tiny() | {"nodes.csv": nodes})


def targets_file(plan) -> bytes:
    stream = io.BytesIO()
    plan.targets.to_parquet(stream, index=False)
    return stream.getvalue()


def check_plan(plan) -> None:
    """What holds in every plan with whole units."""
    level = plan.targets["order_up_to"]
    assert (level >= 0).all()
    assert (level == level.round()).all()
    parts = ["safety_stock", "cycle_stock", "pipeline_stock"]
    assert_allclose(plan.targets[parts].sum(axis=1), level, rtol=1e-9, atol=1e-6)
    assert math.isfinite(plan.cost)
    assert plan.bound <= plan.cost + 1e-6 * abs(plan.cost)
    assert np.isfinite(plan.prices["price"]).all()
    assert (plan.prices["price"] >= 0).all()
    within = (plan.prices["utilization"] <= 1 + 1e-9).all()
    assert within == (plan.status in FITS)


def test_every_capacity_is_respected_and_targets_are_whole(plan):
    check_plan(plan)
    assert plan.status in FITS
    assert (plan.prices["price"] > 0).any()  # else no capacity was at stake
    assert len(plan.targets) == 3 * 2 * 3  # items, nodes that ship, weeks


def test_storage_used_is_the_volume_of_the_stock_on_hand(plan):
    volume = plan.targets["item"].map({"A": 1, "B": 2, "C": 1.5}).astype(float)
    held = (plan.targets["expected_on_hand"] * volume).groupby(
        [plan.targets["node"], plan.targets["period"]]
    )
    prices = plan.prices[plan.prices["resource"] == "storage"]
    found = held.sum()[list(zip(prices["node"], prices["period"], strict=True))]
    assert_allclose(found, prices["use"], rtol=1e-6)


def test_no_kpi_is_below_zero(plan, scarce):
    for some in (plan, scarce):
        low = some.kpis[some.kpis["value"] < 0]
        assert not len(low), low


def test_lost_sales_cost_no_more_than_all_demand_is_worth(scarce):
    value = scarce.kpis.set_index("metric")["value"]
    asked = 2 * (8 * 9 + 10 * 12 + 12 * 30)  # money a week, at the mean; 2 regions
    assert value["fill rate"] < 0.5
    assert value["lost sales cost per period"] <= 1.1 * asked


def test_demand_served_is_that_of_the_weeks_planned(plan):
    asked = 2 * 3 * (8 + 10 + 12)  # units; 2 regions, 3 weeks
    assert_allclose(plan.service["demand"].sum(), asked, rtol=0.1)


def test_no_stock_is_minus_zero(scarce):
    numbers = scarce.targets.select_dtypes("number").to_numpy()
    assert (numbers == 0).any()
    assert not np.signbit(numbers[numbers == 0]).any()


def test_repr_is_one_line(plan):
    assert repr(plan) == (
        f"Plan(status='{plan.status}', cost={plan.cost:,.0f}, bound={plan.bound:,.0f}, "
        f"gap={plan.gap:.2%})"
    )
    unproven = replace(plan, bound=-math.inf)
    assert unproven.gap == math.inf
    assert "bound=-inf" in repr(unproven)


def test_the_same_seed_gives_the_same_bytes(plan, solved):
    assert targets_file(solved()) == targets_file(plan)


def test_another_seed_gives_other_targets(plan, solved):
    assert targets_file(solved(seed=7)) != targets_file(plan)


@pytest.mark.parametrize("bound", ["proven", "unproven"])
def test_a_plan_that_was_saved_loads_equal(plan, bound, tmp_path):
    if bound == "unproven":
        plan = replace(plan, bound=-math.inf)
    folder = plan.save(tmp_path / "runs" / "a")
    again = meio_jax.load(folder)
    assert (again.status, again.cost, again.bound, again.gap) == (
        plan.status, plan.cost, plan.bound, plan.gap,
    )  # fmt: skip
    assert again.facts == plan.facts
    assert again.metrics == plan.metrics
    for name in TABLES:
        assert_frame_equal(getattr(again, name), getattr(plan, name))
    assert {path.name for path in folder.iterdir()} == {*FILES, *REST}


def test_csv_is_written_beside_parquet(plan, tmp_path):
    folder = plan.save(tmp_path / "a", csv=True)
    names = {path.name for path in folder.iterdir()}
    assert names == {*FILES, *REST} | {f"{name}.csv" for name in SAVED}


def test_a_plan_goes_into_an_empty_folder_and_not_among_files(plan, tmp_path):
    plan.save(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"is there already"):
        replace(plan, cost=0.0).save(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_plan_goes_into_the_empty_folder_that_one_is_in(plan, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    plan.save(".")
    assert meio_jax.load(tmp_path / "here").cost == plan.cost


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file"])
def test_loading_what_is_not_a_run_says_so(what, tmp_path):
    path = tmp_path / "x"
    if what == "an empty folder":
        path.mkdir()
    elif what == "a file":
        path.write_text("{}")
    with pytest.raises(InputError, match=r"x: is not a run: it has no run\.json"):
        meio_jax.load(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "cut short", "garbage"])
def test_loading_a_damaged_run_says_so(plan, name, damage, tmp_path):
    path = plan.save(tmp_path / "run") / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[:-3])  # inside the last line of text
    elif damage == "garbage":
        path.write_bytes(b"\xff\0{garbage" * 20)
    with pytest.raises(InputError, match=r"is not a run|missing or damaged"):
        meio_jax.load(tmp_path / "run")


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"x"', "{}", '{"cost": 1}'])
def test_loading_a_run_whose_facts_are_others_says_so(plan, text, tmp_path):
    folder = plan.save(tmp_path / "run")
    (folder / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"missing or damaged"):
        meio_jax.load(folder)


COSTS = [
    ("items.csv", "unit_cost", 2),
    ("items.csv", "lost_sale_cost", 3),
    ("nodes.csv", "storage_cost", 3),
    ("lanes.csv", "unit_cost", 2),
    ("ship_options.csv", "unit_cost", 3),
]


@pytest.mark.parametrize("value", ["1e12", "1e-9", "0"])
@pytest.mark.parametrize("cell", COSTS, ids=lambda c: f"{c[0]}-{c[1]}")
def test_huge_and_tiny_costs_are_planned_or_refused(solved, cell, value, tmp_path):
    name, column, line = cell
    files = edited(name, column, value, line)
    if check_folder(write(tmp_path, files)).errors:
        with pytest.raises(InputError, match=rf"{name}:{line}: {column} = {value}"):
            solved(files)
    else:
        check_plan(solved(files))


@pytest.mark.parametrize("value", ["NaN", "-1", "inf", "cheap"])
@pytest.mark.parametrize("cell", COSTS, ids=lambda c: f"{c[0]}-{c[1]}")
def test_a_cost_that_is_none_is_refused_where_it_stands(solved, cell, value):
    name, column, line = cell
    if value == "NaN" and name in ("nodes.csv", "lanes.csv"):
        check_plan(solved(edited(name, column, value, line)))  # empty means 0 there
        return
    with pytest.raises(InputError, match=rf"{name}:{line}: .*{column}"):
        solved(edited(name, column, value, line))


@pytest.mark.parametrize(
    ("name", "column", "line"),
    [
        ("nodes.csv", "storage_capacity", 3),
        ("capacities.csv", "capacity", 2),
    ],
)
def test_nothing_is_kept_at_a_closed_node_and_its_price_is_finite(
    solved, name, column, line
):
    plan = solved(edited(name, column, "0", line))
    check_plan(plan)
    assert plan.status in FITS
    closed = plan.prices[plan.prices["capacity"] == 0]
    assert len(closed) > 0
    at = plan.targets.merge(closed[["node", "period"]], on=["node", "period"])
    assert len(at) == 3 * len(closed)  # items
    assert (at["order_up_to"] == 0).all()


def test_a_cheaper_delivery_does_not_make_a_plan_dearer(plan, solved):
    """The same targets would cost less; EAST is now the nearest to both regions."""
    cheaper = solved(edited("ship_options.csv", "unit_cost", "1.5", 3))
    assert cheaper.bound <= plan.cost
    assert cheaper.cost <= 1.1 * plan.cost


def test_a_region_that_no_node_ships_to_is_refused(solved):
    with pytest.raises(InputError, match=r"E32 .*region 'Mars' has demand") as caught:
        solved(added("demand.csv", "A,Mars,2026-01-05,4,1"))
    assert [fault.code for fault in caught.value.faults.errors] == ["E32"]


def test_a_common_factor_moves_all_items_and_makes_plans_dearer(plan, solved):
    shared = solved(None, "scenarios.common=0.5")
    assert shared.facts["options"]["scenarios"]["common"] == 0.5
    assert shared.cost > plan.cost


def test_regimes_give_each_outbound_capacity_a_price_by_regime(solved):
    tight = edited("capacities.csv", "capacity", "22", 2)
    made = solved(tight, "scenarios.regimes=4", "scenarios.common=0.4")
    check_plan(made)
    columns = [f"price_regime_{k}" for k in range(1, 5)]
    flow = made.prices[made.prices["resource"] == "outbound"]
    assert len(flow) == 1  # as many rows as capacities
    assert_allclose(flow["price"], flow[columns].mean(axis=1), rtol=1e-12)
    assert (flow["price_regime_4"] > flow["price_regime_1"] + 0.1).all()
    assert made.prices.loc[flow.index[0], "utilization"] <= 1 + 1e-9
    assert (flow["utilization"] >= flow["use"] / flow["capacity"]).all()
    rest = made.prices[made.prices["resource"] != "outbound"]
    assert rest[columns].isna().all(axis=None)
    assert made.facts["sizes"]["capacities"] == len(made.prices)


def test_one_regime_is_the_plan_as_it_was(solved, plan):
    assert not any("regime" in column for column in plan.prices)
    assert solved(None, "scenarios.regimes=1").cost == plan.cost


def test_regimes_that_do_not_divide_the_scenarios_are_refused(solved):
    with pytest.raises(InputError, match=r"= 3: must divide .* scenarios, 8"):
        solved(None, "scenarios.regimes=3")


def falling() -> dict[str, str]:
    """The tiny folder where storage is ample and demand falls by nine tenths."""
    rows = tiny()["demand.csv"].splitlines()
    rows = [
        ",".join([*row.split(",")[:3], "1", "0.5"]) if "2026-01-19" in row else row
        for row in rows
    ]
    nodes = tiny()["nodes.csv"].replace(",60\n", ",300\n").replace(",80\n", ",300\n")
    return tiny() | {"demand.csv": "\n".join(rows) + "\n", "nodes.csv": nodes}


def removals(plan):
    return plan.kpis.set_index("metric")["value"]["removals"]


def test_orders_add_up_and_what_is_taken_out_is_counted(solved):
    plan = solved(falling())
    table = plan.targets.sort_values(["item", "node", "period"])
    level, order = table["order_up_to"], table["expected_order"]
    kept = (level - table["cycle_stock"]).shift()
    first = table["period"] == table["period"].min()
    assert order[first].isna().all()  # no inventory is given
    assert_allclose(order[~first], (level - kept)[~first], atol=1e-6)
    assert removals(plan) == (order < -0.5).sum() > 0


def test_a_start_from_inventory_is_part_of_the_first_orders(solved):
    stock = "item,node,on_hand\nA,EAST,90\n"
    table = solved(tiny() | {"inventory.csv": stock}).targets
    first = table[table["period"] == table["period"].min()].set_index(["item", "node"])
    held = first["order_up_to"] - first["expected_order"]
    assert held["A", "EAST"] == 90
    assert held.sum() == 90


def test_a_chained_plan_takes_nothing_out(solved):
    plan, free = solved(falling(), "solver.chain=true"), solved(falling())
    check_plan(plan)
    assert removals(plan) == 0
    assert plan.cost > free.cost
    assert_allclose(plan.bound, free.bound, rtol=1e-2)


def test_a_node_holds_no_more_items_than_it_may_and_the_bound_stands(solved, plan):
    limit = added("capacities.csv", "EAST,items,,2", "WEST,items,2026-01-12,1")
    made = solved(limit)
    check_plan(made)
    stocked = made.targets[made.targets["order_up_to"] > 0]
    names = stocked.groupby("node")["item"].agg(set)
    assert len(names["EAST"]) == 2
    assert len(names["WEST"]) == 1  # over the whole horizon
    rows = made.prices[made.prices["resource"] == "items"]
    assert rows["capacity"].tolist() == [2, 2, 2, 1]
    assert (rows["price"] == 0).all()
    count = stocked.groupby(["node", "period"])["item"].nunique()
    found = count[list(zip(rows["node"], rows["period"], strict=True))]
    assert_allclose(rows["use"], found)
    assert made.facts["sizes"]["capacities"] == len(made.prices)
    assert made.cost > plan.cost
    assert made.bound <= plan.cost  # what it is a bound for is wider


def test_a_limit_on_items_that_all_fit_into_changes_nothing(solved, plan):
    made = solved(added("capacities.csv", "EAST,items,,3"))
    assert made.cost == pytest.approx(plan.cost, rel=1e-3)
    assert_allclose(made.bound, plan.bound, rtol=1e-3)


def test_a_node_for_no_item_stays_empty(solved):
    made = solved(added("capacities.csv", "WEST,items,,0"))
    check_plan(made)
    level = made.targets.groupby("node")["order_up_to"].sum()
    assert level["WEST"] == 0 < level["EAST"]


def test_an_item_that_is_promised_keeps_its_place(solved):
    files = added("capacities.csv", "EAST,items,,1")
    fixed = "item,node,period,quantity\nB,EAST,2026-01-12,1\n"
    made = solved(files | {"fixed_targets.csv": fixed})
    check_plan(made)
    stocked = made.targets[made.targets["order_up_to"] > 0]
    assert set(stocked.loc[stocked["node"] == "EAST", "item"]) == {"B"}

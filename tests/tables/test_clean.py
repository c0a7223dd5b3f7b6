"""Clean tables: defaults filled, units converted, periods on the calendar."""

import numpy as np
import pandas as pd
import pytest
from folders import DATES, changed, small, without, write
from numpy.testing import assert_allclose

from meio_jax.config import Config, Economics, Problem, Units
from meio_jax.tables import TABLES, Tables, check, examine, normalise, read


def frame(text: str) -> pd.DataFrame:
    header, *rows = [line.split(",") for line in text.split()]
    return pd.DataFrame(rows, columns=pd.Index(header))


def least(**tables: pd.DataFrame) -> Tables:
    """As little as can be planned, and some more tables."""
    given = {
        "items": frame("item,unit_cost,unit_price a,10,16 b,20,30"),
        "nodes": frame("node F G"),
        "ship_options": frame("node,region,unit_cost F,R,1 G,R,2"),
        "demand": frame("item,region,period,mean a,R,1,4 b,R,1,9 b,R,2,16"),
    }
    return Tables(**{k: v for k, v in {**given, **tables}.items() if len(v.columns)})


NOTHING = pd.DataFrame()


def test_the_least_is_filled_with_defaults():
    clean, calendar, faults = examine(least())
    assert not faults
    assert calendar.labels == ("1", "2")
    assert {name for name, _ in clean} == set(TABLES) - {"history", "scenarios"}
    assert clean.items.drop(columns="item").iloc[0].to_dict() == pytest.approx({
        "unit_cost": 10, "unit_volume": 0, "unit_weight": 0, "unit_price": 16,
        "penalty": 6, "waits": False, "late_cost": 0.32, "holding_cost": 2.5 / 52.1775,
        "case_pack": 1, "size_class": "all",
    })  # fmt: skip
    assert (
        clean.nodes[["type", "size_classes", "storage_cost"]].values.tolist()
        == [["fc", "all", 0.0]] * 2
    )
    assert clean.ship_options.iloc[0].to_dict() == {
        "node": "F", "region": "R", "speed": "standard", "unit_cost": 1.0,
        "cutoff_hour": 24.0, "transit_days": 0.0, "cost_per_weight": 0.0,
    }  # fmt: skip
    assert clean.speeds.values.tolist() == [["standard", 0.0, 0.0]]
    assert clean.speed_mix.values.tolist() == [["R", "all", "standard", 1.0]]
    assert clean.regions["region"].tolist() == ["R"]
    assert_allclose(clean.demand["std"], [2, 3, 4])
    assert not len(clean.lanes)
    assert clean.lanes["lead_time"].dtype == np.float64


def test_order_hours_rise_from_0_to_1():
    hours = normalise(least()).order_hours
    assert_allclose(hours["hour"], np.arange(25))
    assert hours["share"].is_monotonic_increasing
    assert (hours["share"].iloc[0], hours["share"].iloc[-1]) == (0, 1)
    given = normalise(least(order_hours=frame("hour,share 12,0.5 18,1"))).order_hours
    assert given.values.tolist() == [[0, 0], [12, 0.5], [18, 1], [24, 1]]


@pytest.mark.parametrize(
    ("items", "penalty", "late"),
    [
        ("item,unit_cost,lost_sale_cost a,10,3 b,10,4", 3, 0.02 * 13),
        ("item,unit_cost,backorder_cost a,10,2 b,10,4", 2, 0.02 * 12),
        ("item,unit_cost,lost_sale_cost,unit_price a,10,,15 b,10,4,15", 5, 0.3),
        ("item,unit_cost,unit_price,late_cost a,10,15,7 b,10,15,", 5, 7),
    ],
)
def test_what_a_lost_and_a_late_unit_cost(items, penalty, late):
    clean = normalise(least(items=frame(items))).items
    assert_allclose(
        clean.loc[0, ["penalty", "late_cost"]].astype(float), [penalty, late]
    )


@pytest.mark.parametrize(
    ("period", "per_year"), [("day", 365.25), ("week", 52.1775), ("month", 12)]
)
def test_holding_cost_is_per_period(period, per_year):
    config = Config(units=Units(period=period), economics=Economics(holding_rate=0.5))
    items = frame("item,unit_cost,unit_price,holding_rate a,10,16,0.1 b,10,30,")
    clean = normalise(least(items=items), config).items
    assert_allclose(clean["holding_cost"] * per_year, [1, 5])


@pytest.mark.parametrize(
    ("header", "period", "unit", "periods"),
    [
        ("lead_time", "week", "period", 14),
        ("lead_time", "week", "day", 2),
        ("lead_time", "day", "week", 98),
        ("lead_time", "month", "day", 14 / 30.4375),
        ("lead_time_days", "week", "period", 2),
        ("lead_time [days]", "week", "week", 2),
        ("lead_time (weeks)", "day", "period", 98),
        ("lead_time_periods", "week", "day", 14),
    ],
)
def test_lead_times_are_in_periods(header, period, unit, periods):
    lanes = pd.DataFrame({"source": ["F"], "destination": ["G"], header: [14.0]})
    config = Config(units=Units(period=period, lead_time=unit))
    clean, _, faults = examine(least(lanes=lanes), config)
    assert not faults
    assert_allclose(clean.lanes["lead_time"], periods)


@pytest.mark.parametrize(
    ("header", "ours", "scale"),
    [
        ("unit_volume_litres", "m3", 1e-3),
        ("unit_volume [ft3]", "m3", 0.028316846592),
        ("unit_volume_m3", "ft3", 1 / 0.028316846592),
        ("unit_volume_m3", "m3", 1),
    ],
)
def test_volumes_are_in_our_unit(header, ours, scale):
    items = frame("item,unit_cost,unit_price a,10,16 b,20,30").assign(**{header: 3})
    clean, _, faults = examine(least(items=items), Config(units=Units(volume=ours)))
    assert_allclose(clean.items["unit_volume"], 3 * scale)
    assert [f.code for f in faults] == ["W17"] * (scale != 1)


def test_money_per_volume_goes_the_other_way():
    nodes = pd.DataFrame({"node": ["F", "G"], "storage_cost [per litre]": [1, 2]})
    assert_allclose(normalise(least(nodes=nodes)).nodes["storage_cost"], [1000, 2000])


def test_units_that_nobody_knows_cannot_be_converted():
    items = frame("item,unit_cost,unit_price,unit_volume_litres a,1,2,1 b,1,2,1")
    faults = check(least(items=items), Config(units=Units(volume="pallets")))
    assert "E17 items: column 'unit_volume_litres' cannot be converted" in str(faults)


def test_volume_is_needed_where_storage_is_limited():
    nodes = frame("node,storage_capacity F,10 G,")
    assert "E04 items: column 'unit_volume' is missing" in str(
        check(least(nodes=nodes))
    )
    options = frame("node,region,unit_cost,cost_per_weight F,R,1,2 G,R,1,0")
    text = str(check(least(ship_options=options)))
    assert "E04 items: column 'unit_weight' is missing" in text


def test_capacities_are_spelt_out_by_period(tmp_path):
    clean = normalise(read(write(tmp_path, small()))).capacities
    storage = clean.query("node == 'FC01' and resource == 'storage'")
    assert storage["period"].tolist() == list(DATES)
    assert storage["capacity"].tolist() == [900, 900, 800, 900]
    assert set(clean["resource"]) == {"storage", "inbound"}
    assert "IN01" not in set(clean["node"])


def test_the_plan_follows_the_history():
    tables = least(
        demand=NOTHING,
        history=frame("item,region,period,quantity a,R,2026-01-05,4 b,R,2026-01-12,9"),
    )
    clean, calendar, faults = examine(tables, Config(problem=Problem(horizon=3)))
    assert not faults
    assert calendar.history == ("2026-01-05", "2026-01-12")
    assert calendar.labels == ("2026-01-19", "2026-01-26", "2026-02-02")
    assert clean.history["period"].astype(str).tolist() == list(calendar.history)


@pytest.mark.parametrize(
    ("periods", "unit", "following"),
    [
        (("7", "8"), "week", ("9", "10")),
        (("2026-01-05",), "week", ("2026-01-12", "2026-01-19")),
        (("2026-01-01", "2026-02-01"), "month", ("2026-03-01", "2026-04-01")),
        (("2026-01-31", "2026-02-28"), "month", ("2026-03-31", "2026-04-30")),
        (("2025-12", "2026-01"), "month", ("2026-02-01", "2026-03-01")),
    ],
)
def test_periods_go_on_as_they_were(periods, unit, following):
    rows = [("a", "R", period, 3) for period in periods]
    columns = pd.Index(["item", "region", "period", "quantity"])
    tables = least(demand=NOTHING, history=pd.DataFrame(rows, columns=columns))
    config = Config(Problem(horizon=2), Units(period=unit))
    _, calendar, faults = examine(tables, config)
    assert not faults
    assert calendar.labels == following


def test_the_horizon_cuts_the_forecast():
    clean, calendar, _ = examine(least(), Config(problem=Problem(horizon=1)))
    assert calendar.labels == ("1",)
    assert clean.demand["mean"].tolist() == [4, 9]


def test_dates_may_be_dates():
    demand = frame("item,region,mean a,R,2 b,R,2")
    demand["period"] = pd.to_datetime(["2026-01-05", "2026-01-12"])
    _, calendar, faults = examine(least(demand=demand))
    assert not faults
    assert calendar.labels == ("2026-01-05", "2026-01-12")


def test_weights_of_scenarios_sum_to_1():
    rows = "x,a,R,1,1,1 x,b,R,1,1,1 y,a,R,1,1,3"
    scenarios = frame(f"scenario,item,region,period,quantity,weight {rows}")
    tables = least(demand=NOTHING, scenarios=scenarios)
    assert normalise(tables).scenarios["weight"].tolist() == [0.25, 0.25, 0.75]
    tables = least(demand=NOTHING, scenarios=scenarios.drop(columns="weight"))
    assert normalise(tables).scenarios["weight"].tolist() == [0.5] * 3


def test_quantiles_stand_for_std():
    demand = frame("item,region,period,mean,p10,p90 a,R,1,9,1,26.63 b,R,1,9,,")
    assert_allclose(normalise(least(demand=demand)).demand["std"], [10, 3])


def test_a_speed_mix_of_a_size_class_replaces_that_of_all(tmp_path):
    files = small()
    mix = files["speed_mix.csv"].replace("share", "share,size_class").splitlines()
    mix = [mix[0], *(f"{line}," for line in mix[1:]), "West,2-day,0.9996,big"]
    files |= {"speed_mix.csv": "\n".join(mix)}
    clean = normalise(read(write(tmp_path, files))).speed_mix
    shares = clean.set_index(["region", "size_class", "speed"])["share"].sort_index()
    assert len(shares) == 8
    assert shares["West", "big"].tolist() == [0, 1]
    assert shares["West", "small"].tolist() == pytest.approx([0.4, 0.6])


def test_the_only_speed_need_not_be_named():
    tables = least(speeds=frame("speed,promise_days 2-day,2"))
    clean = normalise(tables)
    assert set(clean.ship_options["speed"]) == {"2-day"}
    assert clean.speed_mix["speed"].tolist() == ["2-day"]


def test_vendors_sell_at_unit_cost_unless_they_say_otherwise(tmp_path):
    files = small()
    text = "vendor,item,node,lead_time,unit_cost\nV,A1,IN01,1,4\nV,A2,IN01,1,\n"
    files |= {"vendors.csv": text + "V,A3,IN01,1,\n"}
    clean = normalise(read(write(tmp_path, files))).vendors
    assert clean["unit_cost"].tolist() == [4, 7.5, 20]
    assert clean["review_period"].tolist() == [1, 1, 1]


def test_a_lead_time_of_zero_and_an_empty_optional_cell_are_legal(tmp_path):
    folder = write(tmp_path, changed("lanes.csv", 2, "IN01,FC01,0,"))
    assert normalise(read(folder)).lanes["unit_cost"].tolist() == [0, 0.3]


def test_item_nodes_may_set_one_thing_only():
    table = frame("item,node,holding_cost,max_stock a,F,0.5, a,G,,7")
    clean = normalise(least(item_nodes=table)).item_nodes
    assert_allclose(clean["holding_cost"], [0.5, np.nan])
    assert_allclose(clean["max_stock"], [np.inf, 7])


def test_items_at_no_node_need_no_vendor(tmp_path):
    files = without("vendors.csv")
    assert not examine(read(write(tmp_path, files))).faults

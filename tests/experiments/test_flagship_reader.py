"""The flagship's wide files, in a copy small enough to convert by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

READER = Path(__file__).parents[2] / "experiments" / "flagship" / "reader.py"
WEEKS = 8
DAYS = {"P0": [10, 30, 50], "P1": [40, 80, 120]}  # import; domestic is a quarter

FILES = {
    "items": """\
item,vendor,origin,case_pack,size_class,weight_kg,cube_litres,unit_cost_usd,unit_price_usd,weekly_mean
0,V000,domestic,6,sortable,1.0,1.5,10,15,10.0
1,V001,import,12,sortable,0.5,1.0,4,6,4.0
2,V000,import,6,non_sortable,3.0,4.0,20,30,2.0
3,V001,domestic,1,non_sortable,2.0,3.0,8,12,0.0
""",
    "nodes": """\
node,tier,city,lat,lon
DC00,dc,Edison,40.5,-74.4
FS00,fc_sortable,Carteret,40.6,-74.2
FN00,fc_non_sortable,Hillsborough,40.5,-74.6
SD00,same_day,Elkridge,39.2,-76.8
""",
    "capacities": """\
node,stocks_size_class,max_items,storage_capacity_litres,outbound_capacity_units_week
DC00,both,-1,1000,100
FS00,sortable,-1,300,60
FN00,non_sortable,-1,80,20
SD00,sortable,2,20,6
""",
    "costs": """\
node,handling_usd_unit,storage_usd_litre_week
DC00,0.4,0.001
FS00,0.5,0.0016
FN00,0.6,0.0012
SD00,0.7,0.004
""",
    "regions": """\
region,lat,lon
R000,40.7,-74.0
R001,39.0,-77.0
""",
    "region_speeds": """\
region,size_class,speed,promise_days,demand_share
R000,sortable,same_day,0,0.0
R000,sortable,one_day,1,0.3333
R000,sortable,two_day,2,0.3333
R000,sortable,standard,5,0.3333
R000,non_sortable,same_day,0,0.0
R000,non_sortable,one_day,1,0.5
R000,non_sortable,two_day,2,0.3
R000,non_sortable,standard,5,0.2
R001,sortable,same_day,0,0.1
R001,sortable,one_day,1,0.0
R001,sortable,two_day,2,0.7
R001,sortable,standard,5,0.2
R001,non_sortable,same_day,0,0.0
R001,non_sortable,one_day,1,0.0
R001,non_sortable,two_day,2,0.8
R001,non_sortable,standard,5,0.2
""",
    "lanes_vendor_dc": """\
kind,vendor,to_node,lead_profile
vendor_dc,V000,DC00,P0
vendor_dc,V001,DC00,P1
""",
    "lanes_replenishment": """\
kind,from_node,to_node,lead_mean_days,lead_sd_days,cost_usd_kg
dc_fc,DC00,FS00,2,0.5,0.01
dc_fc,DC00,FN00,2,0.5,0.01
dc_sd,DC00,SD00,3,0.5,0.05
fc_sd,FS00,SD00,2,0.5,0.03
""",
    "lanes_outbound": """\
from_node,region,transit_days,fastest_speed,cost_usd_unit,cost_usd_kg
FS00,R000,1,one_day,2.0,0.3
FS00,R001,2,two_day,2.3,0.4
FN00,R000,1,one_day,2.0,0.3
FN00,R001,2,two_day,2.3,0.4
SD00,R001,0,same_day,4.5,0.1
""",
}


@pytest.fixture(scope="module")
def reader():
    spec = importlib.util.spec_from_file_location("flagship_reader", READER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """Items 0 to 2 sell 10, 4 and 2 a week, item 2 to R001 only; item 3 never sells."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    mondays = pd.date_range("2018-01-01", periods=WEEKS, freq="7D")
    calendar = pd.DataFrame(
        {"week": range(WEEKS), "week_start": mondays.strftime("%Y-%m-%d")}
    )
    calendar.to_csv(tmp_path / "calendar.csv", index=False)
    samples = [
        (profile, number, days, days / 4)
        for profile, all_days in DAYS.items()
        for number, days in enumerate(all_days)
    ]
    columns = ["lead_profile", "sample", "lead_days_import", "lead_days_domestic"]
    pd.DataFrame(samples, columns=columns).to_csv(
        tmp_path / "lead_time_samples.csv", index=False
    )
    rows = [
        row
        for week in range(WEEKS)
        for row in [(0, 0, week, 6), (0, 1, week, 4), (1, 0, week, 4), (2, 1, week, 2)]
    ]
    demand = pd.DataFrame(rows, columns=["item", "region", "week", "qty"])
    demand.astype("int16").to_parquet(tmp_path / "demand_weekly.parquet")
    return tmp_path


@pytest.fixture
def frames(reader, folder):
    return reader.read_flagship(folder, weeks=5, horizon=3)


def cell(frame, column, **key):
    rows = frame
    for name, value in key.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows[column].iloc[0]


def test_history_holds_the_first_weeks(frames):
    history = frames["history"]
    assert history["quantity"].sum() == 5 * (10 + 4 + 2)
    assert sorted(history["period"].unique())[-1] == "2018-01-29"
    assert cell(history, "quantity", item="I0000", region="R001", period="2018-01-08")


def test_actuals_are_the_weeks_after_the_history(reader, folder, frames):
    actuals = reader.read_actuals(folder, weeks=5, horizon=3)
    assert actuals["quantity"].sum() == 3 * (10 + 4 + 2)
    assert not set(actuals["period"]) & set(frames["history"]["period"])


def test_money_volume_and_weight_of_items(frames):
    item = frames["items"].set_index("item").loc["I0002"]
    assert item["lost_sale_cost"] == 30 - 20
    assert item["late_cost"] == 0.02 * 30
    assert (item["unit_volume"], item["unit_weight"]) == (4.0, 3.0)


def test_customers_may_pay_for_the_shipping_that_is_lost_with_the_sale(reader, folder):
    frames = reader.read_flagship(folder, weeks=5, horizon=3, shipping_charge=0.5)
    standard = frames["ship_options"].query("speed == 'standard'")
    charge = standard["unit_cost"].mean() + 3.0 * standard["cost_per_weight"].mean()
    lost = cell(frames["items"], "lost_sale_cost", item="I0002")
    assert_allclose(lost, 10 + 0.5 * charge, atol=1e-4)


def test_nodes_hold_the_classes_of_their_building(frames):
    nodes = frames["nodes"].set_index("node")
    assert nodes["type"].to_dict() == {
        "DC00": "dc", "FS00": "fc", "FN00": "fc", "SD00": "same_day"
    }  # fmt: skip
    assert pd.isna(nodes.loc["DC00", "size_classes"])
    assert nodes.loc["FN00", "size_classes"] == "non_sortable"


def test_capacities_are_long_and_divided_by_the_tightness(reader, folder, frames):
    loose = frames["capacities"]
    tight = reader.read_flagship(folder, weeks=5, horizon=3, tightness=2)["capacities"]
    assert cell(loose, "capacity", node="FS00", resource="storage") == 300
    assert cell(tight, "capacity", node="FS00", resource="storage") == 150
    assert cell(tight, "capacity", node="DC00", resource="outbound") == 50
    assert cell(tight, "capacity", node="DC00", resource="inbound") == 50
    assert loose.query("resource == 'items'")["node"].tolist() == ["SD00"]
    assert loose["period"].isna().all()


def test_half_of_the_items_keep_their_share_of_the_capacities(reader, folder):
    frames = reader.read_flagship(folder, items=2, weeks=5, horizon=3)
    assert frames["items"]["item"].tolist() == ["I0000", "I0002"]
    capacities = frames["capacities"]
    litres = 10 * 1.5 / (10 * 1.5 + 4 * 1.0)
    storage = cell(capacities, "capacity", node="FS00", resource="storage")
    assert_allclose(storage, 300 * litres, atol=0.05)
    assert cell(capacities, "capacity", node="FS00", resource="outbound") == 42
    assert cell(capacities, "capacity", node="SD00", resource="items") == 1
    assert cell(capacities, "capacity", node="FN00", resource="storage") == 80


def test_lead_times_are_those_of_the_profile_and_origin(frames):
    offers = frames["vendors"].set_index("item")
    assert offers.loc["I0000", "lead_time_days"] == np.mean(DAYS["P0"]) / 4
    assert offers.loc["I0001", "lead_time_days"] == np.mean(DAYS["P1"])
    assert offers.loc["I0001", "lead_time_std_days"] == np.std(DAYS["P1"], ddof=1)
    assert offers.loc["I0001", "order_multiple"] == 12


def test_lanes_cost_the_handling_of_the_sender(frames):
    lanes = frames["lanes"]
    assert cell(lanes, "unit_cost", source="FS00", destination="SD00") == 0.5
    assert cell(lanes, "cost_per_weight", source="FS00", destination="SD00") == 0.03


def test_a_lane_offers_its_fastest_speed_and_all_slower_ones(frames):
    options = frames["ship_options"]
    offered = options.groupby(["node", "region"])["speed"].agg(list)
    assert offered["FS00", "R000"] == ["one_day", "two_day", "standard"]
    assert offered["FN00", "R001"] == ["two_day", "standard"]
    assert len(offered["SD00", "R001"]) == 4
    cost = cell(options, "unit_cost", node="SD00", region="R001", speed="same_day")
    assert cost == 4.5 + 0.7


@pytest.mark.parametrize(
    ("node", "region", "speed", "hour"),
    [
        ("SD00", "R001", "same_day", 14),
        ("SD00", "R001", "one_day", 24),
        ("FS00", "R000", "one_day", 18),
        ("FS00", "R000", "two_day", 24),
        ("FS00", "R001", "two_day", 20),
        ("FS00", "R001", "standard", 24),
    ],
)
def test_cut_off_is_early_where_transit_takes_all_of_the_promise(
    frames, node, region, speed, hour
):
    options = frames["ship_options"]
    found = cell(options, "cutoff_hour", node=node, region=region, speed=speed)
    assert found == hour


def test_shares_sum_to_one_without_rows_of_zero(frames):
    mix = frames["speed_mix"]
    assert (mix["share"] > 0).all()
    shares = mix.groupby(["region", "size_class"])["share"].sum()
    assert_allclose(shares, 1, rtol=1e-12)


def test_tables_come_back_from_their_files(reader, frames, tmp_path):
    out = tmp_path / "out"
    reader.write_tables(frames, out)
    history = pd.read_parquet(out / "history.parquet")
    pd.testing.assert_frame_equal(history, frames["history"])
    for name in set(frames) - {"history"}:
        again = pd.read_csv(out / f"{name}.csv")
        pd.testing.assert_frame_equal(again, frames[name], check_dtype=False)


def test_steady_demand_needs_its_mean_at_the_cheapest_node(reader, folder):
    frames = reader.read_flagship(folder, weeks=5, horizon=3)
    use = reader.estimate_use(frames).set_index(["resource", "node"])
    assert_allclose(use.loc[("storage", "FN00"), "use"], 2 * 4.0)
    assert_allclose(use.loc[("outbound", "SD00"), "use"], 0.1 * 4)  # same-day only
    assert_allclose(use.loc[("outbound", "FS00"), "use"], 10 + 4 - 0.1 * 4)
    assert_allclose(use.loc[("outbound_peak", "DC00"), "use"], 10 + 4 + 2)
    assert use.loc[("storage", "SD00"), "capacity"] == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weeks": 6, "horizon": 3}, "fit into 8 weeks"),
        ({"items": 5}, "it must be 1 to 4"),
        ({"tightness": 0}, "it must be above 0"),
    ],
)
def test_impossible_requests_are_refused(reader, folder, options, message):
    with pytest.raises(ValueError, match=message):
        reader.read_flagship(folder, **({"weeks": 5, "horizon": 3} | options))


def test_demand_that_does_not_add_up_is_refused(reader, folder):
    path = folder / "demand_weekly.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(ValueError, match=r"items \[0\], 122 units against 128"):
        reader.read_flagship(folder, weeks=5, horizon=3)


def test_a_transit_longer_than_the_promise_is_refused(reader, folder):
    path = folder / "lanes_outbound.csv"
    path.write_text(path.read_text().replace("R000,1,one_day", "R000,3,one_day"))
    with pytest.raises(ValueError, match="longer than the promise"):
        reader.read_flagship(folder, weeks=5, horizon=3)

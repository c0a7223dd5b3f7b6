"""The shipped demo holds what its ORIGIN.md says, and hangs together."""

import tomllib

import pandas as pd
import pytest

from meio_jax.instances.demo import demo_folder

KEYS = {
    "items": ["item"],
    "nodes": ["node"],
    "capacities": ["node", "resource"],
    "lanes": ["source", "destination"],
    "vendors": ["vendor", "item", "node"],
    "regions": ["region"],
    "speeds": ["speed"],
    "speed_mix": ["region", "size_class", "speed"],
    "ship_options": ["node", "region", "speed"],
    "history": ["item", "region", "period"],
}
MAY_BE_BLANK = {("nodes", "size_classes"), ("capacities", "period")}  # blank = all


@pytest.fixture(scope="module")
def tables():
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    paths = [path for path in demo_folder().iterdir() if path.suffix in read]
    return {path.stem: read[path.suffix](path) for path in paths}


def able_nodes(tables):
    """Ship options with the size class that the node may hold, one row for each."""
    options = tables["ship_options"].merge(tables["nodes"], on="node")
    options["size_class"] = options["size_classes"].str.split(";")
    return options.explode("size_class")


def test_it_is_small_and_names_its_sources():
    files = list(demo_folder().iterdir())
    assert sum(path.stat().st_size for path in files) <= 3e6
    origin = (demo_folder() / "ORIGIN.md").read_text(encoding="utf-8")
    for source in ("10.24432/C5BW33", "CC BY 4.0", "MIT", "public domain", "GeoNames"):
        assert source in origin


def test_its_config_names_the_units():
    config = tomllib.loads((demo_folder() / "meio.toml").read_text(encoding="utf-8"))
    assert config["units"]["volume"] == "litre"
    assert config["units"]["weight"] == "kg"


def test_counts(tables):
    assert set(tables) == set(KEYS)
    counts = tables["nodes"]["type"].value_counts().to_dict()
    assert counts == {"dc": 4, "fc": 20, "same_day": 16}
    assert len(tables["items"]) == 300
    assert tables["items"]["size_class"].nunique() == 2
    assert len(tables["regions"]) == 100
    assert len(tables["speeds"]) == 4
    assert tables["history"]["item"].nunique() == 300


def test_weeks_are_mondays_without_a_hole(tables):
    weeks = pd.to_datetime(tables["history"]["period"].astype(str).unique())
    mondays = pd.date_range("2010-12-06", periods=52, freq="7D")
    assert sorted(weeks) == list(mondays)


def test_zero_stands_only_for_a_week_without_any_order(tables):
    history = tables["history"]
    assert (history["quantity"] >= 0).all()
    empty = history[history["quantity"] == 0]
    in_week = history.groupby("period", observed=True)["quantity"].sum()
    assert (in_week[empty["period"]] == 0).all()


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_unique_and_cells_are_filled(tables, name):
    table = tables[name]
    assert not table.duplicated(KEYS[name]).any()
    blank = {(name, column) for column in table if table[column].isna().any()}
    assert blank <= MAY_BE_BLANK


@pytest.mark.parametrize(
    ("kind", "column"),
    [("items", "item"), ("nodes", "node"), ("regions", "region"), ("speeds", "speed")],
)
def test_every_name_is_known(tables, kind, column):
    known = set(tables[kind][column].astype(str))
    others = {"source", "destination"} if kind == "nodes" else set()
    for name, table in tables.items():
        for key in ({column} | others) & set(table):
            assert set(table[key].astype(str)) <= known, f"{name}.{key}"


def test_shares_of_speeds_sum_to_one(tables):
    shares = tables["speed_mix"].groupby(["region", "size_class"])["share"].sum()
    assert len(shares) == 100 * 2
    assert (abs(shares - 1) < 1e-9).all()


def test_every_region_is_reached_at_every_speed_that_it_asks_for(tables):
    cells = ["region", "size_class", "speed"]
    offered = pd.MultiIndex.from_frame(able_nodes(tables)[cells])
    asked = pd.MultiIndex.from_frame(tables["speed_mix"][cells])
    assert asked.isin(offered).all()


def test_promises_can_be_kept(tables):
    options = tables["ship_options"].merge(tables["speeds"], on="speed")
    assert (options["transit_days"] <= options["promise_days"]).all()
    assert options["cutoff_hour"].between(0, 24).all()


def test_every_item_can_be_bought_at_every_dc_and_every_other_node_is_fed(tables):
    nodes = tables["nodes"].set_index("node")["type"]
    dcs = set(nodes.index[nodes == "dc"])
    offers = tables["vendors"].groupby("item")["node"].agg(set)
    assert len(offers) == 300
    assert (offers == dcs).all()
    lanes = tables["lanes"]
    fed_by_a_dc = lanes.loc[lanes["source"].isin(dcs), "destination"]
    assert set(fed_by_a_dc) == set(nodes.index) - dcs


def test_a_lost_sale_costs_more_than_the_cheapest_delivery(tables):
    items = tables["items"].set_index("size_class", append=True)
    options = able_nodes(tables).query("speed == 'standard'")
    for size_class, some in options.groupby("size_class"):
        one_class = items.xs(size_class, level="size_class")
        weight = one_class["unit_weight"].to_numpy()
        cost = (
            some["unit_cost"].to_numpy()[:, None]
            + some["cost_per_weight"].to_numpy()[:, None] * weight
        ).min(axis=0)
        assert (one_class["lost_sale_cost"].to_numpy() > cost).all()


def test_capacities_hold_a_mean_week_in_total(tables):
    history, items = tables["history"], tables["items"].set_index("item")
    units = history.groupby("item", observed=True)["quantity"].sum() / 52
    litres = (units * items["unit_volume"].rename(index=str)).sum()
    capacities = tables["capacities"].merge(tables["nodes"], on="node")
    total = capacities.query("type == 'fc'").groupby("resource")["capacity"].sum()
    assert 2 < total["storage"] / litres < 10
    assert 1 < total["outbound"] / units.sum() < 4

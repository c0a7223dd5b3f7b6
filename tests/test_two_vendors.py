"""Plans that buy an item from two vendors at once: orders, files, simulations."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tiny_folder import options, tiny, write

import meio_jax as meio
from meio_jax.supply import split

HISTORY = pd.date_range("2024-01-01", periods=60, freq="7D")
pytestmark = pytest.mark.slow
CONFIG = options("scenarios.count=32", "problem.horizon=13")


def files():
    """Weeks of uneven demand, and two vendors of every item."""
    rng = np.random.default_rng(5)
    rows = [
        f"{item},{region},{week.date()},{rng.negative_binomial(2, 2 / (2 + mean))}"
        for item, mean in (("A", 12), ("B", 8), ("C", 5))
        for region in ("North", "South")
        for week in HISTORY
    ]
    made = tiny() | {"history.csv": "\n".join(["item,region,period,quantity", *rows])}
    made.pop("demand.csv")
    made.pop("capacities.csv")
    made["nodes.csv"] = made["nodes.csv"].replace(",60", ",").replace(",80", ",")
    made["items.csv"] = "\n".join([
        "item,unit_cost,lost_sale_cost,unit_volume,unit_weight,holding_rate",
        "A,5,25,1,0.5,0.6", "B,7.5,35,2,1,0.6", "C,20,90,1.5,8,0.6",
    ])  # fmt: skip
    offers = [
        f"{vendor},{item},DC,{lead},{cost * more}"
        for item, cost in (("A", 5), ("B", 7.5), ("C", 20))
        for vendor, lead, more in (("SLOW", 12, 1.0), ("FAST", 1, 1.03))
    ]
    head = "vendor,item,node,lead_time,unit_cost"
    return made | {"vendors.csv": "\n".join([head, *offers])}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return meio.read(write(tmp_path_factory.mktemp("two") / "data", files()))


@pytest.fixture(scope="module")
def plan(tables):
    return meio.solve(tables, config=CONFIG)


def test_a_base_comes_from_the_slow_vendor_and_the_rest_from_the_fast(plan):
    levels = plan.echelons.drop_duplicates("item").set_index("item")
    both = levels[levels["base_vendor"] != ""]
    assert len(both)
    assert (both["base_vendor"] == "SLOW").all()
    assert (both["vendor"] == "FAST").all()
    orders = plan.buys.merge(both[["base_units"]], on="item")
    base = orders[orders["vendor"] == "SLOW"]
    assert (base["reason"] == "the same in every period").all()
    each = base.groupby("item")["quantity"].sum()
    wanted = 13 * both["base_units"]
    assert_allclose(each.reindex(wanted.index).fillna(0), wanted, atol=0.5)
    one = levels.drop(both.index)
    assert (one["base_units"] == 0).all()


def test_it_costs_less_than_the_better_vendor_alone(plan, tables, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(split, "with_splits", lambda problem, supplies, limits: supplies)
        alone = meio.solve(tables, config=CONFIG)
    assert (alone.echelons["base_vendor"] == "").all()
    found = meio.simulate(tables, [plan, alone], paths=64)
    rows = found.kpis[found.kpis["metric"] == "cost per period"]
    assert rows["difference_low"].max() > 0


def test_a_loaded_plan_is_replanned_with_both_vendors(plan, tables, tmp_path):
    plan.save(tmp_path / "run")
    replan = meio.Replanner(meio.load(tmp_path / "run"), tables)
    item = plan.echelons.loc[plan.echelons["base_vendor"] != "", "item"].iloc[0]
    found = replan(item).buys
    own = plan.buys[plan.buys["item"] == item].reset_index(drop=True)
    assert_array_equal(found["quantity"], own["quantity"])
    assert_array_equal(found["vendor"], own["vendor"])

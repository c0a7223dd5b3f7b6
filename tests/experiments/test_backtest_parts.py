"""Backtests: what was known when, decisions laid end to end, and stores as tables."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.backtest.run import as_known, by_block, joined, problem_of
from experiments.backtest_days.run import daily
from experiments.backtest_stores import run as stores
from meio_jax.sim.lab import Decision

WEEKS = stores.FIRST + stores.WEEKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve products in three stores; product 1 sells 10, 20 and 30 a week."""
    path = tmp_path_factory.mktemp("sales")
    rng = np.random.default_rng(0)
    units = rng.poisson(15.0, (12, 3, WEEKS)).astype(float)
    units[0] = np.array([10.0, 20, 30])[:, None]
    units[1, 0, :5] = -3  # returns
    product, store, week = (x.ravel() for x in np.indices(units.shape))
    pd.DataFrame(
        {"product": product + 1, "store": store, "week_no": week, "qty": units.ravel()}
    ).to_parquet(path / "sales_weekly.parquet")
    return path


def test_stores_keep_their_customers_and_returns_are_no_demand(folder):
    made = stores.tables(folder, 12, 2.0)
    pairs = made["ship_options"][["node", "region"]]
    assert (pairs["node"] == pairs["region"]).all()
    history = made["history"].set_index(["item", "region", "period"])["quantity"]
    assert (history > 0).all()
    assert history["P001", "S02", stores.MONDAY] == 30
    assert ("P002", "S00", stores.MONDAY) not in history.index
    item = made["items"].set_index("item")
    assert item["unit_price"].between(*stores.PRICE).all()
    assert_allclose(item["lost_sale_cost"], item["unit_price"] - item["unit_cost"])


def test_room_is_of_what_was_sold_before_the_replay(folder):
    made = stores.tables(folder, 12, 2.0)
    first = pd.Timestamp(stores.MONDAY) + pd.Timedelta(weeks=stores.FIRST)
    before = made["history"][made["history"]["period"] < first.strftime("%Y-%m-%d")]
    here = before[before["region"] == "S01"]
    litres = here["item"].map(made["items"].set_index("item")["unit_volume"])
    volume = (litres * here["quantity"]).sum() / stores.FIRST
    room = made["capacities"].set_index(["node", "resource"])["capacity"]
    assert_allclose(room["S01", "storage"], stores.STORAGE_WEEKS * volume / 2, atol=1)


def test_a_plan_knows_the_weeks_before_it_alone(folder):
    problem, _ = problem_of(stores.tables(folder, 12, 1.0), 8)
    known = as_known(problem, 100, 5, 40)
    assert (known.slots, known.periods) == (40, 5)
    every, seen = problem.groups[0].demand, known.groups[0].demand
    assert (seen.slot.min(), seen.slot.max()) == (0, 39)
    part = (every.slot >= 60) & (every.slot < 100)
    assert_array_equal(seen.quantity, every.quantity[part])
    assert_array_equal(seen.slot, every.slot[part] - 60)
    assert seen.start[-1] == part.sum()
    assert (
        as_known(problem, 100, 5, 200).slots == as_known(problem, 100, 5).slots == 100
    )


def test_a_decision_holds_until_the_next_one():
    """Two decisions of three periods each, every two; five periods are replayed."""

    def made(level):
        steps = level + np.arange(3.0)
        kept = np.full((1, 1, 1), level)
        return Decision("a", (steps[None, :, None],), (steps[None, None],), (kept,))

    whole = joined("plan", [made(0.0), made(10.0), made(20.0)], 2, 5)
    assert_array_equal(whole.targets[0].ravel(), [0, 1, 10, 11, 20])
    assert_array_equal(whole.tolls[0].ravel(), [0, 1, 10, 11, 20])
    assert_array_equal(whole.reserves[0].ravel()[:5], [0, 0, 10, 10, 20])


def test_means_of_blocks_weigh_every_period_once():
    money = np.arange(12.0).reshape(1, 6, 2)  # costs periods paths
    found = by_block(SimpleNamespace(money=money), 3)
    assert_allclose(found, [money[0, :3].mean(), money[0, 3:].mean()])


def test_days_without_an_order_are_rows_of_nothing():
    orders = pd.DataFrame(
        {"item": [0, 0, 1], "region": [2, 0, 1], "day": [0, 373, 5], "qty": [4, 1, 9]}
    )
    found = daily(orders, pd.DataFrame({"item": [0]}))
    assert found["quantity"].sum() == 5
    assert found["period"].nunique() == 374
    days = sorted(found["period"].unique())
    assert (days[0], days[-1]) == ("2010-12-01", "2011-12-09")


@pytest.mark.slow  # most of it compilation
def test_quick_replay_of_stores(folder, tmp_path, capsys):
    stores.main([str(folder), "--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "quick.json").read_text())
    assert result["periods"] == [stores.FIRST, stores.FIRST + 3]
    table = result["table"]
    assert {"plan", "base_stock_lost", "fluid_lp"} <= set(table)
    assert table["plan"]["local share"]["mean"] == pytest.approx(1)
    assert "fluid_lp | " in capsys.readouterr().out

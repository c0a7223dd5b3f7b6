"""Levels and offers: which is chosen, prices of room, docks and money."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.supply.chain import Limits
from meio_jax.supply.levels import Case, choose, curve_of, orders_of

PERIODS, DRAWS = 4, 64


def case(offers=3, *, seed=0, wait=1, cost=1.0, reserve=0.2, start=np.nan) -> Case:
    """Offers for items that are alike but for their demand."""
    rng = np.random.default_rng(seed)
    demand = (
        rng.gamma(3.0, 5.0, (offers, 1, DRAWS)) * (1 + np.arange(offers))[:, None, None]
    )
    full = lambda x: np.broadcast_to(np.asarray(x, float), (offers,)).copy()
    stock = np.array([0.0, 5.0, 10.0, 20.0]) * (1 + np.arange(offers))[:, None, None]
    when = np.arange(PERIODS) + wait
    wide = lambda x, *tail: np.broadcast_to(x, (offers, PERIODS, *tail))
    return Case(
        demand=wide(demand, DRAWS), prob=np.full(DRAWS, 1 / DRAWS),
        arrival=wide(np.minimum(when, PERIODS - 1)[:, None], DRAWS),
        stock=wide(stock, 4), price=np.tile([6.0, 2.0, 0.5, 0.0], (offers, 1)),
        part=full(1.0), reserve=full(reserve), share=np.ones((offers, 1)),
        mean=wide(demand.mean(axis=2)), start=full(start), unit_cost=full(cost),
        spent=full(0.0), volume=full(2.0), depot=np.zeros(1, int),
        typical=wide(np.minimum(when, PERIODS - 1)),
        inside=wide((when < PERIODS) * 1.0),
    )  # fmt: skip


def limits(storage=np.inf, inbound=np.inf, budget=np.inf) -> Limits:
    full = lambda x, *shape: np.broadcast_to(np.asarray(x, float), shape).copy()
    return Limits(
        full(storage, 1, PERIODS), full(inbound, 1, PERIODS), full(budget, PERIODS)
    )


def levels(made: Case, limit: Limits, item=None):
    item = np.arange(len(made.mean)) if item is None else np.asarray(item)
    (found,), prices = choose(
        (made,), (item,), (int(item.max()) + 1,), limit, (np.zeros(len(item)),)
    )
    return found, prices


FREE, AT_NO_PRICE = levels(case(), limits())


def test_without_limits_nothing_has_a_price():
    assert not any(np.any(x) for x in AT_NO_PRICE.price)
    assert_array_equal(FREE.offer, [0, 1, 2])
    assert (FREE.kept > 0).all()


@pytest.mark.parametrize("share", [0.8, 0.5, 0.1])
def test_levels_keep_within_the_room_of_a_depot(share):
    made = case(20)
    free, at_no_price = levels(made, limits())
    room = share * at_no_price.use.storage[0, 0]
    found, prices = levels(made, limits(storage=room))
    assert (prices.price.storage[0] > 0).all()
    used = 2 * found.kept.sum(axis=0).mean()
    assert_allclose(prices.use.storage, used)
    assert 0.97 * room <= used <= 1.001 * room  # whole levels step over it
    assert (found.level <= free.level).all()


def test_the_price_of_room_is_what_more_of_it_saves():
    # d cost / d room = -price, in every period; many items, so levels are near smooth
    made, seen = case(40, seed=3), levels(case(40, seed=3), limits())[1]
    room = 0.5 * seen.use.storage[0, 0]
    plain = lambda found, prices: float(
        found.cost.sum() - prices.price.storage[0, 0] * 2 * found.kept.sum()
    )
    sides = [levels(made, limits(storage=f * room)) for f in (0.96, 1.04)]
    slope = (plain(*sides[1]) - plain(*sides[0])) / (0.08 * room * PERIODS)
    price = levels(made, limits(storage=room))[1].price.storage[0, 0]
    assert_allclose(-slope, price, rtol=0.05)


def test_a_budget_spreads_what_is_spent():
    # nothing on hand: the first order is the largest, the budget cuts it
    made = case(20, seed=5, start=0.0)
    free, seen = levels(made, limits())
    spent = seen.use.budget
    assert spent[0] > 2 * spent[1]
    found, prices = levels(made, limits(budget=0.7 * spent[0]))
    assert prices.price.budget[0] > 0
    assert prices.use.budget[0] <= 0.7 * spent[0]
    assert_allclose(prices.use.budget, orders_of(made, found.level).sum(axis=0))
    assert found.level[:, 0].sum() < free.level[:, 0].sum()


def test_a_dock_delays_what_it_cannot_take():
    made = case(20, seed=5, start=0.0)
    seen = levels(made, limits())[1]
    most = 0.7 * seen.use.inbound[0, 1]
    _, prices = levels(made, limits(inbound=most))
    assert (prices.use.inbound[0] <= 1.0001 * most).all()
    assert prices.price.inbound[0, 1] > 0


def test_the_offer_that_costs_least_in_all_is_taken():
    # the same item from two vendors: a cheap one whose demand while waiting is wider
    wide, sure = case(1, seed=1), case(1, seed=1)
    sure = sure._replace(
        demand=np.broadcast_to(sure.mean[:, :, None], sure.demand.shape)
    )
    both = Case(*(
        a if name in ("prob", "depot") else np.concatenate([a, b])
        for name, a, b in zip(Case._fields, wide, sure, strict=True)
    ))  # fmt: skip
    gap = (levels(wide, limits())[0].cost - levels(sure, limits())[0].cost).mean()
    assert gap > 0
    demand = both.mean[0, 0]
    for saved, chosen in ((0.5, 1), (2.0, 0)):
        priced = both._replace(unit_cost=np.array([5 - saved * gap / demand, 5.0]))
        found, _ = levels(priced, limits(), item=[0, 0])
        assert found.offer[0] == chosen
        assert_allclose(found.rival[0], 0.5 * gap if chosen else gap, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 1.2), st.floats(0.3, 2.0))
def test_use_keeps_within_limits_at_their_prices(room, money):
    limit = limits(
        storage=room * AT_NO_PRICE.use.storage[0, 0],
        budget=money * AT_NO_PRICE.use.budget.max(),
    )
    _, prices = levels(case(), limit)
    for price, use, most in zip(prices.price, prices.use, limit, strict=True):
        assert np.isfinite(price).all()
        assert (price >= 0).all()
        slack = use < 0.9 * most
        assert (price[slack] <= 1e-2 * (1 + price.max())).all()


def test_the_curve_runs_from_nothing_to_the_plan():
    targets = np.array([[[4.0, 6.0]]])
    rations = np.array([[[[3.0, 6.0]]], [[[1.0, 2.0]]], [[[0.5, 0.5]]]])
    charges = np.array([[0.1], [0.4], [2.0]])
    found = curve_of(targets, rations, charges)
    assert_allclose(found.price[0], [2.0, 0.4, 0.1, 0.0])
    assert_allclose(found.stock[0, 0], [0, 3, 9, 10], atol=1e-5)
    assert_array_equal(found.target[-1], targets)

"""A base from one vendor and the rest from another: against a plain simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_supply import lanes, offers, supply
from test_draws import problem_of

from meio_jax.supply.chain import Limits, take_supply
from meio_jax.supply.draws import demand_on_order, lead_orders, national
from meio_jax.supply.schedule import whole_packs
from meio_jax.supply.split import PARTS, with_splits

WEEKS = 400


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(7)
    units = rng.negative_binomial(3, 3 / (3 + 10.0), (2, 1, WEEKS))
    return problem_of("history", units)


def two_vendors(slow=5.0, fast=1.0, draws=4096):
    """Both items from both vendors, certain lead times."""
    made = offers([0, 0, 1, 1], 1, cost=[1.0, 1.1, 2.0, 2.2], vendor=[0, 1, 0, 1])
    lead = np.array([slow, fast, slow, fast])[:, None] * np.ones(draws)
    return made._replace(lead=lead)


def no_limits(periods):
    return Limits(*(np.full(s, np.inf) for s in ((1, periods), (1, periods), periods)))


def split_of(problem, made):
    group = problem.groups[0]
    above = supply(2, 1, len(group.network.node), problem.periods, offers=made)
    return with_splits(problem, (above,), no_limits(problem.periods))[0]


def plain(demand, rate, slow, fast, level):
    """Stock before each week's demand: lists of orders, one item, sales that wait."""
    weeks = len(demand)
    due, stock, seen = np.zeros(weeks + slow + 2), float(level), []
    position = level
    for t, units in enumerate(demand):
        for lead, amount in ((slow, rate), (fast, max(level - position - rate, 0))):
            due[t + lead] += amount
            position += amount
        stock += due[t]
        seen.append(stock)
        stock, position = stock - units, position - units
    return np.array(seen)


@pytest.mark.parametrize("part", [0, 2, 4])
def test_what_stock_is_short_of_the_level_is_that_of_a_plain_simulation(problem, part):
    made = split_of(problem, two_vendors()).offers
    row = int(np.flatnonzero((made.item == 0) & (made.base >= 0))[part])
    orders = lead_orders(problem, made, seed=3, block=1)
    found = demand_on_order(problem, problem.groups[0], made, orders, 0.0)
    short = found.demand[row, 0]
    rng = np.random.default_rng(1)
    past = national(problem, problem.groups[0])[0][0]
    demand = rng.choice(past, 60_000)
    level = 100.0
    true = level - plain(demand, made.rate[row], 5, 1, level)[500:]
    assert_allclose(short.mean(), true.mean(), atol=4 * true.std() / 4096**0.5)
    assert_allclose(short.std(), true.std(), rtol=0.06)
    for rank in (0.1, 0.5, 0.9, 0.97):
        near = 0.08 * true.std() + 0.5
        assert_allclose(np.quantile(short, rank), np.quantile(true, rank), atol=near)


def test_splits_are_offers_at_parts_of_mean_demand(problem):
    given = two_vendors(draws=8)
    made = split_of(problem, given).offers
    own = made.item[4:]
    mean = national(problem, problem.groups[0])[0].mean(axis=1)
    assert_array_equal(own, np.repeat([0, 1], len(PARTS)))
    assert_array_equal(made.base[4:], np.repeat([0, 2], len(PARTS)))
    assert_array_equal(made.vendor[4:], 1)
    assert_allclose(made.rate[4:], np.outer(mean, PARTS).ravel())
    for old, new in zip(given, made, strict=True):
        assert_array_equal(old, new[:4])
    alone = take_supply(split_of(problem, given), 1).offers
    assert_array_equal(alone.base, [-1, -1, *[0] * len(PARTS)])


@pytest.mark.parametrize(
    "change",
    [
        {"unit_cost": np.array([1.0, 0.9, 2.0, 1.9])},  # the fast one is the cheap one
        {"review": np.full(4, 2)},
        {"least": np.full(4, 50.0)},
        {"capacity": np.full(4, 0.5)},
        {"serves": np.array([[True], [False], [True], [False]])},
    ],
)
def test_no_split_where_it_would_not_be_sound(problem, change):
    made = split_of(problem, two_vendors(draws=8)._replace(**change)).offers
    assert made.size == 4


def test_no_split_where_docks_or_money_are_limited(problem):
    group, limits = problem.groups[0], no_limits(problem.periods)
    above = supply(
        2, 1, len(group.network.node), problem.periods,
        offers=two_vendors(draws=8), lanes=lanes(1, len(group.network.node)),
    )  # fmt: skip
    for tight in (
        limits._replace(budget=np.full(problem.periods, 9.0)),
        limits._replace(inbound=np.full((1, problem.periods), 9.0)),
    ):
        assert with_splits(problem, (above,), tight)[0].offers.size == 4


@pytest.mark.parametrize(("rate", "packs"), [(0.3, 1.0), (7.7, 1.0), (7.7, 12.0)])
def test_a_base_is_sent_in_whole_packs_that_keep_up_with_its_rate(rate, packs):
    sent = np.array([whole_packs(rate, packs, t) for t in range(50)])
    assert_array_equal(sent % packs, 0)
    late = np.cumsum(sent) - rate * np.arange(1, 51)
    assert np.abs(late).max() <= packs / 2 + 1e-9

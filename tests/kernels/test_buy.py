"""The buying kernel: brute force, textbook systems, derivatives, properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from meio_jax.kernels.buy import (
    Ration,
    Terms,
    buy_cost,
    order_up_to,
    ration_price,
    ration_value,
)

STOCK = np.array([0.0, 4.0, 7.0, 12.0])
PRICE = np.array([5.0, 2.0, 0.5, 0.0])
DEMAND = np.random.default_rng(1).gamma(4.0, 3.0, 64)
PROB = np.full(64, 1 / 64)
solve = jax.jit(order_up_to, static_argnames="whole")
costs_of = jax.jit(jax.vmap(buy_cost, (0, None, None, None, None)))


def same(ration: Ration, draws: int) -> Ration:
    """The same prices wherever a draw arrives."""
    return Ration(*(jnp.tile(jnp.asarray(x, float), (draws, 1)) for x in ration))


RATION = same(Ration(STOCK, PRICE), 64)


def terms(part=1.0, reserve=0.1, charge=0.0):
    return Terms(*map(jnp.asarray, (part, reserve, charge)))


def poisson(mean):
    values = np.arange(int(mean + 12 * np.sqrt(mean) + 12))
    prob = stats.poisson.pmf(values, mean)
    return values.astype(float), prob / prob.sum()


@pytest.mark.parametrize("stock", [-3.0, 0.0, 2.5, 7.0, 11.9, 20.0])
def test_value_of_scarcity_is_the_integral_of_its_price(stock):
    ration = Ration(jnp.asarray(STOCK), jnp.asarray(PRICE))
    grid = np.linspace(stock, max(stock, 12.0), 200_001)
    price = np.interp(grid, STOCK, PRICE)
    assert_allclose(ration_price(ration, stock), price[0], atol=1e-6)
    area = np.sum((price[1:] + price[:-1]) / 2 * np.diff(grid))
    assert_allclose(ration_value(ration, stock), area, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reserve", [0.06, 0.4, 3.0])
@pytest.mark.parametrize("charge", [-0.05, 0.0, 1.0, 9.0])
def test_no_other_whole_level_is_cheaper(reserve, charge):
    given = terms(0.8, reserve, charge)
    levels = np.arange(80.0)
    costs = np.asarray(costs_of(levels, DEMAND, PROB, RATION, given))
    found = solve(DEMAND, PROB, RATION, given, jnp.asarray(1e3))
    assert_allclose(found.cost, np.min(costs), rtol=1e-6)
    assert float(found.level) in levels[costs <= costs.min() + 1e-6 * abs(costs.min())]


def test_where_stock_earns_money_no_more_is_held_than_a_draw_could_use():
    found = solve(DEMAND, PROB, RATION, terms(1.0, 0.02, -0.05), jnp.asarray(1e3))
    assert abs(float(found.level) - (DEMAND.max() + STOCK[-1])) <= 2


def test_one_node_below_is_clark_and_scarf():
    # D10's upper stages: with one node the price of rationing is what the stage below
    # lacks, and the level above it is that of the serial system (ORACLES D11, Poisson).
    h, p, mean = (3.0, 2.0), 37.12, 5.0
    below, prob = poisson(mean)  # L = 1: demand of the lead time alone, FoSCT ex 6.1
    y = np.arange(60.0)
    penalty = p + sum(h) + 2.0  # p and all echelon holding costs, the third stage's 2
    cost = h[0] * y + penalty * (prob @ np.maximum(below[:, None] - y, 0))
    best = int(cost.argmin())
    assert best == 9
    price = -np.diff(cost)[: best + 1]
    # exact on whole units: a price per unit step, constant between them
    stock = np.repeat(y[: best + 1], 2)[1:-1]
    steps = np.append(np.repeat(price[:best], 2), 0.0)
    ration = Ration(np.append(stock, best), steps)
    lead, chance = poisson(mean)
    found = solve(
        lead, chance, same(ration, len(lead)), terms(1.0, 0.0, h[1]), jnp.asarray(60.0)
    )
    assert float(found.level) == 15


@pytest.mark.parametrize(
    ("n", "sd", "rho", "lead", "below", "level"),
    [(3, 1.6, 0.0, 2, 1, 70.0452717), (10, 1.6, 0.5, 3, 2, 344.2163149)],
)
def test_eppen_and_schrage(n, sd, rho, lead, below, level):
    # ORACLES D25, D26: the depot holds nothing, so prices go on below 0 and all is sent
    mean, h, b = 5.0, 1.0, 9.0
    sigma = sd * np.sqrt(below + 1)
    y = np.linspace(0, 4 * mean * (below + 1), 801)  # of each store
    own = stats.norm(mean * (below + 1), sigma)
    # stores' demands are correlated, their sum moves all of them: it is what the level
    # is held against, so the stores' law is that of one store
    price = b - (h + b) * own.cdf(y)
    ration = Ration(n * y, price)
    spread = np.sqrt(lead * n * sd**2 * (1 + (n - 1) * rho))
    points = (np.arange(800) + 0.5) / 800
    demand = stats.norm(n * mean * lead, spread).ppf(points)
    found = solve(
        demand, np.full(800, 1 / 800), same(ration, 800), terms(1.0, h, 0.0),
        jnp.asarray(1e4), whole=False,
    )  # fmt: skip
    # the stores' own part of the variance is that of E-S with the pooled lead time
    total = np.sqrt(lead * sd**2 * (1 + (n - 1) * rho) / n + (below + 1) * sd**2)
    expected = n * mean * (lead + below + 1) + n * total * stats.norm.ppf(b / (b + h))
    assert_allclose(expected, level, rtol=1e-7)
    assert_allclose(found.level, level, rtol=2e-4)


@pytest.mark.parametrize(
    ("lead", "p", "best"),
    [(1, 4, 12), (1, 9, 13), (1, 19, 15), (1, 39, 16), (2, 4, 16), (2, 9, 19),
     (2, 19, 21), (2, 39, 22), (4, 4, 25), (4, 9, 28), (4, 19, 31), (4, 39, 33)],
)  # fmt: skip
def test_lost_sales_levels_are_within_two_units_of_the_best(lead, p, best):
    # ORACLES N5: the best base-stock levels of Zipkin's (2008) lost-sales systems,
    # Poisson(5), h = 1. Below is the newsvendor of one period; above it the lead time.
    h, (below, prob) = 1.0, poisson(5.0)
    y = np.arange(40.0)
    worth = p * np.array([prob[below > k].sum() for k in y])
    worth = worth - h * np.array([prob[below <= k].sum() for k in y])
    last = int((worth < 0).argmax())
    ration = Ration(y[: last + 1], np.append(worth[:last], 0.0))
    demand, chance = poisson(5.0 * lead)
    part = 1 / (1 + lead)
    found = solve(
        demand, chance, same(ration, len(demand)), terms(part, h, 0.0),
        jnp.asarray(100.0),
    )  # fmt: skip
    assert abs(float(found.level) - best) <= 2


def test_derivatives_are_what_is_paid_for():
    def cost(reserve, charge):
        given = terms(0.8, reserve, charge)
        return solve(DEMAND, PROB, RATION, given, jnp.asarray(1e3), whole=False).cost

    found = solve(
        DEMAND, PROB, RATION, terms(0.8, 0.3, 0.2), jnp.asarray(1e3), whole=False
    )
    kept, level = jax.grad(cost, (0, 1))(0.3, 0.2)
    assert_allclose([kept, level], [found.kept, found.level], rtol=1e-4)
    step = 0.02
    sides = [cost(0.3 + s, 0.2) for s in (-step, step)]
    assert_allclose((sides[1] - sides[0]) / (2 * step), kept, rtol=2e-2)
    sides = [cost(0.3, 0.2 + s) for s in (-step, step)]
    assert_allclose((sides[1] - sides[0]) / (2 * step), level, rtol=2e-2)


amounts = st.floats(0, 4)


@settings(deadline=None)
@given(amounts, amounts, amounts)
def test_levels_fall_and_costs_are_concave_in_charges(reserve, p, q):
    look = lambda c: solve(
        DEMAND, PROB, RATION, terms(1.0, 0.05 + reserve, c), jnp.asarray(1e3)
    )
    low, middle, high = (look(c) for c in (p, (p + q) / 2, q))
    assert (high.level - low.level) * (q - p) <= 0
    assert middle.cost >= (low.cost + high.cost) / 2 - 1e-3


@settings(deadline=None)
@given(st.floats(0.1, 10), st.floats(-10, 60))
def test_money_times_ten_is_cost_times_ten(reserve, level):
    level = jnp.asarray([level])
    once = costs_of(level, DEMAND, PROB, RATION, terms(0.7, reserve, 0.1))
    dear = Ration(RATION.stock, 10 * RATION.price)
    tenfold = costs_of(level, DEMAND, PROB, dear, terms(0.7, 10 * reserve, 1.0))
    assert_allclose(tenfold, 10 * once, rtol=1e-4, atol=1e-4)

"""Prices by regime of load: what K regimes share with one, and what they add."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_dual import ITEMS, NODES, PERIODS, options, problem

from meio_jax.dual.bound import group_bound
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.planner import solve_problem
from meio_jax.recover.evaluate import Evaluator, node_use, violation
from meio_jax.scenarios.sample import draw_sample

REGIMES = 4


def make(regimes, **limits):
    """Problem, sample and dual of the small network with so many regimes."""
    made = replace(problem(**limits), regimes=regimes)
    sample = draw_sample(made, count=16, seed=0)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=8, atoms=16, dtype=jnp.float64, chunk=4
    )
    dual = Dual(made, (rows,))
    dual.carried = np.full(NODES, 10.0)
    return made, sample, dual


@pytest.fixture(scope="module")
def case():
    return make(REGIMES)


@pytest.fixture(scope="module")
def look(case):
    """The smoothed dual at a price, solved to the end."""
    return lambda price, curved=False: _look(case[2], price, curved)


def _look(dual, price, curved=False):
    targets = dual.start()
    for _ in range(8):
        point = dual.at(price, targets, stage=1.0, softness=0.1, curved=curved)
        targets = point.targets
    return point


def test_atoms_of_all_regimes_are_the_demand_of_all_scenarios(case):
    one, many = make(1)[2].rows[0], case[2].rows[0]
    assert many.atoms.shape[1] == one.atoms.shape[1] // REGIMES
    assert_allclose(many.mean.sum(axis=3), one.mean[:, :, :, 0], rtol=1e-12)
    whole, cut = (rows.hinges.spread(rows.atoms) for rows in (one, many))
    spread = cut.reshape(*cut.shape[:4], REGIMES, -1)
    spread = np.moveaxis(spread, 4, 1).reshape(whole.shape)
    assert_allclose(np.sort(spread, axis=1), np.sort(whole, axis=1), rtol=1e-12)
    busy = many.mean.sum(axis=(0, 1, 2, 4))
    assert (np.diff(busy) > 0).all()


def test_regimes_with_one_price_are_one_regime(case, look):
    """The same price in every regime gives the value and use of K = 1."""
    made, _, dual = case
    _, _, plain = make(1)
    price = np.random.default_rng(1).uniform(0, 0.3, (3, NODES, PERIODS))
    same = np.concatenate([price[:2], np.repeat(price[2:], REGIMES, axis=0)])
    one, many = _look(plain, plain.gather(price)), look(dual.gather(same))
    assert_allclose(many.value, one.value, rtol=1e-5)  # to the residual of searches
    use = many.use.reshape(made.capacities.shape)
    total = np.concatenate([use[:2], use[2:].sum(axis=0, keepdims=True)])
    assert_allclose(total.ravel(), one.use, rtol=2e-3, atol=0.1)


def test_slope_is_use_less_capacity_and_the_derivative(case, look):
    dual = case[2]
    price = np.random.default_rng(1).uniform(0, 0.2, dual.limited.size)
    point = look(price)
    for k in range(0, dual.limited.size, 7):  # some of each resource
        step = 1e-3 * np.eye(dual.limited.size)[k]
        slope = (look(price + step).value - look(price - step).value) / 2e-3
        assert_allclose(slope, point.slope[k], rtol=2e-2, atol=0.1)


def test_jacobian_points_where_use_goes(case, look):
    dual = case[2]
    first = 2 * NODES * PERIODS  # prices of the regimes come last
    price = np.random.default_rng(2).uniform(0.05, 0.2, dual.limited.size)
    point = look(price, True)
    assert_allclose(point.jacobian, point.jacobian.T, atol=1e-6)
    assert np.linalg.eigvalsh(point.jacobian).max() <= 1e-6
    for resource in range(REGIMES):
        move = np.zeros(dual.limited.size)
        start = first + resource * NODES * PERIODS
        move[start : start + NODES * PERIODS] = 0.02
        change, foreseen = look(price + move).use - point.use, point.jacobian @ move
        cosine = change @ foreseen / np.linalg.norm(change) / np.linalg.norm(foreseen)
        assert cosine > 0.8


def test_evaluated_regimes_add_up_to_all_scenarios(case):
    made, sample, _ = case
    plain, other, _ = make(1)
    target = np.round(np.random.default_rng(4).uniform(2, 8, (ITEMS, PERIODS, NODES)))
    toll = np.random.default_rng(5).uniform(0, 1, (NODES, PERIODS))
    many = Evaluator(made, 0, sample)(target, np.tile(toll, (REGIMES, 1, 1)))
    one = Evaluator(plain, 0, other)(target, toll[None])
    for name in ("left", "shipped", "own", "short", "shipping", "lost", "flow",
                 "unmet", "demand", "holding"):  # fmt: skip
        assert_allclose(
            getattr(many, name), getattr(one, name), rtol=2e-5, atol=1e-4, err_msg=name
        )
    assert_allclose(many.empty.sum(axis=2), one.empty[:, :, 0], rtol=1e-5, atol=1e-6)
    assert_allclose(many.sent.sum(axis=2), one.sent[:, :, 0], rtol=1e-4)
    use = node_use(made, (many,), (target,), np.zeros(NODES))
    assert (np.diff(use[2:].sum(axis=(1, 2))) > 0).all()  # the last regime is busy


@pytest.fixture(scope="module")
def solved():
    """Problem, sample and solution by regimes; outbound alone is limited."""
    found = {}
    for regimes in (1, REGIMES):
        made, sample, _ = make(regimes, storage=np.inf, inbound=np.inf, outbound=38.0)
        found[regimes] = made, sample, solve_problem(made, sample, options())
    return found


def test_plan_is_whole_and_within_the_outbound_of_every_regime(solved):
    for made, _, solution in solved.values():
        assert violation(made, solution.use) == 0
        target = solution.targets[0]
        assert (target == np.round(target)).all()
        assert solution.bound <= solution.cost


def test_regimes_raise_bound_and_cost(solved):
    one, many = solved[1][2], solved[REGIMES][2]
    assert one.bound < many.bound
    assert one.cost < many.cost
    price = many.prices[2:].mean(axis=(1, 2))
    assert price[-1] == price.max() > 2 * price[0]  # busy regimes pay


def test_bound_at_any_prices_is_below_the_plan(solved):
    made, sample, solution = solved[REGIMES]
    rng = np.random.default_rng(3)
    limited = np.isfinite(made.capacities)
    for _ in range(3):
        prices = np.where(limited, rng.uniform(0, 1.5, limited.shape), 0)
        total = group_bound(
            made, made.groups[0], 0, sample, prices, solution.targets[0],
            buckets=8, atoms=16, stage=0.1, dtype=jnp.float64,
        )  # fmt: skip
        total -= np.sum(prices[limited] * made.capacities[limited])
        assert total <= solution.cost

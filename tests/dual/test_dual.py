"""The dual of a small network: derivatives, ascent, bound and recovery."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from four_buildings import ITEMS, NODES, PERIODS, options, problem
from numpy.testing import assert_allclose

from meio_jax.dual.ascend import FirstOrder, Newton, residuals
from meio_jax.dual.bound import group_bound
from meio_jax.dual.implicit import price_slopes, prices_of, settle
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.planner import solve_problem
from meio_jax.problem import take_items
from meio_jax.recover.evaluate import violation
from meio_jax.scenarios.sample import draw_sample


@pytest.fixture(scope="module")
def case():
    """Problem, sample and dual, with a stock to start from."""
    made = problem()
    sample = draw_sample(made, count=16, seed=0)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=8, atoms=16, dtype=jnp.float64, chunk=4
    )
    dual = Dual(made, (rows,))
    dual.carried = np.full(NODES, 10.0)
    return made, sample, dual


@pytest.fixture(scope="module")
def look(case):
    """The smoothed dual at a price, solved to the end."""
    dual = case[2]

    def at(price, curved=False):
        targets = dual.start()
        for _ in range(8):  # each looks on from the last
            point = dual.at(price, targets, stage=1.0, softness=0.1, curved=curved)
            targets = point.targets
        return point

    return at


def test_slope_is_use_less_capacity_and_the_derivative(case, look):
    dual = case[2]
    price = np.random.default_rng(1).uniform(0, 0.2, dual.limited.size)
    point = look(price)
    for k in range(0, dual.limited.size, 5):  # some of each resource
        step = 1e-4 * np.eye(dual.limited.size)[k]
        slope = (look(price + step).value - look(price - step).value) / 2e-4
        assert_allclose(slope, point.slope[k], rtol=2e-2, atol=0.3)


def test_dearer_capacity_is_used_less(case, look):
    dual = case[2]
    base = look(np.zeros(dual.limited.size))
    for k in range(0, NODES * PERIODS, 3):
        dear = look(0.3 * np.eye(dual.limited.size)[k])
        assert dear.use[k] < base.use[k]
        assert dear.value < base.value + 0.3 * base.slope[k] + 1e-6  # concave


def test_jacobian_points_where_use_goes(case, look):
    dual = case[2]
    price = np.random.default_rng(2).uniform(0.05, 0.2, dual.limited.size)
    point = look(price, True)
    storage = point.jacobian[: NODES * PERIODS, : NODES * PERIODS]
    assert np.linalg.eigvalsh((storage + storage.T) / 2).max() <= 1e-9
    move = np.zeros(dual.limited.size)
    move[: NODES * PERIODS] = 0.02
    change = look(price + move).use - point.use
    foreseen = point.jacobian @ move
    cosine = change @ foreseen / np.linalg.norm(change) / np.linalg.norm(foreseen)
    assert cosine > 0.8


def climb(method, dual, steps):
    """The ascent, stepped by hand."""
    state = method.init(dual, np.zeros(dual.limited.size), dual.start())
    for _ in range(steps):
        if method.terminate(dual, state):
            break
        state = method.step(dual, state)
    return state


@pytest.fixture(scope="module")
def newton(case):
    method = Newton(stages=(1.0,), softness=0.1)
    return climb(method, case[2], 40)


def test_newton_ends_where_capacities_hold(case, newton):
    found = residuals(case[2], newton.point)
    assert found.violation < 0.02
    assert found.slack < 5e-3
    assert (newton.point.price > 1e-9).sum() >= NODES


@pytest.mark.parametrize("optimiser", [optax.adam(0.1), optax.sgd(0.5)])
def test_first_order_methods_climb_behind_the_same_interface(case, newton, optimiser):
    dual = case[2]
    method = FirstOrder(optimiser, stages=(1.0,), softness=0.1, unit=30.0)
    state = climb(method, dual, 60)
    start = method.init(dual, np.zeros(dual.limited.size), dual.start())
    top = newton.point.value - start.point.value
    assert top > 0
    assert 0.5 * top < state.point.value - start.point.value < 1.02 * top


def test_bound_holds_at_any_price_and_rises_with_the_ascent(case, newton):
    made, sample, dual = case
    solution = solve_problem(made, sample, options())
    rng = np.random.default_rng(3)
    for price in (0 * newton.point.price, rng.uniform(0, 0.5, dual.limited.size)):
        assert bound(made, sample, dual, price, newton) <= solution.cost
    best = bound(made, sample, dual, newton.point.price, newton)
    free = bound(made, sample, dual, 0 * newton.point.price, newton)
    assert free < best <= solution.cost


def bound(made, sample, dual, price, state):
    """The certified bound of the only group."""
    full = dual.spread(price)
    targets = np.asarray(state.point.targets[0]).reshape(ITEMS, PERIODS, NODES)
    total = group_bound(
        made, made.groups[0], 0, sample, full, targets,
        buckets=8, atoms=16, stage=0.1, dtype=jnp.float64,
    )  # fmt: skip
    return total - price @ dual.capacity - full[1, :, 0] @ dual.carried


def test_plan_is_whole_and_within_every_capacity(case):
    made, sample, _ = case
    solution = solve_problem(made, sample, options())
    assert solution.status in ("optimal_within_gap", "gap_above_target")
    assert violation(made, solution.use) == 0
    target = solution.targets[0]
    assert (target == np.round(target)).all()
    assert target.min() >= 0
    assert solution.bound <= solution.cost


def test_without_limits_the_kernel_is_solved(case):
    made, sample, _ = case
    free = problem(storage=np.inf, inbound=np.inf, outbound=np.inf)
    best = solve_problem(free, sample, options())
    smooth = solve_problem(free, sample, replace(options(), whole_units=False))
    tight = solve_problem(made, sample, options())
    assert 0 <= best.certificate.kernel < 1e-6 * best.cost
    assert 0 < smooth.certificate.kernel < 1e-5 * smooth.cost
    assert 1e-5 * tight.cost < tight.certificate.kernel


def test_more_capacity_costs_no_more(case):
    made, sample, _ = case
    tight = solve_problem(made, sample, options())
    loose = solve_problem(
        problem(storage=90.0, inbound=90.0, outbound=90.0), sample, options()
    )
    assert loose.cost < tight.cost
    assert loose.bound < tight.bound


@pytest.mark.parametrize("items", [3, 8, 9])
def test_bound_of_a_last_batch_smaller_than_a_chunk(case, items):
    made, sample, dual = case
    group = take_items(made.groups[0], np.arange(items))
    targets = np.full((items, PERIODS, NODES), 2.0)
    prices = dual.spread(np.full(dual.limited.size, 0.1))
    common = dict(buckets=4, atoms=16, stage=0.1, dtype=jnp.float64)
    whole = group_bound(made, group, 0, sample, prices, targets, chunk=items, **common)
    split = group_bound(
        made, group, 0, sample, prices, targets, chunk=4, batch=8, **common
    )
    assert_allclose(split, whole, rtol=1e-6)


SMOOTH = {"stage": 1.0, "softness": 0.1}


@pytest.fixture(scope="module")
def top(case):
    """The top of the dual at one width of smoothing, to the last digits."""
    dual, method = case[2], Newton((1.0,), 0.1, gap=1e-4, violation=1e-4)
    state = method.init(dual, np.zeros(dual.limited.size), dual.start())
    for _ in range(20):
        state = method.step(dual, state)
    return settle(dual, state.point.price, state.point.targets, **SMOOTH)


def test_settled_prices_are_complementary(top):
    priced = top.price > 0
    assert 5 < priced.sum() < priced.size
    assert_allclose(top.slope[priced], 0, atol=1e-6)
    assert top.slope.max() < 1e-6


def test_prices_answer_to_capacities_as_solving_again_does(case, top):
    dual, slopes = case[2], price_slopes(case[2], top)
    assert_allclose(slopes, slopes.T, atol=1e-9)
    size = np.abs(slopes).max()
    for k in np.flatnonzero(top.price > 0):
        assert slopes[k, k] < 0  # more room is worth less
        step = 1e-4 * np.eye(dual.limited.size)[k]
        again = [
            settle(dual.with_capacity(dual.capacity + way * step), top.price,
                   top.targets, **SMOOTH).price
            for way in (1, -1)
        ]  # fmt: skip
        by_steps = (again[0] - again[1]) / 2e-4
        assert_allclose(slopes[:, k], by_steps, rtol=1e-3, atol=1e-3 * size)


def test_a_gradient_goes_through_the_plan_to_capacities(case, top):
    dual = case[2]
    rng = np.random.default_rng(3)
    weight = rng.normal(size=top.price.size)
    pull = jnp.asarray(rng.normal(size=top.targets[0].shape))

    def worth(capacity):
        price, targets = prices_of(dual, top, **SMOOTH)(capacity)
        return weight @ price + (pull * targets[0]).sum()

    capacity = jnp.asarray(dual.capacity)
    found = np.asarray(jax.grad(worth)(capacity))
    assert not found[top.price == 0].any()
    for k in np.flatnonzero(top.price > 0)[::4]:
        step = 1e-4 * np.eye(capacity.size)[k]
        by_steps = float(worth(capacity + step) - worth(capacity - step)) / 2e-4
        assert_allclose(found[k], by_steps, rtol=1e-3, atol=1e-3 * abs(found).max())

"""K2: recourse, items and what multipliers prove, against linear programmes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_items import CASES, DRAWS, Item, draw, two_stage
from tiny_items import NODES as SITES
from tiny_networks import (
    CLASSES,
    NODES,
    greedy,
    linear_programme,
    random_recourse,
    tree_bound,
    ultrametric,
)

from meio_jax.kernels.node_dual import (
    admissible,
    item_bound,
    item_dual,
    node_dual,
    served_value,
)

seeds = st.integers(0, 10**6)
recourse_of = jax.jit(partial(node_dual, tolerance=1e-9))
proves = jax.jit(item_bound)
solves = jax.jit(item_dual, static_argnames="tolerance")


def solve(item: Item, dtype=float, tolerance=1e-6):
    arrays = (jnp.asarray(x, dtype) for x in (*item, item.start))
    return solves(*arrays, tolerance=tolerance)


def stock_and_demand(seed, classes=CLASSES):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 6, NODES), rng.uniform(0, 6, classes)


def q(recourse, stock, demand):
    return float(recourse_of(demand, stock, recourse.cost, recourse.penalty)[0])


def test_clusters_by_hand():
    # The same instance as for the other kernels: HiGHS and the closed form say 110.
    stock, demand = np.array([4.0, 0, 3, 6, 1, 2]), np.array([2.0, 3, 1, 5, 5, 7])
    assert_allclose(q(ultrametric(), stock, demand), 110, rtol=1e-8)


@given(seeds, st.booleans())
def test_recourse_is_that_of_the_linear_programme(seed, whole):
    recourse, (stock, demand) = random_recourse(seed), stock_and_demand(seed)
    if whole:  # degenerate: several multipliers are optimal, nodes and classes at zero
        stock, demand = np.floor(stock), np.floor(demand)
    best = linear_programme(recourse, stock, demand)
    value, price = recourse_of(demand, stock, recourse.cost, recourse.penalty)
    assert best - 1e-6 * abs(best) <= value <= best + 1e-9 * abs(best)
    assert price.min() >= 0
    served = served_value(price, demand, recourse.cost, recourse.penalty)
    assert_allclose(served - price @ stock, value, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_items_are_solved_as_by_the_linear_programme(case):
    for seed in range(4):
        item = draw(seed, case)
        best, found = two_stage(item), solve(item)
        assert_allclose(found.bound, best, rtol=1e-6, atol=1e-6 * item.size)
        assert found.bound <= best + 1e-9 * item.size
        assert found.price.min() >= 0
        inside = (found.target >= item.lower) & (found.target <= item.upper)
        assert inside.all()


@pytest.mark.parametrize("case", CASES)
def test_items_in_float32(case):
    for seed in range(4):
        item = draw(seed, case)
        best, found = two_stage(item), solve(item, np.float32)
        assert found.bound.dtype == found.target.dtype == np.float32
        assert_allclose(found.bound, best, rtol=1e-3, atol=1e-3 * item.size)
        exact = proves(admissible_in_float64(item, found), *item)
        assert_allclose(exact, best, rtol=1e-3, atol=1e-3 * item.size)
        assert exact <= best + 1e-9 * item.size


def admissible_in_float64(item, found):
    return admissible(found.price.astype(float), item.prob, item.charge, found.below)


@pytest.mark.parametrize("seed", [56, 7, 11])  # lost a thousandth and more once
def test_float32_does_not_drift_from_its_optimum(seed):
    for case in ("plain", "at least", "negative charge"):
        item = draw(seed, case)
        found = solve(item, np.float32)
        assert_allclose(found.bound, two_stage(item), rtol=3e-4)


@given(seeds)
def test_targets_and_gap_say_how_good_they_are(seed):
    item = draw(seed)
    found = solve(item)
    best = two_stage(item)
    given_target = two_stage(item._replace(lower=found.target, upper=found.target))
    assert best - 1e-9 <= given_target <= best + found.gap + 1e-9
    assert best <= found.bound + found.gap + 1e-9


def test_multipliers_are_minus_the_slope_in_the_stock():
    for seed in range(6):
        recourse, (stock, demand) = random_recourse(seed), stock_and_demand(seed)
        price = recourse_of(demand, stock, recourse.cost, recourse.penalty)[1]
        for n in range(NODES):
            step = 1e-3 * np.eye(NODES)[n]
            up, down = (q(recourse, stock + s, demand) for s in (step, -step))
            assert_allclose(price[n], (down - up) / 2e-3, atol=1e-4)


@pytest.mark.parametrize("case", ["plain", "at least", "some given", "closed nodes"])
def test_derivative_in_the_charge_is_the_target(case):
    item = draw(1, case)
    target = solve(item, tolerance=1e-9).target
    for n in range(SITES):
        step = 1e-3 * np.eye(SITES)[n]
        up, down = (
            solve(item._replace(charge=item.charge + s), tolerance=1e-9).bound
            for s in (step, -step)
        )
        assert_allclose((up - down) / 2e-3, target[n], atol=1e-3)


@given(seeds, st.floats(0, 1))
def test_recourse_is_convex_and_falls_in_the_stock(seed, part):
    recourse, (stock, demand) = random_recourse(seed), stock_and_demand(seed)
    other = stock_and_demand(seed + 1)[0]
    here, there = q(recourse, stock, demand), q(recourse, other, demand)
    between = q(recourse, part * stock + (1 - part) * other, demand)
    tiny = 1e-6 * abs(here)
    assert between <= part * here + (1 - part) * there + tiny
    assert q(recourse, stock + other, demand) <= min(here, there) + tiny


@given(seeds, st.sampled_from([1e-4, 7.0, 1e5]), st.sampled_from([1e-3, 1e3]))
def test_money_and_units_scale(seed, money, units):
    item = draw(seed)
    scaled = Item(
        units * item.demand, item.prob, money * item.cost, money * item.penalty,
        money * item.charge, units * item.lower, units * item.upper,
    )  # fmt: skip
    assert_allclose(solve(scaled).bound, money * units * solve(item).bound, rtol=2e-6)


@given(seeds, st.permutations(range(NODES)), st.permutations(range(CLASSES)))
def test_relabelled_nodes_and_classes_cost_the_same(seed, nodes, classes):
    recourse, (stock, demand) = random_recourse(seed), stock_and_demand(seed)
    nodes, classes = np.array(nodes), np.array(classes)
    cost = recourse.cost[nodes][:, classes]
    value, price = recourse_of(demand[classes], stock[nodes], cost, recourse.penalty)
    expected = recourse_of(demand, stock, recourse.cost, recourse.penalty)
    assert_allclose(value, expected[0], rtol=1e-9)
    assert_allclose(price, expected[1][nodes], atol=1e-5)


@given(seeds, st.sampled_from(CASES), st.sampled_from([0.1, 1.0, 10.0]))
def test_any_multipliers_bound_the_linear_programme(seed, case, size):
    item = draw(seed, case)
    rng = np.random.default_rng(seed)
    price = rng.uniform(0, size, item.cost.shape[:2]) * item.penalty
    best = two_stage(item)
    for below in (np.zeros(item.cost.shape[1], bool), item.upper > item.lower):
        lowered = admissible(price, item.prob, item.charge, below)
        assert proves(lowered, *item) <= best + 1e-9 * item.size


@given(seeds)
def test_padding_changes_nothing(seed):
    item = draw(seed)
    wide = item._replace(
        demand=np.pad(item.demand, ((0, 0), (0, 3))),
        cost=np.pad(item.cost, ((0, 0), (0, 0), (0, 3))),  # cheap, and never asked for
    )
    assert_allclose(solve(wide).bound, solve(item).bound, rtol=2e-6)
    one = draw(seed, "closed nodes")
    open_only = one._replace(
        cost=one.cost[:, 2:], charge=one.charge[2:], lower=one.lower[2:],
        upper=one.upper[2:],
    )  # fmt: skip
    assert_allclose(solve(one).bound, solve(open_only).bound, rtol=2e-6)


@given(seeds)
def test_the_tree_lies_below_and_the_policy_above(seed):
    recourse, rng = random_recourse(seed), np.random.default_rng(seed)
    stock, demand = rng.integers(0, 7, NODES) * 1.0, rng.integers(0, 6, CLASSES) * 1.0
    middle = q(recourse, stock, demand)
    assert tree_bound(recourse, stock, demand) <= middle + 1e-6 * abs(middle)
    assert middle <= greedy(recourse, stock, demand[:, None])[1] + 1e-9


def test_batches_are_solved_as_one_by_one():
    items = [draw(seed) for seed in range(3)]
    stacked = (jnp.stack([jnp.asarray(x) for x in part]) for part in zip(
        *[(*item, item.start) for item in items], strict=True))  # fmt: skip
    found = jax.jit(jax.vmap(item_dual))(*stacked)
    assert found.price.shape == (3, DRAWS, SITES)
    assert_allclose(found.bound, [solve(item).bound for item in items], rtol=2e-6)

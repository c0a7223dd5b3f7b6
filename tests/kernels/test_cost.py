"""What service costs by level, and classes in buckets, against direct sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_networks import CLASSES, NODES, random_recourse, tree_bound

from meio_jax.kernels.cost import bucket_drops, buckets, cumulate, service_levels

seeds = st.integers(0, 10**6)
levels_of = jax.jit(service_levels, static_argnums=3)
POOL_OF = np.array([range(6), [6, 6, 7, 7, 8, 8], [9, 9, 9, 9, 10, 10], [11] * 6])
POOLS = 12


def draw(seed):
    """Weights that fall level by level, homes and demand of classes on a fixed tree."""
    rng = np.random.default_rng(seed)
    home = rng.integers(0, NODES, CLASSES)
    rise = rng.uniform(0, 3, (4, CLASSES)) * rng.integers(0, 2, (4, CLASSES))
    return rise, POOL_OF[:, home], rng.integers(0, 5, (CLASSES, 3)) * 1.0


def by_hand(rise, pool, demand, stock):
    """sum_v sum_j (w_(j) - w_(j+1)) (D_v^(1..j) - Y_v)^+, written out."""
    total = 0.0
    for level, row in enumerate(pool):
        for v in np.unique(row):
            inside = np.flatnonzero(row == v)
            order = inside[np.argsort(-rise[level, inside])]
            weight = np.append(rise[level, order], 0)
            for j in range(len(order)):
                above = max(demand[order[: j + 1]].sum() - stock[v], 0)
                total += (weight[j] - weight[j + 1]) * above
    return total


def place(rise, pool, count):
    members = np.bincount(pool.ravel(), minlength=POOLS)
    return pool * count + np.asarray(buckets_of(rise, pool, members, count))


buckets_of = jax.jit(buckets, static_argnums=3)
drops_of = jax.jit(bucket_drops, static_argnums=(3, 4, 5))
cumulate_of = jax.jit(cumulate, static_argnums=(2, 3))


def by_buckets(rise, slot, demand, stock, count, bound=True):
    drop = drops_of(rise, slot, demand.mean(axis=1), POOLS, count, bound)
    total = cumulate_of(demand, slot, POOLS, count).reshape(POOLS, count, -1)
    above = np.maximum(total - stock[:, None, None], 0)
    return np.einsum("vj,vjd->d", drop, above)


@given(seeds)
def test_levels_are_the_cheapest_service_from_outside(seed):
    recourse = random_recourse(seed)
    ring, levels = recourse.ring, len(recourse.pool_of)
    steps = np.asarray(levels_of(recourse.cost, recourse.penalty, ring, levels))
    assert (np.diff(steps, axis=0) >= 0).all()
    for q, home in enumerate(recourse.home):
        expected = [min(recourse.cost[:, q].min(), recourse.penalty)]
        for row in recourse.pool_of:
            outside = recourse.cost[row != row[home], q].min(initial=np.inf)
            expected.append(min(outside, recourse.penalty))
        assert_allclose(steps[:, q], expected)


def test_derivative_of_a_level_is_one_at_the_node_that_serves():
    recourse = random_recourse(2)
    levels = len(recourse.pool_of)
    low = lambda c: service_levels(c, recourse.penalty, recourse.ring, levels)[0].sum()
    slope = np.asarray(jax.grad(low)(jnp.asarray(recourse.cost)))
    served = recourse.cost.min(axis=0) < recourse.penalty
    expected = np.eye(NODES)[recourse.cost.argmin(axis=0)].T * served
    assert 0 < served.sum()
    assert_allclose(slope, expected)


@given(seeds)
def test_one_bucket_a_class_is_the_formula(seed):
    rise, pool, demand = draw(seed)
    stock = np.random.default_rng(seed).uniform(0, 9, POOLS)
    slot = place(rise, pool, CLASSES)
    expected = [by_hand(rise, pool, d, stock) for d in demand.T]
    for bound in (True, False):
        value = by_buckets(rise, slot, demand, stock, CLASSES, bound)
        assert_allclose(value, expected, atol=1e-9)


@given(seeds, st.sampled_from([1, 2, 3, 5]), st.booleans())
def test_few_buckets_lie_below_in_any_order_of_the_classes(seed, count, stale):
    rise, pool, demand = draw(seed)
    stock = np.random.default_rng(seed).uniform(0, 9, POOLS)
    ranked_by = draw(seed + 1)[0] if stale else rise  # prices move, buckets stay
    slot = place(ranked_by, pool, count)
    value = by_buckets(rise, slot, demand, stock, count)
    expected = [by_hand(rise, pool, d, stock) for d in demand.T]
    assert (value <= np.array(expected) + 1e-9).all()
    mean = by_buckets(rise, slot, demand, stock, count, bound=False)
    assert (value <= mean + 1e-9).all()


@given(seeds, st.sampled_from([1, 2, 4, CLASSES]))
def test_buckets_put_the_dearest_first(seed, count):
    rise, pool, _ = draw(seed)
    bucket = place(rise, pool, count) % count
    assert ((bucket >= 0) & (bucket < count)).all()
    for level, row in enumerate(pool):
        together = row[:, None] == row[None, :]
        dearer = rise[level][:, None] > rise[level][None, :]
        later = bucket[level][:, None] > bucket[level][None, :]
        assert not (together & dearer & later).any()


@given(seeds, st.sampled_from([1, 3, CLASSES]))
def test_cumulated_demand_is_that_of_the_buckets_up_to_one(seed, count):
    rise, pool, demand = draw(seed)
    slot = place(rise, pool, count)
    total = np.asarray(cumulate_of(demand, slot, POOLS, count))
    expected = np.zeros((POOLS, count, demand.shape[1]))
    for row in slot:
        for q, s in enumerate(row):
            expected[s // count, s % count :] += demand[q]
    assert_allclose(total, expected.reshape(total.shape))


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_money_scales_the_tree_cost(scale):
    recourse, rng = random_recourse(5), np.random.default_rng(5)
    stock, demand = rng.integers(0, 6, NODES) * 1.0, rng.integers(0, 6, CLASSES) * 1.0
    cost, penalty = scale * recourse.cost, scale * recourse.penalty
    dear = recourse._replace(cost=cost, penalty=penalty)
    expected = scale * tree_bound(recourse, stock, demand)
    assert_allclose(tree_bound(dear, stock, demand), expected, rtol=1e-12)

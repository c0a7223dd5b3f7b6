"""Whole targets keep the sums of pools, the bounds and, over many items, the mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.network import pools
from meio_jax.recover.round import round_targets

seeds = st.integers(0, 10**6)
ITEMS, PERIODS, NODES = 4, 3, 7
SHAPE = ITEMS, PERIODS, NODES
NONE, FREE = np.zeros(SHAPE), np.full(SHAPE, np.inf)


def draw(seed):
    """A tree over places on a map, keys of 63 bits, targets."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(size=(NODES, 2))
    tree = pools(np.linalg.norm(place[:, None] - place[None], axis=2))
    return rng, tree, rng.integers(0, 2**63 - 1, ITEMS), rng.uniform(0, 9, SHAPE)


@given(seeds)
def test_every_pool_is_rounded_by_less_than_a_unit(seed):
    _, tree, key, target = draw(seed)
    whole = round_targets(target, tree.walk, key, NONE, FREE)
    assert_array_equal(whole, np.round(whole))
    assert whole.min() >= 0
    moved = np.abs((whole - target) @ tree.member.T)
    assert moved.max() < 1 + 1e-5


@given(seeds)
def test_bounds_in_whole_units_are_kept_and_cost_no_units(seed):
    rng, tree, key, target = draw(seed)
    lower, upper = np.floor(target), np.ceil(target)
    upper = upper + rng.integers(0, 2, SHAPE)
    whole = round_targets(target, tree.walk, key, lower, upper)
    assert (whole >= lower).all()
    assert (whole <= upper).all()
    assert np.abs((whole - target) @ tree.member.T).max() < 1 + 1e-5


@given(seeds)
def test_bounds_are_kept_where_a_whole_number_lies_between(seed):
    rng, tree, key, target = draw(seed)
    lower = target - rng.uniform(0, 1, SHAPE) - 0.01
    upper = target + rng.uniform(0, 1, SHAPE) + 0.01
    whole = round_targets(target, tree.walk, key, lower, upper)
    some = np.floor(upper) >= np.ceil(lower)
    assert (whole >= lower)[some].all()
    assert (whole <= upper)[some].all()


@given(seeds, st.floats(-1e-7, 1e-7))
def test_whole_targets_stay(seed, noise):
    _, tree, key, target = draw(seed)
    expected = np.round(target)
    whole = round_targets(expected + noise / NODES, tree.walk, key, NONE, FREE)
    assert_array_equal(whole, expected)


def test_whole_targets_stay_whatever_the_key():
    _, tree, _, target = draw(0)
    keys = np.array([610, 832040, 1346269, 2178309])  # Fibonacci: near 0 and near 1
    whole = round_targets(np.round(target), tree.walk, keys, NONE, FREE)
    assert_array_equal(whole, np.round(target))


@given(seeds, st.permutations(range(ITEMS)))
def test_an_item_is_rounded_alike_in_any_order(seed, order):
    _, tree, key, target = draw(seed)
    order = list(order)
    whole = round_targets(target, tree.walk, key, NONE, FREE)
    other = round_targets(target[order], tree.walk, key[order], NONE, FREE)
    assert_array_equal(other, whole[order])


@pytest.mark.parametrize("bits", [20, 63])
def test_no_node_gains_or_loses_over_many_items(bits):
    rng, tree, _, _ = draw(1)
    key = rng.integers(0, 2**bits - 1, 20_000)
    target = np.broadcast_to(rng.uniform(0, 2, NODES), (20_000, 1, NODES))
    whole = round_targets(target, tree.walk, key, target * 0, target + 9)
    error = 5 * 0.5 / 20_000**0.5
    assert_allclose(whole.mean(axis=0), target[0], atol=error)

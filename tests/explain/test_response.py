"""The best level of one node, against brute force over every level that may be best."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from meio_jax.explain.response import best_level, sort_breaks, unit_gain, whole_level

seeds = st.integers(0, 10**6)


def cells(seed, whole=True):
    """Demands, weights, charges and largest levels of a few cells; some charges are
    below 0, some demands are met already, some weights are 0."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(-4, 9, (3, 2, 7)).astype(float)
    if not whole:
        demand += rng.choice([0, 0.25, 0.5], demand.shape)
    weight = rng.uniform(0, 1, demand.shape) * rng.integers(0, 2, demand.shape)
    charge = rng.uniform(-0.5, 3, (3, 2))
    most = np.maximum(demand.max(axis=-1), 0)
    return demand, weight, charge, most


def cost(demand, weight, charge, level):
    """f at levels, which may have a leading axis."""
    short = np.maximum(demand - level[..., None], 0)
    return charge * level + (weight * short).sum(axis=-1)


@given(seeds, st.booleans())
def test_no_other_level_is_cheaper_and_none_below_is_as_cheap(seed, whole):
    demand, weight, charge, most = cells(seed, whole)
    level = best_level(sort_breaks(demand, most), charge, weight)
    grid = np.unique(np.append(np.arange(0, 9, 0.25), 0))[:, None, None]
    grid = np.minimum(np.broadcast_to(grid, (len(grid), 3, 2)), most)
    costs, least = (
        cost(demand, weight, charge, grid),
        cost(demand, weight, charge, level),
    )
    assert ((level >= 0) & (level <= most)).all()
    assert_allclose(least, costs.min(axis=0), atol=1e-9)
    lower = np.where(grid < level - 1e-9, costs, np.inf)
    assert (lower > least + 1e-10).all()


def test_of_levels_that_cost_the_same_the_least_is_taken():
    demand, weight = np.array([[2.0, 5.0, 9.0]]), np.array([[0.25, 0.25, 0.5]])
    breaks = sort_breaks(demand, np.array([9.0]))
    for charge, least in ((1.0, 0), (0.75, 2), (0.5, 5), (0.25, 9), (0.0, 9)):
        assert best_level(breaks, np.array([charge]), weight) == least
    assert best_level(breaks, np.array([-1.0]), weight) == 9


@given(seeds)
def test_the_whole_level_is_the_best_of_all_whole_ones(seed):
    demand, weight, charge, most = cells(seed, whole=False)
    breaks = sort_breaks(demand, most)
    level = whole_level(breaks, charge, weight, best_level(breaks, charge, weight))
    grid = np.broadcast_to(np.arange(10.0)[:, None, None], (10, 3, 2))
    costs = np.where(grid <= most, cost(demand, weight, charge, grid), np.inf)
    assert_allclose(level, np.round(level))
    assert_allclose(cost(demand, weight, charge, level), costs.min(axis=0), atol=1e-9)


@given(seeds, st.integers(0, 8))
def test_a_unit_more_saves_what_its_shortages_cost(seed, units):
    demand, weight, _, most = cells(seed)
    level = np.full(most.shape, float(units))
    at = lambda y: cost(demand, weight, 0.0, y)
    gain = unit_gain(sort_breaks(demand, most), weight, level)
    assert_allclose(gain, at(level) - at(level + 1), atol=1e-9)


@given(seeds, st.floats(0, 2))
def test_levels_fall_in_the_charge_and_scale_with_demand(seed, more):
    demand, weight, charge, most = cells(seed)
    breaks = sort_breaks(demand, most)
    level = best_level(breaks, charge, weight)
    assert (best_level(breaks, charge + more, weight) <= level).all()
    assert_allclose(best_level(breaks, 10 * charge, 10 * weight), level)
    wide = best_level(sort_breaks(3 * demand, 3 * most), charge, weight)
    assert_allclose(wide, 3 * level)

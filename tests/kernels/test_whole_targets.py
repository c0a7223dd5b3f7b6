"""Whole targets on a tree: optimal, and gross substitutes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_trees import (
    MANY,
    MEMBER,
    NODES,
    NONE,
    SHAPE,
    Instance,
    by_enumeration,
    by_linear_programme,
    cost,
    draw,
    smooth,
    whole,
)

from meio_jax.kernels.tree import absence_cost

seeds = st.integers(0, 10**6)
nodes = st.integers(0, NODES - 1)

# Two items on two clusters of two nodes, four equally likely scenarios: minima by
# enumeration and by HiGHS.
DEMANDS = (
    [[2, 1, 3, 0], [0, 4, 1, 2], [5, 2, 2, 1], [1, 0, 0, 6]],
    [[3, 3, 0, 1], [1, 0, 4, 4], [2, 6, 1, 0], [0, 1, 2, 2]],
)
WEIGHTS = ([1.5] * 4 + [2.5] * 2 + [9], [1] * 4 + [2] * 2 + [4])
CHARGES = ([1, 1.2, 0.8, 1], [0.6, 0.5, 0.7, 0.5])
VOLUME = (1, 2)
ITEMS = [
    Instance(
        atoms=(np.array(demand) @ MEMBER.T)[..., None],
        prob=np.full(4, 0.25),
        drop=np.array(weight, float)[:, None],
        charge=np.array(charge, float),
    )
    for demand, weight, charge in zip(DEMANDS, WEIGHTS, CHARGES, strict=True)
]


@pytest.mark.parametrize(
    ("item", "target", "value"),
    [
        (0, (0, 0, 0, 0), 97.5), (0, (2, 2, 2, 2), 19.375), (0, (1, 3, 0, 2), 32.35),
        (0, (5, 2, 3, 3), 14.675), (0, (2, 2, 3, 3), 14.675),
        (1, (0, 0, 0, 0), 52.5), (1, (2, 2, 2, 2), 14.1), (1, (1, 3, 0, 2), 20.85),
        (1, (2, 6, 4, 4), 9.25),
    ],
)  # fmt: skip
def test_values_of_two_items(item, target, value):
    assert_allclose(cost(ITEMS[item], np.array(target, float)), value, rtol=1e-12)


@pytest.mark.parametrize(("item", "value"), [(0, 14.675), (1, 9.25)])
def test_minima_of_two_items(item, value):
    assert_allclose(cost(ITEMS[item], whole(ITEMS[item])), value, rtol=1e-12)
    assert_allclose(by_linear_programme(ITEMS[item], NONE, MANY)[0], value, rtol=1e-9)


@pytest.mark.parametrize(
    ("prices", "value"),
    [(0, 23.925), (0.1, 25.425), (0.25, 26.525), ((1.45, 1.5, 1.4, 1.45), 31.625)],
)
def test_dual_of_two_items_that_share_storage(prices, value):
    prices = np.broadcast_to(prices, NODES)
    dual = -6 * prices.sum()
    for item, volume in zip(ITEMS, VOLUME, strict=True):
        priced = item._replace(charge=item.charge + volume * prices)
        dual += cost(priced, whole(priced))
    assert_allclose(dual, value, rtol=1e-12)


def test_best_whole_plan_of_two_items_that_share_storage():
    second = jnp.stack(jnp.meshgrid(*[jnp.arange(4.0)] * NODES), -1).reshape(-1, NODES)
    room = 6 - VOLUME[1] * second  # what the second item leaves to the first
    first = jax.vmap(whole, (None, None, 0))(ITEMS[0], NONE, room)
    plan = jax.vmap(cost, (None, 0))
    assert_allclose((plan(ITEMS[0], first) + plan(ITEMS[1], second)).min(), 31.75)


@given(seeds)
def test_descent_from_anywhere_ends_at_the_best_whole_targets(seed):
    data, upper = draw(seed, scenarios=4), np.full(NODES, 4.0)
    start = np.random.default_rng(seed).integers(0, 5, NODES) * 1.0
    target = whole(data, NONE, upper, start)
    assert_allclose(target, np.round(target))
    best = by_enumeration(data, upper)
    assert_allclose(cost(data, target), best, rtol=1e-12)
    assert_allclose(by_linear_programme(data, NONE, upper)[0], best, rtol=1e-9)


@given(seeds, nodes, st.floats(0.01, 3.0))
def test_targets_are_gross_substitutes_in_the_charges(seed, node, rise):
    data = draw(seed, most=5)  # its money is generic: the optimum is unique
    dearer = data._replace(charge=data.charge + rise * np.eye(NODES)[node])
    others = np.arange(NODES) != node
    for solve, slack in ((whole, 0), (lambda x: smooth(x, 1.0).target, 1e-5)):
        move = np.asarray(solve(dearer) - solve(data))
        assert move[node] <= slack
        assert move[others].min() >= -slack


@given(seeds, nodes)
def test_a_closed_node_never_lowers_its_neighbours(seed, node):
    data, upper = draw(seed, most=5), MANY * (np.arange(NODES) != node)
    move = np.asarray(whole(data, NONE, upper) - whole(data))
    assert np.delete(move, node).min() >= 0


def test_a_closed_node_raises_its_neighbour():
    before, after = whole(ITEMS[0]), whole(ITEMS[0], NONE, np.array([0.0, 50, 50, 50]))
    assert after[0] == 0
    assert after[1] > before[1]
    assert (after[2:] >= before[2:]).all()


@given(seeds)
def test_absence_costs_what_a_node_without_its_target_costs_more(seed):
    data = draw(seed)
    target = np.random.default_rng(seed).uniform(0, 5, NODES)
    emptied = jax.vmap(cost, (None, 0))(data, target * (1 - np.eye(NODES)))
    found = absence_cost(SHAPE, *data, target)
    assert_allclose(found, emptied - cost(data, target), rtol=1e-9, atol=1e-9)


@given(seeds, st.sampled_from([2.0**-9, 0.25, 8.0]))
def test_targets_do_not_depend_on_the_currency(seed, scale):
    data = draw(seed)
    richer = data._replace(drop=scale * data.drop, charge=scale * data.charge)
    assert_allclose(whole(richer), whole(data))
    assert_allclose(smooth(richer, 0.8).target, smooth(data, 0.8).target, atol=1e-6)

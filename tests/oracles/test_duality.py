"""The dual at given prices, each item solved exactly (K2): what Lagrange promises.

With q(price) = sum of the items' Lagrangian optima - price.capacity: q is at most the
cost of any plan, equal to the best one's at the multipliers of the capacities
(Geoffrion 1974), and falls and rises with the prices as theory says. The instance is
the four nodes; its items are laminar, so targets are whole and gross substitutes
(Murota 2003, ch. 6).
"""

import equinox as eqx
import numpy as np
import pytest
from four_nodes import (
    CLUSTER,
    DEMAND,
    STEPS,
    STOCK_COST,
    VOLUME,
    four_nodes,
    linear_program,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from user_tables import arrays

from meio_jax.dual.exact import solve_items
from meio_jax.problem import take_items
from meio_jax.recover.evaluate import Evaluator

ROOM = 6.0
TOLERANCE = 1e-9  # asked of the items; where several optima tie, as in most of these,
CLOSE = 1e-6  # the method in float64 stops this near, measured 7e-7 at most
PROBLEM, SAMPLE = arrays(four_nodes(ROOM))
BOTH = np.arange(2)
TWO = np.full((2, 1, 4), 2.0)
seeds = st.integers(0, 10**6)


def look(price, problem=PROBLEM, sample=SAMPLE, y=TWO, **kwargs):
    """Items solved at prices of storage."""
    prices = np.zeros((3, 4, 1))
    prices[0, :, 0] = price
    return solve_items(
        problem, 0, sample, BOTH, prices, y, dtype=float, tolerance=TOLERANCE, **kwargs
    )


def q(price, room=ROOM, **kwargs) -> float:
    """The dual function."""
    price = np.broadcast_to(price, 4)
    return float(look(price, **kwargs).bound.sum() - price.sum() * room)


def costs(y) -> np.ndarray:
    """What whole targets of the two items cost, by K2 with the targets given."""
    return look(0.0, y=np.array(y, float).reshape(2, 1, 4), pinned=True).bound[:, 0]


def instance(seed):
    """Demand and cost of stock of other items, the rest as it is.

    Both items' costs of stock are a multiple of one row: the tables have one cost of
    shipment per weight.
    """
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.4, 0.8, 4)
    a = np.stack([a * rng.uniform(1.0, 2.5, 4), a])
    return dict(demand=rng.poisson(2.5, DEMAND.shape), a=a)


# Values by enumeration of whole targets.
@pytest.mark.parametrize(
    ("y", "expected"),
    [([0, 0, 0, 0], [97.5, 52.5]), ([2, 2, 2, 2], [19.375, 14.1]),
     ([1, 3, 0, 2], [32.35, 20.85])],
)  # fmt: skip
def test_cost_of_given_targets(y, expected):
    """By K2, by the pools' closed form, and by greedy fulfilment, exact on a tree."""
    assert_allclose(costs([y, y]), expected, rtol=CLOSE)
    assert_allclose([pools(i, np.array(y)) for i in BOTH], expected, rtol=1e-12)
    target = np.broadcast_to(np.array(y, float), (2, 1, 4))
    seen = Evaluator(PROBLEM, 0, SAMPLE)(target, np.zeros((1, 4, 1)))
    found = (seen.holding + seen.shipping + seen.lost).sum(axis=1)
    assert_allclose(found, expected, rtol=1e-6)


def pools(i, y) -> float:
    """f_i(y) = a.y + E sum_v w_v (D_v - Y_v)^+."""
    short = DEMAND[i] - y
    near = np.stack([short[:, CLUSTER == c].sum(axis=1) for c in (0, 1)], axis=1)
    levels = short, near, short.sum(axis=1, keepdims=True)
    lost = sum(
        w * np.maximum(x, 0).sum(axis=1) for w, x in zip(STEPS[i], levels, strict=True)
    )
    return float(STOCK_COST[i] @ y + np.mean(lost))


@pytest.mark.parametrize(
    ("price", "value"),
    [(0.0, 23.925), (0.1, 25.425), (0.25, 26.525), ([1.45, 1.5, 1.4, 1.45], 31.625)],
)
def test_dual_of_four_nodes(price, value):
    assert_allclose(q(price), value, rtol=CLOSE)


def test_duals_of_the_linear_program_close_the_gap():
    """HiGHS' capacity duals, fed to the items one by one, give its optimum."""
    best = linear_program(ROOM)
    assert_allclose(best.cost, 31.625, rtol=1e-9)
    assert_allclose(q(best.price), best.cost, rtol=CLOSE)


@settings(max_examples=20)
@given(seeds, st.sampled_from([3.0, 6.0, 9.0, 12.0, np.inf]))
def test_dual_is_the_optimum_at_its_prices_and_below_it_elsewhere(seed, room):
    data = instance(seed)
    best = linear_program(room, **data)
    room = min(room, 1e6)  # what the linear program has for infinity
    made = dict(
        zip(("problem", "sample"), arrays(four_nodes(room, **data)), strict=True)
    )
    assert_allclose(q(best.price, room, **made), best.cost, rtol=CLOSE)
    if room == 1e6:
        assert not best.price.any()
    rng = np.random.default_rng(seed)
    for size in (0.1, 1.0, 10.0):
        price = best.price + rng.uniform(-size, size, 4)
        assert q(np.maximum(price, 0), room, **made) <= best.cost * (1 + 1e-9)


@given(seeds)
def test_use_less_capacity_is_a_supergradient(seed):
    """q is concave, and the use of the items' optima is its slope (Danskin)."""
    one, other = np.random.default_rng(seed).uniform(0, 3, (2, 4))
    found = look(one)
    slope = VOLUME @ found.target[:, 0] - ROOM
    tiny = 1e-4 * (1 + np.abs(other - one).sum())  # targets are less exact than q
    assert q(other) <= q(one) + slope @ (other - one) + tiny
    assert q((one + other) / 2) >= (q(one) + q(other)) / 2 - CLOSE * abs(q(one))


@given(seeds)
def test_items_in_another_order_have_the_same_bounds(seed):
    price = np.random.default_rng(seed).uniform(0, 2, 4)
    group = take_items(PROBLEM.groups[0], BOTH[::-1])
    turned = eqx.tree_at(lambda p: p.groups, PROBLEM, (group,))
    found, expected = look(price, turned), look(price)
    assert_allclose(found.bound, expected.bound[::-1], rtol=1e-12)
    assert_allclose(found.target, expected.target[::-1], atol=1e-9)


@given(seeds, st.sampled_from([1e-3, 7.0, 1e4]))
def test_dual_scales_with_money(seed, money):
    price = np.random.default_rng(seed).uniform(0, 2, 4)
    problem, sample = arrays(four_nodes(ROOM, money=money))
    scaled = q(money * price, problem=problem, sample=sample)
    assert_allclose(scaled, money * q(price), rtol=CLOSE)


def whole_targets(price):
    """Optimal targets at random prices: one optimum, at whole units."""
    found = look(price).target[:, 0]
    assert_allclose(found, found.round(), atol=0.02)
    return found.round()


def test_targets_without_prices():
    """14.675 at (2..5, 2, 3, 3), a tie of item 0, and 9.25 at (2, 6, 4, 4)."""
    found = look(0.0)
    assert_allclose(found.bound[:, 0], [14.675, 9.25], rtol=CLOSE)
    assert_allclose(found.target[0, 0, 1:3], [2, 3], atol=0.01)
    assert_allclose(found.target[1, 0], [2, 6, 4, 4], atol=0.01)
    assert_allclose([pools(0, np.array(y)) for y in ((5, 2, 3, 3), (2, 2, 3, 3))],
                    14.675, rtol=1e-12)  # fmt: skip


@given(seeds, st.integers(0, 3), st.floats(0.1, 3))
def test_targets_are_gross_substitutes(seed, node, rise):
    """A node's target falls in its own price, and no other node's does."""
    price = np.random.default_rng(seed).uniform(0, 2, 4)
    change = whole_targets(price + rise * np.eye(4)[node]) - whole_targets(price)
    assert (change[:, node] <= 0).all()
    assert (np.delete(change, node, axis=1) >= 0).all()


@settings(max_examples=5)
@given(seeds)
def test_adding_the_best_unit_from_nothing_reaches_the_optimum(seed):
    """Greedy by single units is exact for laminar items (Murota 2003, ch. 10)."""
    price = np.random.default_rng(seed).uniform(0, 1, 4)
    paid = lambda y: costs(y) + VOLUME * (np.array(y) @ price)
    target = np.zeros((2, 4))
    now, going = paid(target), np.ones(2, bool)
    while going.any():
        tries = np.stack([paid(target + unit) for unit in np.eye(4)])
        going = tries.min(axis=0) < now - 1e-4
        target[going] += np.eye(4)[tries.argmin(axis=0)][going]
        now = paid(target)
    best = look(price)
    assert_allclose(now, best.bound[:, 0], rtol=CLOSE)
    assert_allclose(target, whole_targets(price))

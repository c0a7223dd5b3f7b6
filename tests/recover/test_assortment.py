"""Items chosen for nodes that hold only so many: the best ones, and those promised."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.recover.assortment import choose_items

PERIODS, NODES, SIZES = 3, 4, (5, 3)


def group(rng, node, count) -> Group:
    """Items with some targets promised and some places closed; demand is not read."""
    one, none = np.ones(count), np.zeros(0)
    shape = count, PERIODS, len(node)
    lower = np.where(rng.random(shape) < 0.1, 2.0, 0.0)
    upper = np.where(rng.random((count, 1, len(node))) < 0.2, lower, np.inf)
    items = Items(
        position=np.arange(count), key=np.arange(count), volume=one, weight=one,
        penalty=one, late_cost=one, holding=np.ones((count, len(node))), lower=lower,
        upper=np.broadcast_to(upper, shape).copy(),
    )  # fmt: skip
    demand = Demand(none, none, none, none, none)
    return Group(SimpleNamespace(node=np.array(node)), items, demand, None)


def draw(seed):
    """Two groups that share nodes; limits that the promised items fit into."""
    rng = np.random.default_rng(seed)
    groups = group(rng, [0, 1, 2], SIZES[0]), group(rng, [3, 2, 1], SIZES[1])
    promised = np.zeros((NODES, PERIODS))
    for g in groups:
        promised[g.network.node] += (g.items.lower > 0).sum(axis=0).T
    limit = promised + rng.integers(0, 4, promised.shape) + 0.5
    limit[rng.random(NODES) < 0.3] = np.inf
    free = np.full((NODES, PERIODS), np.inf)
    benefit = tuple(rng.normal(1, 2, (g.items.holding.shape)) for g in groups)
    made = Problem(groups, free, free, free, limit, np.zeros(0), "history", 1)
    return made, benefit


def opened(problem) -> np.ndarray:
    """Which items (of all groups) may have a target at each node in each period."""
    found = np.zeros((sum(SIZES), PERIODS, NODES), bool)
    for first, g in zip((0, SIZES[0]), problem.groups, strict=True):
        rows = slice(first, first + len(g.items))
        found[rows, :, g.network.node] = g.items.upper > 0
    return found


@given(st.integers(0, 10**6))
def test_no_node_may_hold_more_and_what_is_promised_stays(seed):
    made, benefit = draw(seed)
    chosen = choose_items(made, benefit)
    before, after = opened(made), opened(chosen)
    assert (after.sum(axis=0).T <= made.item_limit).all()
    assert (after <= before).all()
    for old, new in zip(made.groups, chosen.groups, strict=True):
        assert (new.items.upper >= old.items.lower).all()
        kept = new.items.upper > 0
        np.testing.assert_array_equal(new.items.upper[kept], old.items.upper[kept])
    free = np.isinf(made.item_limit).all(axis=1)
    np.testing.assert_array_equal(after[:, :, free], before[:, :, free])


@given(st.integers(0, 10**6))
def test_the_best_items_stay_over_the_horizon_as_many_as_fit(seed):
    made, benefit = draw(seed)
    before, after = opened(made), opened(choose_items(made, benefit))
    worth, promised = np.full((sum(SIZES), NODES), np.nan), np.zeros(before.shape, bool)
    for first, g, b in zip((0, SIZES[0]), made.groups, benefit, strict=True):
        rows = slice(first, first + len(g.items))
        worth[rows, g.network.node] = b
        promised[rows, :, g.network.node] = g.items.lower > 0
    for n in np.flatnonzero(np.isfinite(made.item_limit).all(axis=1)):
        limit = int(made.item_limit[n].min())
        must, can = promised[:, :, n].any(axis=1), before[:, :, n].any(axis=1)
        if must.sum() > limit:  # in different periods
            np.testing.assert_array_equal(after[:, :, n], promised[:, :, n])
            continue
        stay = after[:, :, n].any(axis=1)
        assert stay.sum() == min(limit, can.sum())
        assert stay[must].all()
        left = can & ~stay
        chosen = stay & ~must
        if left.any() and chosen.any():
            assert worth[chosen, n].min() >= worth[left, n].max()

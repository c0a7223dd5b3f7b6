"""K3, the greedy policy: K1 <= linear programme <= greedy, and units are conserved."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_networks import (
    CLASSES,
    NODES,
    Recourse,
    greedy,
    linear_programme,
    random_recourse,
    route_of,
    tree_bound,
    ultrametric,
)

from meio_jax.kernels.fulfill import fulfill, greedy_route
from meio_jax.kernels.node_dual import node_dual

seeds = st.integers(0, 10**6)
RECOURSE = random_recourse(2)


def draw(seed, classes=CLASSES, draws=1):
    """Whole stock and demand."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 7, NODES) * 1.0, rng.integers(0, 6, (classes, draws)) * 1.0


def test_clusters_by_hand():
    # Six nodes in two clusters, a region at each: 110 by the closed form and by HiGHS.
    stock, demand = np.array([4.0, 0, 3, 6, 1, 2]), np.array([2.0, 3, 1, 5, 5, 7])
    assert_allclose(tree_bound(ultrametric(), stock, demand), 110)
    assert_allclose(linear_programme(ultrametric(), stock, demand), 110)
    assert greedy(ultrametric(), stock, demand[:, None])[1] >= 110


@given(seeds)
def test_bound_is_exact_for_one_class_a_region_and_tree_costs(seed):
    stock, demand = draw(seed, classes=NODES)
    expected = linear_programme(ultrametric(), stock, demand[:, 0])
    assert_allclose(tree_bound(ultrametric(), stock, demand[:, 0]), expected, rtol=1e-9)


@given(seeds)
def test_linear_programme_lies_between_the_bound_and_the_policy(seed):
    recourse, (stock, demand) = random_recourse(seed), draw(seed)
    best = linear_programme(recourse, stock, demand[:, 0])
    assert tree_bound(recourse, stock, demand[:, 0]) <= best + 1e-9
    assert best <= greedy(recourse, stock, demand)[1] + 1e-9


@given(seeds, st.sampled_from([0.0, 2.0]))
def test_units_are_conserved_and_stay_whole(seed, keep):
    recourse, (stock, demand) = random_recourse(seed), draw(seed, draws=4)
    done, cost = greedy(recourse, stock, demand, keep)
    left, unmet = np.asarray(done.left[:, 0]), np.asarray(done.unmet[:, 0])
    for x in (left, unmet):
        assert x.min() >= 0
        assert_allclose(x, np.round(x), atol=0)
    assert (left >= np.minimum(stock, keep)[:, None]).all()  # the spill limit
    shipped = stock[:, None] - left
    assert_allclose(shipped.sum(axis=0), (demand - unmet).sum(axis=0))
    klass, node, pay = route_of(recourse)
    flow = np.asarray(done.told[:, 0])
    assert_allclose(np.bincount(node, flow, NODES), shipped.mean(axis=1))
    assert_allclose(np.bincount(klass, flow, CLASSES), (demand - unmet).mean(axis=1))
    used = flow > 0
    paid = pay[used] @ flow[used]
    assert_allclose(cost, paid + recourse.penalty * unmet.mean(axis=1).sum())


@given(seeds)
def test_no_order_is_lost_while_a_node_in_reach_has_stock(seed):
    recourse, (stock, demand) = random_recourse(seed), draw(seed)
    done, _ = greedy(recourse, stock, demand)
    reach = recourse.cost < recourse.penalty
    lost, left = np.asarray(done.unmet[:, 0, 0]) > 0, np.asarray(done.left[:, 0, 0]) > 0
    assert not (reach & left[:, None] & lost[None, :]).any()


@given(seeds, st.permutations(range(NODES)))
def test_relabelled_nodes_cost_the_same(seed, order):
    recourse, (stock, demand) = random_recourse(seed), draw(seed)
    order = np.array(order)
    renamed = Recourse(
        recourse.cost[order], recourse.penalty, recourse.pool_of[:, order],
        np.argsort(order)[recourse.home],
    )  # fmt: skip
    assert_allclose(
        greedy(renamed, stock[order], demand)[1], greedy(recourse, stock, demand)[1]
    )


@given(seeds, st.integers(1, NODES))
def test_route_goes_by_level_then_loss_then_cost(seed, reach):
    recourse = random_recourse(seed)
    cost, ring = recourse.cost, recourse.ring
    route = greedy_route(cost, recourse.penalty, ring, reach)
    assert_allclose(route.level, ring[route.node, route.klass])
    assert (np.diff(route.level) >= 0).all()
    tried = np.zeros(cost.shape, bool)
    tried[route.node, route.klass] = True
    assert tried.sum() == len(route.node)  # no pair twice
    rank = cost.argsort(axis=0).argsort(axis=0)
    assert (tried == ((cost < recourse.penalty) & (rank < reach))).all()
    pay = cost[route.node, route.klass]
    same = (np.diff(route.level) == 0) & (np.diff(route.klass) == 0)
    assert (np.diff(pay)[same] >= 0).all()
    for level in np.unique(route.level):
        classes = list(dict.fromkeys(route.klass[route.level == level]))
        here, beyond = (
            np.where(far(ring, level), cost, np.inf).min(axis=0, initial=np.inf)
            for far in (np.greater_equal, np.greater)
        )
        loss = np.minimum(beyond, recourse.penalty) - np.minimum(here, recourse.penalty)
        assert (np.diff(loss[classes]) <= 1e-12).all()


def test_gradient_in_the_stock():
    rng = np.random.default_rng(4)
    stock, demand = rng.uniform(0, 6, NODES), rng.uniform(0, 6, (CLASSES, 8))
    total = lambda y: greedy(RECOURSE, y, demand)[1]
    slope = jax.grad(total)(jnp.asarray(stock))
    assert (np.asarray(slope) < 0).any()
    for n in range(NODES):
        step = 1e-6 * np.eye(NODES)[n]
        difference = (total(stock + step) - total(stock - step)) / 2e-6
        assert_allclose(slope[n], difference, atol=1e-7)


# Stock 0 to 3 at one node. A slow order (ships at 5, lost at 6) comes before a fast one
# (ships at 0, lost at 20): classes 0 and 1 of one region, each with its own penalty.
SHIP, LOST = np.array([5.0, 0.0]), np.array([6.0, 20.0])


def in_sequence(order, keep=(0.0, 0.0)):
    """Cost of stock 0 to 3 when the two orders are served in this sequence."""
    stock = np.arange(4.0)[None, None]
    demand, pay = np.ones((2, 1, 4)), SHIP[np.array(order)][:, None]
    done = fulfill(
        jnp.asarray(stock), jnp.asarray(demand), jnp.asarray(order),
        jnp.zeros(2, int), jnp.asarray(pay), jnp.array([LOST.max()]),
        jnp.asarray(keep)[:, None], lambda sent, pay: sent,
    )  # fmt: skip
    unmet = np.asarray(done.unmet[:, 0])
    return SHIP @ (1 - unmet) + LOST @ unmet


def hindsight():
    """The same by K2, in which all orders are known; a class's lost sale is its own:
    the penalty is the larger one, and the slow class's costs are moved up to it."""
    cost = jnp.asarray(SHIP + LOST.max() - LOST)[None]
    recourse = lambda y: node_dual(
        jnp.ones(2), y[None], cost, jnp.asarray(LOST.max()), tolerance=1e-9
    )[0]
    moved = (LOST.max() - LOST).sum()
    return np.array(jax.jit(jax.vmap(recourse))(jnp.arange(4.0))) - moved


def test_serving_as_orders_come_is_not_convex_and_hindsight_is():
    greedy, best = in_sequence([0, 1]), hindsight()
    assert_allclose(greedy, [26, 25, 5, 5], atol=1e-12)
    assert_allclose(best, [26, 6, 5, 5], atol=1e-5)
    assert np.diff(greedy, 2).min() < 0
    assert np.diff(best, 2).min() >= -1e-5


def test_the_route_and_a_spill_limit_each_reach_hindsight():
    """The route tries the class with the most to lose first; a unit kept from the slow
    class is there for the fast one."""
    saved = (SHIP + LOST.max() - LOST)[None]
    route = greedy_route(saved, LOST.max(), np.zeros((1, 2), int))
    assert list(route.klass) == [1, 0]
    assert_allclose(in_sequence(route.klass), [26, 6, 5, 5], atol=1e-12)
    assert_allclose(in_sequence([0, 1], keep=(1.0, 0.0)), [26, 6, 5, 5], atol=1e-12)

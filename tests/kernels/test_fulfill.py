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

from meio_jax.kernels.fulfill import greedy_route

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
    done, _ = greedy(recourse, stock, demand, keep)
    left, unmet = np.asarray(done.left[:, 0]), np.asarray(done.unmet[:, 0])
    for x in (left, unmet):
        assert x.min() >= 0
        assert_allclose(x, np.round(x), atol=0)
    assert (left >= np.minimum(stock, keep)[:, None]).all()  # the spill limit
    shipped = stock[:, None] - left
    assert_allclose(shipped.sum(axis=0), (demand - unmet).sum(axis=0))
    klass, node, pay = route_of(recourse)
    flow = np.asarray(done.flow[:, 0])
    assert_allclose(np.bincount(node, flow, NODES), shipped.mean(axis=1))
    assert_allclose(np.bincount(klass, flow, CLASSES), (demand - unmet).mean(axis=1))
    used = flow > 0
    assert_allclose(done.cost[0], pay[used] @ flow[used])


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

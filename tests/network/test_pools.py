"""Trees of pools from distances between nodes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tree_checks import check_tree

from meio_jax.network import pools, rings, spill_distance

CLUSTERS = np.array([0, 0, 1, 1, 1, 2, 2, 3])  # of eight nodes
METROS = np.array([0, 0, 0, 0, 0, 1, 1, 1])


def ultrametric(near=1.0, middle=3.0, far=7.0):
    """Distances between eight nodes in clusters within metros."""
    same = CLUSTERS[:, None] == CLUSTERS[None, :]
    metro = METROS[:, None] == METROS[None, :]
    distance = np.where(same, near, np.where(metro, middle, far))
    np.fill_diagonal(distance, 0)
    return distance


def partition(row):
    """The sets of nodes that share a label."""
    return {frozenset(np.flatnonzero(row == v)) for v in np.unique(row)}


@given(st.permutations(range(8)))
def test_pools_recover_the_clusters_of_an_ultrametric(order):
    order = np.array(order)
    tree = pools(ultrametric()[np.ix_(order, order)])
    check_tree(tree)
    expected = [CLUSTERS[order], METROS[order]]
    assert len(tree.pool_of) == 4
    assert [partition(r) for r in tree.pool_of[1:3]] == [partition(r) for r in expected]


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 5))
def test_pools_of_any_distance_are_a_tree(seed, nodes, levels):
    place = np.random.default_rng(seed).uniform(size=(nodes, 2))
    tree = pools(np.linalg.norm(place[:, None] - place[None], axis=2), levels)
    check_tree(tree)
    assert len(tree.pool_of) <= levels


def test_one_node_is_its_own_root():
    tree = pools(np.zeros((1, 1)))
    check_tree(tree)
    assert_allclose(rings(tree, np.zeros(3, int)), np.zeros((1, 3)))


def test_rings_are_the_first_shared_level():
    tree = pools(ultrametric())
    home = np.array([0, 5])
    expected = [[0, 3], [1, 3], [2, 3], [2, 3], [2, 3], [3, 0], [3, 1], [3, 2]]
    assert_allclose(rings(tree, home), expected)


def test_spill_between_nodes_that_serve_the_same_regions_is_cheap():
    cost = 1 + ultrametric()  # a class at each node
    distance = spill_distance(cost, np.ones(8))
    assert_allclose(distance, distance.T)
    tree = pools(distance)
    assert partition(tree.pool_of[1]) == partition(CLUSTERS)

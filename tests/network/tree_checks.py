"""What makes a tree of pools a tree."""

import numpy as np
from numpy.testing import assert_allclose


def check_tree(tree):
    """Pools are nested, their numbers their own, each a run of the walk."""
    levels, nodes = tree.pool_of.shape
    assert_allclose(tree.pool_of[0], np.arange(nodes))
    assert len(np.unique(tree.pool_of[-1])) == 1
    assert sorted(tree.walk) == list(range(nodes))
    assert_allclose(np.unique(tree.pool_of), np.arange(len(tree.member)))
    for level, row in enumerate(tree.pool_of):
        for v in np.unique(row):
            assert_allclose(tree.member[v], row == v)
            at = np.flatnonzero((row == v)[tree.walk])
            assert at[-1] - at[0] == len(at) - 1
            if level + 1 < levels:  # a pool lies in one pool of the next level
                assert len(np.unique(tree.pool_of[level + 1][row == v])) == 1

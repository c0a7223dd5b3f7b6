"""Cuts of whole units where a capacity is over."""

from types import SimpleNamespace

import numpy as np
import pytest

from meio_jax.recover.repair import cut_units

VOLUME, LOSS = np.array([1.0, 2.0]), np.array([1.6, 3.1])


# Item 1 is missed less per volume; where one volume is over, half of its unit is in
# vain and item 0 is missed less.
@pytest.mark.parametrize(("over", "left"), [(1.0, [2, 2]), (2.0, [3, 1])])
def test_a_unit_relieves_no_more_than_is_over(over, left):
    target = np.array([3.0, 2.0]).reshape(2, 1, 1)
    used = float(VOLUME @ target[:, 0, 0])
    items = SimpleNamespace(volume=VOLUME, lower=np.zeros((2, 1, 1)))
    group = SimpleNamespace(network=SimpleNamespace(node=np.array([0])), items=items)
    capacities = np.array([used - over, np.inf, np.inf]).reshape(3, 1, 1)
    problem = SimpleNamespace(groups=(group,), capacities=capacities)
    use = np.array([used, 0.0, 0.0]).reshape(3, 1, 1)
    ships = np.ones((2, 1, 1, 1))
    loss = LOSS.reshape(2, 1, 1)
    (cut,) = cut_units(problem, (target,), (loss,), (ships,), use, whole=True)
    assert list(cut[:, 0, 0]) == left

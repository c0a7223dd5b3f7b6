"""Metrics of a record whose every number is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from meio_jax.problem import Demand, Group, Items, Network, Problem, Tree
from meio_jax.sim.lab import Record, target_change
from meio_jax.sim.metrics import metrics, part_shares, service_rates
from meio_jax.sim.period import COSTS

# Two nodes, two regions. Class 0 is region 0, both speeds; class 1 is region 1, fast.
NETWORK = Network(
    node=np.arange(2),
    unit_cost=np.zeros((2, 2)),
    cost_per_weight=np.zeros((2, 2)),
    days_late=np.zeros((2, 2)),
    home=np.arange(2),
    ring=np.array([[0, 1], [1, 0]]),
    tree=Tree(np.array([[0, 1], [2, 2]]), np.ones((3, 2)), np.arange(2)),
    lead_mean=np.zeros(2),
    lead_std=np.zeros(2),
    part_class=np.array([0, 0, 1]),
    part_region=np.array([0, 0, 1]),
    part_speed=np.array([0, 1, 0]),
    part_share=np.array([0.25, 0.75, 1.0]),
)
ONE = np.ones(1)
GROUP = Group(
    NETWORK,
    Items(
        np.zeros(1, int),
        np.zeros(1, int),
        ONE,
        ONE,
        ONE,
        ONE,
        np.ones((1, 2)),
        np.zeros((1, 2, 2)),
        np.full((1, 2, 2), np.inf),
    ),
    Demand(
        np.array([0, 2]),
        np.zeros(2, int),
        np.arange(2),
        np.array([8.0, 4.0]),
        np.zeros(2),
    ),
    None,
)
FREE = np.full((2, 2), np.inf)
STORAGE = np.array([[10.0, 10.0], [np.inf, 20.0]])
PROBLEM = Problem((GROUP,), STORAGE, FREE, FREE, FREE, np.zeros(0), "history", 1)

MONEY = np.zeros((len(COSTS), 2, 2))  # costs periods paths
MONEY[COSTS.index("holding")] = [[1, 2], [3, 4]]
MONEY[COSTS.index("shipping")] = [[10, 20], [30, 40]]
MONEY[COSTS.index("lost")] = [[0, 0], [0, 6]]
USE = np.zeros((3, 2, 2, 2))  # resources buildings periods paths
USE[0, 0] = [[5, 12], [10, 10]]
USE[0, 1] = [[99, 99], [10, 30]]
RECORD = Record(
    "a",
    MONEY,
    (np.array([[8.0, 10], [4, 10]]),),
    (np.array([[8.0, 9], [2, 6]]),),
    (np.array([[7.0, 9], [1, 6]]),),
    (np.array([[4.0, 9], [1, 3]]),),
    (np.array([[6.0, 9], [2, 6]]),),
    USE,
    np.array([[6.0, 8], [8, 10]]),
    np.array([[4.0, 6], [8, 6]]),
    np.array([[5.0, 11], [7, 9]]),
    np.zeros(2, bool),
    np.zeros((3, 0, 2, 2)),
    np.zeros((2, 2)),
    np.array([0.1, 0.1]),
)

EXPECTED = {
    "cost per period": [22, 36],
    "holding cost per period": [2, 3],
    "shipping cost per period": [20, 30],
    "lost sales cost per period": [0, 3],
    "fill rate": [10 / 12, 15 / 20],
    "on promise rate": [8 / 12, 15 / 20],
    "late share": [2 / 12, 0],
    "unserved share": [2 / 12, 5 / 20],
    "shipping cost per unit": [40 / 10, 60 / 15],
    "local share": [5 / 10, 12 / 15],
    "in-region share": [8 / 10, 15 / 15],
    "stock units": [7, 9],
    "days of cover": [7 / (6 / 7), 9 / (10 / 7)],
    "turns per year": [365 * (6 / 7) / 7, 365 * (10 / 7) / 9],
    "storage above capacity, most": [0, 0.5],
    "storage above capacity, mean": [0, (0.2 + 0 + 0.5) / 3],
    "storage above capacity, share of node-periods": [0, 2 / 3],
    "bullwhip": [4 / 1, 0],
    "target change rate": [0.1, 0.1],
}


def test_every_metric_by_hand():
    found = metrics(PROBLEM, RECORD, 7.0)
    assert list(found) == list(EXPECTED)
    for name, value in EXPECTED.items():
        assert_allclose(found[name], value, err_msg=name)


def test_costs_that_never_occur_are_not_shown_and_all_add_up():
    found = metrics(PROBLEM, RECORD, 7.0)
    parts = [v for k, v in found.items() if k.endswith(" cost per period")]
    assert len(parts) == 3
    assert_allclose(sum(parts), found["cost per period"])


def test_without_limits_there_are_no_capacities_to_tell_of():
    free = replace(PROBLEM, storage=FREE)
    assert not [k for k in metrics(free, RECORD, 7.0) if "capacity" in k]


def test_classes_of_several_speeds_are_divided_by_demand():
    """Class 0 is 2 units of the fast and 6 of the slow speed of region 0."""
    assert_allclose(part_shares(GROUP), [0.25, 0.75, 1])
    rates = service_rates(PROBLEM, RECORD)
    assert set(rates) == {(0, 0), (0, 1), (1, 0), (-1, 0), (-1, 1)}
    assert_allclose(rates[0, 1], 0.75 * np.array([[8, 10], [8, 9], [7, 9]]))
    fast = 0.25 * np.array([[8, 10], [8, 9], [7, 9]]) + [[4, 10], [2, 6], [1, 6]]
    assert_allclose(rates[-1, 0], fast)


@pytest.mark.parametrize("word", range(3))
def test_speeds_and_regions_both_add_up_to_all(word):
    rates = service_rates(PROBLEM, RECORD)
    nation = sum(v[word] for (r, _), v in rates.items() if r < 0)
    regions = sum(v[word] for (r, _), v in rates.items() if r >= 0)
    total = (RECORD.demand, RECORD.served, RECORD.on_time)[word][0].sum(axis=0)
    assert_allclose(nation, total)
    assert_allclose(regions, total)


def test_how_far_targets_move_by_hand():
    one = np.array([[[4.0, 0], [5, 1], [3, 1]]])  # items periods nodes
    other = np.array([[[2.0], [2], [4]]])
    assert target_change((one, other)) == (1 + 1 + 2 + 2) / (5 + 1 + 3 + 1 + 2 + 4)
    assert target_change((np.ones((2, 3, 2)),)) == 0
    assert target_change((np.array([[[1.0], [0], [1], [0]]]),)) == 3 / 1
    assert target_change((np.ones((2, 1, 2)),)) == 0  # one period moves nowhere

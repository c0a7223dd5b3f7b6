"""Two nodes that help each other out, through the public names.

Unmet demand spills to what the other node has left, at an extra cost a unit, and is
lost otherwise. Serving the own region first is then the best there is, so greedy
fulfilment is exact and plan and bound meet.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linprog
from test_public_api import NORMAL, POINTS, REAL, ROUNDING, bin_width
from user_tables import tables, targets

from meio_jax.api import solve

H, P = 1.0, 9.0
NEVER = 100.0  # dearer than a lost sale
TURN = 247 * np.arange(POINTS) % POINTS  # by the golden section: a lattice
SAMPLING = 0.01  # relative, of the lattice: it misses tails, costs are 0.6 % too low


def demand(mean, sd):
    """Two independent normals: each has every point of the grid once."""
    pair = np.stack([NORMAL, NORMAL[TURN]], axis=1)
    return np.array(mean) + np.array(sd) * pair


def spill(extra, mean=(100, 60), sd=(20, 18)):
    """Plan of one item at two nodes; a unit that spills costs so much extra.

    The extra is the unit's weight, which keeps the regions apart where it is 0.
    """
    given = tables(
        demand(mean, sd)[:, None, :, None], penalty=[P], holding=[[H, H]],
        ship_by_weight=1 - np.eye(2), unit_weight=extra,
    )  # fmt: skip
    return solve(given, config=REAL)


def pooled(mean, sd):
    """Levels and cost of one node for both, on the same scenarios, by their ranks.

    The ratio is between two scenarios: all levels from one to the other are optimal.
    """
    total = np.sort(demand(mean, sd).sum(axis=1))
    rank = round(P / (H + P) * POINTS)
    gap = total[rank] - total
    return total[rank - 1 : rank + 1], np.maximum(H * gap, -P * gap).mean()


def program(extra, want):
    """Least cost on the scenarios by HiGHS: levels, then spills and what is short.

    By scenario: (x - D)^+ at both nodes, spill to and from, lost of both regions.
    """
    count = len(want)
    cost = np.tile([H, H, extra, extra, P, P], count) / count
    rows = np.zeros((2 * count, 2 + 6 * count))
    right = np.empty(2 * count)
    for s in range(count):
        at = 2 + 6 * s
        for n in (0, 1):  # x_n - left_n - z_n,other + z_other,n + lost_n = D_n
            row = rows[2 * s + n]
            row[n], row[at + n], row[at + 4 + n] = 1, -1, 1
            row[at + 2 + n], row[at + 3 - n] = -1, 1
            right[2 * s + n] = want[s, n]
    return linprog(np.append([0, 0], cost), A_eq=rows, b_eq=right).fun


@pytest.mark.parametrize(
    ("extra", "levels", "cost"),
    [(0.0, None, 47.221771), (1.0, [119.42, 76.35], 49.6695),
     (NEVER, None, 66.6893661)],
)  # fmt: skip
def test_spill_between_two_nodes(extra, levels, cost):
    """Closed form with free spill (one pool) and without any; by quadrature between.

    On the scenarios themselves plan and bound are HiGHS' optimum to rounding.
    """
    plan = spill(extra)
    optimum = program(extra, demand((100, 60), (20, 18)))
    assert_allclose([plan.cost, plan.bound], optimum, rtol=ROUNDING)
    assert_allclose(plan.cost, cost, rtol=SAMPLING)
    if levels:
        assert_allclose(targets(plan)[0], levels, rtol=SAMPLING)


def test_free_spill_is_one_pool():
    """Only the total matters, 194.4830259 for normals, and the cost is the pool's."""
    plan = spill(0.0)
    (low, high), cost = pooled((100, 60), (20, 18))
    assert_allclose([plan.cost, plan.bound], cost, rtol=ROUNDING)
    assert low - 1e-3 <= targets(plan).sum() <= high + 1e-3
    assert_allclose(targets(plan).sum(), 194.4830259, rtol=1e-3)


def test_nodes_that_never_spill_are_on_their_own():
    plan = spill(NEVER)
    width = bin_width(0, [20, 18], P / (H + P))
    apart = targets(plan)[0] - [125.63103131, 83.06792818]
    assert (np.abs(apart) <= 2 * width).all()
    assert_allclose(plan.cost, 66.6893661, rtol=ROUNDING)  # the ratio is a bin's edge


def test_pooling_two_alike_saves_by_the_root_of_two():
    """Pooled sqrt 2 times one's cost, unpooled 2 times (Eppen 1979)."""
    one = 66.6893661 * 20 / 38  # costs go with the standard deviation
    both = dict(mean=(100, 100), sd=(20, 20))
    apart, together = spill(NEVER, **both), spill(0.0, **both)
    assert_allclose(apart.cost, 2 * one, rtol=ROUNDING)
    assert_allclose(together.cost, 2**0.5 * one, rtol=SAMPLING)
    assert_allclose(together.bound, pooled(**both)[1], rtol=ROUNDING)

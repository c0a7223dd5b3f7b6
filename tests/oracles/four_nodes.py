"""Four nodes in two clusters, two items, four equally likely scenarios.

A unit short at a region costs a leaf's weight if its cluster has one, a cluster's more
if another cluster has one, a root's more if nobody has; a unit stocked costs a, used or
not. So an item costs f(y) = a.y + E sum_v w_v (D_v - Y_v)^+ over the pools v.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from user_tables import tables

STOCK_COST = np.array([[1, 1.2, 0.8, 1], [0.6, 0.5, 0.7, 0.5]])
CLUSTER = np.array([0, 0, 1, 1])
STEPS = np.array([[1.5, 2.5, 9], [1, 2, 4]])  # leaf, cluster, root
DEMAND = np.array([
    [[2, 1, 3, 0], [0, 4, 1, 2], [5, 2, 2, 1], [1, 0, 0, 6]],
    [[3, 3, 0, 1], [1, 0, 4, 4], [2, 6, 1, 0], [0, 1, 2, 2]],
])  # fmt: skip
UNIT_WEIGHT, VOLUME = np.array([1.5, 0.5]), np.array([1.0, 2.0])
NEAR = np.where(CLUSTER[:, None] == CLUSTER, 0, 1)
AWAY = 1 - np.eye(4)
PATH = STEPS[:, 0, None, None] * AWAY + STEPS[:, 1, None, None] * NEAR
PENALTY = STEPS.sum(axis=1)


class Optimum(NamedTuple):
    """What HiGHS finds.

    Attributes:
      cost: of the best targets, fractions of units allowed, money.
      price: dual price of the storage of each node.
      target: order-up-to levels; items, nodes.
    """

    cost: float
    price: np.ndarray
    target: np.ndarray


def four_nodes(storage=np.inf, *, demand=DEMAND, a=STOCK_COST, money=1.0):
    """Tables of the four nodes.

    The tables charge holding on what is left, so a unit shipped costs its path plus a.
    Unit cost + unit weight * cost per weight makes a path of each item's own.
    """
    cost = PATH + a[:, :, None]
    by_weight = cost[0] - cost[1]  # the unit weights differ by 1
    return tables(
        np.moveaxis(demand, 0, 1)[..., None], penalty=money * PENALTY,
        holding=money * a, ship=money * (cost[1] - UNIT_WEIGHT[1] * by_weight),
        ship_by_weight=money * by_weight, unit_weight=UNIT_WEIGHT, volume=VOLUME,
        storage=storage,
    )  # fmt: skip


def linear_program(storage=np.inf, *, demand=DEMAND, a=STOCK_COST) -> Optimum:
    """Least a.y + E[paths + lost sales] with fractions, by HiGHS."""
    items, scenarios, regions = demand.shape
    nodes = a.shape[1]
    flow = np.arange(items * scenarios * nodes * regions).reshape(
        items, scenarios, nodes, regions
    )
    lost = flow.size + np.arange(demand.size).reshape(demand.shape)
    stock = flow.size + lost.size + np.arange(a.size).reshape(a.shape)
    total = flow.size + lost.size + stock.size
    cost = np.zeros(total)
    cost[flow] = PATH[:, None] / scenarios
    cost[lost] = PENALTY[:, None, None] / scenarios
    cost[stock] = a
    supply = sparse.lil_matrix((flow[..., 0].size + nodes, total))
    for row, (i, s, n) in enumerate(np.ndindex(flow.shape[:3])):
        supply[row, flow[i, s, n]] = 1
        supply[row, stock[i, n]] = -1
    for n in range(nodes):
        supply[flow[..., 0].size + n, stock[:, n]] = VOLUME
    meet = sparse.lil_matrix((demand.size, total))
    for row, (i, s, r) in enumerate(np.ndindex(demand.shape)):
        meet[row, flow[i, s, :, r]] = 1
        meet[row, lost[i, s, r]] = 1
    room = np.minimum(np.broadcast_to(storage, nodes), 1e6)
    limit = np.append(np.zeros(flow[..., 0].size), room)
    found = linprog(
        cost, supply.tocsr(), limit, meet.tocsr(), demand.ravel(), method="highs"
    )
    return Optimum(found.fun, -found.ineqlin.marginals[-nodes:], found.x[stock])

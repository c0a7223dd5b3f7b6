"""K3: greedy fulfilment with spill, the policy; an upper bound on the recourse.

Level by level, the dearest class first, ship min(stock, demand) from the cheapest node:
an order goes to its own node, then to those of its metro, region, nation. The
optimiser evaluates plans with it and the simulator runs it: one function.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


class Route(NamedTuple):
    """Class-node pairs in the order in which they are tried.

    Attributes:
      klass: class of each pair.
      node: node of each pair.
      level: first level whose pool holds the node and the class's home.
    """

    klass: Int[np.ndarray, " pairs"]
    node: Int[np.ndarray, " pairs"]
    level: Int[np.ndarray, " pairs"]


class Fulfilment(NamedTuple):
    """What greedy fulfilment does with some stock and demand.

    Attributes:
      left: stock left, units.
      unmet: demand not served, units.
      cost: money for shipping and lateness, expected; penalties are not in it.
      flow: units of each pair, expected.
    """

    left: Float[Array, "nodes items draws"]
    unmet: Float[Array, "classes items draws"]
    cost: Float[Array, " items"]
    flow: Float[Array, "pairs items"]


def greedy_route(
    cost: Float[np.ndarray, "nodes classes"],
    penalty: float,
    ring: Int[np.ndarray, "nodes classes"],
    reach: int = 10,
) -> Route:
    """The order in which greedy fulfilment tries classes and nodes.

    By level of the tree; inside a level by what the class loses if it is not served
    there, the most first; then by cost. Pairs that cost more than the penalty at which
    a sale is declined are left out.

    Args:
      cost: money per unit, with the prices that the policy heeds; inf where no service.
      penalty: money per unit not served.
      ring: first level whose pool holds the node and the home of the class.
      reach: the cheapest so many nodes of a class are tried, the others never.
    """
    levels = int(ring.max(initial=0)) + 1
    steps = np.full((levels + 1, cost.shape[1]), penalty)
    for level in range(levels - 1, -1, -1):
        here = np.where(ring == level, cost, np.inf).min(axis=0)
        steps[level] = np.minimum(here, steps[level + 1])
    rise = np.diff(steps, axis=0)
    rank = cost.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    node, klass = np.nonzero((cost < penalty) & (rank < reach))
    level = ring[node, klass]
    order = np.lexsort((cost[node, klass], klass, -rise[level, klass], level))
    return Route(klass[order], node[order], level[order])


def fulfill(
    stock: Float[Array, "nodes items draws"],
    demand: Float[Array, "classes items draws"],
    klass: Int[Array, " pairs"],
    node: Int[Array, " pairs"],
    pay: Float[Array, "pairs items"],
    penalty: Float[Array, " items"],
    keep: Float[Array, " pairs"],
    weight: Float[Array, " draws"],
) -> Fulfilment:
    """Ships in the order of the route; whole units stay whole.

    Args:
      stock: units at each node.
      demand: units of each class.
      klass: class of each pair of the route.
      node: node of each pair.
      pay: money per unit shipped; inf where the pair is not to be used.
      penalty: money per unit not served: dearer service is declined.
      keep: spill limit: units that a node does not give to this pair.
      weight: weight of each draw.
    """

    open_pair = (pay < penalty).astype(stock.dtype)

    def ship(state, pair):
        stock, demand = state
        q, n, is_open, keep = pair
        here = lax.dynamic_index_in_dim(stock, n, 0, keepdims=False)
        want = lax.dynamic_index_in_dim(demand, q, 0, keepdims=False)
        sent = lax.cond(  # a branch keeps XLA from copying the arrays at every step
            jnp.any(want > 0),
            lambda: jnp.minimum(jnp.maximum(here - keep, 0), want) * is_open[:, None],
            lambda: jnp.zeros_like(want),
        )
        stock = lax.dynamic_update_index_in_dim(stock, here - sent, n, 0)
        demand = lax.dynamic_update_index_in_dim(demand, want - sent, q, 0)
        return (stock, demand), sent @ weight

    pairs = klass, node, open_pair, keep
    (left, unmet), flow = lax.scan(ship, (stock, demand), pairs)
    return Fulfilment(
        left, unmet, jnp.sum(jnp.where(pay < penalty, pay, 0) * flow, 0), flow
    )

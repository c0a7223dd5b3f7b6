"""K3: greedy fulfilment with spill, the policy; an upper bound on the recourse.

Level by level, the dearest class first, ship min(stock, demand) from the cheapest node:
an order goes to its own node, then to those of its metro, region, nation. The
optimiser evaluates plans with it and the simulator runs it: one function.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from meio_jax.kernels.kinks import larger, smaller

TINY = 1e-12  # its square is no zero in float32, where slopes of a share need it


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


class Routes(NamedTuple):
    """Routes under several prices, padded to one length; of one when its row is taken.

    Attributes:
      klass: class of each pair.
      node: node of each pair.
      used: whether a pair is one of the route.
      level: first level whose pool holds the node and the class's home.
    """

    klass: Int[Array, "*settings pairs"]
    node: Int[Array, "*settings pairs"]
    used: Bool[Array, "*settings pairs"]
    level: Int[Array, "*settings pairs"]


class Fulfilment(NamedTuple):
    """What greedy fulfilment does with some stock and demand.

    Attributes:
      left: stock left, units.
      unmet: demand not served, units.
      room: units that each node may still ship, of all items together; of no draws
        where there is no limit.
      told: what was told of each pair's shipments, stacked over pairs.
    """

    left: Float[Array, "nodes items draws"]
    unmet: Float[Array, "classes items draws"]
    room: Float[Array, "nodes room_draws"]
    told: Any


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


def greedy_routes(
    cost: Float[np.ndarray, "nodes classes"],
    penalty: float,
    ring: Int[np.ndarray, "nodes classes"],
    toll: Float[np.ndarray, "settings nodes"],
) -> Routes:
    """The order of pairs under each of several prices of shipments.

    Args:
      cost: money per unit of a typical item; inf where no service.
      penalty: money per unit not served, the largest of the items.
      ring: first level whose pool holds the node and the home of the class.
      toll: price of a shipment from each node, money per unit.
    """
    parts = [greedy_route(cost + t[:, None], penalty + t.max(), ring) for t in toll]
    longest = max(len(p.klass) for p in parts)
    padded = lambda x: np.pad(x, (0, longest - len(x)))
    used = [np.arange(longest) < len(p.klass) for p in parts]
    return Routes(
        jnp.asarray([padded(p.klass) for p in parts]),
        jnp.asarray([padded(p.node) for p in parts]),
        jnp.asarray(used),
        jnp.asarray([padded(p.level) for p in parts]),
    )


def take(
    ready: Float[Array, "*any"], want: Float[Array, "*any"]
) -> Float[Array, "*any"]:
    """The smaller of both, for gradients: where they are equal the slope is that of
    what is wanted. Halves of both, as of `minimum`, would let stock of 0 flow to each
    of any number of orders of 0.

    Args:
      ready: units there are.
      want: units asked for.
    """
    return jnp.where(want <= ready, want, ready)


def share_out(
    most: Float[Array, "*places draws"], want: Float[Array, "*places askers draws"]
) -> Float[Array, "*places askers draws"]:
    """What each asker gets of something scarce: all if there is enough, else in
    proportion.

    Args:
      most: units there are, >= 0.
      want: units asked for, >= 0.
    """
    total, most = want.sum(axis=-2), larger(most, 0.0)  # -1e-16 after a subtraction
    part = smaller(most, total) / larger(total, TINY)
    return want * jnp.where(total > most, part, 1)[..., None, :]


def share_whole(
    most: Float[Array, "*places draws"],
    want: Float[Array, "*places askers draws"],
    turn: Float[Array, ""],
) -> Float[Array, "*places askers draws"]:
    """As `share_out` in whole units, in proportion on average over turns.

    Systematic sampling: running totals are rounded, so that shares add up, each is its
    part rounded up or down, and none exceeds its want.

    Args:
      most: units there are, >= 0; a fraction of a unit is left.
      want: units asked for, >= 0 and whole.
      turn: from 0 to 1, who gets odd units; as good as uniform over calls.
    """
    total = want.sum(axis=-2)

    def cut():
        given = jnp.minimum(total, jnp.floor(most))
        sums = jnp.cumsum(want, axis=-2)
        part = sums * (given / jnp.maximum(total, TINY))[..., None, :]
        part = jnp.floor(part + (1e-3 + 0.998 * turn))
        short = sums - jnp.minimum(part, given[..., None, :])
        short = lax.cummax(short, short.ndim - 2)  # where large floats are coarse
        short = jnp.clip(short, 0, (total - given)[..., None, :])
        none = jnp.zeros_like(short[..., :1, :])
        return want - jnp.diff(short, axis=-2, prepend=none)

    return lax.cond(jnp.any(total > most), cut, lambda: want)


def fulfill(
    stock: Float[Array, "nodes items draws"],
    demand: Float[Array, "classes items draws"],
    klass: Int[Array, " pairs"],
    node: Int[Array, " pairs"],
    pay: Float[Array, "pairs items"],
    penalty: Float[Array, " items"],
    keep: Float[Array, "pairs items"],
    tell: Callable[[Array, Array], Any],
    room: Float[Array, "nodes draws"] | None = None,
    share: Callable[[Array, Array], Array] = share_out,
) -> Fulfilment:
    """Ships in the order of the route; whole units stay whole.

    Args:
      stock: units at each node.
      demand: units of each class.
      klass: class of each pair of the route.
      node: node of each pair.
      pay: money per unit shipped; inf where the pair is not to be used.
      penalty: money per unit not served: dearer service is declined.
      keep: spill limit: units that the node of a pair does not give to it.
      tell: what to keep of a pair's shipments, "items draws" units, given these and the
        money per unit of each item.
      room: units that each node can ship, of all items together; None for no limit.
      share: what items get of a room where it is short.
    """
    open_pair = pay < penalty
    free = room is None
    left_room = jnp.zeros((len(stock), 0), stock.dtype) if room is None else room

    def ship(state, pair):
        stock, demand, room = state
        q, n, is_open, keep, pay = pair
        here = lax.dynamic_index_in_dim(stock, n, 0, keepdims=False)
        want = lax.dynamic_index_in_dim(demand, q, 0, keepdims=False)
        sent = lax.cond(  # a branch keeps XLA from copying the arrays at every step
            jnp.any(want > 0),
            lambda: take(larger(here - keep[:, None], 0.0), want) * is_open[:, None],
            lambda: jnp.zeros_like(want),
        )
        if not free:
            space = lax.dynamic_index_in_dim(room, n, 0, keepdims=False)
            sent = share(space, sent)
            space = space - sent.sum(axis=0)
            room = lax.dynamic_update_index_in_dim(room, space, n, 0)
        stock = lax.dynamic_update_index_in_dim(stock, here - sent, n, 0)
        demand = lax.dynamic_update_index_in_dim(demand, want - sent, q, 0)
        return (stock, demand, room), tell(sent, pay)

    money = jnp.where(open_pair, pay, 0)
    pairs = klass, node, open_pair.astype(stock.dtype), keep, money
    (left, unmet, left_room), told = lax.scan(ship, (stock, demand, left_room), pairs)
    return Fulfilment(left, unmet, left_room, told)

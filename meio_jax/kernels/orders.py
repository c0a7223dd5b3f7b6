"""K3 where demand is sparse: the same rule, class by class, on the orders alone.

`fulfill` tries every pair of class and node for every item and path; most items have
orders of few classes. Here a class is a batch or a few of what is ordered of it. Which
class has its turn when hangs on prices, who ordered does not: prices only reorder the
batches.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.fulfill import TINY, Routes, take
from meio_jax.kernels.kinks import larger, smaller

SIZES = 2 ** np.arange(4, 14)  # of batches
STEP = 128  # orders that cost as much as what a batch costs at least


class Orders(NamedTuple):
    """Orders in batches of one class and one regime of load.

    A lane is an item on a path: item times paths plus path. Orders of a batch go by
    path, then by item, and have a lane each.

    Attributes:
      klass: class of each batch.
      regime: regime of load of its paths.
      lane: lane of each order; 0 also where there is no order.
      units: its units; 0 where there is no order.
    """

    klass: Int[Array, "*steps batches"]
    regime: Int[Array, "*steps batches"]
    lane: Int[Array, "*steps batches orders"]
    units: Float[Array, "*steps batches orders"]


class Tries(NamedTuple):
    """Which nodes each class tries and when its turn is, level by level of the tree.

    Attributes:
      turn: place of each class among those of a level; as many as there are classes
        where it tries no node of the level.
      own: nodes of the first level that a class tries, in order; as many as there are
        nodes for none.
      far: the same for every level beyond.
    """

    turn: Int[Array, "*settings levels classes"]
    own: Int[Array, "*settings classes few"]
    far: Int[Array, "*settings beyond classes tried"]


class Served(NamedTuple):
    """What greedy fulfilment does with some stock and orders.

    Attributes:
      left: stock left, units.
      orders: what is left of the orders.
      unmet: units of each class not served up to and with each level.
      prompt: units of each class that keep their promise.
      paid: money for what is shipped, lateness included.
      late: money of this for lateness.
      room: units that each node may still ship.
    """

    left: Float[Array, "nodes items paths"]
    orders: Orders
    unmet: Float[Array, "levels classes paths"]
    prompt: Float[Array, "classes paths"]
    paid: Float[Array, " paths"]
    late: Float[Array, " paths"]
    room: Float[Array, "nodes paths"]


def list_tries(routes: Routes, nodes: int, classes: int, levels: int) -> Tries:
    """The routes by class: the same pairs in the same order.

    Args:
      routes: from `greedy_routes`, with any axes of settings.
      nodes: number of nodes.
      classes: number of classes.
      levels: levels of the tree.
    """
    klass, node, used, level = map(np.asarray, routes)
    settings = klass.shape[:-1]
    klass, node, used, level = (
        x.reshape(-1, klass.shape[-1]) for x in (klass, node, used, level)
    )
    turn = np.full((len(klass), levels, classes), classes, np.int32)
    tried = np.full((len(klass), levels, classes, nodes), nodes, np.int32)
    for k in range(len(klass)):
        q, n, l = (x[k, used[k]] for x in (klass, node, level))
        if not len(q):
            continue
        first = np.flatnonzero(np.r_[True, (np.diff(q) != 0) | (np.diff(l) != 0)])
        start = np.repeat(first, np.diff(np.r_[first, len(q)]))
        place = np.arange(len(first)) - np.searchsorted(l[first], l[first])
        turn[k, l[first], q[first]] = place
        tried[k, l, q, np.arange(len(q)) - start] = n
    width = lambda x: max(int((x < nodes).sum(axis=-1).max(initial=0)), 1)
    own, far = tried[:, 0], tried[:, 1:]
    full = lambda x: jnp.asarray(x.reshape(*settings, *x.shape[1:]))
    return Tries(full(turn), full(own[..., : width(own)]), full(far[..., : width(far)]))


def pack_orders(
    step: Int[np.ndarray, " orders"],
    klass: Int[np.ndarray, " orders"],
    regime: Int[np.ndarray, " orders"],
    path: Int[np.ndarray, " orders"],
    item: Int[np.ndarray, " orders"],
    units: Float[np.ndarray, " orders"],
    *,
    steps: int,
    paths: int,
) -> Orders:
    """Orders in batches, those of a class and path in one; samples share programs.

    Args:
      step: when an order comes; orders are sorted by all five columns.
      klass: its class.
      regime: regime of its path in the step.
      path: its path.
      item: its item.
      units: its units, > 0.
      steps: number of steps.
      paths: number of paths.
    """
    change = lambda *columns: np.flatnonzero(
        np.r_[True, np.any([np.diff(x) != 0 for x in columns], axis=0)][: len(step)]
    )
    length = lambda first, end: np.diff(np.r_[first, end])
    run, meet = change(step, klass, regime), change(step, klass, regime, path)
    size = _batch_size(length(run, len(step)))
    # a path goes into the batch in which its first order would be
    inside = meet - np.repeat(run, length(np.searchsorted(meet, run), len(meet)))
    number = np.repeat(inside // size, length(meet, len(step)))
    batch = change(step, klass, regime, number)
    count = length(batch, len(step))
    per_step = np.bincount(step[batch], minlength=steps)
    row = np.arange(len(batch)) - np.repeat(np.cumsum(per_step) - per_step, per_step)
    shape = steps, _rounded(per_step.max(initial=1)), _rounded(count.max(initial=1))
    at = step, np.repeat(row, count), np.arange(len(step)) - np.repeat(batch, count)
    lane, amount = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    lane[at], amount[at] = item * paths + path, units
    kind = np.zeros((2, *shape[:2]), np.int32)
    kind[:, step[batch], row] = klass[batch], regime[batch]
    return Orders(*map(jnp.asarray, (kind[0], kind[1], lane, amount)))


def _batch_size(runs) -> int:
    """Orders of a batch that make padding and the number of batches small."""
    cost = [(-(-runs // size)).sum() * (size + STEP) for size in SIZES]
    return int(SIZES[np.argmin(cost)])


def _rounded(count) -> int:
    """A number not much larger, of which there are few."""
    step = 1 << max(int(count).bit_length() - 4, 0)
    return max(-(-int(count) // step) * step, 1)


def by_class(orders: Orders, classes: int, paths: int) -> Float[Array, "classes paths"]:
    """Units of each class on each path.

    Args:
      orders: of one step.
      classes: number of classes.
      paths: number of paths.
    """
    return _by_class(orders.units, orders, classes, paths)


def _by_class(values, orders, classes, paths):
    none = jnp.zeros((classes, paths), values.dtype)
    return none.at[orders.klass[:, None], orders.lane % paths].add(values)


def by_item(orders: Orders, items: int, paths: int) -> Float[Array, "items paths"]:
    """Units of each item on each path.

    Args:
      orders: of one step.
      items: number of items.
      paths: number of paths.
    """
    none = jnp.zeros(items * paths, orders.units.dtype)
    return none.at[orders.lane].add(orders.units).reshape(items, paths)


def fulfill_orders(
    stock: Float[Array, "nodes items paths"],
    orders: Orders,
    tries: Tries,
    service: Float[Array, "nodes classes 3"],
    item: Float[Array, "items 3"],
    reserve: Float[Array, "nodes items"],
    room: Float[Array, "nodes paths"],
    turn: Float[Array, ""] | None = None,
) -> Served:
    """Ships orders by the rule of `fulfill`: the same units.

    Args:
      stock: units at each node.
      orders: of all lanes, of one step.
      tries: which nodes are tried in each regime.
      service: money per unit, money per weight, days late, of pairs that are tried.
      item: weight, money per unit and day late, money per unit not served: dearer
        service is declined.
      reserve: spill limit: units kept from customers who are not the node's own.
      room: units that each node can ship, of all items together; inf for no limit.
        Where it is short the items share it in proportion.
      turn: from 0 to 1, who gets odd units of room; None where units are no whole
        numbers.
    """
    nodes, _, paths = stock.shape
    classes, shelf = service.shape[1], stock.reshape(nodes, -1)
    orders = orders._replace(units=orders.units.astype(stock.dtype))

    def serve(state, order, node):
        """A batch tries its nodes."""
        k, asks = order
        tried, lane = node[orders.regime[k], orders.klass[k]], orders.lane[k]
        cost = service.at[tried, orders.klass[k]].get(mode="fill", fill_value=0)
        batch = k, tried, lane, cost.T, item[lane // paths].T
        # the cond inside `_in_room` keeps XLA from making this one a select of arrays
        return lax.cond(
            asks, lambda state: _ship(state, batch, turn), lambda state: state, state
        ), None

    def level(state, turn, node):
        place = turn[orders.regime, orders.klass]
        place = jnp.where(jnp.any(state.units > 0, axis=1), place, classes)
        order = jnp.argsort(place)
        state, _ = lax.scan(
            lambda state, order: serve(state, order, node), state,
            (order, place[order] < classes),
        )  # fmt: skip
        return state, _by_class(state.units, orders, classes, paths)

    none = jnp.zeros_like(orders.units)
    begin = _State(shelf, room, orders.units, (none, none, none))
    state, own = level(begin, tries.turn[:, 0], tries.own)
    shelf = state.shelf
    kept = take(jnp.repeat(reserve, paths, axis=1).astype(shelf.dtype), shelf)
    beyond = jnp.moveaxis(tries.turn, 1, 0)[1:], jnp.moveaxis(tries.far, 1, 0)
    state, far = lax.scan(
        lambda state, x: level(state, *x), state._replace(shelf=shelf - kept), beyond
    )
    shelf, room, units, (prompt, paid, late) = state
    path = orders.lane % paths
    by_path = lambda x: jnp.zeros(paths, stock.dtype).at[path].add(x)
    return Served(
        (shelf + kept).reshape(stock.shape), orders._replace(units=units),
        jnp.concatenate([own[None], far]), _by_class(prompt, orders, classes, paths),
        by_path(paid), by_path(late), room,
    )  # fmt: skip


class _State(NamedTuple):
    """What batches change in turn: stock by lane, room, units asked for, and what is
    told of a batch."""

    shelf: Float[Array, "nodes lanes"]
    room: Float[Array, "nodes paths"]
    units: Float[Array, "batches orders"]
    told: tuple[Float[Array, "batches orders"], ...]


@jax.custom_vjp
def _ship(state: _State, batch, turn) -> _State:
    """A batch takes from the nodes that it tries, in order."""
    return _ship_forward(state, batch, turn)[0]


def _ship_forward(state: _State, batch, turn):
    k, tried, lane, cost, about = batch
    path = lane % state.room.shape[1]
    ready = state.shelf.at[tried[:, None], lane].get(mode="fill", fill_value=0)
    most = state.room.at[tried].get(mode="fill", fill_value=0)
    seen = ready, most, state.units[k], cost, about
    sent, told = _offer(*seen, path, turn)
    after = _State(
        state.shelf.at[tried[:, None], lane].add(-sent),
        state.room.at[tried[:, None], path].add(-sent),
        state.units.at[k].add(-sent.sum(axis=0)),
        tuple(x.at[k].add(y) for x, y in zip(state.told, told, strict=True)),
    )
    return after, (seen, k, tried, lane, turn)


def _ship_backward(seen, slope: _State):
    """Slopes change in place, where a transposed gather would fill an array of all
    lanes for every batch."""
    seen, k, tried, lane, turn = seen
    path = lane % slope.room.shape[1]
    at = lambda x, index: x.at[tried[:, None], index].get(mode="fill", fill_value=0)
    sent = -at(slope.shelf, lane) - at(slope.room, path) - slope.units[k]
    told = tuple(x[k] for x in slope.told)
    offer = lambda ready, most, want, cost, about: _offer(
        ready, most, want, cost, about, path, turn
    )
    _, pull = jax.vjp(offer, *seen)
    ready, most, want, cost, about = pull((sent, told))
    before = _State(
        slope.shelf.at[tried[:, None], lane].add(ready),
        slope.room.at[tried].add(most),
        slope.units.at[k].add(want),
        slope.told,
    )
    return before, (None, None, None, cost, about), None


_ship.defvjp(_ship_forward, _ship_backward)


def _offer(ready, most, want, cost, about, path, turn):
    """What goes from each node tried to each order, and what is told of it: units that
    keep their promise, money, money for lateness."""
    pay = serve_cost(cost[:, :, None], about[0], about[1])
    ready = jnp.where(pay < about[2], larger(ready, 0.0), 0)
    sent = _in_room(most, path, ready, want, turn)
    days = cost[2][:, None]
    return sent, (
        jnp.where(days > 0, 0, sent).sum(axis=0),
        (pay * sent).sum(axis=0),
        about[1] * (days * sent).sum(axis=0),
    )


def _in_order(ready, want):
    """What goes from each of the nodes tried: all that is ready, until all is sent."""
    sent = []
    for units in ready:
        sent.append(take(units, want))
        want = want - sent[-1]
    return jnp.stack(sent)


def _in_room(most, path, ready, want, turn):
    """The same where nodes have little room: orders of a path share it."""
    sent = _in_order(jnp.where(most[:, path] > 0, ready, 0), want)
    spread = jnp.zeros_like(most).at[:, path].add(sent)

    def one_by_one():
        def step(want, node):
            sent = share_orders(node[0], path, take(node[1], want), turn)
            return want - sent, sent

        return lax.scan(step, want, (most, ready))[1]

    return lax.cond(jnp.any(spread > jnp.maximum(most, 0)), one_by_one, lambda: sent)


def share_orders(
    most: Float[Array, " paths"],
    path: Int[Array, " orders"],
    want: Float[Array, " orders"],
    turn: Float[Array, ""] | None,
) -> Float[Array, " orders"]:
    """The room of one node, among orders that are sorted by path, as `share_out` or
    with a turn `share_whole` would share it.

    Args:
      most: units that the node may ship on each path.
      path: path of each order.
      want: units that it asks for.
      turn: from 0 to 1, who gets odd units; None where units are no whole numbers.
    """
    total = jnp.zeros_like(most).at[path].add(want)
    given = smaller(total, larger(most, 0.0))
    if turn is None:
        part = given / larger(total, TINY)
        return want * jnp.where(total > most, part, 1)[path]
    given = jnp.floor(given)
    sums, first = jnp.cumsum(want), jnp.diff(path, prepend=-1) != 0
    sums = sums - lax.cummax(jnp.where(first, sums - want, 0))
    part = sums * (given / jnp.maximum(total, TINY))[path]
    part = jnp.minimum(jnp.floor(part + (1e-3 + 0.998 * turn)), given[path])
    share = part - jnp.where(first, 0, jnp.roll(part, 1))
    return jnp.where((total > most)[path], jnp.clip(share, 0, want), want)

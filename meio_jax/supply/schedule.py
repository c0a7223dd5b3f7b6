"""What to order and what to send in each period if demand is as expected, in units.

Distribution requirements planning (DRP) on the plan's levels: a period begins with an
order of every item that may be reviewed, up to its echelon level and in whole packs;
depots send what nodes are short of their targets, and ration by the price of stock
where they have less; what is due arrives; expected shipments leave.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.supply.chain import Lanes, Offers, Supply
from meio_jax.supply.levels import Choice, Curve
from meio_jax.supply.ration import divided

WHY = (  # reasons of an order's quantity
    "order up to the level", "minimum order", "order multiple", "vendor capacity",
    "minimum order not worth it",
)  # fmt: skip


class Ledger(NamedTuple):
    """Units of a group in every period; what balances.

    Attributes:
      bought: ordered from vendors in a period, to each depot.
      base: ordered from the vendor that sends the same in every period.
      wanted: what nodes are short of their targets.
      sent: from depots to nodes, by the period in which they are sent.
      direct: ordered from outside by nodes that no depot supplies.
      shipped: to customers.
      arrived: at nodes.
      landed: at depots.
      shelf: on hand at nodes at the end of a period.
      store: on hand at depots at the end of a period.
      coming: on the way to nodes at the end of a period.
      ordered: on order at vendors at the end of a period.
      pack: what orders in packs cost more than the best amount, money per period.
      reason: position in `WHY` of each order's reason.
      start: units on hand and on their way when the plan starts, nodes then depots.
    """

    bought: Float[np.ndarray, "items periods depots"]
    base: Float[np.ndarray, "items periods depots"]
    wanted: Float[np.ndarray, "items periods nodes"]
    sent: Float[np.ndarray, "items periods nodes"]
    direct: Float[np.ndarray, "items periods nodes"]
    shipped: Float[np.ndarray, "items periods nodes"]
    arrived: Float[np.ndarray, "items periods nodes"]
    landed: Float[np.ndarray, "items periods depots"]
    shelf: Float[np.ndarray, "items periods nodes"]
    store: Float[np.ndarray, "items periods depots"]
    coming: Float[np.ndarray, "items periods nodes"]
    ordered: Float[np.ndarray, "items periods depots"]
    pack: Float[np.ndarray, "items periods"]
    reason: Int[np.ndarray, "items periods"]
    start: Float[np.ndarray, "items places"]


class Ways(NamedTuple):
    """How a group's items reach its nodes, an item and node a cell.

    Attributes:
      source: depot; -1 where no depot leads to the node.
      lead: whole periods on the way.
      wait: whole periods from an order to its arrival at a depot, of each item.
      base_wait: the same of its base.
      share: of an item's orders that goes to each depot.
    """

    source: Int[np.ndarray, "items nodes"]
    lead: Int[np.ndarray, "items nodes"]
    wait: Int[np.ndarray, " items"]
    base_wait: Int[np.ndarray, " items"]
    share: Float[np.ndarray, "items depots"]


def whole_flow(flow: Float[np.ndarray, "*any periods nodes"]):
    """Whole units whose running sum stays within half a unit of the flow's."""
    total = np.floor(np.cumsum(flow, axis=-2) + 0.5)
    return np.diff(total, axis=-2, prepend=0.0)


def project(
    supply: Supply,
    ways: Ways,
    choice: Choice,
    curve: Curve,
    expected: Float[np.ndarray, "items periods nodes"],
    stock: Float[np.ndarray, "items nodes"] | None,
    due: Float[np.ndarray, "items periods nodes"],
    cost: Callable[[int, Float[np.ndarray, " items"]], Float[np.ndarray, " items"]],
) -> Ledger:
    """Orders and transfers of all periods.

    Where no inventory is given the start is steady: nodes have what the first period's
    targets leave, depots and the pipeline what levels leave of a period's mean demand.
    Depots that nobody is known to deliver to, and that hold nothing, never run out.

    Args:
      supply: depots, lanes, offers, their stock.
      ways: sources and lead times.
      choice: offers and levels.
      curve: targets along the price of rationing, the plan's own last.
      expected: units that nodes ship in a period.
      stock: inventory position of the nodes: on hand and on their way; None where none
        is given.
      due: what of it is on its way, by the period in which it arrives.
      cost: of a level of each item in a period, money per period.
    """
    items, periods, nodes = expected.shape
    depots, offers = len(supply.depot), supply.offers
    target, wish = curve.target[-1], whole_flow(expected)
    waits = ways.wait, ways.base_wait, ways.lead
    far = periods + 1 + max(int(x.max(initial=0)) for x in waits)
    rate = offers.rate[choice.offer] * (choice.offer >= 0) if offers.size else 0.0
    rate = np.broadcast_to(rate, items)
    packs = np.ones(items)
    if rate.any():
        packs = np.maximum(offers.multiple[offers.base[choice.offer]], 1)
    into_nodes = np.zeros((items, far, nodes))
    into_depots = np.zeros((items, far, depots))
    if supply.stock is None or stock is None:
        shelf, store = _steady(
            into_depots, into_nodes, ways, choice, target, wish, rate
        )
    else:
        into_nodes[:, :periods] += due
        into_depots[:, :periods] += supply.due.transpose(0, 2, 1)
        shelf = stock - due.sum(axis=1)
        store = supply.stock.copy()
    start = np.concatenate(
        [shelf + into_nodes.sum(axis=1), store + into_depots.sum(axis=1)], axis=1
    )
    endless = np.inf if not offers.size and not store.sum() else 0.0
    rows = []
    for t in range(periods):
        below = shelf + into_nodes[:, t:].sum(axis=1)
        above = store + into_depots[:, t:].sum(axis=1)
        level = choice.level[:, t]
        sure = whole_packs(rate, packs, t)
        base = _split(sure, above, below, ways, level)
        for i in np.flatnonzero(sure):
            into_depots[i, t + ways.base_wait[i]] += base[i]
        above = above + base
        position = below.sum(axis=1) + above.sum(axis=1)
        bought, reason, pack = _order(offers, choice, position, t, cost)
        split = _split(bought, above, below, ways, level)
        for i in np.flatnonzero(bought):
            into_depots[i, t + ways.wait[i]] += split[i]
        landed = into_depots[:, t].copy()
        store = store + landed
        wanted = np.maximum(target[:, t] - below, 0)
        sent = _send(store + endless, below, ways, curve, supply.lanes, t)
        for d in range(0 if endless else depots):
            store[:, d] -= np.where(ways.source == d, sent, 0).sum(axis=1)
        direct = np.where(ways.source < 0, wanted, 0)
        i, n = np.nonzero(sent + direct)
        np.add.at(into_nodes, (i, t + ways.lead[i, n], n), (sent + direct)[i, n])
        arrived = into_nodes[:, t].copy()
        shelf = shelf + arrived
        shipped = np.minimum(wish[:, t], np.maximum(shelf, 0))
        shelf = shelf - shipped
        coming = into_nodes[:, t + 1 :].sum(axis=1)
        ordered = into_depots[:, t + 1 :].sum(axis=1)
        rows.append((
            split, base, wanted, sent, direct, shipped, arrived, landed, shelf,
            store.copy(), coming, ordered, pack, reason,
        ))  # fmt: skip
    columns = [np.stack(x, axis=1) for x in zip(*rows, strict=True)]
    return Ledger(**dict(zip(Ledger._fields, [*columns, start], strict=True)))


def whole_packs(rate: Any, packs: Any, period: Any) -> Any:
    """What a base sends in a period: whole packs whose running sum stays within half a
    pack of the rate's. NumPy or JAX arrays alike.

    Args:
      rate: units a period.
      packs: units of a pack.
      period: which, from 0.
    """
    until = lambda t: (t * rate / packs + 0.5) // 1
    return (until(period + 1) - until(period)) * packs


def _steady(into_depots, into_nodes, ways, choice, target, wish, rate):
    """Stock and pipeline of a system that has been running on its first levels."""
    nodes = into_nodes.shape[2]
    first, usual = target[:, 0], wish.mean(axis=1)
    position = np.maximum(first - wish[:, 0], 0)
    for n in range(nodes):
        for lead in np.unique(ways.lead[:, n]):
            rows = np.flatnonzero(ways.lead[:, n] == lead)
            left = position[rows, n]
            for k in range(lead):
                part = np.minimum(np.rint(usual[rows, n]), left)
                into_nodes[rows, k, n] += part
                left = left - part
            position[rows, n] = left
    echelon = np.maximum(choice.level[:, 0] - np.rint(usual.sum(axis=1)), 0)
    held = position.sum(axis=1) + into_nodes.sum(axis=(1, 2))
    free = np.rint(np.maximum(echelon - held, 0))
    for i in np.flatnonzero(free):
        every = np.rint(rate[i])
        need = np.rint(max(usual[i].sum() - rate[i], 0))
        for units, wait in ((every, ways.base_wait[i]), (need, ways.wait[i])):
            for k in reversed(range(wait)):
                part = min(units, free[i])
                into_depots[i, k] += _apportion(part, ways.share[i])
                free[i] -= part
    store = np.stack([_apportion(f, s) for f, s in zip(free, ways.share, strict=True)])
    return position, store


def _apportion(units: float, share) -> np.ndarray:
    """Whole units in proportion to shares, the largest remainders first."""
    if units <= 0 or share.sum() <= 0:
        return np.zeros(len(share))
    exact = units * share / share.sum()
    part = np.floor(exact + 1e-9)
    rest = round(float(units - part.sum()))
    part[np.argsort(part - exact, kind="stable")[:rest]] += 1
    return part


def _order(offers: Offers, choice: Choice, position, t, cost):
    """What each item orders in a period, why so much, and what its packs cost."""
    chosen = np.maximum(choice.offer, 0)
    has = choice.offer >= 0
    of = lambda x: x[chosen] if len(x) else np.zeros(len(chosen))
    least, multiple = of(offers.least), np.maximum(of(offers.multiple), 1)
    most = np.floor(of(offers.capacity) / multiple) * multiple
    due = has & (t % np.maximum(of(offers.review), 1).astype(int) == 0)
    want = np.where(due, np.maximum(np.rint(choice.level[:, t] - position), 0), 0)
    floor_ = np.ceil(least / multiple) * multiple
    up = np.maximum(np.ceil(want / multiple) * multiple, floor_)
    down = np.floor(want / multiple) * multiple
    down = np.where(down < floor_, 0, down)
    up, down = np.minimum(up, most), np.minimum(down, most)
    amount = np.where(want > 0, up, 0)
    pack = np.zeros(len(want))
    odd = (want > 0) & ((up != want) | (down != want))
    if odd.any():
        best, high, low = (cost(t, position + x) for x in (want, up, down))
        amount = np.where(odd & (low < high), down, amount)
        pack = np.where(odd, np.maximum(np.minimum(low, high) - best, 0), 0)
    reason = np.zeros(len(want), int)
    reason = np.where(odd & (multiple > 1), 2, reason)
    reason = np.where(odd & (amount == floor_) & (floor_ > want), 1, reason)
    reason = np.where(odd & (amount == most) & (most < want), 3, reason)
    reason = np.where(odd & (amount == 0), 4, reason)
    return amount, reason, pack


def _split(bought, above, below, ways: Ways, level):
    """An order divided among depots: positions under them in proportion to shares."""
    depots = above.shape[1]
    held = above.copy()
    for d in range(depots):
        held[:, d] += np.where(ways.source == d, below, 0).sum(axis=1)
    out = np.zeros_like(above)
    for i in np.flatnonzero(bought):
        goal = ways.share[i] * max(level[i], held[i].sum() + bought[i])
        need = np.where(ways.share[i] > 0, np.maximum(goal - held[i], 0), 0)
        need = need if need.sum() > 0 else ways.share[i]
        out[i] = _apportion(bought[i], need)
    return out


def _send(store, below, ways: Ways, curve: Curve, lanes: Lanes, t):
    """What depots send to the nodes that they supply, whole units."""
    target = curve.target[-1][:, t]
    want = np.where(ways.source >= 0, np.maximum(target - below, 0), 0)
    mine = ways.source[:, None, :] == np.arange(store.shape[1])[:, None]
    asked, stock = np.einsum("in,idn->id", want, mine), np.maximum(store, 0)
    short, depot = np.nonzero(asked > stock)
    if len(short):
        own = mine[short, depot]
        held = np.where(own, below[short], 0)
        part = rationed(curve.target[:, short, t], held, own, stock[short, depot])
        row, node = np.nonzero(own)
        want[short[row], node] = part[row, node]
    sent = np.zeros_like(want)
    for d in np.flatnonzero(asked.any(axis=0)).tolist():
        sent += _within_lanes(np.where(mine[:, d], want, 0), lanes, d, stock[:, d])
    return sent


def rationed(
    along: Float[np.ndarray, "points items nodes"],
    held: Float[np.ndarray, "items nodes"],
    mine: Float[np.ndarray, "items nodes"],
    stock: Float[np.ndarray, " items"],
) -> Float[np.ndarray, "items nodes"]:
    """How scarce stock is divided: all nodes to one price of rationing, whole units.

    Args:
      along: targets at points of the price, ascending.
      held: what nodes have and have coming, units.
      mine: nodes that the depot supplies.
      stock: units that the depot has, less than all want.
    """
    want = np.where(mine, np.maximum(along[-1] - held, 0), 0)
    total, spread = lambda x: x.sum(axis=1), lambda x: x[:, None]
    exact = divided(along, held, want, stock, total, spread)
    part = np.floor(exact + 1e-6)
    rest = np.minimum(stock - part.sum(axis=1), (exact > part).sum(axis=1))
    rank = np.argsort(np.argsort(part - exact, axis=1, kind="stable"), axis=1)
    return part + (rank < np.maximum(np.floor(rest), 0)[:, None]) * (exact > part)


def _within_lanes(want, lanes: Lanes, depot: int, stock):
    """What lanes take: the nearest whole multiples, and no more than their capacity."""
    multiple = lanes.multiple[depot]
    units = np.rint(want / multiple) * multiple
    above = units.sum(axis=1) > stock
    units[above] = (np.floor(want / multiple) * multiple)[above]
    total, most = units.sum(axis=0), lanes.capacity[depot]
    for n in np.flatnonzero(total > most):
        part = units[:, n] * most[n] / total[n]
        units[:, n] = np.floor(part / multiple[n]) * multiple[n]
    return units

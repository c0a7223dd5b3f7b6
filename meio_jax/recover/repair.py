"""Targets back within capacities by the units that are missed least, and what is left
over filled by those that help most."""

import numpy as np
from jaxtyping import Bool, Float

from meio_jax.problem import Problem

Targets = Float[np.ndarray, "items periods nodes"]


def cut_units(
    problem: Problem,
    targets: tuple[Targets, ...],
    loss: tuple[Targets, ...],
    ships: tuple[Float[np.ndarray, "items periods regimes nodes"], ...],
    use: Float[np.ndarray, "resources nodes periods"],
    *,
    whole: bool,
) -> tuple[Targets, ...]:
    """Takes units from nodes over capacity, the least missed per unit of relief first.

    Relief is the volume of storage, a receipt of inbound, the chance of being shipped
    of outbound, and of a whole unit no more than is over: a large one helps no more
    than a small one where little is over. A cell gives at one node only, a unit or 3 %
    of its target, and no more than is over: what a unit less costs changes with every
    unit taken.

    Args:
      problem: the problem.
      targets: of each group.
      loss: cost of one unit less, money, of each group.
      ships: shipments of a period in a regime that the last unit causes, times the
        regime's share, of each group.
      use: use of every capacity.
      whole: whether targets are whole units.
    """
    targets = tuple(t.copy() for t in targets)
    touched = [np.zeros(t.shape[:2], bool) for t in targets]
    limited = np.isfinite(problem.capacities)
    capacity = np.where(limited, problem.capacities, 0)
    over = np.where(limited, use - capacity, 0)
    worst = over / np.maximum(capacity, 1e-9)
    places = np.argwhere(over > 1e-9 * np.maximum(capacity, 1))
    for resource, node, period in sorted(map(tuple, places), key=lambda p: -worst[p]):
        cells = []
        for k, n, passes in _causes(problem, resource, node):
            items = problem.groups[k].items
            y = targets[k][:, period, n]
            sent = ships[k][:, period, :, n].T
            relief = (items.volume, np.ones(len(y)), *sent)[resource]
            relief = np.full(len(y), passes) if passes else relief
            room = y - items.lower[:, period, n]
            can = np.flatnonzero((relief > 1e-9) & (room > 0) & ~touched[k][:, period])
            step = np.maximum(np.ceil(0.03 * y), 1) if whole else 0.03 * y + 1e-9
            step = np.minimum(step, room)[can]
            need = over[resource, node, period]
            useful = np.minimum(relief, need) if whole else relief
            order = np.maximum(loss[k][can, period, n], 0) / useful[can]
            cells.append((np.full(len(can), k), np.full(len(can), n), can, step,
                          relief[can], order))  # fmt: skip
        if not cells:
            continue
        group, place, item, step, relief, order = map(
            np.concatenate, zip(*cells, strict=True)
        )
        ranked = np.argsort(order, kind="stable")
        need = over[resource, node, period]
        for r in ranked:
            if need <= 0:
                break
            wanted = need / relief[r]
            taken = min(step[r], np.ceil(wanted - 1e-9) if whole else wanted)
            targets[group[r]][item[r], period, place[r]] -= taken
            touched[group[r]][item[r], period] = True
            need -= taken * relief[r]
    return targets


def _causes(problem: Problem, resource: int, node: int):
    """Group and place of the nodes that use a capacity: its own, and those whose
    receipts pass through it, with the share of a receipt that they use, else 0."""
    for k, group in enumerate(problem.groups):
        place = group.network.node
        for n in np.flatnonzero(place == node):
            yield k, n, 0.0
        if resource and problem.via is not None:
            for n in np.flatnonzero(problem.via[place] == node):
                yield k, n, 1.0 if resource == 1 else 1 / problem.regimes


def add_units(
    problem: Problem,
    targets: tuple[Targets, ...],
    gain: tuple[Targets, ...],
    use: Float[np.ndarray, "resources nodes periods"],
    open_nodes: Bool[np.ndarray, "nodes periods"],
) -> tuple[tuple[Targets, ...], int]:
    """Adds whole units where storage is left and a unit more saves money.

    At most one unit a cell, at the node where it saves most, the best per volume first.

    Args:
      problem: the problem.
      targets: of each group.
      gain: saving of one unit more, money, of each group.
      use: use of every capacity.
      open_nodes: where flows leave room.

    Returns:
      The targets and the number of units added.
    """
    targets = tuple(t.copy() for t in targets)
    room = problem.storage - use[0]
    added = 0
    for k, group in enumerate(problem.groups):
        node, items = group.network.node, group.items
        allowed = (targets[k] + 1 <= items.upper) & open_nodes[node].T[None]
        fits = room[node].T[None] >= items.volume[:, None, None]
        value = np.where(allowed & fits, gain[k], -np.inf)
        best = value.argmax(axis=-1)
        worth = np.take_along_axis(value, best[..., None], -1)[..., 0]
        item, period = np.nonzero(worth > 1e-9)
        if not item.size:
            continue
        n = best[item, period]
        density = worth[item, period] / np.maximum(items.volume[item], 1e-12)
        order = np.lexsort((-density, period, n))
        item, period, n = item[order], period[order], n[order]
        volume = items.volume[item]
        place = n * problem.periods + period
        first = np.r_[True, place[1:] != place[:-1]]
        total = np.cumsum(volume)
        start = np.repeat(
            (total - volume)[first], np.diff(np.r_[np.flatnonzero(first), len(place)])
        )
        fits = total - start <= room[node[n], period]
        targets[k][item[fits], period[fits], n[fits]] += 1
        np.subtract.at(room, (node[n[fits]], period[fits]), volume[fits])
        added += int(fits.sum())
    return targets, added

"""Targets raised where they fall faster than stock is sold: no stock is taken out."""

import numpy as np
from jaxtyping import Float

from meio_jax.problem import Problem

Targets = Float[np.ndarray, "items periods nodes"]


def raise_targets(
    problem: Problem,
    targets: tuple[Targets, ...],
    shipped: tuple[Targets, ...],
    use: Float[np.ndarray, "resources nodes periods"],
    ships: tuple[Float[np.ndarray, "items periods regimes nodes"], ...],
    *,
    whole: bool,
) -> tuple[Targets, ...]:
    """Raises targets to what the period before leaves, from the first period on.

    A target is raised as far as its largest value allows. Where not all raises of a
    node fit into its capacities, those of the smallest items are made. Shipments are
    taken as they are: more stock ships more and leaves less, neighbours' stock may
    leave more, so that the new targets are to be evaluated and raised again.

    Args:
      problem: the problem.
      targets: of each group.
      shipped: what they are expected to ship in a period, units.
      use: use of every capacity.
      ships: shipments of a period in a regime that the last unit causes, times the
        regime's share, of each group: those of a unit more are no more.
      whole: whether targets are whole units; then an expected half unit too much is no
        removal.
    """
    targets = tuple(t.copy() for t in targets)
    room = problem.capacities - use
    for t in range(problem.periods):
        for k, group in enumerate(problem.groups):
            items, y = group.items, targets[k]
            if t:
                floor = y[:, t - 1] - shipped[k][:, t - 1]
            elif group.stock is not None:
                floor = group.stock
            else:
                continue
            upper = items.upper[:, t]
            if whole:
                floor, upper = np.ceil(floor - 0.5), np.floor(upper + 1e-9)
            more = np.minimum(floor, upper) - y[:, t]
            more = np.where(more > 1e-9, more, 0)
            order = np.argsort(items.volume, kind="stable")
            for n, node in enumerate(group.network.node):
                size = more[order, n]
                sent = ships[k][order, t, :, n].T * size
                need = np.stack([items.volume[order] * size, size, *sent])
                least = _room_of(problem, room[:, :, t], node)
                fits = np.cumsum(need, axis=1) <= least[:, None] + 1e-9
                fits = (fits | (need == 0)).all(axis=0) & (size > 0)
                took = need[:, fits].sum(axis=1)
                _take(problem, room[:, :, t], node, took)
                if t + 1 < problem.periods:  # what is kept need not be bought later
                    later = np.zeros(len(took))
                    later[1] = took[2:].sum() - took[1]
                    _take(problem, room[:, :, t + 1], node, later)
                y[order[fits], t, n] += size[fits]
    return targets


def _room_of(problem: Problem, room, node: int):
    """What a node's own use may take of each resource; of inbound no more than what
    the node through which receipts pass has of inbound and outbound."""
    least = room[:, node].copy()
    if problem.via is not None and (through := problem.via[node]) >= 0:
        flows = room[1:, through] * np.array(
            [1.0, *[problem.regimes] * (len(room) - 2)]
        )
        least[1] = min(least[1], flows.min())
    return least


def _take(problem: Problem, room, node: int, took) -> None:
    """Takes what a node uses off the room, with what passes through another."""
    room[:, node] -= took
    if problem.via is not None and (through := problem.via[node]) >= 0:
        room[1, through] -= took[1]
        room[2:, through] -= took[1] / problem.regimes

"""Which items a node holds where it can hold only so many different ones."""

from dataclasses import replace

import equinox as eqx
import numpy as np
from jaxtyping import Float

from meio_jax.problem import Problem


def choose_items(
    problem: Problem, benefit: tuple[Float[np.ndarray, "items nodes"], ...]
) -> Problem:
    """The problem with the largest targets of all but the best items set to 0 at nodes
    that limit the number of items.

    Each such node is seen alone and keeps the same items in all periods, as many as its
    least limit allows: a greedy choice, which leaves out what one node's choice does to
    the next. A plan of the chosen problem is one of the given problem; a bound of the
    given problem without its limits on items holds for both.

    Args:
      problem: the problem.
      benefit: what an item's presence at a node saves over the horizon, money, of each
        group. Items whose least target there is above 0 go first.
    """
    uppers = [g.items.upper.copy() for g in problem.groups]
    for node, limit in enumerate(np.floor(problem.item_limit.min(axis=1) + 1e-9)):
        here = [np.flatnonzero(g.network.node == node) for g in problem.groups]
        if not np.isfinite(limit) or not any(map(len, here)):
            continue
        needed = [  # at the least, in any period
            g.items.lower[:, :, n].max(axis=(1, 2), initial=0) > 0
            for g, n in zip(problem.groups, here, strict=True)
        ]
        most = [
            u[:, :, n].max(axis=(1, 2), initial=0)
            for u, n in zip(uppers, here, strict=True)
        ]
        worth = [b[:, n].sum(axis=1) for b, n in zip(benefit, here, strict=True)]
        needed, most, worth = map(np.concatenate, (needed, most, worth))
        order = np.lexsort((-worth, ~needed, most <= 0))
        chosen = np.zeros(len(order), bool)
        chosen[order[: int(limit)]] = needed.sum() <= limit
        ends = np.cumsum([len(u) for u in uppers])[:-1]
        for k, keep in enumerate(np.split(chosen, ends)):
            n, lower = here[k], problem.groups[k].items.lower
            shut = ~keep[:, None, None] & (lower[:, :, n] <= 0)
            uppers[k][:, :, n] = np.where(shut, 0, uppers[k][:, :, n])
    groups = tuple(
        replace(g, items=replace(g.items, upper=u))
        for g, u in zip(problem.groups, uppers, strict=True)
    )
    return eqx.tree_at(lambda p: p.groups, problem, groups)

"""From the tree kernel's prices to exact ones: columns of exact solutions.

Items that matter are solved exactly (K2) at the prices. Each solution is a column of a
restricted master, whose dual prices, kept in a box around the best ones so far (Marsten
et al. 1975), are where they are solved next. The other items follow by the tree kernel.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.dual.exact import solve_items, use_of
from meio_jax.dual.prices import Dual, Point
from meio_jax.problem import Problem
from meio_jax.recover.master import Master
from meio_jax.scenarios.sample import Sample

REACH = 0.2  # of the box of prices, as a share of each, at first

Targets = tuple[Float[np.ndarray, "items periods nodes"], ...]


class Sharpened(NamedTuple):
    """Prices and fractional targets after the exact rounds.

    Attributes:
      price: of each limited capacity: where the exact dual was the highest.
      targets: of all items, units.
      rest: of the chosen items: charge less what a unit more saves, by group.
      gap: of the master's value over the exact dual of the chosen items, as a share.
      rounds: exact solutions of all chosen items.
    """

    price: Float[np.ndarray, " capacities"]
    targets: Targets
    rest: tuple[Float[np.ndarray, "items periods nodes"], ...]
    gap: float
    rounds: int


def sharpen(
    problem: Problem,
    sample: Sample,
    dual: Dual,
    point: Point,
    chosen: list[Int[np.ndarray, " items"]],
    unchunk: Callable,
    follow: Callable[[np.ndarray, Point], Point],
    say: Callable[[float, float, np.ndarray], bool],
    *,
    rounds: int,
    gap: float,
    dtype,
    tolerance: float,
) -> Sharpened:
    """Solves the chosen items exactly, round after round, at ever better prices.

    Args:
      problem: the problem on the classes that are planned on.
      sample: the scenarios.
      dual: the dual of the tree kernel.
      point: where its ascent ended.
      chosen: items of each group to solve exactly.
      unchunk: a group's arrays by cell to arrays by item, period and node.
      follow: the tree kernel's point at other prices, for the items not chosen.
      say: called every round with the exact dual value, the largest relative use above
        capacity of the mix, and the prices; True stops.
      rounds: most rounds.
      gap: stop at this share between the master and the exact dual.
      dtype: of the exact solver's steps.
      tolerance: of the exact solver.
    """
    master = Master(problem, chosen, [np.asarray(r.window) for r in dual.rows])
    free = [np.setdiff1d(np.arange(len(g.items)), c)
            for g, c in zip(problem.groups, chosen, strict=True)]  # fmt: skip
    following = any(map(len, free))
    price, reach, best, count = point.price, REACH, None, 0
    while True:
        whole = [unchunk(y, k) for k, y in enumerate(point.targets)]
        room = dual.capacity - dual.gather(_others(problem, dual, point, free, unchunk))
        prices = dual.spread(price)
        found = [
            solve_items(
                problem, k, sample, chosen[k], prices[:, g.network.node],
                whole[k][chosen[k]], dtype=dtype, tolerance=tolerance,
            )
            for k, g in enumerate(problem.groups)
        ]  # fmt: skip
        count += 1
        master.add(prices, found)
        value = sum(float(f.bound.sum()) for f in found) - float(price @ room)
        better = best is None or value > best[0]
        if better:
            best = value, price, found
        reach = float(np.clip(reach * (1.3 if better else 0.5), 0.02, 4.0))
        last = count >= rounds
        if last:  # a plan at last: what is over costs as much as not serving
            low, high = 0 * room, 4 * best[1] + dual.worth
        else:
            spare = 0.05 * reach * dual.worth
            low = np.maximum(best[1] / (1 + reach) - spare, 0)
            high = best[1] * (1 + reach) + spare
        mix = master.solve(room, low, high)
        apart = (mix.value - best[0]) / max(abs(mix.value), 1e-12)
        over = float(np.max(mix.over / dual.scale, initial=0.0))
        if say(value, over, price) or last or apart <= gap:
            break
        price = mix.price
        if following:
            point = follow(price, point)
    for k, items in enumerate(chosen):
        whole[k][items] = mix.target[k]
    rest = tuple(f.rest for f in best[2])
    return Sharpened(best[1], tuple(whole), rest, apart, count)


def _others(problem, dual, point, free, unchunk):
    """What the items that are not chosen use, and the starting stock takes off."""
    use = np.zeros(dual.shape)
    use[1, :, 0] -= dual.carried
    for k, group in enumerate(problem.groups):
        items = free[k]
        if items.size:
            y, sent = unchunk(point.targets[k], k), unchunk(point.sent[k], k)
            volume, node = group.items.volume[items], group.network.node
            window = np.asarray(dual.rows[k].window, float)
            use[:, node] += use_of(volume, window, y[items], sent[items])
    return use

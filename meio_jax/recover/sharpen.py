"""From the tree kernel's prices to exact ones: columns of exact solutions.

Items that matter are solved exactly (K2) at the prices. Each solution is a column of a
restricted master, whose dual prices, kept in a box around the best ones so far (Marsten
et al. 1975), are where they are solved next. The other items follow by the tree kernel.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.dual.exact import Exact, solve_items
from meio_jax.dual.prices import Dual, Point
from meio_jax.dual.use import cell_use, on_hand, total_use
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
    free = [
        np.setdiff1d(np.arange(len(g.items)), c)
        for g, c in zip(problem.groups, chosen, strict=True)
    ]

    def solve(price, targets) -> list[Exact]:
        prices = dual.spread(price)
        paid = problem.paid(prices)
        found = [
            solve_items(
                problem, k, sample, chosen[k], paid[:, group.network.node],
                targets[k][chosen[k]], dtype=dtype, tolerance=tolerance,
            )
            for k, group in enumerate(problem.groups)
        ]  # fmt: skip
        master.add(prices, found)
        return found

    def left(point):
        """What the items that are not chosen leave of the capacities."""
        others = _others(problem, dual, point, free, unchunk)
        return dual.capacity - dual.gather(others)

    def worth(found, price, room) -> float:
        return sum(float(f.bound.sum()) for f in found) - float(price @ room)

    whole = [np.array(unchunk(y, k)) for k, y in enumerate(point.targets)]
    price, reach, room, count = point.price, REACH, left(point), 1
    found = solve(price, whole)
    best = _Best(worth(found, price, room), price, found)
    while True:
        last = count >= rounds
        if last:  # a plan at last: what is over costs as much as not serving
            low, high = 0 * room, 4 * best.price + dual.worth
        else:
            spare = 0.05 * reach * dual.worth
            low = np.maximum(best.price / (1 + reach) - spare, 0)
            high = best.price * (1 + reach) + spare
        mix = master.solve(room, low, high)
        apart = (mix.value - best.value) / max(abs(mix.value), 1e-12)
        over = float(np.max(mix.over / dual.scale, initial=0.0))
        if say(best.value, over, price) or last or apart <= gap:
            break
        price = mix.price
        if any(map(len, free)):
            point = follow(price, point)
            room = left(point)
        found, count = solve(price, whole), count + 1
        value = worth(found, price, room)
        better = value > best.value
        if better:
            best = _Best(value, price, found)
        reach = float(np.clip(reach * (1.3 if better else 0.5), 0.02, 4.0))
    whole = [np.array(unchunk(y, k)) for k, y in enumerate(point.targets)]
    for k, items in enumerate(chosen):
        whole[k][items] = mix.target[k]
    rest = tuple(f.rest for f in best.found)
    return Sharpened(best.price, tuple(whole), rest, apart, count)


class _Best(NamedTuple):
    """Where the exact dual was the highest so far."""

    value: float
    price: Float[np.ndarray, " capacities"]
    found: list[Exact]


def _others(problem, dual, point, free, unchunk):
    """What the items that are not chosen use, and the starting stock takes off."""
    use = np.zeros(dual.shape)
    use[1, :, 0] -= dual.carried
    for k, group in enumerate(problem.groups):
        items = free[k]
        if items.size:
            y, sent = (unchunk(x[k], k)[items] for x in (point.targets, point.sent))
            stock = on_hand(np.asarray(dual.rows[k].window, float), y, sent)
            uses = cell_use(group.items.volume[items], stock, y, sent)
            use[:, group.network.node] += total_use(uses)
    return problem.with_passing(use)

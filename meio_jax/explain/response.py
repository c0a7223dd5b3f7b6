"""The best level of one node while the other nodes keep theirs, exactly, by sorting.

    f(y) = charge y + sum_k weight_k (demand_k - y)^+        over 0 <= y <= most

Convex, with breaks at the demands alone: its least minimiser is 0, a demand, or the
most. `demand` is what is left of a pool's demand once the other nodes of the pool have
served theirs, and may be negative.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Breaks(NamedTuple):
    """The breaks of many cells' costs, sorted once for any charges and weights.

    Attributes:
      demand: in rising order, units; none is below 0, which changes no minimiser.
      order: place of each among the demands that were given.
      most: the largest level allowed, units.
    """

    demand: Float[np.ndarray, "*cells breaks"]
    order: Int[np.ndarray, "*cells breaks"]
    most: Float[np.ndarray, "*cells"]


def sort_breaks(
    demand: Float[np.ndarray, "*cells breaks"], most: Float[np.ndarray, "*cells"]
) -> Breaks:
    """The breaks of cells with these demands.

    Args:
      demand: units; what the other nodes leave of a pool's demand.
      most: the largest level allowed, units, >= 0.
    """
    order = np.argsort(demand, axis=-1, kind="stable")
    ranked = np.take_along_axis(demand, order, axis=-1)
    return Breaks(np.maximum(ranked, 0), order, most)


def best_level(
    breaks: Breaks,
    charge: Float[np.ndarray, "*cells"],
    weight: Float[np.ndarray, "*cells breaks"],
) -> Float[np.ndarray, "*cells"]:
    """The least level that minimises the cost of each cell.

    First-order condition: the charge is no less than the weights of the demands above
    the level, and less than those of the demands at it or above.

    Args:
      breaks: of the cells.
      charge: money per unit of the level.
      weight: money per unit of each demand above it times its chance, >= 0, in the
        order in which the demands were given.
    """
    ranked = np.take_along_axis(weight, breaks.order, axis=-1)
    total = ranked.sum(axis=-1, keepdims=True)
    above = total - np.cumsum(ranked, axis=-1)
    tiny = 1e-9 * (np.abs(charge)[..., None] + total)  # rounding of the sums
    enough = charge[..., None] >= above - tiny
    first = np.argmax(enough, axis=-1)[..., None]
    level = np.take_along_axis(breaks.demand, first, axis=-1)[..., 0]
    level = np.where(enough[..., -1], level, breaks.most)
    none = charge >= total[..., 0] - tiny[..., 0]
    return np.where(none, 0, np.minimum(level, breaks.most))


def whole_level(
    breaks: Breaks,
    charge: Float[np.ndarray, "*cells"],
    weight: Float[np.ndarray, "*cells breaks"],
    level: Float[np.ndarray, "*cells"],
) -> Float[np.ndarray, "*cells"]:
    """The better whole number beside the best level, the lower one of two alike.

    Args:
      breaks: of the cells.
      charge: money per unit of the level.
      weight: of each demand, as for `best_level`.
      level: from it.
    """
    low = np.floor(level + 1e-9)
    gain = unit_gain(breaks, weight, low)
    rise = (level > low + 1e-9) & (gain > charge + 1e-12) & (low + 1 <= breaks.most)
    return low + rise


def unit_gain(
    breaks: Breaks,
    weight: Float[np.ndarray, "*cells breaks"],
    level: Float[np.ndarray, "*cells"],
) -> Float[np.ndarray, "*cells"]:
    """What one unit above a level saves on shortages, money.

    Args:
      breaks: of the cells.
      weight: of each demand, as for `best_level`.
      level: units, >= 0.
    """
    ranked = np.take_along_axis(weight, breaks.order, axis=-1)
    missed = np.clip(breaks.demand - level[..., None], 0, 1)
    return (ranked * missed).sum(axis=-1)

"""Rules that look at one node at a time, or at the nation as one: no capacities."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from meio_jax.problem import Problem
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.lab import Decision
from meio_jax.sim.recipe import AbstractRecipe, clip, decision, whole_targets
from meio_jax.sim.windows import Windows, assorted, home_volume, home_windows

Share = Float[np.ndarray, " nodes"]


class NodeRule(AbstractRecipe):
    """A rule for a few items at a time that knows of no capacity, rounded and clipped.

    Attributes:
      name: shown in tables.
      rule: from windows, and each node's share of the volume at home of all items of
        the group, to targets, which may be fractional.
    """

    name: str
    rule: Callable[[Windows, Share], Float[np.ndarray, "items periods nodes"]]

    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """The rule's targets, chunk by chunk of items."""
        held, targets = assorted(problem, sample), []
        for k, group in enumerate(held.groups):
            volume = home_volume(group, sample).sum(axis=0)
            share = volume / max(volume.sum(), 1e-12)
            parts = [self.rule(w, share) for w in home_windows(held, k, sample)]
            targets.append(whole_targets(held, k, np.concatenate(parts)))
        return decision(self.name, problem, clip(held, sample, tuple(targets)))


def quantile(
    demand: Float[np.ndarray, "*cells scenarios"],
    weight: Float[np.ndarray, " scenarios"],
    ratio: Float[np.ndarray, "*cells"],
) -> Float[np.ndarray, "*cells"]:
    """The smallest sample S with P(D <= S) >= ratio; 0 where the ratio is not positive.

    Args:
      demand: samples.
      weight: their weights, summing to 1.
      ratio: critical ratios, below 1.
    """
    demand, below = _sorted(demand, weight)
    rank = (below < ratio[..., None] - 1e-12).sum(axis=-1, keepdims=True)
    rank = np.minimum(rank, demand.shape[-1] - 1)
    return np.where(ratio > 0, np.take_along_axis(demand, rank, -1)[..., 0], 0)


def _sorted(demand, weight):
    """Samples from small to large and P(D <= sample) by rank."""
    if np.ptp(weight) < 1e-12:
        return np.sort(demand, axis=-1), np.arange(1, len(weight) + 1) / len(weight)
    order = np.argsort(demand, axis=-1, kind="stable")
    return np.take_along_axis(demand, order, -1), np.cumsum(weight[order], axis=-1)


def national(windows: Windows) -> Float[np.ndarray, "items periods"]:
    """Newsvendor of an item as if all nodes were one, within the sums of the bounds.

    A unit short is lost; both costs are means over nodes by demand.
    """
    volume = windows.rate.sum(axis=1) + 1e-12
    usual = volume / volume.sum(axis=1, keepdims=True)
    u, h = (np.sum(x * usual, axis=1) for x in (windows.lost, windows.holding))
    pooled = windows.demand.sum(axis=2)
    ratio = np.broadcast_to((u / np.maximum(h + u, 1e-30))[:, None], pooled.shape[:2])
    total = quantile(pooled, windows.weight, ratio)
    low, high = (x.sum(axis=2) for x in (windows.lower, windows.upper))
    return np.clip(np.ceil(total - 1e-6), np.ceil(low), high)


def place(
    windows: Windows,
    u: Float[np.ndarray, "items nodes"],
    total: Float[np.ndarray, "items periods"],
) -> Float[np.ndarray, "items periods nodes"]:
    """The split of a total over nodes that costs least if each serves its own demand.

    Args:
      windows: demand of some items.
      u: money per unit short.
      total: units to split; what does not fit below the largest targets is not placed.
    """
    ends, below = _sorted(windows.demand, windows.weight)
    below = np.broadcast_to(below, ends.shape)
    below = np.concatenate([np.zeros_like(below[..., :1]), below], axis=-1)
    low = windows.lower[..., None]
    above = np.maximum(ends[..., -1:], low) + total[..., None, None]
    ends = np.concatenate([ends, above], axis=-1)
    ends = np.clip(ends, low, windows.upper[..., None])
    width = np.diff(ends, axis=-1, prepend=low)
    u, h = u[:, None, :, None], windows.holding[:, None, :, None]
    worth = (u - (h + u) * below).reshape(*total.shape, -1)
    worth /= np.maximum(np.max(h + u, axis=2, keepdims=True)[..., 0], 1e-30)
    worth = worth.round(9)  # equal values stay so at any scale of money
    flat = width.reshape(worth.shape)
    order = np.argsort(-worth, axis=-1, kind="stable")
    wide = np.take_along_axis(flat, order, -1)
    budget = (total - windows.lower.sum(axis=2))[..., None]
    taken = np.clip(budget - (np.cumsum(wide, axis=-1) - wide), 0, wide)
    units = np.empty_like(flat)
    np.put_along_axis(units, order, taken, -1)
    return windows.lower + units.reshape(width.shape).sum(axis=-1)

"""Room that a plan keeps free in storage for what single scenarios hold above the mean.

Storage holds in expectation in the model; on a single path orders come early or late
and demand is high or low. With swings e of stock around its mean, and a simulation that
charges o per unit of volume above storage, keeping x free costs price * x and saves
o E (e - x)^+: a newsvendor, whose x is the 1 - price / o quantile of e, or none where
the price of storage is above what overage costs.
"""

import numpy as np
from jaxtyping import Float

from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample

MOST = 0.5  # of a capacity that is kept free


def swings(problem: Problem, sample: Sample) -> tuple[np.ndarray, ...]:
    """Stock on the shelf above its mean, "nodes scenarios" of each group, in units of
    what a node ships in a mean period.

    Orders bring what was sold in the period before; at the start of a period those of
    the last periods that take longer are still under way. What a node ships moves with
    its home demand.

    Args:
      problem: the problem.
      sample: its scenarios.
    """
    found = []
    for k, group in enumerate(problem.groups):
        lead, load = sample.lead[k][:, 0], _loads(problem, group, sample)
        away = np.zeros(lead.shape)
        for age in range(int(lead.max(initial=0))):
            late = np.roll(lead, age, axis=1) > age
            away += late * np.roll(load, age + 1, axis=1)
        found.append((away @ sample.weight)[:, None] - away)
    return tuple(found)


def _loads(problem: Problem, group: Group, sample: Sample):
    """Volume of each node's home demand in the first period of each scenario, as a
    multiple of its mean."""
    demand, slot = group.demand, sample.slot[:, 0]
    slots = int(max(slot.max(), demand.slot.max(initial=0))) + 1
    item = np.repeat(np.arange(len(group.items)), np.diff(demand.start))
    volume = np.zeros((slots, group.regions))
    np.add.at(
        volume, (demand.slot, demand.region), demand.quantity * group.items.volume[item]
    )
    load = (volume @ group.at_home)[slot].T * sample.factor[:, 0]
    mean = load @ sample.weight
    return np.where(mean[:, None] > 0, load / np.maximum(mean, 1e-300)[:, None], 1.0)


def room_kept(
    problem: Problem,
    swings: tuple[Float[np.ndarray, "nodes scenarios"], ...],
    weight: Float[np.ndarray, " scenarios"],
    shipped: tuple[Float[np.ndarray, "periods nodes"], ...],
    price: Float[np.ndarray, "all_nodes periods"],
) -> Float[np.ndarray, "all_nodes periods"]:
    """Volume of storage to keep free; 0 where overage costs nothing.

    Args:
      problem: the problem.
      swings: as `swings` gives them.
      weight: of the scenarios, summing to 1.
      shipped: volume that each group ships in a mean period.
      price: of storage, money per unit of volume and period.
    """
    above = np.zeros((*problem.storage.shape, len(weight)))
    for group, swing, sent in zip(problem.groups, swings, shipped, strict=True):
        above[group.network.node] += sent.T[:, :, None] * swing[:, None, :]
    cost = np.broadcast_to(problem.overage, problem.storage.shape)
    level = 1 - price / np.where(cost > 0, cost, 1)
    order = np.argsort(above, axis=2)
    below = np.cumsum(weight[order], axis=2)
    rank = (below < level[:, :, None] - 1e-12).sum(axis=2, keepdims=True)
    rank = np.minimum(rank, len(weight) - 1)
    kept = np.take_along_axis(np.take_along_axis(above, order, 2), rank, 2)[:, :, 0]
    wanted = (cost > 0) & (level > 0) & np.isfinite(problem.storage)
    most = MOST * np.where(np.isfinite(problem.storage), problem.storage, 0)
    return np.where(wanted, np.clip(kept, 0, most), 0)

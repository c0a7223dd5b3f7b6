"""Demand while an order is on its way: all regions together, on paths of chance."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.problem import Group, Problem
from meio_jax.supply.chain import Offers

BATCH = 256  # offers whose paths are held at once


class LeadDemand(NamedTuple):
    """Draws of what happens between an order and the next one's arrival.

    Attributes:
      demand: units asked for from the order's period until the one that it serves.
      arrival: period that it serves; the last one for all after it.
      prob: of each draw.
      mean: mean demand of an offer's item in each period, units.
      wait: periods from an order to what it serves.
    """

    demand: Float[np.ndarray, "offers periods draws"]
    arrival: Int[np.ndarray, "offers periods draws"]
    prob: Float[np.ndarray, " draws"]
    mean: Float[np.ndarray, "offers periods"]
    wait: Int[np.ndarray, "offers draws"]


def lead_demand(
    problem: Problem, group: Group, offers: Offers, *, seed: int, block: int = 4,
    recent: int = 0, common: float = 0.0,
) -> LeadDemand:  # fmt: skip
    """Demand over the lead times of offers, and over what is left of a review period.

    The law is that of the plan's scenarios: blocks of history, the same for all items;
    the user's own paths, whose last period is repeated; or forecasts, gamma with the
    mean and the spread of the periods on the way. All periods meet the same draws, so
    that levels do not move with noise. Orders are placed at the start of a period; one
    that arrives in a later period is there when that period's demand comes.

    Args:
      problem: periods, and where demand comes from.
      group: whose demand it is.
      offers: of the group's items, with equally likely lead times.
      seed: of the draws.
      block: periods in a block of history.
      recent: last periods of history to draw from; 0 for all.
      common: coefficient of variation of the factor common to a forecast's items.
    """
    periods, draws = problem.periods, offers.lead.shape[1]
    if problem.kind == "scenarios":  # every scenario as often
        draws = len(problem.weight) * -(-draws // len(problem.weight))
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 5])))
    at = rng.permutation(draws) * offers.lead.shape[1] // draws
    dice = (rng.permutation(draws) + 0.5) / draws
    wait = np.floor(offers.lead[:, at] + dice).astype(int)
    wait = wait + rng.permutation(draws) % offers.review[:, None]
    mean, std = national(problem, group)
    path = periods + int(wait.max(initial=0))
    prob = np.full(draws, 1 / draws)
    begin = np.arange(periods)
    if problem.kind == "history":
        use = min(recent, problem.slots) if recent else problem.slots
        block, length = min(block, use), max(path - periods, 1)
        start = rng.integers(0, use - block + 1, size=(draws, -(-length // block)))
        slot = (start[:, :, None] + np.arange(block)).reshape(draws, -1)[:, :length]
        slot = slot + problem.slots - use
        total = _on_paths(mean, offers.item, slot, wait, np.zeros(1, int))
        usual = mean[:, slot].mean(axis=(1, 2))[:, None]
    elif problem.kind == "scenarios":
        prob = np.tile(problem.weight, draws // len(problem.weight))
        prob = prob / prob.sum()
        length = problem.slots // len(problem.weight)
        scenario = np.arange(draws) % len(problem.weight)
        slot = np.minimum(np.arange(path), length - 1)
        slot = scenario[:, None] * length + slot
        total = _on_paths(mean, offers.item, slot, wait, begin)
        usual = np.einsum("w,iwt->it", prob, mean[:, slot[:, :periods]])
    else:
        slot = np.minimum(np.arange(path), problem.slots - 1)
        level, spread = mean[:, slot], std[:, slot] ** 2 + (common * mean[:, slot]) ** 2
        rank = (rng.permutation(draws) + 0.5) / draws
        total = _gamma(level, spread, offers.item, wait, begin, rank)
        usual = level[:, :periods]
    shape = offers.size, periods
    arrival = np.minimum(begin[None, :, None] + wait[:, None], periods - 1)
    total = np.broadcast_to(total, (*shape, draws))
    usual = np.broadcast_to(usual, (len(mean), periods))
    return LeadDemand(total, arrival, prob, usual[offers.item], wait)


def national(problem: Problem, group: Group):
    """Demand of each item in each slot, all regions: mean and standard deviation."""
    demand, count = group.demand, len(group.items)
    item = np.repeat(np.arange(count), np.diff(demand.start))
    mean, variance = np.zeros((2, count, problem.slots))
    np.add.at(mean, (item, demand.slot), demand.quantity)
    np.add.at(variance, (item, demand.slot), demand.std**2)
    return mean, np.sqrt(variance)


def _on_paths(mean, item, slot, wait, begin):
    """Sums of demand from periods on, as many as each draw waits, by paths of slots."""
    draw = np.arange(len(slot))
    total = np.zeros((len(item), len(begin), len(slot)))
    for first in range(0, len(item), BATCH):
        part = slice(first, min(first + BATCH, len(item)))
        sums = np.cumsum(mean[item[part]][:, slot], axis=2)
        sums = np.pad(sums, ((0, 0), (0, 0), (1, 0)))
        row = np.arange(len(sums))[:, None, None]
        end = begin[None, :, None] + wait[part][:, None]
        total[part] = sums[row, draw, end] - sums[row, draw, begin[:, None]]
    return total


def _gamma(level, variance, item, wait, begin, rank):
    """Gamma sums of demand with the mean and variance of the periods waited for."""
    from scipy.special import gammaincinv

    sums = [np.pad(np.cumsum(x, axis=1), ((0, 0), (1, 0))) for x in (level, variance)]
    end = begin[None, :, None] + wait[:, None]
    row = item[:, None, None]
    mean, spread = (x[row, end] - x[row, begin[:, None]] for x in sums)
    random = (spread > 0) & (mean > 0)
    shape = np.where(random, mean**2 / np.where(random, spread, 1), 1.0)
    return np.where(random, gammaincinv(shape, rank) * mean / shape, mean)

"""Demand while an order is on its way: all regions together, on paths of chance."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import moving_blocks
from meio_jax.supply.chain import Offers, gamma_quantiles

BATCH = 256  # offers whose paths are held at once
OLDER = 64  # periods before, in which what a base sends too much adds up


class LeadDemand(NamedTuple):
    """Draws of what is ordered and has not arrived when an order's time comes.

    Attributes:
      demand: units: what a period's stock is short of the order-up-to level.
      arrival: period that the order of a period serves; the last one for all after it.
      prob: of each draw.
      mean: mean demand of an offer's item in each period, units.
      wait: periods from an order to what it serves.
    """

    demand: Float[np.ndarray, "offers periods draws"]
    arrival: Int[np.ndarray, "offers periods draws"]
    prob: Float[np.ndarray, " draws"]
    mean: Float[np.ndarray, "offers periods"]
    wait: Int[np.ndarray, "offers draws"]


class LeadOrders(NamedTuple):
    """Chance that hangs on no demand: which orders are on their way, and what periods.

    Attributes:
      out: whether what was asked for so many periods ago has not arrived.
      wait: periods from an order to what it serves.
      slot: slots of history that the periods before are, the youngest first; of no
        draws where demand comes from elsewhere.
      rank: of each draw among forecasts, 0 to 1; of none where there are none.
      older: slots of periods before these, where offers have a base.
      base_out: whether what the base of each sent so many periods ago has not arrived.
    """

    out: Bool[np.ndarray, "offers draws ages"]
    wait: Int[np.ndarray, "offers draws"]
    slot: Int[np.ndarray, "slot_draws ages"]
    rank: Float[np.ndarray, " rank_draws"]
    older: Int[np.ndarray, "slot_draws older"]
    base_out: Bool[np.ndarray, "offers draws ages"]

    def take(self, offers: Int[np.ndarray, " chosen"]) -> "LeadOrders":
        """Those of the chosen offers alone."""
        return self._replace(
            out=self.out[offers], wait=self.wait[offers], base_out=self.base_out[offers]
        )


def lead_orders(
    problem: Problem, offers: Offers, *, seed: int, block: int = 4, recent: int = 0,
    crossing: bool = True,
) -> LeadOrders:  # fmt: skip
    """Draws of which orders are on their way: arguments as for `lead_demand`.

    Args:
      problem: where demand comes from.
      offers: with equally likely lead times.
      seed: of the draws.
      block: periods in a block of history.
      recent: last periods of history to draw from; 0 for all.
      crossing: whether each order has a lead time of its own.
    """
    draws = offers.lead.shape[1]
    if problem.kind == "scenarios":  # every scenario as often
        draws = len(problem.weight) * -(-draws // len(problem.weight))
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 5])))
    ages = int(np.ceil(offers.lead.max(initial=0))) + int(offers.review.max(initial=1))
    out, wait = _outstanding(offers, draws, ages, crossing, rng)
    slot, rank = np.zeros((0, ages), int), np.zeros(0)
    use = min(recent, problem.slots) if recent else problem.slots
    if problem.kind == "history":
        slot = moving_blocks(rng, use, min(block, use), draws, ages)
        slot = slot + problem.slots - use
    elif problem.kind == "forecast":
        rank = (rng.permutation(draws) + 0.5) / draws
    older, base_out = np.zeros((len(slot), 0), int), np.zeros_like(out[:, :, :0])
    if (offers.base >= 0).any():
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 6])))
        older = moving_blocks(rng, use, min(block, use), draws, OLDER)
        older, base_out = older + problem.slots - use, out[offers.base]
    return LeadOrders(out, wait, slot, rank, older, base_out)


def lead_demand(
    problem: Problem, group: Group, offers: Offers, *, seed: int, block: int = 4,
    recent: int = 0, common: float = 0.0, crossing: bool = True,
) -> LeadDemand:  # fmt: skip
    """Demand that is on order: of the lead time, and since the last review.

    A period's stock is the level less what is on order and less what has not been
    ordered yet. What was asked for k periods ago was ordered at the next review, j <= k
    periods ago, and is on order while that order's lead time is above j. Where orders
    may cross each draws a lead time of its own, and the spread of what is on order is
    far below that of the demand of one lead time (Zipkin 2000, ch. 7.5); else all wait
    as long as the first.

    The law of demand is that of the plan's scenarios: blocks of history, the same for
    all items; the user's own paths, whose first and last periods are repeated before
    and after; or forecasts, gamma with the mean and the spread of the periods on the
    way. All periods meet the same draws, so that levels do not move with noise.

    Args:
      problem: periods, and where demand comes from.
      group: whose demand it is.
      offers: of the group's items, with equally likely lead times.
      seed: of the draws.
      block: periods in a block of history.
      recent: last periods of history to draw from; 0 for all.
      common: coefficient of variation of the factor common to a forecast's items.
      crossing: whether each order has a lead time of its own.
    """
    orders = lead_orders(
        problem, offers, seed=seed, block=block, recent=recent, crossing=crossing
    )
    return demand_on_order(problem, group, offers, orders, common)


def demand_on_order(
    problem: Problem, group: Group, offers: Offers, orders: LeadOrders, common: float
) -> LeadDemand:
    """`lead_demand` from given draws of orders.

    Args:
      problem: periods, and where demand comes from.
      group: whose demand it is.
      offers: of the group's items.
      orders: which of theirs are on their way.
      common: coefficient of variation of the factor common to a forecast's items.
    """
    out, wait, slot, rank = orders[:4]
    periods, (draws, ages) = problem.periods, out.shape[1:]
    mean, std = national(problem, group)
    prob = np.full(draws, 1 / draws)
    begin = np.arange(periods)
    served = begin + np.median(wait, axis=1).astype(int)[:, None]  # offers periods
    if problem.kind == "history":
        total = _summed(lambda i, s: mean[i][:, slot], offers, out, served[:, :1])
        split = np.flatnonzero(offers.base >= 0)
        for first in range(0, len(split), BATCH):
            part = split[first : first + BATCH]
            path = mean[offers.item[part]][:, np.c_[slot, orders.older]]
            total[part, 0] = _beside_base(path, offers.rate[part], orders.take(part))
        often = np.bincount(slot.ravel(), minlength=problem.slots) / slot.size
        usual = (mean @ often)[:, None]
    elif problem.kind == "scenarios":
        prob = np.tile(problem.weight, draws // len(problem.weight))
        prob = prob / prob.sum()
        length = problem.slots // len(problem.weight)
        path = mean.reshape(len(mean), len(problem.weight), length)
        path = path[:, np.arange(draws) % len(problem.weight)]

        def before(item, period):
            at = np.clip(period[:, None] - 1 - np.arange(ages), 0, length - 1)
            return path[item[:, None, None], np.arange(draws)[:, None], at[:, None]]

        total = _summed(before, offers, out, served)
        usual = np.einsum("w,iwt->it", prob, path)[:, np.minimum(begin, length - 1)]
    else:
        last = problem.slots - 1
        variance = std**2 + (common * mean) ** 2

        def sums(of):
            at = lambda p: np.clip(p[:, None] - 1 - np.arange(ages), 0, last)
            look = lambda i, p: of[i[:, None], at(p)][:, None]
            return _summed(look, offers, out, served)

        total = gamma_quantiles(sums(mean), sums(variance), rank)
        usual = mean[:, np.minimum(begin, last)]
    shape = offers.size, periods
    arrival = np.minimum(begin[None, :, None] + wait[:, None], periods - 1)
    total = np.broadcast_to(total, (*shape, draws))
    usual = np.broadcast_to(usual, (len(mean), periods))
    return LeadDemand(total, arrival, prob, usual[offers.item], wait)


def _outstanding(offers: Offers, draws: int, ages: int, crossing: bool, rng):
    """Whether what was asked for so many periods ago has not arrived, offers by draws
    by ages; and a wait of each draw, from an order to what it serves."""
    shape = draws, ages if crossing else 1
    many = offers.lead.shape[1]
    level = (np.argsort(rng.random(shape), axis=0) * many) // draws  # strata
    dice = (np.argsort(rng.random(shape), axis=0) + 0.5) / draws
    phase = rng.permutation(draws)
    age = np.arange(ages)
    out = np.empty((offers.size, draws, ages), bool)
    wait = np.empty((offers.size, draws), int)
    for k in range(offers.size):
        review = offers.review[k]
        since = (phase % review)[:, None]  # periods since the last review
        placed = since + review * ((age - since) // review)  # age of its order
        own = np.maximum(placed, 0) if crossing else np.zeros_like(placed)
        row = np.arange(draws)[:, None]
        lead = np.floor(offers.lead[k][level[row, own]] + dice[row, own])
        out[k] = (placed < 0) | (lead > placed)
        wait[k] = (lead[:, 0] + since[:, 0]).astype(int)
    return out, wait


def national(problem: Problem, group: Group):
    """Demand of each item in each slot, all regions: mean and standard deviation."""
    demand, count = group.demand, len(group.items)
    item = np.repeat(np.arange(count), np.diff(demand.start))
    mean, variance = np.zeros((2, count, problem.slots))
    np.add.at(mean, (item, demand.slot), demand.quantity)
    np.add.at(variance, (item, demand.slot), demand.std**2)
    return mean, np.sqrt(variance)


def _beside_base(
    path: Float[np.ndarray, "offers draws older"],
    rate: Float[np.ndarray, " offers"],
    orders: LeadOrders,
) -> Float[np.ndarray, "offers draws"]:
    """What stock is short of the level of all that is on hand and on order, where a
    base comes in every period: of both vendors what has not arrived, less what the
    position is above the level since the base is sent whatever demand is.

    Args:
      path: demand of the periods before, the youngest first.
      rate: of the base, units a period.
      orders: which orders have not arrived.
    """
    ages, rate = orders.out.shape[2], rate[:, None]
    above = np.zeros(path.shape[:2])
    short = rate * orders.base_out.sum(axis=2)
    for age in reversed(range(path.shape[2])):
        before = above
        above = np.maximum(before + rate - path[:, :, age], 0)
        if age < ages:
            filled = path[:, :, age] - rate + above - before
            short = short + orders.out[:, :, age] * filled
    return short - above


def _summed(before, offers: Offers, out, served):
    """Demand that has not arrived, offers by periods by draws.

    Args:
      before: demand of items before some periods, "offers draws ages", the youngest
        first.
      offers: whose items.
      out: what has not arrived.
      served: period that the order of each period serves, by offer.
    """
    total = np.zeros((offers.size, served.shape[1], out.shape[1]))
    for first in range(0, offers.size, BATCH):
        part = slice(first, min(first + BATCH, offers.size))
        for t in range(served.shape[1]):
            units = before(offers.item[part], served[part, t])
            total[part, t] = (units * out[part]).sum(axis=2)
    return total

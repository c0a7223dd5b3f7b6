"""Two vendors of one item at once: a base from the cheap one, the rest from the fast.

Tailored base-surge (Allon & Van Mieghem 2010): the slow vendor sends the same in every
period, the fast one brings all that is on hand and on order up to a level. That is an
offer of its own: at a rate its level is a newsvendor's over what is on order
(`draws.demand_on_order`), and items take whichever offer costs least. So no item is
worse off by the model than with the best vendor alone.
"""

import numpy as np

from meio_jax.problem import Group, Problem
from meio_jax.supply.chain import Limits, Offers, Supply
from meio_jax.supply.draws import national

PARTS = np.array([0.15, 0.3, 0.45, 0.6, 0.75, 0.9])  # of mean demand, from the slow one


def with_splits(
    problem: Problem, supplies: tuple[Supply, ...], limits: Limits
) -> tuple[Supply, ...]:
    """Supplies with splits of every item's cheapest offer and each faster, dearer one.

    Where demand comes from history, and neither docks of depots nor a budget are
    limited: prices of these would bear on the base too. Both deliver to the same depots
    and are asked in every period, and the slow one has no minimum above its packs.

    Args:
      problem: the problem.
      supplies: what lies above each group.
      limits: of depots and budget.
    """
    bound = np.isfinite(limits.inbound).any() or np.isfinite(limits.budget).any()
    if problem.kind != "history" or bound:
        return supplies
    every = zip(problem.groups, supplies, strict=True)
    return tuple(
        s._replace(offers=_with(problem, group, s.offers)) for group, s in every
    )


def _with(problem: Problem, group: Group, offers: Offers) -> Offers:
    if not offers.size:
        return offers
    wait = offers.lead.mean(axis=1)
    order = np.lexsort((wait, offers.unit_cost, offers.item))
    first = order[np.diff(offers.item[order], prepend=-1) != 0]
    cheap = np.full(len(group.items), -1)
    cheap[offers.item[first]] = first
    slow, fast = cheap[offers.item], np.arange(offers.size)
    pair = (offers.unit_cost[fast] > offers.unit_cost[slow]) & (wait[fast] < wait[slow])
    pair &= (offers.serves[fast] == offers.serves[slow]).all(axis=1)
    pair &= (offers.review[fast] == 1) & (offers.review[slow] == 1)
    pair &= offers.least[slow] <= np.maximum(offers.multiple[slow], 1)
    mean = national(problem, group)[0].mean(axis=1)[offers.item]
    fast, part = (x.ravel() for x in np.meshgrid(fast[pair], PARTS, indexing="ij"))
    slow, rate = slow[fast], part * mean[fast]
    keep = (rate > 0) & (rate <= offers.capacity[slow])
    fast, slow, rate = fast[keep], slow[keep], rate[keep]
    more = offers.take(fast)._replace(base=slow, rate=rate)
    return Offers(*(np.concatenate(x) for x in zip(offers, more, strict=True)))

"""What policies buy: decisions as depots of the simulator, and what practice does."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from meio_jax.config import Scenarios
from meio_jax.problem import Problem
from meio_jax.sim.depots import Depots, vendor_terms
from meio_jax.sim.nodewise import quantile
from meio_jax.supply.chain import Limits, Supply
from meio_jax.supply.draws import lead_demand
from meio_jax.supply.levels import POINTS
from meio_jax.supply.plan import reach, source_of

HALVINGS = 10  # of the share of stock that is kept


class Buying(NamedTuple):
    """From whom a policy buys the items of a group, up to which level, for whom.

    Attributes:
      offer: of each item; -1 for none.
      level: echelon order-up-to levels, units.
      source: depot of each node; -1 for outside.
      share: of an item's orders that goes to each depot.
      along: targets at falling points of the price of rationing, the first 0, the last
        the policy's own.
    """

    offer: Int[np.ndarray, " items"]
    level: Float[np.ndarray, "items periods"]
    source: Int[np.ndarray, "items nodes"]
    share: Float[np.ndarray, "items depots"]
    along: Float[np.ndarray, "points items periods nodes"]


def depots_of(supply: Supply, bought: Buying, nodes: int) -> Depots:
    """A policy's decision as depots, whose buildings come after all nodes.

    Args:
      supply: what lies above the group.
      bought: the decision.
      nodes: buildings below.
    """
    full = lambda x: jnp.asarray(x, jnp.float32)
    return Depots(
        place=jnp.asarray(nodes + supply.depot),
        source=jnp.asarray(bought.source.T),
        level=full(bought.level.T),
        share=full(bought.share.T),
        along=full(bought.along.transpose(0, 2, 3, 1)),
        holding=full(supply.holding.T),
        **vendor_terms(supply.offers, bought.offer),
    )


def pooled(
    problem: Problem,
    supplies: tuple[Supply, ...],
    limits: Limits,
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...],
    options: Scenarios,
    *,
    crossing: bool = True,
) -> tuple[Buying, ...]:
    """Bought nationally, sent in proportion: what practice does above any targets.

    The cheapest offer of an item that reaches most nodes; a level that is one national
    newsvendor over what is on order when vendor and lane take their time, at the
    penalty and the lost-sales convention of `supply.levels`; depots cut to their room,
    all items keeping the same share of what is above lead times and targets; what is
    scarce is divided by targets.

    Args:
      problem: the problem.
      supplies: what lies above each group.
      limits: capacities of depots; a budget is not seen.
      targets: of the policy, units.
      options: of the scenarios that policies decide on.
      crossing: whether each order to a vendor has a lead time of its own.
    """
    draw = lambda group, offers: lead_demand(
        problem, group, offers, seed=options.seed, block=options.block,
        recent=options.recent, common=options.common, crossing=crossing,
    )  # fmt: skip
    found, kept = [], []
    for group, supply, y in zip(problem.groups, supplies, targets, strict=True):
        ways = reach(group, supply, y.mean(axis=1))
        offer = _cheapest(supply, ways.unreached, len(group.items))
        has = np.flatnonzero(offer >= 0)
        offers = supply.offers.take(offer[has])
        share, level = np.zeros((len(offer), len(supply.depot))), np.zeros(y.shape[:2])
        share[has] = ways.share[offer[has]]
        far = offers.lead + group.network.lead_mean.mean() + 1
        wait = far.mean(axis=1) + (offers.review - 1) / 2
        penalty = (group.items.penalty * group.network.spread)[has]
        if not group.waits:
            penalty = penalty / wait
        hold = (share * supply.holding).sum(axis=1)[has]
        ratio = (penalty / np.maximum(penalty + hold, 1e-12))[:, None]
        ratio = np.broadcast_to(ratio, (len(has), problem.periods))
        total = draw(group, offers._replace(lead=far))
        level[has] = np.ceil(quantile(total.demand, total.prob, ratio))
        step = np.linspace(0, 1, POINTS + 1).reshape(-1, 1, 1, 1)
        found.append(Buying(offer, level, source_of(ways, offer), share, step * y))
        lead = draw(group, offers)
        kept.append(
            _Kept(has, lead.demand, lead.prob, y.sum(axis=2)[has],
                  group.items.volume[has], supply.depot)
        )  # fmt: skip
    return _cut(tuple(found), kept, limits.storage.min(axis=1))


def _cheapest(supply: Supply, unreached, count: int) -> Int[np.ndarray, " items"]:
    offers, out = supply.offers, np.full(count, -1)
    far = np.round(unreached, 9)
    order = np.lexsort((offers.lead.mean(axis=1), offers.unit_cost, far, offers.item))
    order = order[offers.base[order] < 0]
    first = np.diff(offers.item[order], prepend=-1) != 0
    out[offers.item[order][first]] = order[first]
    return out


class _Kept(NamedTuple):
    """What decides how much stays at depots: of items with an offer."""

    has: Int[np.ndarray, " some"]
    demand: Float[np.ndarray, "some periods draws"]
    prob: Float[np.ndarray, " draws"]
    below: Float[np.ndarray, "some periods"]
    volume: Float[np.ndarray, " some"]
    depot: Int[np.ndarray, " depots"]


def _cut(found: tuple[Buying, ...], kept: list[_Kept], room) -> tuple[Buying, ...]:
    """Levels at which what is kept fits into every depot in expectation."""

    def tried(part: float):
        use, cut = np.zeros(len(room)), []
        for bought, own in zip(found, kept, strict=True):
            level = bought.level.copy()
            base = np.minimum(own.demand @ own.prob + own.below, level[own.has])
            level[own.has] = np.floor(base + part * (level[own.has] - base))
            left = level[own.has] - own.below
            left = np.maximum(left[:, :, None] - own.demand, 0) @ own.prob
            use[own.depot] += bought.share[own.has].T @ (own.volume * left.mean(axis=1))
            cut.append(bought._replace(level=level))
        return bool((use <= room).all()), tuple(cut)

    fits, best = tried(1.0)
    low, high = 0.0, 1.0
    for _ in range(0 if fits else HALVINGS):
        middle = (low + high) / 2
        inside, cut = tried(middle)
        low, high, best = (middle, high, cut) if inside else (low, middle, best)
    return best if fits or low else tried(0.0)[1]

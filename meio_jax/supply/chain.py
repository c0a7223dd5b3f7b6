"""Who supplies a group's nodes: depots, their lanes, offers of vendors, stock."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Lanes(NamedTuple):
    """Ways from depots to the nodes of a group; inf cost where there is none.

    Attributes:
      unit_cost: money per unit.
      cost_per_volume: money per unit of volume.
      cost_per_weight: money per unit of weight.
      lead: mean lead time, periods.
      capacity: units in a period; inf for no limit.
      multiple: whole units that are sent together, >= 1.
      via: node of the group through which the way leads; -1 for none.
    """

    unit_cost: Float[np.ndarray, "depots nodes"]
    cost_per_volume: Float[np.ndarray, "depots nodes"]
    cost_per_weight: Float[np.ndarray, "depots nodes"]
    lead: Float[np.ndarray, "depots nodes"]
    capacity: Float[np.ndarray, "depots nodes"]
    multiple: Float[np.ndarray, "depots nodes"]
    via: Int[np.ndarray, "depots nodes"]


class Offers(NamedTuple):
    """What vendors offer, an item and a vendor's terms a row.

    Attributes:
      item: item of the group.
      vendor: position of the vendor's name.
      serves: depots that it delivers to on these terms.
      unit_cost: money per unit.
      lead: lead times of equal chance, periods, ascending.
      least: least quantity of an order, units.
      multiple: order quantities are whole multiples of it, units.
      capacity: most units of an order.
      review: periods between orders, whole.
      base: offer that sends `rate` in every period beside it (`split`); -1 for none.
      rate: units a period.
    """

    item: Int[np.ndarray, " offers"]
    vendor: Int[np.ndarray, " offers"]
    serves: Bool[np.ndarray, "offers depots"]
    unit_cost: Float[np.ndarray, " offers"]
    lead: Float[np.ndarray, "offers draws"]
    least: Float[np.ndarray, " offers"]
    multiple: Float[np.ndarray, " offers"]
    capacity: Float[np.ndarray, " offers"]
    review: Int[np.ndarray, " offers"]
    base: Int[np.ndarray, " offers"]
    rate: Float[np.ndarray, " offers"]

    def take(self, chosen: Int[np.ndarray, " chosen"]) -> "Offers":
        """The chosen ones; their bases keep their places among all."""
        return Offers(*(x[chosen] for x in self))

    @property
    def size(self) -> int:
        """How many."""
        return len(self.item)


class Supply(NamedTuple):
    """What lies above the nodes of one group.

    Attributes:
      depot: position of each depot among all of them.
      lanes: from depots to nodes.
      offers: of vendors.
      holding: money per unit left at a depot at the end of a period.
      stock: units on hand at depots; None where the user gave no inventory.
      due: units on their way to depots, by the period in which they arrive.
      vendor: that delivers to each node where no depot does; -1 for outside.
      unit_cost: money per unit that it asks for.
    """

    depot: Int[np.ndarray, " depots"]
    lanes: Lanes
    offers: Offers
    holding: Float[np.ndarray, "items depots"]
    stock: Float[np.ndarray, "items depots"] | None
    due: Float[np.ndarray, "items depots periods"]
    vendor: Int[np.ndarray, "items nodes"]
    unit_cost: Float[np.ndarray, "items nodes"]


class Limits(NamedTuple):
    """Capacities above fulfilment, shared by all items.

    Attributes:
      storage: volume that fits into a depot; inf for no limit.
      inbound: units that a depot receives in a period.
      budget: money that may be spent on orders of a period.
    """

    storage: Float[np.ndarray, "all_depots periods"]
    inbound: Float[np.ndarray, "all_depots periods"]
    budget: Float[np.ndarray, " periods"]


def quantiles(mean, std, count: int = 256) -> Float[np.ndarray, "offers draws"]:
    """Lead times of equal chance with a mean and a spread: quantiles of gamma laws.

    Args:
      mean: of each law, periods.
      std: standard deviation, periods; 0 for a lead time that is certain.
      count: how many.
    """
    mean, std = np.asarray(mean, float)[:, None], np.asarray(std, float)[:, None]
    drawn = gamma_quantiles(mean, std**2, (np.arange(count) + 0.5) / count)
    found = drawn.mean(axis=1, keepdims=True)
    return drawn * np.where(found > 0, mean / np.where(found > 0, found, 1), 1)


def observed_quantiles(observed, count: int = 256) -> Float[np.ndarray, " draws"]:
    """Lead times of equal chance whose law is that of observations, their mean kept.

    Args:
      observed: lead times, periods; at least one.
      count: how many.
    """
    drawn = np.quantile(observed, (np.arange(count) + 0.5) / count)
    mean, found = np.mean(observed), drawn.mean()
    return drawn * (mean / found if found > 0 else 1.0)


def gamma_quantiles(mean, variance, level):
    """Quantiles of gamma laws with a mean and a variance; the mean where there is none.

    Args:
      mean: of each law, >= 0.
      variance: of each law, >= 0.
      level: probabilities, above 0 and below 1.
    """
    from scipy.special import gammaincinv

    random = (variance > 0) & (mean > 0)
    shape = np.where(random, mean**2 / np.where(random, variance, 1), 1.0)
    return np.where(random, gammaincinv(shape, level) * mean / shape, mean)


def lane_costs(lanes: Lanes, volume, weight) -> Float[np.ndarray, "i d n"]:
    """What it costs to send a unit of each item, money; inf where no way leads.

    Args:
      lanes: the ways.
      volume: of a unit of each item.
      weight: of a unit of each item.
    """
    of = lambda x: np.asarray(x, float)[:, None, None]
    there = np.isfinite(lanes.unit_cost)
    bare = lambda x: np.where(there, x, 0)
    cost = lanes.unit_cost + of(volume) * bare(lanes.cost_per_volume)
    return cost + of(weight) * bare(lanes.cost_per_weight)


def sources(
    cost: Float[np.ndarray, "items depots nodes"], serves: Bool[np.ndarray, "i d"]
) -> Int[np.ndarray, "items nodes"]:
    """The depot that each node is supplied from at least cost; -1 for none.

    Args:
      cost: of a unit on its way, money; inf where no way leads.
      serves: depots that an item can be bought to.
    """
    if not cost.shape[1]:
        return np.full((len(cost), cost.shape[2]), -1)
    open_ = np.where(serves[:, :, None], cost, np.inf)
    best = open_.argmin(axis=1)
    none = ~np.isfinite(open_.min(axis=1))
    return np.where(none, -1, best)


def take_supply(supply: Supply, item: int) -> Supply:
    """What lies above the nodes of one item."""
    own = np.flatnonzero(supply.offers.item == item)
    offers = supply.offers.take(own)
    base = np.where(offers.base < 0, -1, np.searchsorted(own, offers.base))
    offers = offers._replace(item=np.zeros_like(own), base=base)
    one = slice(item, item + 1)
    return supply._replace(
        offers=offers, holding=supply.holding[one], due=supply.due[one],
        stock=None if supply.stock is None else supply.stock[one],
        vendor=supply.vendor[one], unit_cost=supply.unit_cost[one],
    )  # fmt: skip

"""Depots above nodes: what their decisions and their stock are."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from meio_jax.supply.chain import Offers
from meio_jax.supply.schedule import whole_packs


class Base(eqx.Module):
    """What vendors send in every period, whatever stock is.

    Attributes:
      rate: units a period; 0 for items without.
      packs: units of a pack.
      lead: lead times of equal chance, ascending.
    """

    rate: Float[Array, " items"]
    packs: Float[Array, " items"]
    lead: Float[Array, "items draws"]

    def now(self, period: Int[Array, ""]) -> Float[Array, " items"]:
        """Units ordered in a period."""
        return whole_packs(self.rate, self.packs, period)


class Depots(eqx.Module):
    """How one system is supplied: vendors, depots, nodes; fixed before the paths are.

    Attributes:
      place: building of each depot.
      source: depot of each node and item; -1 for outside, where stock never ends.
      level: echelon order-up-to level: all that is on hand and on order, at depots and
        nodes, units; past the last period the last holds.
      share: of an item's orders that goes to each depot.
      along: targets at falling points of the price of rationing, the first 0.
      lead: lead times of equal chance of an order to the item's vendor, ascending.
      review: periods between orders, whole.
      least: least quantity of an order, units.
      multiple: orders are whole multiples of it, units.
      most: most units of an order.
      premium: money per unit above what the cheapest vendor asks for.
      holding: money per unit left at a depot at the end of a period.
      base: what another vendor, the cheapest, sends in every period; None for nothing.
    """

    place: Int[Array, " depots"]
    source: Int[Array, "nodes items"]
    level: Float[Array, "periods items"]
    share: Float[Array, "depots items"]
    along: Float[Array, "points periods nodes items"]
    lead: Float[Array, "items draws"]
    review: Int[Array, " items"]
    least: Float[Array, " items"]
    multiple: Float[Array, " items"]
    most: Float[Array, " items"]
    premium: Float[Array, " items"]
    holding: Float[Array, "depots items"]
    base: Base | None = None


class Upstream(eqx.Module):
    """Stock of the depots of one system when a period starts.

    Attributes:
      store: units on the shelf.
      coming: units on their way from vendors by the period in which they arrive, the
        first one as 0; the last row is for all after the last period.
      waiting: units outside a depot whose dock was full.
    """

    store: Float[Array, "depots items paths"]
    coming: Float[Array, "arrivals depots items paths"]
    waiting: Float[Array, "depots items paths"]

    @property
    def on_order(self) -> Float[Array, "depots items paths"]:
        """Units ordered and not received."""
        return self.coming.sum(axis=0) + self.waiting


def vendor_terms(offers: Offers, offer: Int[np.ndarray, " items"]) -> dict[str, Any]:
    """The fields of `Depots` that say how the vendor of each item delivers.

    Args:
      offers: of vendors.
      offer: of each item; -1 for none, which is as dear as the cheapest and not used.
    """
    chosen, has = np.maximum(offer, 0), offer >= 0
    least = np.full(len(offer), np.inf)
    np.minimum.at(least, offers.item, offers.unit_cost)
    of = lambda x: x[chosen] if offers.size else np.zeros((len(offer), *x.shape[1:]))
    full = lambda x: jnp.asarray(x, jnp.float32)
    multiple = np.maximum(of(offers.multiple), 1)
    lead = of(offers.lead) if offers.size else np.zeros((len(offer), 1))
    rate, base = np.where(has, of(offers.rate), 0), None
    if rate.any():
        of_base = lambda x: full(x[offers.base[chosen]])
        packs = of_base(np.maximum(offers.multiple, 1))
        base = Base(full(rate), packs, of_base(offers.lead))
    return {
        "base": base,
        "lead": full(lead),
        "review": jnp.asarray(np.maximum(of(offers.review), 1).astype(int)),
        "least": full(np.ceil(of(offers.least) / multiple) * multiple),
        "multiple": full(multiple),
        "most": full(np.floor(of(offers.capacity) / multiple) * multiple),
        "premium": full(np.where(has, of(offers.unit_cost) - least, 0)),
    }


def whole_orders(
    depots: Depots,
    period: Int[Array, ""],
    position: Float[Array, "items paths"],
) -> Float[Array, "items paths"]:
    """What every item orders now: up to its level, in the nearest number of packs.

    An order is no less than the vendor's minimum, which is asked for as soon as half of
    it is wanted, no more than it delivers, and none between reviews.

    Args:
      depots: levels and terms of vendors.
      period: which.
      position: on hand and on order at depots and nodes, units.
    """
    level = depots.level[jnp.minimum(period, len(depots.level) - 1)]
    want = jnp.maximum(level[:, None] - position, 0)
    multiple, least = depots.multiple[:, None], depots.least[:, None]
    packs = jnp.floor(want / multiple + 0.5) * multiple
    packs = jnp.where(packs < least, jnp.where(2 * want >= least, least, 0), packs)
    packs = jnp.where(want > 0, jnp.minimum(packs, depots.most[:, None]), 0)
    return packs * (period % depots.review == 0)[:, None]


def split_orders(
    depots: Depots,
    amount: Float[Array, "items paths"],
    echelon: Float[Array, "depots items paths"],
) -> Float[Array, "depots items paths"]:
    """Orders divided among depots in whole units, so that what lies under each is as
    its share of the total.

    Args:
      depots: shares.
      amount: of each order, units.
      echelon: on hand and on order under each depot, units.
    """
    share = depots.share[:, :, None]
    goal = share * (echelon.sum(axis=0) + amount)
    need = jnp.maximum(goal - echelon, 0) * (share > 0)
    whole = need.sum(axis=0)
    part = jnp.where(whole > 0, need / jnp.where(whole > 0, whole, 1), share)
    until = jnp.floor(jnp.cumsum(part, axis=0) * amount + 0.5)
    return jnp.diff(until, axis=0, prepend=jnp.zeros_like(until[:1]))

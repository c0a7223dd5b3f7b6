"""Depots above nodes: echelon orders to vendors, and scarce stock at one price."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from meio_jax.sim.policy import AbstractPolicy, at_period
from meio_jax.sim.system import System, View

HALVINGS = 24  # of the price of rationing


class Layered(AbstractPolicy):
    """Nodes order up to targets, depots up to what the whole echelon should have.

    Depots come first among the nodes. The echelon is all depots and nodes together; an
    order for it is divided so that what lies under each depot is as its share. A depot
    that has less than is asked for sends each node what brings all of them to one price
    of rationing (`supply.levels.Curve`), or, without a curve, in proportion.

    Attributes:
      target: order-up-to levels of the nodes, units; past the last period the last
        holds.
      level: echelon order-up-to levels, units.
      share: of an item's orders that goes to each depot.
      along: targets at points of the price, ascending; None without a curve.
      toll: as in `AbstractPolicy`, depots included.
      reserve: the same.
    """

    target: Float[Array, "periods nodes items"]
    level: Float[Array, "periods items"]
    share: Float[Array, "items depots"]
    along: Float[Array, "points nodes items"] | None
    toll: Float[Array, "regimes periods nodes"]
    reserve: Float[Array, "kept nodes items"]

    def order(self, view: View) -> Float[Array, "nodes items paths"]:
        """What raises nodes to their targets and the echelon to its level."""
        depots = self.share.shape[1]
        target = at_period(self.target, view.period)[:, :, None]
        nodes = jnp.maximum(target - view.position[depots:], 0)
        echelon = view.echelon[:depots]
        level = at_period(self.level, view.period)[:, None]
        total = echelon.sum(axis=0)
        amount = jnp.maximum(level - total, 0)
        share = self.share.T[:, :, None]
        need = jnp.maximum(share * jnp.maximum(level, total) - echelon, 0)
        whole = need.sum(axis=0)
        part = jnp.where(whole > 0, need / jnp.where(whole > 0, whole, 1), share)
        until = jnp.floor(jnp.cumsum(part, axis=0) * amount + 0.5)  # whole units
        split = jnp.diff(until, axis=0, prepend=jnp.zeros_like(until[:1]))
        return jnp.concatenate([split, nodes])

    def ration(self, rows, held, share):
        """How a depot divides its stock among some of the nodes.

        Args:
          rows: nodes that it supplies, counted with depots.
          held: what they have and have coming, "nodes items paths".
          share: how what is left is divided.
        """
        if self.along is None:
            return share
        along = jnp.moveaxis(self.along[:, rows - self.share.shape[1]], 2, 0)
        held = jnp.moveaxis(held, 1, 0)  # items nodes paths
        last = along.shape[1] - 1

        def at(place):  # items paths -> items nodes paths
            under = jnp.clip(jnp.floor(place), 0, last - 1).astype(int)
            pick = lambda k: jnp.moveaxis(
                jnp.take_along_axis(along, k[:, :, None], axis=1), 1, 2
            )
            part = (place - under)[:, None]
            return (1 - part) * pick(under) + part * pick(under + 1)

        def divide(stock, want):
            wanted = lambda place: jnp.clip(at(place) - held, 0, want)

            def halve(ends, _):
                low, high = ends
                middle = (low + high) / 2
                over = wanted(middle).sum(axis=1) > stock
                return (
                    jnp.where(over, low, middle),
                    jnp.where(over, middle, high),
                ), None

            ends = jnp.zeros_like(stock), jnp.full_like(stock, last)
            (low, _), _ = lax.scan(halve, ends, length=HALVINGS)
            first = jnp.floor(wanted(low) + 1e-3)
            rest = share(jnp.maximum(stock - first.sum(axis=1), 0), want - first)
            enough = (want.sum(axis=1) <= stock)[:, None]
            return jnp.where(enough, want, first + rest)

        return divide


def with_depots(
    system: System,
    holding: Float[np.ndarray, "depots items"],
    source: tuple[int, ...],
    place: tuple[int, ...],
) -> System:
    """A system whose nodes are supplied by depots, which come first.

    Args:
      system: the nodes, supplied from outside.
      holding: money per unit left at each depot.
      source: depot of each node; -1 for outside.
      place: building of each depot.
    """
    depots = len(place)
    above = lambda x, fill: jnp.concatenate([jnp.full((depots, x.shape[1]), fill), x])
    return System(
        **vars(system)
        | {
            "place": jnp.concatenate([jnp.asarray(place, int), system.place]),
            "home": system.home + depots,
            "holding": jnp.concatenate([jnp.asarray(holding), system.holding]),
            "transit": above(system.transit, 0.0),
            "unit_cost": above(system.unit_cost, jnp.inf),
            "cost_per_weight": above(system.cost_per_weight, 0.0),
            "days_late": above(system.days_late, 0.0),
            "parent": (-1,) * depots + source,
        }
    )

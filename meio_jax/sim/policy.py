"""Policies: what to order, which nodes to spare, and what to keep for one's own."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from meio_jax.kernels.kinks import larger
from meio_jax.sim.system import View


class AbstractPolicy(eqx.Module):
    """Decides for one system what every node orders and how fulfilment goes.

    Attributes:
      toll: price of a shipment from a node in each regime of load, money per unit:
        fulfilment tries nodes by cost and toll. It steers and is not charged.
      reserve: spill limit: units that a node keeps from customers who are not its own;
        past the last of its periods the last holds.
    """

    toll: eqx.AbstractVar[Float[Array, "regimes periods nodes"]]
    reserve: eqx.AbstractVar[Float[Array, "kept nodes items"]]

    @abstractmethod
    def order(self, view: View) -> Float[Array, "nodes items paths"]:
        """Units that every node orders from its supplier now, >= 0.

        Args:
          view: what is known when orders are placed. Nodes order before their
            suppliers: the orders of each tier are those of a view that has the orders
            of the tiers below.
        """


class OrderUpTo(AbstractPolicy):
    """Orders what raises the inventory position to a target of the period.

    Attributes:
      target: order-up-to levels, units; past the last period the last holds.
    """

    target: Float[Array, "periods nodes items"]
    toll: Float[Array, "regimes periods nodes"]
    reserve: Float[Array, "kept nodes items"]

    def order(self, view: View) -> Float[Array, "nodes items paths"]:
        """Target less inventory position, where that is positive."""
        level = at_period(self.target, view.period)
        return larger(level[:, :, None] - view.position, 0.0)


class EchelonOrderUpTo(AbstractPolicy):
    """Orders what raises the echelon inventory position to a target of the period.

    Clark & Scarf (1960). Attributes as those of `OrderUpTo`, levels by echelon.
    """

    target: Float[Array, "periods nodes items"]
    toll: Float[Array, "regimes periods nodes"]
    reserve: Float[Array, "kept nodes items"]

    def order(self, view: View) -> Float[Array, "nodes items paths"]:
        """Target less echelon inventory position, where that is positive."""
        level = at_period(self.target, view.period)
        return larger(level[:, :, None] - view.echelon, 0.0)


def order_up_to(
    target: Float[Array, "periods nodes items"], *, echelon: bool = False
) -> OrderUpTo | EchelonOrderUpTo:
    """A policy of targets alone: no tolls, nothing reserved.

    Args:
      target: order-up-to levels, units.
      echelon: whether levels are those of echelons.
    """
    target = jnp.asarray(target)
    periods, nodes, items = target.shape
    toll, reserve = jnp.zeros((1, periods, nodes)), jnp.zeros((1, nodes, items))
    return (EchelonOrderUpTo if echelon else OrderUpTo)(target, toll, reserve)


def at_period(
    levels: Float[Array, "periods nodes items"], period: Int[Array, ""]
) -> Float[Array, "nodes items"]:
    """What holds in a period; past the last one the last holds."""
    return levels[jnp.minimum(period, len(levels) - 1)]

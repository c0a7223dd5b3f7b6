"""K0: each item-node alone, the first oracle, the warm start and the baseline."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


class Newsvendor(NamedTuple):
    """What a level is expected to do, per period.

    Attributes:
      level: order-up-to level S, units.
      cost: Lagrangian cost, money: holding, shortage and charge * S.
      fill: units of demand served from stock.
      shortage: units of demand not served.
      leftover: units left at the end.
    """

    level: Scalar
    cost: Scalar
    fill: Scalar
    shortage: Scalar
    leftover: Scalar


def newsvendor(
    demand: Float[Array, " scenarios"],
    weight: Float[Array, " scenarios"],
    h: Scalar,
    b: Scalar,
    charge: Scalar,
) -> Newsvendor:
    """The level S >= 0 that minimises E[h (S-D)^+ + b (D-S)^+] + charge * S.

    The smallest S with P(D <= S) >= (b - charge) / (h + b): the critical ratio of
    Snyder & Shen (2019, ch. 4) net of the dual price of the capacity that a unit
    occupies. With a lead time, D is the demand of the protection interval.

    Args:
      demand: lead-time demand D, units, >= 0.
      weight: weights of the scenarios, >= 0, summing to 1.
      h: holding cost, money per unit left over.
      b: penalty, money per unit short; h + b > 0.
      charge: dual price times volume, money per unit of S; may be negative (a credit)
        down to -h, below which no level is large enough.

    Returns:
      The level and what it does. The cost is concave in `charge` with derivative S
      (Danskin); at a kink S is one supergradient.
    """
    ratio = (b - charge) / (h + b)
    order = jnp.argsort(demand)
    below = jnp.cumsum(weight[order])
    rank = jnp.sum(below < ratio - 1e-12)
    level = demand[order[jnp.minimum(rank, demand.size - 1)]]
    level = lax.stop_gradient(jnp.where(ratio > 0, level, 0.0))  # envelope theorem
    shortage = weight @ jnp.maximum(demand - level, 0)
    leftover = weight @ jnp.maximum(level - demand, 0)
    fill = weight @ demand - shortage
    cost = h * leftover + b * shortage + charge * level
    return Newsvendor(level, cost, fill, shortage, leftover)

"""How much to buy: the order-up-to level of an echelon above a random lead time.

Stock that has arrived is rationed: with X units to allocate the nodes below get what is
worth most there, and the next unit is worth tau(X) to them, which falls in X and is 0
where they have all that they want. What they do not want stays upstream. An order up to
Y leaves X = Y - D, D the demand of the lead time, so that a period costs

    C(Y) = E[ part * int_(Y-D)^full tau + reserve (Y - D - full)^+ ] + charge Y

which is convex (Federgruen & Zipkin 1984; Clark & Scarf 1960 with one node below).
`part` is 1 where customers wait. Where sales are lost a shortage does not last: of a
lead time of L periods they are lost in the period in which stock ends, and a penalty p
counts between p / (1 + L) and p (Huh, Janakiraman, Muckstadt & Rusmevichientong 2009).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
HALVINGS = 30


class Ration(NamedTuple):
    """What another unit of allocatable stock is worth, linear between points.

    Attributes:
      stock: units, ascending, from 0 to what the nodes below want.
      price: tau, money per unit and period, descending to 0; below 0 units it stays as
        at 0, above the last point it is 0.
    """

    stock: Float[Array, "*draws points"]
    price: Float[Array, "*draws points"]


class Terms(NamedTuple):
    """What stock costs that is not short.

    Attributes:
      part: of the price of rationing that counts, 0 to 1.
      reserve: money per unit and period that stays upstream.
      charge: money per unit of the level: what prices of flows and budgets add.
    """

    part: Scalar
    reserve: Scalar
    charge: Scalar


class Buy(NamedTuple):
    """An order-up-to level.

    Attributes:
      level: units, with what is on order.
      cost: C of the level, money per period; its derivatives in the terms are the
        expected units that they are paid for (Danskin).
      kept: expected units that stay upstream.
    """

    level: Scalar
    cost: Scalar
    kept: Scalar


def ration_price(ration: Ration, stock: Scalar) -> Scalar:
    """What another unit of allocatable stock is worth, money per unit and period.

    Args:
      ration: prices, one axis; where two points are in one place the price steps.
      stock: allocatable units; may be below 0.
    """
    width, drop = jnp.diff(ration.stock), -jnp.diff(ration.price)
    above = jnp.clip(ration.stock[1:] - stock, 0, width)  # of each piece
    wide = width > 0
    step = (stock < ration.stock[1:]).astype(width.dtype)
    return ration.price[-1] + drop @ jnp.where(
        wide, above / jnp.where(wide, width, 1), step
    )


def ration_value(ration: Ration, stock: Scalar) -> Scalar:
    """What scarcity costs: the integral of the price from the stock up, money a period.

    Args:
      ration: prices, one axis.
      stock: allocatable units; may be below 0.
    """
    width, drop = jnp.diff(ration.stock), -jnp.diff(ration.price)
    above = jnp.clip(ration.stock[1:] - stock, 0, width)
    twice = 2 * jnp.where(width > 0, width, 1)
    area = ration.price[1:] @ above + drop @ (above**2 / twice)
    return area + ration.price[0] * jnp.maximum(ration.stock[0] - stock, 0)


def buy_cost(
    level: Scalar,
    demand: Float[Array, " draws"],
    prob: Float[Array, " draws"],
    ration: Ration,
    terms: Terms,
) -> Scalar:
    """C(Y): expected cost of an order-up-to level, money per period.

    Args:
      level: Y, units.
      demand: of the lead time, units.
      prob: of each draw.
      ration: prices where the order of each draw arrives, draws leading.
      terms: what else stock costs.
    """
    left = level - demand
    short = jax.vmap(ration_value)(ration, left)
    kept = jnp.maximum(left - ration.stock[:, -1], 0)
    return prob @ (terms.part * short + terms.reserve * kept) + terms.charge * level


def buy_slope(
    level: Scalar,
    demand: Float[Array, " draws"],
    prob: Float[Array, " draws"],
    ration: Ration,
    terms: Terms,
) -> Scalar:
    """dC / dY, from the right: arguments as for `buy_cost`."""
    left = level - demand
    price = jax.vmap(ration_price)(ration, left)
    kept = left >= ration.stock[:, -1]
    return prob @ (terms.reserve * kept - terms.part * price) + terms.charge


def order_up_to(
    demand: Float[Array, " draws"],
    prob: Float[Array, " draws"],
    ration: Ration,
    terms: Terms,
    most: Scalar,
    *,
    whole: bool = True,
) -> Buy:
    """The level Y >= 0 that minimises C(Y), no more than any draw could use.

    Args:
      demand: of the lead time, units, >= 0.
      prob: of each draw, summing to 1.
      ration: prices where the order of each draw arrives, draws leading.
      terms: what else stock costs.
      most: the largest level allowed, units.
      whole: whether the level is a whole number of units.
    """
    zero = jnp.zeros_like(most)
    slope = lambda y: buy_slope(y, demand, prob, ration, terms)

    def halve(ends, _):
        low, high = ends
        middle = (low + high) / 2
        rising = slope(middle) >= 0
        ends = jnp.where(rising, low, middle), jnp.where(rising, middle, high)
        return ends, None

    top = jnp.minimum(most, jnp.max(demand + ration.stock[:, -1]) + 1)
    (low, high), _ = lax.scan(halve, (zero, top), length=HALVINGS)
    level = jnp.where(slope(zero) >= 0, 0, (low + high) / 2)
    cost = lambda y: buy_cost(y, demand, prob, ration, terms)
    if whole:
        under, over = jnp.floor(level), jnp.minimum(jnp.ceil(level), jnp.floor(most))
        level = jnp.where(cost(over) < cost(under), over, under)
    level = lax.stop_gradient(level)
    kept = prob @ jnp.maximum(level - demand - ration.stock[:, -1], 0)
    return Buy(level, cost(level), kept)

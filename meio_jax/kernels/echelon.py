"""Layers above fulfilment: what stock under a pool is worth, and how much to buy.

Cost as a function of stock is convex at every layer, so that on a grid it is a start
and rising increments, one for each step of stock. What layers need keeps that form:

- more cost of the same stock: increments add;
- stock divided among parts as is best: increments of all parts, sorted (the infimal
  convolution of convex functions merges their slopes, Rockafellar 1970, ch. 16);
- stock that may stay upstream: no increment above what holding it there costs;
- stock left after random demand: the mean over shifted curves.

From the nodes of a laminar family up, `f_v(Y) = phi_v(Y) + min { sum_c f_c(y_c) : sum_c
y_c = Y }` over the children c of a pool v gives the least cost of allocatable stock for
every amount of it at once, and the order in which units were merged is the allocation:
no search over the shadow price of the echelon, which is an increment itself. With one
child at every layer it is Clark & Scarf (1960); with backorders and stores that may
lend stock to each other, Eppen & Schrage (1981) and Federgruen & Zipkin (1984).

All functions are of one item; `vmap` adds items and periods.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]


class Curve(NamedTuple):
    """A convex function of stock on a grid, linear between its points and beyond.

    Attributes:
      start: least stock on the grid, units; below 0 where customers wait.
      step: distance of the points, units.
      value: the function at the start, money.
      rise: what each further step adds, money, ascending.
    """

    start: Scalar
    step: Scalar
    value: Scalar
    rise: Float[Array, " steps"]


class Best(NamedTuple):
    """Where a curve is least.

    Attributes:
      stock: the smallest such amount on the grid, units.
      cost: the least value, money.
    """

    stock: Scalar
    cost: Scalar


def value_at(curve: Curve, stock: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """The function at some amounts of stock, money.

    Args:
      curve: the function.
      stock: units, on the grid or not.
    """
    last = len(curve.rise) - 1
    place = (stock - curve.start) / curve.step
    whole = jnp.clip(jnp.floor(place), 0, last).astype(int)
    before = jnp.concatenate([jnp.zeros_like(curve.rise[:1]), jnp.cumsum(curve.rise)])
    return curve.value + before[whole] + (place - whole) * curve.rise[whole]


def shortage(
    demand: Float[Array, " draws"],
    prob: Float[Array, " draws"],
    penalty: Scalar,
    start: Scalar,
    step: Scalar,
    steps: int,
) -> Curve:
    """penalty * E (D - y)^+: what it costs not to have the stock that is asked for.

    Args:
      demand: draws of it, units.
      prob: of each draw.
      penalty: money per unit short, >= 0.
      start: least stock on the grid, units.
      step: distance of its points, units.
      steps: number of points less one.
    """
    points = start + step * jnp.arange(steps + 1)
    short = jnp.maximum(demand[:, None] - points, 0)
    values = penalty * (prob @ short)
    return Curve(start, step, values[0], jnp.diff(values))


def tilted(curve: Curve, charge: Scalar) -> Curve:
    """The curve plus a charge for every unit of stock, money per unit."""
    return curve._replace(
        value=curve.value + charge * curve.start, rise=curve.rise + charge * curve.step
    )


def added(one: Curve, other: Curve) -> Curve:
    """The sum of two functions of the same stock, on the same grid."""
    return one._replace(value=one.value + other.value, rise=one.rise + other.rise)


def divided(parts: Curve) -> Curve:
    """Least cost of stock that is divided among parts.

    Args:
      parts: curves of the parts, a leading axis on every field but the step, which is
        the same for all. Every part has at least the start of its grid.
    """
    return Curve(
        parts.start.sum(), parts.step, parts.value.sum(), jnp.sort(parts.rise.ravel())
    )


def upstream(curve: Curve, holding: Scalar) -> Curve:
    """Least cost of allocatable stock, some of which may stay upstream.

    Its slope is holding upstream less the shadow price of the echelon: 0 price where
    there is more than the parts want.

    Args:
      curve: cost of the stock that is sent on.
      holding: of a unit that is not, money.
    """
    return curve._replace(rise=jnp.minimum(curve.rise, holding * curve.step))


def shares(parts: Curve, stock: Scalar) -> Float[Array, " parts"]:
    """How stock is best divided: to each part its cheapest steps, in turn.

    Where several parts gain the same, the first goes first. What is left after all
    steps, or is less than a step, is not divided.

    Args:
      parts: as for `divided`.
      stock: units, of which every part gets at least its start.
    """
    count = jnp.floor((stock - parts.start.sum()) / parts.step + 1e-6)
    rank = jnp.argsort(jnp.argsort(parts.rise.ravel())).reshape(parts.rise.shape)
    return parts.start + parts.step * (rank < count).sum(axis=1)


def after_demand(
    curve: Curve,
    demand: Float[Array, " draws"],
    prob: Float[Array, " draws"],
    start: Scalar,
    steps: int,
) -> Curve:
    """E f(Y - D): expected cost of stock of which demand is taken first.

    Exact at the points of the grid; between them it is linear, which is above the
    function unless demand is a multiple of the step.

    Args:
      curve: f.
      demand: draws of what is taken, such as the demand of a lead time, units.
      prob: of each draw.
      start: least stock on the new grid, units.
      steps: number of its points less one.
    """
    points = start + curve.step * jnp.arange(steps + 1)
    values = prob @ value_at(curve, points - demand[:, None])
    return Curve(start, curve.step, values[0], jnp.diff(values))


def best(curve: Curve) -> Best:
    """The stock at which the curve is least, and its value there.

    The cost is differentiable in what the curve is made of (Danskin); the stock is a
    step function of it and has no useful gradient.
    """
    count = (curve.rise < 0).sum()
    cost = curve.value + jnp.minimum(curve.rise, 0).sum()
    return Best(curve.start + curve.step * count, cost)


def tree_curve(
    nodes: Curve,
    pools: tuple[Curve, ...],
    children: tuple[Int[Array, "pools few"], ...],
) -> Curve:
    """Least cost of stock under the root of a tree of pools, divided as is best.

    Args:
      nodes: cost of the stock at each node alone, a leading axis of nodes on all fields
        but the step.
      pools: of each level, the finest first, what the stock under each of its pools
        costs together, pools leading, on the grid that stock has there: its steps are
        those of all its children, its start is the sum of theirs.
      children: of each level, which nodes or pools of the level below each pool holds,
        all as many; the last level has one pool.
    """
    parts = nodes
    for own, inside in zip(pools, children, strict=True):
        count = inside.shape[0]
        rise = jnp.sort(parts.rise[inside].reshape(count, -1), axis=1)
        parts = Curve(
            parts.start[inside].sum(axis=1), parts.step,
            own.value + parts.value[inside].sum(axis=1), own.rise + rise,
        )  # fmt: skip
    return Curve(parts.start[0], parts.step, parts.value[0], parts.rise[0])


class Serial(NamedTuple):
    """Echelon base stock of a serial system, downstream first.

    Attributes:
      level: echelon order-up-to levels, units.
      cost: least cost of a period, money.
    """

    level: Float[Array, " stages"]
    cost: Scalar


def serial(
    demand: Float[Array, "stages draws"],
    prob: Float[Array, "stages draws"],
    holding: Float[Array, " stages"],
    penalty: Scalar,
    step: Scalar,
    start: Scalar,
    steps: int,
) -> Serial:
    """Clark and Scarf's levels for a chain of stages with backorders.

    With C_0(x) = (p + sum h) x^- and the law D_j of demand over the lead time of stage
    j, C_j(y) = E[h_j (y - D_j) + C_(j-1)(min(S_(j-1), y - D_j))], S_j its minimiser
    (Clark & Scarf 1960; Snyder & Shen 2019, ch. 6.2).

    Args:
      demand: draws of D_j, downstream first, units.
      prob: of each draw.
      holding: echelon holding costs, money per unit and period.
      penalty: p, money per unit of backorders and period.
      step: of the grid, units.
      start: its least point, low enough for what is below each stage.
      steps: number of its points less one.
    """
    none = jnp.zeros((1,))
    sure = jnp.ones((1,))
    cost = shortage(none, sure, penalty + holding.sum(), start, step, steps)
    levels, least = [], cost.value
    for d, p, h in zip(demand, prob, holding, strict=True):
        stage = tilted(after_demand(cost, d, p, start, steps), h)
        stage = stage._replace(value=stage.value - h * (p @ d))
        level, least = best(stage)
        levels.append(level)
        cost = upstream(stage, jnp.zeros_like(h))
    return Serial(jnp.stack(levels), least)

"""How prices and targets answer to capacities, without unrolling the search for them.

At the top of the smoothed dual the use of every priced capacity is the capacity:
use_A(price_A) = capacity_A. By the implicit function theorem

    d price_A / d capacity_A = J_AA^{-1},   J = d use / d price (semidefinite, <= 0),

and prices that are 0 stay there. Targets follow the prices, and by the symmetry of the
value's mixed derivatives d target / d price is the transpose of d use / d charge: one
more look with the charges moved along the cotangent pulls it back. What rows are made
of (demand, penalties, costs) moves prices by -J_AA^{-1} d use_A and targets at the
prices; with V the least Lagrangian both are mixed derivatives of V again, so the slope
dV / d parts (envelope theorem) with charges and prices moved along the cotangents pulls
them back in two looks, however many parts there are. All of it holds away from kinks:
where no price is about to become 0, or to leave it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from meio_jax.dual.fixed import lagrangian
from meio_jax.dual.frozen import tilted
from meio_jax.dual.prices import Dual, Point
from meio_jax.dual.rows import Rows

ROUNDS = 30  # of Newton's method at most
CLOSE = 1e-9  # use of a priced capacity to its capacity, as a share
PRICED = 1e-9  # share of `Dual.worth` below which a price is none
NUDGE = 1e-5  # of the charges, as a share of `Dual.charge`

Targets = tuple[Float[Array, "chunks cells nodes"], ...]
Remake = Callable[[Any], tuple[Rows, ...]]


def price_slopes(
    dual: Dual, point: Point
) -> Float[np.ndarray, "capacities capacities"]:
    """d price / d capacity at the top, money per unit and unit: J_AA^{-1}, 0 elsewhere.

    Args:
      dual: the dual.
      point: its top, with the exact Jacobian (`around` at 0).
    """
    return _inverse(point.jacobian, _priced(dual, point.price))


def settle(
    dual: Dual, price, targets: Targets, *, stage: float, softness: float
) -> Point:
    """The top of the smoothed dual from prices near it, by Newton's method on those
    capacities that are priced or over-used; with the exact Jacobian.

    Args:
      dual: the dual.
      price: near the top, as an ascent leaves it.
      targets: to search from.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
    """
    look = lambda price, targets: dual.at(
        price, targets, stage=stage, softness=softness, curved=True, around=0.0,
        tolerance=1e-11,
    )  # fmt: skip
    point = look(np.asarray(price, float), targets)
    for _ in range(ROUNDS):
        active = _priced(dual, point.price) | (point.slope > CLOSE * dual.scale)
        off = np.where(active, point.slope, 0.0)
        if np.all(np.abs(off) <= CLOSE * dual.scale):
            break
        price = np.maximum(point.price - _inverse(point.jacobian, active) @ off, 0.0)
        point = look(np.where(active, price, 0.0), point.targets)
    return point


def prices_of(
    dual: Dual,
    point: Point,
    *,
    stage: float,
    softness: float,
    remake: Remake | None = None,
) -> Callable[..., tuple[Array, Targets]]:
    """A function from capacities, and what the rows are made of, to prices and targets,
    with a derivative in reverse.

    It solves on the host, which jax.jit calls back to. Float64.

    Args:
      dual: the dual; its own capacities are where the search begins.
      point: its top, or near it.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      remake: the rows of each group as a differentiable function of the second
        argument, any tree of float arrays: factors on demand, atoms, penalties. The
        dual's own rows if not given.
    """
    made = remake or (lambda parts: dual.rows)
    look = {"stage": stage, "softness": softness}
    wide = lambda x: jax.ShapeDtypeStruct(np.shape(x), np.float64)
    shapes = jax.tree.map(wide, (point.price, point.targets))
    size = point.price.size

    def top(capacity, parts) -> Point:
        other = dual.with_rows(made(parts)).with_capacity(np.asarray(capacity, float))
        return settle(other, point.price, point.targets, **look)

    @_hosted
    def find(capacity, parts):
        found = top(capacity, parts)
        return (found.price, found.targets), price_slopes(dual, found)

    @_hosted
    def pull(parts, price, targets, slopes, to_price, to_targets):
        here = dual.with_rows(made(parts))
        start = price, targets, to_targets, look
        to_capacity = slopes.T @ (to_price + _use_along(here, *start))
        of_parts = _parts_along(here, made, parts, *start, -to_capacity)
        return to_capacity, of_parts

    @jax.custom_vjp
    def solved(capacity, parts):
        return forward(capacity, parts)[0]

    def forward(capacity, parts):
        shape = shapes, jax.ShapeDtypeStruct((size, size), np.float64)
        out, slopes = jax.pure_callback(find, shape, capacity, parts)
        return out, (parts, out, slopes)

    def backward(kept, cotangent):
        parts, (price, targets), slopes = kept
        shape = shapes[0], jax.tree.map(wide, parts)
        return jax.pure_callback(pull, shape, parts, price, targets, slopes, *cotangent)

    solved.defvjp(forward, backward)
    return lambda capacity, parts=(): solved(capacity, parts)


def _hosted(function):
    """The function for a callback: NumPy in and out, float64."""

    def called(*arguments):
        with jax.enable_x64(True):
            wide = jax.tree.map(lambda x: np.asarray(x, float), arguments)
            found = function(*wide)
            return jax.tree.map(lambda x: np.asarray(x, float), found)

    return called


def _step(dual: Dual, *along) -> float:
    """How far charges and prices are moved along a direction; 0 along none."""
    most = max(float(np.abs(x).max(initial=0)) for x in along)
    return NUDGE * float(np.median(dual.charge)) / most if most else 0.0


def _moved(dual: Dual, price, targets, tilt, look):
    """The dual with charges moved, and its point there."""
    rows = tuple(map(tilted, dual.rows, tilt))
    other = dual.with_rows(rows)
    return other, other.at(price, targets, curved=False, tolerance=1e-11, **look)


def _use_along(dual: Dual, price, targets, tilt, look):
    """Derivative of the use of capacities as charges move along a direction."""
    step = _step(dual, *tilt)
    if step == 0:
        return np.zeros_like(price)
    uses = [
        _moved(dual, price, targets, [way * x for x in tilt], look)[1].use
        for way in (step, -step)
    ]
    return (uses[0] - uses[1]) / (2 * step)


def _parts_along(dual: Dual, made: Remake, parts, price, targets, tilt, look, along):
    """Derivative of the least Lagrangian's slopes in the parts of the rows, as charges
    and prices move along a direction: by symmetry, that of targets and use along it."""
    step = _step(dual, *tilt, along)
    if step == 0 or not jax.tree.leaves(parts):
        return jax.tree.map(np.zeros_like, parts)

    def slope(way):
        by, moved = [way * x for x in tilt], price + way * along
        _, point = _moved(dual, moved, targets, by, look)
        full = dual.problem.paid(dual.spread(moved))

        def cost(parts):
            return sum(
                lagrangian(
                    tilted(rows, t), jnp.asarray(full[:, group.network.node]), y,
                    flows=dual.flows, **look,
                )
                for rows, t, y, group in zip(
                    made(parts), by, point.targets, dual.problem.groups, strict=True
                )
            )  # fmt: skip

        return jax.grad(cost)(parts)

    apart = jax.tree.map(np.subtract, slope(step), slope(-step))
    return jax.tree.map(lambda x: x / (2 * step), apart)


def _priced(dual: Dual, price) -> Bool[np.ndarray, " capacities"]:
    return price > PRICED * dual.worth


def _inverse(jacobian, active: Bool[np.ndarray, " capacities"]):
    """The inverse among the active ones, 0 elsewhere; of least norm where capacities
    tell no more than each other."""
    out, at = np.zeros(jacobian.shape), np.ix_(active, active)
    out[at] = np.linalg.pinv(jacobian[at], rcond=1e-10, hermitian=True)
    return out

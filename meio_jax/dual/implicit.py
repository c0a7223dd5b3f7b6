"""How prices and targets answer to capacities, without unrolling the search for them.

At the top of the smoothed dual the use of every priced capacity is the capacity:
use_A(price_A) = capacity_A. By the implicit function theorem

    d price_A / d capacity_A = J_AA^{-1},   J = d use / d price (semidefinite, <= 0),

and prices that are 0 stay there. Targets follow the prices, and by the symmetry of the
value's mixed derivatives d target / d price is the transpose of d use / d charge: one
more look with the charges moved along the cotangent pulls it back. All of it holds away
from kinks: where no price is about to become 0, or to leave it.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from meio_jax.dual.prices import Dual, Point

ROUNDS = 30  # of Newton's method at most
CLOSE = 1e-9  # use of a priced capacity to its capacity, as a share
PRICED = 1e-9  # share of `Dual.worth` below which a price is none
NUDGE = 1e-5  # of the charges, as a share of `Dual.charge`

Targets = tuple[Float[Array, "chunks cells nodes"], ...]


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
    dual: Dual, point: Point, *, stage: float, softness: float
) -> Callable[[Float[Array, " capacities"]], tuple[Array, Targets]]:
    """A function from capacities to prices and targets, with a derivative in reverse.

    It solves on the host: jax.grad and jax.vjp go through it, jit does not. Float64.

    Args:
      dual: the dual; its own capacities are where the search begins.
      point: its top, or near it.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
    """

    def top(capacity) -> Point:
        other = dual.with_capacity(np.asarray(capacity, float))
        return settle(other, point.price, point.targets, stage=stage, softness=softness)

    @jax.custom_vjp
    def solved(capacity):
        found = top(capacity)
        return jnp.asarray(found.price), found.targets

    def forward(capacity):
        found = top(capacity)
        return (jnp.asarray(found.price), found.targets), found

    def backward(found: Point, cotangent):
        to_price, to_targets = cotangent
        pull = np.asarray(to_price, float) + _pulled(
            dual, found, to_targets, stage, softness
        )
        return (jnp.asarray(price_slopes(dual, found).T @ pull),)

    solved.defvjp(forward, backward)
    return solved


def _pulled(dual: Dual, found: Point, cotangent: Targets, stage, softness):
    """What a cotangent of the targets is as one of the prices."""
    most = max(float(jnp.abs(c).max()) for c in cotangent)
    if most == 0:
        return np.zeros_like(found.price)
    step = NUDGE * float(np.median(dual.charge)) / most
    uses = []
    for way in (step, -step):
        rows = tuple(
            replace(r, tilt=r.tilt + way * c)
            for r, c in zip(dual.rows, cotangent, strict=True)
        )
        point = dual.with_rows(rows).at(
            found.price, found.targets, stage=stage, softness=softness, curved=False,
            tolerance=1e-11,
        )  # fmt: skip
        uses.append(point.use)
    return (uses[0] - uses[1]) / (2 * step)


def _priced(dual: Dual, price) -> Bool[np.ndarray, " capacities"]:
    return price > PRICED * dual.worth


def _inverse(jacobian, active: Bool[np.ndarray, " capacities"]):
    """The inverse among the active ones, 0 elsewhere; of least norm where capacities
    tell no more than each other."""
    out, at = np.zeros(jacobian.shape), np.ix_(active, active)
    out[at] = np.linalg.pinv(jacobian[at], rcond=1e-10, hermitian=True)
    return out

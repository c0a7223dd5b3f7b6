"""Targets at frozen prices as a function of what rows are made of, with a derivative.

Targets y minimise a Lagrangian V(parts) = min L(y, parts), and are its derivative in
the charges on stock. So d y / d parts, pulled back, is how the slope dV / d parts moves
when the charges move along the cotangent (symmetry of mixed derivatives), and that
slope is dL / d parts at the targets (envelope theorem): two searches, however many
parts there are. It holds away from kinks.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from meio_jax.dual.fixed import lagrangian
from meio_jax.dual.lagrangian import Prices, evaluate
from meio_jax.dual.prices import PASSES
from meio_jax.dual.rows import Rows


def targets_of(
    remake: Callable[[Any], Rows],
    prices: Prices,
    start: Float[Array, "chunks cells nodes"],
    *,
    stage: float,
    softness: float,
    flows: bool = True,
    nudge: float = 1e-5,
) -> Callable[[Any], Float[Array, "chunks cells nodes"]]:
    """A group's targets at frozen prices as a function of what its rows are made of,
    with a derivative in reverse; jax.jit goes through it.

    Args:
      remake: the group's rows as a differentiable function of any tree of float arrays:
        factors on demand, atoms, penalties.
      prices: money per unit of capacity, as for `evaluate`.
      start: targets to search from.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      flows: whether prices can bear on shipments.
      nudge: of the charges for the derivative, money per unit.
    """
    common = {"stage": stage, "softness": softness, "flows": flows}

    def search(rows, start):
        kind = rows.atoms.dtype
        found = evaluate(
            rows, prices, start, jnp.asarray(stage, kind), jnp.asarray(softness, kind),
            flows=flows, curved=False, passes=PASSES, tolerance=1e-11,
        )  # fmt: skip
        return found.target

    @jax.custom_vjp
    def solved(parts):
        return search(remake(parts), start)

    def forward(parts):
        targets = solved(parts)
        return targets, (parts, targets)

    def backward(kept, cotangent):
        parts, targets = kept
        step = nudge / jnp.maximum(jnp.abs(cotangent).max(), 1e-300)

        def slope(way):
            tilt = way * cotangent
            y = search(tilted(remake(parts), tilt), targets)
            cost = lambda parts: lagrangian(
                tilted(remake(parts), tilt), prices, y, **common
            )
            return jax.grad(cost)(parts)

        apart = jax.tree.map(jnp.subtract, slope(step), slope(-step))
        return (jax.tree.map(lambda x: x / (2 * step), apart),)

    solved.defvjp(forward, backward)
    return solved


def tilted(rows: Rows, by: Float[Array, "chunks cells nodes"]) -> Rows:
    """Rows with something added to the charges on stock, money per unit."""
    return replace(rows, tilt=rows.tilt + by)

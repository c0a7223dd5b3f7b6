"""The smoothed Lagrangian of a group at given targets: what a search minimises, as a
function that can be differentiated in everything that it is made of.

By the envelope theorem its derivative at the targets found is that of the least
Lagrangian, in demand, costs and penalties alike; its mixed derivatives are how targets
and use answer to them (`dual.implicit`). And with what was really asked for in the
place of scenarios it is what targets cost at the prices.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from meio_jax.dual.lagrangian import PULL, Prices, by_pool, charges, home_weights
from meio_jax.dual.rows import Rows
from meio_jax.kernels.cost import serve_cost, service_levels
from meio_jax.kernels.tree import hinge_terms


def lagrangian(
    rows: Rows,
    prices: Prices,
    targets: Float[Array, "chunks cells nodes"],
    *,
    stage: float,
    softness: float,
    flows: bool = True,
) -> Float[Array, ""]:
    """What targets cost at the prices, money: `evaluate(...).value` at its targets.

    Args:
      rows: the group.
      prices: money per unit of capacity, as for `evaluate`.
      targets: of every cell, units.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      flows: whether prices can bear on shipments.
    """
    return cell_costs(
        rows, prices, targets, stage=stage, softness=softness, flows=flows
    ).sum()


def cell_costs(
    rows: Rows,
    prices: Prices,
    targets: Float[Array, "chunks cells nodes"],
    *,
    stage: float,
    softness: float,
    flows: bool = True,
) -> Float[Array, "chunks items periods"]:
    """The parts of `lagrangian` by item and period, a chunk in a row.

    Args:
      rows: the group.
      prices: as for `lagrangian`.
      targets: as for `lagrangian`.
      stage: as for `lagrangian`.
      softness: as for `lagrangian`.
      flows: as for `lagrangian`.
    """
    prices = prices.astype(rows.atoms.dtype)

    def chunk(part):
        item, cell, y = part
        cost = jax.vmap(serve_cost, (None, 0, 0))(
            rows.services, item["weight"], item["late_cost"]
        )
        cost = cost - item["holding"][:, :, None]
        charge, toll = jax.vmap(lambda v, h: charges(rows.window, v, h, prices))(
            item["volume"], item["holding"]
        )
        toll = toll if flows else jnp.zeros_like(toll)
        periods = charge.shape[1]
        steps = jax.vmap(lambda c, p: service_levels(c, p, rows.ring, rows.levels))(
            cost, item["penalty"]
        )
        own = jnp.take_along_axis(cost, rows.home[None, None, :], axis=1)[:, 0]
        weights = partial(home_weights, rows, softness)
        per_regime = jax.vmap(weights, (0, None, None, None, None, 0))
        per_cell = jax.vmap(per_regime, (0, None, None, None, None, 0))
        volume = item["mean"].sum(axis=2).mean(axis=1)
        base, drop = jax.vmap(per_cell)(
            toll, steps, own, item["slot"], volume, item["mean"]
        )
        join = lambda x: x.reshape(-1, *x.shape[2:])
        pull = PULL * stage * jnp.repeat(item["holding"], periods, axis=0)
        near = cell["anchor"] + 0.1 * cell["anchor"].sum(axis=1, keepdims=True)
        pull = pull / (near + 0.5)
        tilted = join(charge) + cell["tilt"]

        def short(atoms, prob, y, width):
            terms = hinge_terms(rows.hinges, atoms, prob, rows.shape.member @ y, width)
            return rows.hinges.spread(terms.shortage)

        shortage = rows.each_cell(
            short, cell["atoms"], rows.prob, y, cell["width"] * stage, spread=False
        )
        by_cell = (tilted * y + pull * (y - cell["anchor"]) ** 2 / 2).sum(axis=1)
        by_cell = by_cell + (join(by_pool(drop)) * shortage).sum(axis=(1, 2))
        by_cell = by_cell.reshape(-1, periods) + base.sum(axis=2)
        return by_cell - item["paid"][:, None] / periods

    return jax.lax.map(chunk, (rows.by_item, rows.by_cell, targets))

"""The smoothed Lagrangian of a group at given targets: what a search minimises, as a
function that can be differentiated in everything that it is made of.

By the envelope theorem its derivative at the targets found is that of the least
Lagrangian, in demand, costs and penalties alike; its mixed derivatives are how targets
and use answer to them (`dual.implicit`). And with what was really asked for in the
place of scenarios it is what targets cost at the prices.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from meio_jax.dual.lagrangian import Prices, by_pool, priced, pull_of, weights_at
from meio_jax.dual.rows import Rows
from meio_jax.kernels.tree import hinge_terms


def lagrangian(
    rows: Rows,
    prices: Prices,
    targets: Float[Array, "chunks cells nodes"],
    **options,
) -> Float[Array, ""]:
    """What targets cost at the prices, money: `evaluate(...).value` at its targets.

    Args:
      rows: the group.
      prices: as for `cell_costs`.
      targets: as for `cell_costs`.
      **options: of `cell_costs`.
    """
    return cell_costs(rows, prices, targets, **options).sum()


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
      prices: money per unit of capacity, as for `evaluate`.
      targets: of every cell, units.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      flows: whether prices can bear on shipments.
    """
    prices = prices.astype(rows.atoms.dtype)

    def chunk(part):
        item, cell, y = part
        charge, toll, steps, own = priced(rows, item, prices)
        toll = toll if flows else jnp.zeros_like(toll)
        periods = charge.shape[1]
        base, drop = weights_at(rows, item, softness, steps, own, toll)
        join = lambda x: x.reshape(-1, *x.shape[2:])
        pull = pull_of(item, cell, stage, periods)
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

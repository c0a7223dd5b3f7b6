"""Single units under the tree kernel: what they are worth, and whole optima."""

from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from meio_jax.dual.lagrangian import Prices, by_pool, charges, home_weights
from meio_jax.dual.rows import Rows, by_chunks
from meio_jax.dual.stream import Streamed
from meio_jax.kernels.cost import serve_cost, service_levels
from meio_jax.kernels.tree import absence_cost, descend, exact_terms, unit_change
from meio_jax.mesh import mesh_of, on_mesh, place

DESCENT = 100  # single units between two looks whether all cells are at their best


def by_device(body):
    """The function of rows, targets and what is common to all, each device working on
    its own chunks; what it returns is cut by chunks."""

    @partial(jax.jit, static_argnames=("mesh", "options"))
    def run(rows, target, *common, mesh, options):
        inputs = by_chunks(rows), True, *[False] * len(common)
        done = on_mesh(partial(body, **dict(options)), mesh, inputs, True)
        return done(rows, target, *common)

    @wraps(body)
    def call(rows, target, *common, **options):
        if isinstance(rows, Streamed):
            return over_blocks(rows, target, *common, **options)
        mesh, options = mesh_of(rows.atoms), tuple(options.items())
        return run(rows, target, *common, mesh=mesh, options=options)

    def over_blocks(rows, target, *common, **options):
        parts = []
        for at, block in rows:
            found = call(block, place(target[at], block.atoms), *common, **options)
            parts.append(jax.tree.map(np.asarray, found))
        return jax.tree.map(lambda *x: np.concatenate(x), *parts)

    return call


def _cells(rows: Rows, prices: Prices | None, item):
    """Charges and drops of a chunk's cells at the prices, unsmoothed; without prices
    those of an item are the same in all its cells."""
    sharp = 1e-6 + 0 * rows.lift
    periods = rows.mean.shape[2]

    def one(volume, holding, weight, late_cost, penalty, slot, mean):
        size = 2 + rows.regimes, holding.size, 1
        at = jnp.zeros(size, holding.dtype) if prices is None else prices
        charge, toll = charges(rows.window, volume, holding, at)
        toll = toll[:, :1] if prices is None else toll
        cost = serve_cost(rows.services, weight, late_cost) - holding[:, None]
        steps = service_levels(cost, penalty, rows.ring, rows.levels)
        own = cost[rows.home, jnp.arange(len(rows.home))]
        usual = mean.sum(axis=1).mean(axis=0)

        def regime(toll):
            return home_weights(rows, sharp, toll, steps, own, slot, usual, usual)[1]

        drop = jax.lax.map(jax.vmap(regime), toll)
        drop = jnp.broadcast_to(drop, (len(drop), rows.regimes, *drop.shape[2:]))
        every = lambda x: jnp.broadcast_to(x, (periods, *x.shape[1:]))
        return every(charge), every(by_pool(drop))

    keys = "volume", "holding", "weight", "late_cost", "penalty", "slot", "mean"
    charge, drop = jax.vmap(one)(*(item[k] for k in keys))
    join = lambda x: x.reshape(-1, *x.shape[2:])
    return join(charge), join(drop)


@by_device
def unit_values(
    rows: Rows, target: Float[Array, "chunks cells nodes"], *, less: bool
) -> Float[Array, "chunks cells nodes"]:
    """Change of the unpriced, tilted tree cost by one unit more, or by one less."""

    def chunk(part):
        item, atoms, tilt, y = part
        charge, drop = _cells(rows, None, item)
        fall = jax.vmap(rows.hinges.gather)(drop)
        one = partial(unit_change, rows.shape, rows.hinges, less=less)
        return rows.each_cell(
            one, atoms, rows.prob, fall, charge + tilt, y, spread=False
        )

    return jax.lax.map(chunk, (rows.by_item, rows.atoms, rows.tilt, target))


@by_device
def absence_costs(
    rows: Rows, target: Float[Array, "chunks cells nodes"]
) -> Float[Array, "chunks cells nodes"]:
    """Rise of the unpriced, tilted tree cost when a node alone is emptied."""

    def chunk(part):
        item, atoms, tilt, y = part
        charge, drop = _cells(rows, None, item)
        one = partial(absence_cost, rows.shape)
        return rows.each_cell(one, atoms, rows.prob, drop, charge + tilt, y)

    return jax.lax.map(chunk, (rows.by_item, rows.atoms, rows.tilt, target))


@jax.jit
def shortage_cost(
    rows: Rows, target: Float[Array, "chunks cells nodes"]
) -> Float[Array, ""]:
    """Cost of the tree kernel for what is not served from home, at no price."""

    def chunk(part):
        item, atoms, y = part
        _, drop = _cells(rows, None, item)
        stock = y @ rows.shape.member.T
        short, _ = rows.each_cell(exact_terms, atoms, rows.prob, stock)
        return jnp.sum(drop * short)

    return jax.lax.map(chunk, (rows.by_item, rows.atoms, target)).sum()


@by_device
def cell_costs(
    rows: Rows, target: Float[Array, "chunks cells nodes"], prices: Prices
) -> Float[Array, "chunks cells"]:
    """Tilted tree cost of each cell at the prices, short of what no target changes."""
    prices = prices.astype(rows.atoms.dtype)

    def chunk(part):
        item, atoms, tilt, y = part
        charge, drop = _cells(rows, prices, item)
        stock = y @ rows.shape.member.T
        short, _ = rows.each_cell(exact_terms, atoms, rows.prob, stock)
        return ((charge + tilt) * y).sum(axis=1) + (drop * short).sum(axis=(1, 2))

    return jax.lax.map(chunk, (rows.by_item, rows.atoms, rows.tilt, target))


@by_device
def whole_optimum(
    rows: Rows,
    target: Float[Array, "chunks cells nodes"],
    prices: Prices,
    *,
    steps: int,
) -> Float[Array, "chunks cells nodes"]:
    """Whole targets at the prices, at most `steps` single units from the given ones."""
    prices = prices.astype(rows.atoms.dtype)

    def chunk(part):
        item, atoms, tilt, lower, upper, y = part
        charge, drop = _cells(rows, prices, item)
        walk = partial(descend, rows.shape, steps=steps)
        return rows.each_cell(
            walk, atoms, rows.prob, drop, charge + tilt, jnp.ceil(lower),
            jnp.floor(upper), y,
        )  # fmt: skip

    return jax.lax.map(
        chunk, (rows.by_item, rows.atoms, rows.tilt, rows.lower, rows.upper, target)
    )


def best_whole(rows: Any, target: Any, prices: Prices) -> Any:
    """Whole targets that no single unit more, less or elsewhere makes cheaper at the
    prices: of M-natural-convex costs the optimum (Murota, 2003).

    Args:
      rows: of a group, `Rows` or `Streamed`.
      target: to begin at, units, by chunk, cell and node.
      prices: of the group's nodes.
    """
    now, before = whole_optimum(rows, jnp.round(target), prices, steps=DESCENT), target
    while not np.array_equal(now, before):
        before, now = now, whole_optimum(rows, now, prices, steps=DESCENT)
    return now

"""The Lagrangian of one group: value, use of capacities and Jacobian at given prices.

With shipments s the orders are z_t = y_t - y_(t-1) + s_(t-1), so at prices A (storage),
B (inbound) and C (outbound) an item decouples by period:

    sum_t (h + v A_t + B_t - B_(t+1)) y_t + (C_t + B_(t+1) - (m-1) v A_t) s_t + costs

C may differ by regime of load, and is then that of the regime that a shipment is in.
Storage is the stock on hand when a period starts, v (y - (m-1) s): where orders protect
m periods, all but one period's shipments are on their way. By Danskin's theorem the
derivative in a price is the use less the capacity.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from meio_jax.dual.rows import Rows, by_chunks
from meio_jax.kernels.cost import bucket_drops, serve_cost, service_levels
from meio_jax.kernels.tree import dual_value, minimise, tree_inverse
from meio_jax.mesh import mesh_of, on_mesh, over_items

PULL = 0.05  # share of the holding cost that draws targets to the nodes' own demand
AROUND = 0.2  # share of the density around in Jacobians: steps cross many kinks

Prices = Float[Array, "resources nodes periods"]  # storage, inbound, outbound by regime


class Evaluation(NamedTuple):
    """The dual of a group at some prices, without the price of the capacities.

    Attributes:
      value: sum of the cells' smoothed Lagrangians, money.
      target: y of every cell, units.
      sent: shipments of every cell in a period in each regime, times its share, units.
      slope: derivative of every cell's Lagrangian in its targets, money per unit.
      use: storage (volume), inbound and the outbound of each regime (units, times the
        regime's share) of each node and period; inbound is short of the starting stock
        of the first period.
      bend: sums of the cells' second derivatives in the charges of y and of every
        regime's s, weighted by volume^2, volume and 1; zeros where they were not asked
        for.
      residual: the largest residual of the cells.
      passes: passes over the atoms, mean.
    """

    value: Float[Array, ""]
    target: Float[Array, "chunks cells nodes"]
    sent: Float[Array, "chunks cells regimes nodes"]
    slope: Float[Array, "chunks cells nodes"]
    use: Float[Array, "resources nodes periods"]
    bend: Float[Array, "3 periods charges charges"]
    residual: Float[Array, ""]
    passes: Float[Array, ""]


def charges(window, volume, holding, prices):
    """Charges on y, periods by nodes, and on the window shipments of each regime,
    periods by regimes by nodes, of one item."""
    storage, inbound = prices[0].T, prices[1].T
    outbound = jnp.moveaxis(prices[2:], 2, 0)
    later = jnp.concatenate([inbound[1:], jnp.zeros_like(inbound[:1])])
    on_stock = holding + volume * storage + inbound - later
    on_ship = outbound + (later - (window - 1) * volume * storage)[:, None]
    return on_stock, on_ship / window


def evaluate(
    rows: Rows,
    prices: Prices,
    start: Float[Array, "chunks cells nodes"],
    stage: Float[Array, ""],
    softness: Float[Array, ""],
    *,
    flows: bool,
    curved: bool,
    passes: int = 16,
    tolerance: float = 1e-2,
    around: float = AROUND,
) -> Evaluation:
    """Minimises every cell's smoothed Lagrangian at the prices.

    Args:
      rows: the group.
      prices: money per unit of capacity, >= 0: storage, inbound, each regime's
        outbound.
      start: targets to start from.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      flows: whether prices can bear on shipments; if not they are not computed.
      curved: whether second derivatives are wanted.
      passes: the most passes over the atoms.
      tolerance: residual at which a cell's search stops.
      around: share of the density around in second derivatives; 0 for the exact ones.
    """
    return _evaluate(
        rows, prices, start, stage, softness, flows=flows, curved=curved,
        passes=passes, tolerance=tolerance, around=around, mesh=mesh_of(rows.atoms),
    )  # fmt: skip


@partial(
    jax.jit,
    static_argnames=("flows", "curved", "passes", "tolerance", "around", "mesh"),
)
def _evaluate(rows, prices, start, stage, softness, *, mesh, **options):
    inputs = by_chunks(rows), False, True, False, False
    cut = "target", "sent", "slope"
    marks: list[Any] = [name in cut for name in Evaluation._fields]
    outputs = Evaluation(*marks)
    body = partial(_on_device, mesh=mesh, **options)
    return on_mesh(body, mesh, inputs, outputs)(rows, prices, start, stage, softness)


def _on_device(
    rows, prices, start, stage, softness, *, flows, curved, passes, tolerance, around,
    mesh,
) -> Evaluation:  # fmt: skip
    """A device's own chunks; value, use and bend are of all devices."""
    prices = prices.astype(rows.atoms.dtype)

    def chunk(part):
        item, cell = part
        charge, toll, steps, own = priced(rows, item, prices)
        periods = charge.shape[1]
        if flows:
            of_toll = partial(weights_at, rows, item, softness, steps, own)
            (base, drop), back = jax.vjp(of_toll, toll)
        else:
            free = jnp.zeros_like(toll[:, 0, 0])
            back = lambda _: (jnp.zeros_like(toll),)
            volume, mean = item["mean"].sum(axis=2).mean(axis=1), item["mean"]
            base, drop = jax.vmap(partial(home_weights, rows, softness))(
                free, steps, own, item["slot"], volume, mean.sum(axis=(1, 2))
            )
            drop = jnp.broadcast_to(
                drop[:, None, None],
                (len(drop), periods, rows.regimes, *drop.shape[1:]),
            )
        drop = by_pool(drop)
        join = lambda x: x.reshape(-1, *x.shape[2:])
        pull = pull_of(item, cell, stage, periods)
        tilted = join(charge) + cell["tilt"]
        search = partial(
            minimise, rows.shape, passes=passes, tolerance=tolerance, hinges=rows.hinges
        )
        solved = rows.each_cell(
            search, cell["atoms"], rows.prob, join(drop), tilted, cell["lower"],
            cell["upper"], cell["width"] * stage, pull, cell["anchor"], cell["start"],
            spread=False,
        )  # fmt: skip
        terms = solved.terms
        value = (
            base.sum()
            - item["paid"].sum()
            + jnp.sum(tilted * solved.target)
            + jnp.sum(join(drop) * terms.shortage)
            + jnp.sum(pull * (solved.target - cell["anchor"]) ** 2) / 2
        )
        split = lambda x: x.reshape(-1, periods, *x.shape[1:])
        nodes = charge.shape[2]
        short = by_regime(split(terms.shortage), rows.regimes)
        moved = back((jnp.ones_like(base), short))[0] / rows.window
        shipped = moved.sum(axis=2)
        y = split(solved.target)
        stored = jnp.einsum(
            "i,itn->nt", item["volume"], y - (rows.window - 1) * shipped
        )
        sent = shipped.sum(axis=0).T
        stock = y.sum(axis=0).T
        before = jnp.pad(stock - sent, ((0, 0), (1, 0)))[:, :-1]
        outbound = jnp.transpose(moved.sum(axis=0), (1, 2, 0))
        use = jnp.concatenate([jnp.stack([stored, stock - before]), outbound])
        if curved:
            bend = _bend(
                rows, item, toll, steps, own, drop, split(terms.tail),
                split(terms.density + around * terms.around), split(solved.free),
                split(pull), flows, softness,
            )  # fmt: skip
        else:
            size = (1 + rows.regimes) * nodes
            bend = jnp.zeros((3, periods, size, size), value.dtype)
        return (
            (value, use, bend, solved.passes.mean()),
            solved.target,
            join(moved),
            solved.slope,
            solved.residual.max(),
        )

    cells = rows.by_cell | {"start": start}
    wide = jnp.result_type(float)  # float64 where JAX allows it

    def add(total, part):  # chunk by chunk: sums of all chunks at once are large
        sums, *cut = chunk(part)
        return tuple(t + x for t, x in zip(total, sums, strict=True)), cut

    nodes, periods = prices.shape[1:]
    size = (1 + rows.regimes) * nodes
    shapes = (), prices.shape, (3, periods, size, size), ()
    zeros = tuple(jnp.zeros(shape, wide) for shape in shapes)
    sums, cut = jax.lax.scan(add, zeros, (rows.by_item, cells))
    target, sent, slope, residual = cut
    sums = over_items(sums, mesh)
    chunks = len(target) if mesh is None else len(target) * mesh.size
    residual = over_items(residual.max(), mesh, most=True)
    value, use, bend, looks = sums
    return Evaluation(value, target, sent, slope, use, bend, residual, looks / chunks)


def priced(rows: Rows, item, prices):
    """Of the items of a chunk: charges on targets and window shipments, service levels,
    and what the node nearest to a class saves, before tolls."""
    cost = jax.vmap(serve_cost, (None, 0, 0))(
        rows.services, item["weight"], item["late_cost"]
    )
    cost = cost - item["holding"][:, :, None]
    charge, toll = jax.vmap(lambda v, h: charges(rows.window, v, h, prices))(
        item["volume"], item["holding"]
    )
    steps = jax.vmap(lambda c, p: service_levels(c, p, rows.ring, rows.levels))(
        cost, item["penalty"]
    )
    own = jnp.take_along_axis(cost, rows.home[None, None, :], axis=1)[:, 0]
    return charge, toll, steps, own


def weights_at(rows: Rows, item, softness, steps, own, toll):
    """`home_weights` of every item, period and regime of a chunk."""
    weights = partial(home_weights, rows, softness)
    per_regime = jax.vmap(weights, (0, None, None, None, None, 0))
    per_cell = jax.vmap(per_regime, (0, None, None, None, None, 0))
    volume = item["mean"].sum(axis=2).mean(axis=1)
    return jax.vmap(per_cell)(toll, steps, own, item["slot"], volume, item["mean"])


def pull_of(item, cell, stage, periods: int):
    """Curvature of the pull to its anchor, of every cell and node of a chunk."""
    near = cell["anchor"] + 0.1 * cell["anchor"].sum(axis=1, keepdims=True)
    return PULL * stage * jnp.repeat(item["holding"], periods, axis=0) / (near + 0.5)


def by_pool(drop: Float[Array, "*cells regimes pools buckets"]):
    """The drops with the regimes side by side on the axis of buckets, as in `Rows`."""
    drop = jnp.moveaxis(drop, -3, -2)
    return drop.reshape(*drop.shape[:-2], -1)


def by_regime(terms: Float[Array, "*cells pools regimes*buckets"], regimes: int):
    """The inverse of `by_pool`: the terms of each regime."""
    terms = terms.reshape(*terms.shape[:-1], regimes, -1)
    return jnp.moveaxis(terms, -2, -3)


def home_weights(rows, softness, toll, steps, own, slot, volume, mean):
    """Cost of the cheapest service, and drops, where tolls bear on each class's home,
    in one regime.

    What spills is priced without tolls: K1 does not see whether a node beyond the home
    has stock to ship, and would charge tolls to sites that have none. The bound does
    not take this liberty.
    """
    later = jnp.diff(steps[1:], axis=0)

    def look(toll):
        home = _soft_minimum(own + toll[rows.home], steps[1], softness)
        rise = jnp.concatenate([(steps[1] - home)[None], later])
        return home, bucket_drops(rise, slot, volume, rows.pools, rows.buckets, False)

    home, drop = look(toll)
    _, plain = look(jnp.zeros_like(toll))
    return home @ mean, drop + (rows.lift - 1) * plain  # tolls are paid once


def _soft_minimum(a, b, softness):
    """Smooth minimum, below the minimum by no more than softness * log 2."""
    low, high = jnp.minimum(a, b), jnp.maximum(a, b)
    near = high - low < 30 * softness
    away = jnp.where(near, high - low, 0) / softness
    return low - softness * jnp.where(near, jnp.log1p(jnp.exp(-away)), 0)


def _bend(
    rows, item, toll, steps, own, drop, tail, density, free, pull, flows, softness
):
    """Second derivatives of the cells' Lagrangians, summed over the chunk's items.

    In the charges of y: minus the inverse Hessian. In the tolls of every regime: how
    the share served from home in it, and the targets, answer; regimes meet in the
    targets alone.
    """
    shape, regimes = rows.shape, rows.regimes
    nodes = rows.ring.shape[0]
    curvature = (drop * density).sum(axis=-1)
    diagonal = curvature[..., :nodes] + pull
    column = jax.vmap(tree_inverse, (None, None, None, None, None, 0), 1)
    one = lambda c, d, f: column(
        shape.same, shape.pool_of, c, d, f, jnp.eye(nodes, dtype=c.dtype)
    )
    inverse = jax.vmap(jax.vmap(one))(curvature, diagonal, free)  # i t n n
    volume = item["volume"]
    real = (item["mean"].sum(axis=(1, 2, 3)) > 0).astype(volume.dtype)
    powers = jnp.stack([volume**2, volume, real])
    yy = -inverse
    if not flows:
        top = jnp.einsum("pi,itab->ptab", powers, yy)
        return jnp.pad(top, ((0, 0), (0, 0), *[(0, regimes * nodes)] * 2))

    def answer(toll, steps, own, slot, volume, mean, tail):
        """d^2 / dy d toll and d^2 / d toll^2 of a cell and regime, both diagonal."""
        at_home = jax.nn.sigmoid((steps[1] - own - toll[rows.home]) / softness)
        marginal = tail - jnp.pad(tail[:, :-1], ((0, 0), (1, 0)))
        weight = volume + 1e-12
        total = jnp.zeros(tail.size, tail.dtype).at[slot[0]].add(weight)
        share = weight / total[slot[0]] * marginal.reshape(-1)[slot[0]]
        add = lambda x: jnp.zeros(nodes, tail.dtype).at[rows.home].add(x)
        return add(share * at_home), -add(mean * at_home * (1 - at_home)) / softness

    per_regime = jax.vmap(answer, (0, None, None, None, None, 0, 0))
    per_cell = jax.vmap(per_regime, (0, None, None, None, None, 0, 0))
    cross, choice = jax.vmap(per_cell)(
        toll, steps, own, item["slot"], item["mean"].sum(axis=2).mean(axis=1),
        item["mean"], by_regime(tail, regimes),
    )  # fmt: skip
    flat = lambda x: x.reshape(*x.shape[:2], -1)  # i t regimes*nodes
    cross, choice = flat(cross / rows.window), flat(choice / rows.window**2)
    again = jnp.tile(inverse, (regimes, regimes))
    yg = -again[..., :nodes, :] * cross[..., None, :]
    gg = -cross[..., :, None] * again * cross[..., None, :]
    gg = gg + choice[..., :, None] * jnp.eye(regimes * nodes, dtype=choice.dtype)
    top = jnp.concatenate([yy, yg], axis=-1)
    bottom = jnp.concatenate([jnp.swapaxes(yg, -1, -2), gg], axis=-1)
    return jnp.einsum("pi,itab->ptab", powers, jnp.concatenate([top, bottom], axis=-2))


@partial(jax.jit, static_argnames=("passes", "cuts"))
def exact_bound(
    rows: Rows,
    prices: Prices,
    start: Float[Array, "chunks cells nodes"],
    stage: Float[Array, ""],
    *,
    passes: int = 16,
    cuts: int = 8,
) -> Float[Array, ""]:
    """A lower bound on the group's exact Lagrangian, in float64 where JAX allows it.

    The least weight of each bucket, hard minima and unsmoothed shortages: K1 as a bound
    kernel. The slopes come from a smoothed solution at the same prices, the value from
    the exact dual of each cell, so it holds however well that solution converged.

    Args:
      rows: the group.
      prices: money per unit of capacity, >= 0.
      start: targets near the optimum.
      stage: factor on the smoothing widths of the search for slopes.
      passes: passes over the atoms to search for slopes.
      cuts: passes over the atoms to bound each pool's newsvendor.
    """
    wide = jnp.result_type(float)  # float64 where JAX allows it
    narrow = rows.atoms.dtype
    services = tuple(x.astype(wide) for x in rows.services)
    prices = prices.astype(wide)
    window = rows.window.astype(wide)
    prob = rows.prob.astype(wide)
    shape = jax.tree.map(
        lambda x: x.astype(wide) if jnp.issubdtype(x.dtype, jnp.floating) else x,
        rows.shape,
    )

    def chunk(part):
        item, cell = part
        charge, toll = jax.vmap(
            lambda v, h: charges(window, v.astype(wide), h.astype(wide), prices)
        )(item["volume"], item["holding"])

        def weights(toll, weight, late_cost, holding, penalty, slot, mean):
            cost = serve_cost(services, weight.astype(wide), late_cost.astype(wide))
            cost = cost - holding[:, None] + toll[:, None]
            steps = service_levels(cost, penalty.astype(wide), rows.ring, rows.levels)
            drop = bucket_drops(
                jnp.diff(steps, axis=0), slot, mean, rows.pools, rows.buckets, True
            )
            return steps[0] @ mean.astype(wide), drop

        per_regime = jax.vmap(weights, (0, None, None, None, None, None, 0))
        per_cell = jax.vmap(per_regime, (0, None, None, None, None, None, 0))
        base, drop = jax.vmap(per_cell)(
            toll, item["weight"], item["late_cost"], item["holding"].astype(wide),
            item["penalty"], item["slot"], item["mean"],
        )  # fmt: skip
        join = lambda x: x.reshape(-1, *x.shape[2:])
        drop, charge = join(by_pool(drop)), join(charge)
        width = cell["width"] * stage.astype(narrow)
        search = partial(minimise, rows.shape, passes=passes, hinges=rows.hinges)
        solved = rows.each_cell(
            search, cell["atoms"], rows.prob, drop.astype(narrow),
            charge.astype(narrow), cell["lower"], cell["upper"], width,
            jnp.zeros_like(cell["start"]), cell["start"], cell["start"], spread=False,
        )  # fmt: skip
        slope = (drop * solved.terms.tail).sum(axis=-1)
        stock = solved.target.astype(wide) @ shape.member.T
        value = rows.each_cell(
            partial(dual_value, shape, cuts=cuts), cell["atoms"], prob, drop, charge,
            cell["lower"].astype(wide),
            cell["upper"].astype(wide), slope, stock, width.astype(wide),
            solved.target.astype(wide),
        )  # fmt: skip
        return base.sum() + value.sum() - item["paid"].astype(wide).sum()

    cells = rows.by_cell | {"start": start}
    return jax.lax.map(chunk, (rows.by_item, cells)).sum()

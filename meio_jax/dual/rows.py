"""Tree demand of a group of items, drawn and cumulated once, scenarios kept out after.

Prices of storage and inbound tilt the charges and prices of flow change the weights;
the demand of the pools depends on neither. So each pool's cumulated demand is kept as
atoms (points with weights) and every later pass reads atoms, not scenarios. Where there
are more scenarios than atoms, neighbours in size are averaged, which lowers the
expected shortage (Jensen): the kernel stays a bound.

Where shipments are priced by regimes of load, each regime keeps its demand in buckets
of its own, side by side on the axis of buckets. A bucket is a hinge of its pool's stock
and no kernel asks whose, so K regimes of S / K scenarios cost what S scenarios do.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from meio_jax.kernels.cost import buckets, cumulate, serve_cost, service_levels
from meio_jax.kernels.tree import Hinges, TreeShape
from meio_jax.mesh import Crew, assemble, chunk_items, mesh_of, replicate
from meio_jax.problem import Group, Network, Problem
from meio_jax.scenarios.load import SlotSource, slot_numbers
from meio_jax.scenarios.regimes import regime_of
from meio_jax.scenarios.sample import Sample, window_demand

BY_ITEM = (
    "mean", "slot", "weight", "late_cost", "volume", "penalty", "holding", "paid",
)  # fmt: skip
BY_CELL = "atoms", "width", "anchor", "lower", "upper", "tilt"


class Rows(eqx.Module):
    """A group on the device: items in chunks, padded with items of no demand.

    Attributes:
      atoms: cumulated demand of each pool's buckets that hold classes, regime by
        regime, units; of every item-period, which is a cell, or of every item where all
        its periods meet the same windows (`same_windows`).
      prob: weight of each atom, its regime's share included.
      mean: mean window demand of each class in a regime, times the regime's share,
        units.
      slot: pool * buckets + bucket of each class at each level.
      width: half width of the smoothing of each pool, units, at stage 1.
      anchor: mean window demand whose home is the node, units.
      unit_cost: money per unit of serving a class from a node; inf where it cannot.
      cost_per_weight: money per weight unit.
      days_late: days after the promise.
      weight: weight of a unit.
      late_cost: money per unit and day late.
      volume: of a unit.
      penalty: money per unit not served.
      holding: money per unit left over.
      lower: least target.
      upper: largest target, finite.
      tilt: added to the charges in planning, 0 for the kernel as it is: what brings its
        optimum to the exact one at some prices; bounds do not see it.
      window: mean periods that an order protects, by node.
      ring: first level whose pool holds both a node and the home of a class.
      home: home of each class.
      shape: the tree.
      hinges: the buckets of pools that the atoms are of.
      buckets: buckets of a pool in a regime.
      regimes: bins of load of equal size.
      lift: factor on the cost of a shortage in each chunk's planning, 1 for the kernel
        as it is; bounds do not see it.
      paid: cost of the window's earlier periods, counted in their own period.
    """

    atoms: Float[Array, "chunks atoms drawn hinges"]
    prob: Float[Array, " atoms"]
    mean: Float[Array, "chunks items periods regimes classes"]
    slot: Int[Array, "chunks items levels classes"]
    width: Float[Array, "chunks cells pools"]
    anchor: Float[Array, "chunks cells nodes"]
    unit_cost: Float[Array, "nodes classes"]
    cost_per_weight: Float[Array, "nodes classes"]
    days_late: Float[Array, "nodes classes"]
    weight: Float[Array, "chunks items"]
    late_cost: Float[Array, "chunks items"]
    volume: Float[Array, "chunks items"]
    penalty: Float[Array, "chunks items"]
    holding: Float[Array, "chunks items nodes"]
    lower: Float[Array, "chunks cells nodes"]
    upper: Float[Array, "chunks cells nodes"]
    tilt: Float[Array, "chunks cells nodes"]
    window: Float[Array, " nodes"]
    paid: Float[Array, "chunks items"]
    lift: Float[Array, ""]
    ring: Int[Array, "nodes classes"]
    home: Int[Array, " classes"]
    shape: TreeShape
    hinges: Hinges
    buckets: int = eqx.field(static=True)
    regimes: int = eqx.field(static=True)

    @property
    def by_item(self) -> dict[str, Array]:
        """What a pass over chunks reads of the items."""
        return {name: getattr(self, name) for name in BY_ITEM}

    @property
    def by_cell(self) -> dict[str, Array]:
        """What a pass over chunks reads of the cells."""
        return {name: getattr(self, name) for name in BY_CELL}

    @property
    def services(self) -> tuple[Array, Array, Array]:
        """Unit cost, cost per weight and days late of every node and class."""
        return self.unit_cost, self.cost_per_weight, self.days_late

    @property
    def levels(self) -> int:
        return self.slot.shape[2]

    @property
    def pools(self) -> int:
        return self.hinges.place.shape[0]

    def pool_atoms(self) -> Float[Array, "chunks atoms cells pools regimes*buckets"]:
        """Atoms of every cell by pool and bucket."""
        atoms = self.hinges.spread(self.atoms)
        return jnp.repeat(atoms, self.lower.shape[1] // atoms.shape[2], axis=2)

    def each_cell(self, kernel, atoms, prob, *cells, spread: bool = True):
        """A kernel of one cell, over those of a chunk.

        Args:
          kernel: of atoms, their weights, and arrays of a cell.
          atoms: the chunk's.
          prob: their weights.
          *cells: arrays, the first axis of each the cells.
          spread: give the kernel atoms by pool and bucket, not by hinge.
        """
        drawn, count = atoms.shape[1], len(cells[0])
        atoms = self.hinges.spread(atoms) if spread else atoms
        cut = [x.reshape(drawn, count // drawn, *x.shape[1:]) for x in cells]
        inner = jax.vmap(kernel, in_axes=(None, None, *[0] * len(cells)))
        outer = jax.vmap(inner, in_axes=(1, None, *[0] * len(cells)))
        done = outer(atoms, prob, *cut)
        return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), done)


def tree_shape(network: Network, dtype) -> TreeShape:
    """The tree of a network as arrays on the device."""
    tree, narrow = network.tree, np.dtype(dtype)
    same = tree.pool_of[:, :, None] == tree.pool_of[:, None, :]
    return TreeShape(
        jnp.asarray(tree.member.astype(narrow)),
        jnp.asarray(tree.pool_of),
        jnp.asarray(same.astype(narrow)),
    )


def bucket_hinges(
    pool: Int[np.ndarray, "levels classes"], pools: int, count: int, regimes: int
) -> tuple[Hinges, Int[np.ndarray, " hinges"]]:
    """The buckets that can have demand of their own, and their places among all.

    A pool of m classes uses its first m - 1 buckets and the last, all of them where it
    has more classes than buckets: the others would repeat the last.

    Args:
      pool: of each class at each level.
      pools: number of pools.
      count: buckets of a pool.
      regimes: of load, each with buckets of its own.
    """
    members = np.bincount(pool.ravel(), minlength=pools)[:, None]
    bucket = np.tile(np.arange(count), regimes)[None, :]
    used = ((bucket < members - 1) | (bucket == count - 1)) & (members > 0)
    total = int(used.sum())
    number = np.where(used, np.cumsum(used.ravel()).reshape(used.shape) - 1, total)
    last = number[:, count - 1 :: count].repeat(count, axis=1)  # of each regime
    place = np.where(used, number, last)
    own = np.nonzero(used)[0]
    return Hinges(jnp.asarray(own), jnp.asarray(place)), np.flatnonzero(used)


def same_windows(sample: Sample, index: int, regimes: int) -> bool:
    """Whether every period meets the same windows, lead times and regimes, in whatever
    scenarios: then the atoms of one period are those of every period.

    Args:
      sample: the scenarios.
      index: which group.
      regimes: of load.
    """
    if np.ptp(sample.weight) > 1e-12 or (sample.factor != 1).any():
        return False
    lead, reach = sample.lead[index], sample.longest + 1
    known = regime_of(sample.order, regimes)

    def windows(t):
        met = np.c_[known[t], sample.slot[:, t : t + reach], lead[:, t].T]
        return met[np.lexsort(met.T)]

    first = windows(0)
    return all(np.array_equal(windows(t), first) for t in range(1, lead.shape[1]))


def build_rows(
    problem: Problem,
    group: Group,
    index: int,
    sample: Sample,
    *,
    count: int,
    atoms: int,
    dtype=jnp.float32,
    chunk: int | None = None,
    chunks: int = 0,
    span: tuple[int, int] | None = None,
) -> Rows:
    """Draws a group's scenarios and keeps what the planner reads of them.

    Args:
      problem: the problem.
      group: one of its groups.
      index: which one.
      sample: the scenarios.
      count: buckets of a pool.
      atoms: points kept per pool and bucket, divided over the regimes; no fewer than
        the scenarios are kept if these have weights of their own.
      dtype: of the planning arithmetic.
      chunk: items drawn at once, `chunk_items` if not given; fewer where there are
        fewer, unless `chunks` is given.
      chunks: least number of chunks, filled up with empty ones.
      span: first and last of the chunks to build; all if not given.
    """
    items, narrow = group.items, np.dtype(dtype).type
    chunk = chunk or chunk_items()
    chunk = chunk if chunks else min(chunk, len(items))
    begin, end = span or (0, -(-len(items) // chunk))
    source = SlotSource(problem, group, sample)
    draft = draft_rows(
        problem, group.network, index, sample, count=count, atoms=atoms, dtype=dtype
    )
    starts = range(begin * chunk, max(end, begin + chunks) * chunk, chunk)
    every = {}
    for at, first in enumerate(starts):
        last = max(min(first + chunk, len(items), end * chunk), first)
        pad = first + chunk - last
        fill = lambda x, first=first, last=last, pad=pad: np.concatenate(
            [x[first:last], np.repeat(x[:1], pad, 0)]
        ).astype(narrow)
        slots = source(min(first, len(items)), min(last, len(items)))
        slots = jnp.pad(slots, ((0, pad), (0, 0), (0, 0))) if pad else slots
        real = np.arange(chunk) < last - first
        own = items.weight, items.late_cost, items.volume, items.lower, items.upper
        part = item_rows(
            slots, real, fill(items.holding), fill(items.penalty),
            tuple(map(fill, own)), draft.constants, **draft.static,
        )  # fmt: skip
        every = _put(every or _blank(part, chunks=len(starts)), part, at)
    return Rows(**every, **draft.common, **draft.sizes)


class Draft(NamedTuple):
    """What the rows of any items of a group are made with, whichever items they are.

    Attributes:
      constants: what `item_rows` reads.
      static: its options.
      common: arrays of `Rows` that hang on no item.
      sizes: static fields of `Rows`.
    """

    constants: tuple
    static: dict[str, Any]
    common: dict[str, Any]
    sizes: dict[str, Any]


def draft_rows(
    problem: Problem,
    network: Network,
    index: int,
    sample: Sample,
    *,
    count: int,
    atoms: int,
    dtype=jnp.float32,
) -> Draft:
    """What the rows of any items of a group are made with; arguments as `build_rows`.

    Args:
      problem: the problem.
      network: of the group.
      index: which group.
      sample: the scenarios.
      count: buckets of a pool.
      atoms: points kept per pool and bucket.
      dtype: of the planning arithmetic.
    """
    regimes = problem.regimes
    average, prob = _averaging(sample.weight, atoms, regimes)
    pool = network.tree.pool_of[:, network.home]
    pools = len(network.tree.member)
    members = np.bincount(pool.ravel(), minlength=pools)
    hinges, kept = bucket_hinges(pool, pools, count, regimes)
    ring = problem.kind != "forecast" and same_windows(sample, index, regimes)
    drawn_periods = 1 if ring else problem.periods
    narrow = np.dtype(dtype).type
    services = tuple(
        jnp.asarray(x.astype(narrow))
        for x in (network.unit_cost, network.cost_per_weight, network.days_late)
    )
    cover = jnp.asarray(sample.window(index).astype(narrow))
    slot = slot_numbers(problem, sample)
    constants = (
        jnp.asarray(slot[:, : drawn_periods + sample.longest]),
        jnp.asarray(sample.lead[index][:, :drawn_periods]), jnp.asarray(network.home),
        jnp.asarray(sample.weight.astype(narrow)), jnp.asarray(average.astype(narrow)),
        jnp.asarray(network.ring), jnp.asarray(pool), jnp.asarray(members),
        jnp.asarray(sample.order[:drawn_periods]), jnp.asarray(kept), services, cover,
        np.asarray(network.spread, narrow),
    )  # fmt: skip
    static = dict(
        count=count, regimes=regimes, longest=sample.longest, dtype=dtype,
        periods=problem.periods,
    )  # fmt: skip
    common = dict(
        unit_cost=services[0], cost_per_weight=services[1], days_late=services[2],
        prob=jnp.asarray(prob.astype(narrow)), window=cover,
        lift=jnp.asarray(narrow(1)), ring=jnp.asarray(network.ring),
        home=jnp.asarray(network.home), shape=tree_shape(network, dtype), hinges=hinges,
    )  # fmt: skip
    return Draft(constants, static, common, dict(buckets=count, regimes=regimes))


def by_chunks(rows: Rows) -> Rows:
    """True in place of each array whose first axis is chunks, False of the others."""
    cut = dict.fromkeys((*BY_ITEM, *BY_CELL), True)
    return replace(jax.tree.map(lambda _: False, rows), **cut)


def spread_rows(
    problem: Problem,
    group: Group,
    index: int,
    sample: Sample,
    crew: Crew,
    *,
    chunk: int | None = None,
    block: tuple[int, int, int] | None = None,
    **options,
) -> Rows:
    """The rows of a process's own items, cut over its devices by chunks.

    Args:
      problem: the problem.
      group: one of its groups.
      index: which one.
      sample: the scenarios.
      crew: who works on which items.
      chunk: items worked on at once; `chunk_items` if not given.
      block: first and last chunk, among the process's own, and the number to fill up to
        with empty ones; all if not given.
      **options: as of `build_rows`.
    """
    chunk = min(chunk or chunk_items(), len(group.items))
    chunks = -(-len(group.items) // chunk)
    start, stop = crew.own(chunks)
    first, last, size = block or (0, stop - start, -(-chunks // crew.processes))
    each = max(-(-size // crew.hands), 1)
    spans = crew.deal(start + first, start + last, each)
    build = partial(
        build_rows, problem, group, index, sample, chunk=chunk, chunks=each, **options
    )
    parts = crew.each(lambda _, span: build(span=span), spans)
    if len(parts) == 1:
        return parts[0]
    cut = {
        name: assemble([getattr(part, name) for part in parts])
        for name in (*BY_ITEM, *BY_CELL)
    }
    put = partial(replicate, mesh=mesh_of(cut["atoms"]))
    rest = {name: x for name, x in vars(parts[0]).items() if name not in cut}
    return Rows(**cut, **jax.tree.map(put, rest))


def _averaging(weight, atoms, regimes):
    """Matrix that turns a regime's sorted scenarios into atoms, and the atoms' weights;
    the identity keeps the scenarios."""
    count, atoms = len(weight) // regimes, max(atoms // regimes, 1)
    if count <= atoms or not np.allclose(weight, 1 / len(weight)):
        return np.eye(count), weight[:count]
    edges = np.linspace(0, count, atoms + 1).round().astype(int)
    matrix = np.zeros((count, atoms))
    for k in range(atoms):
        matrix[edges[k] : edges[k + 1], k] = 1 / (edges[k + 1] - edges[k])
    return matrix, np.diff(edges) / len(weight)


@partial(jax.jit, static_argnames="chunks")
def _blank(part, *, chunks):
    """Room for the parts of so many chunks."""
    return jax.tree.map(lambda x: jnp.zeros((chunks, *x.shape), x.dtype), part)


@partial(jax.jit, donate_argnums=0)
def _put(every, part, at):
    """A chunk's part put in its place, in the memory of what is there."""
    put = partial(jax.lax.dynamic_update_index_in_dim, index=at, axis=0)
    return jax.tree.map(put, every, part)


@partial(jax.jit, static_argnames=("count", "regimes", "longest", "dtype", "periods"))
def item_rows(
    slots, real, holding, penalty, items, constants, *, count, regimes, longest, dtype,
    periods,
):  # fmt: skip
    """What `Rows` has of a chunk of items; those that are not real have no demand.

    Args:
      slots: their demand, units, "items slots classes".
      real: whether they are.
      holding: money per unit left over, "items nodes".
      penalty: money per unit not served.
      items: their weight, late cost and volume, "items", and least and largest targets,
        "items periods nodes".
      constants: of the draft.
      count: buckets of a pool.
      regimes: bins of load.
      longest: longest lead time, periods.
      dtype: of the planning arithmetic.
      periods: of the horizon.
    """
    slot, lead, home, weight, average, ring, pool, members, order, kept = constants[:10]
    services, window, spread = constants[10:]
    levels, pools = pool.shape[0], members.shape[0]
    mask = lambda x: jnp.where(real.reshape(-1, *[1] * (x.ndim - 1)), x, 0)
    heavy, late_cost, volume, lower, upper = map(mask, items)
    cost = jax.vmap(serve_cost, (None, 0, 0))(services, heavy, late_cost)

    def one(slots, cost, holding, penalty):
        demand = window_demand(slots, slot, lead, home, longest)
        if regimes > 1:  # weights are equal then
            demand = jnp.take_along_axis(demand, order[None], axis=2)
        parts = demand.reshape(*demand.shape[:2], regimes, -1)
        mean = jnp.einsum("qtks,ks->tkq", parts, weight.reshape(regimes, -1))
        steps = service_levels(cost - holding[:, None], penalty, ring, levels)
        place = buckets(jnp.diff(steps, axis=0), pool, members, count)
        place = pool * count + place
        draws = demand.reshape(demand.shape[0], -1)
        total = cumulate(draws, place, pools, count)
        total = total.reshape(pools, count, *parts.shape[1:])
        total = jnp.transpose(total, (0, 3, 1, 2, 4))  # pools, regimes, buckets, t, s
        total = total.reshape(-1, *total.shape[3:])[kept]
        if average.shape[1] < average.shape[0]:
            total = jnp.sort(total, axis=-1) @ average
        total = jnp.transpose(total, (2, 1, 0))
        whole = mean.sum(axis=1) @ _members(place, pools, count, dtype)
        width = jnp.maximum(1.0, 0.06 * whole)
        return total, mean, place, width, whole[:, : ring.shape[0]]

    drawn = jax.lax.map(
        lambda x: one(*x), (slots.astype(dtype), cost, holding, penalty)
    )
    atoms, mean, place, width, anchor = drawn
    repeat = lambda x: jnp.repeat(x, periods // x.shape[1], axis=1)
    flat = lambda x: x.reshape(-1, *x.shape[2:])
    top = jnp.maximum(repeat(atoms.max(axis=(1, 3)))[:, :, None], lower)
    upper = jnp.clip(jnp.minimum(upper, top), lower, None)
    served = jnp.minimum(cost.min(axis=1), penalty[:, None])
    before = 1 - spread / window[home]
    mean = repeat(mean)
    return dict(
        atoms=jnp.moveaxis(flat(jnp.moveaxis(atoms, 1, 2)), 1, 0),
        mean=mean, slot=place, width=flat(repeat(width)), anchor=flat(repeat(anchor)),
        weight=heavy, late_cost=late_cost, volume=volume, penalty=penalty,
        holding=holding, lower=flat(lower), upper=flat(upper),
        tilt=jnp.zeros_like(flat(upper)),
        paid=jnp.einsum("itkq,iq,q->i", mean, served, before),
    )  # fmt: skip


def _members(place, pools, count, dtype):
    """1 where a class belongs to a pool."""
    classes = place.shape[1]
    out = jnp.zeros((classes, pools), dtype)
    for level in range(place.shape[0]):
        out = out.at[jnp.arange(classes), place[level] // count].set(1)
    return out

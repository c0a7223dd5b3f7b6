"""From the planner's problem to the simulator: systems, capacities, paths."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from meio_jax.kernels.orders import Orders, pack_orders
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.regimes import period_load
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.system import Limits, Paths, System
from meio_jax.supply.chain import Limits as DepotLimits


def make_system(
    group: Group, *, days: float, whole: bool = True,
    via: Int[np.ndarray, " all_nodes"] | None = None,
) -> System:  # fmt: skip
    """The group as a system whose nodes are supplied from outside.

    The planner spreads the cost of a sale over the periods that an order protects; here
    every unit is paid for once, or in every period that it is waited for.

    Args:
      group: items and network.
      days: length of a period.
      whole: whether stock moves in whole units.
      via: of the problem: the node through which each node's receipts pass.
    """
    network, items = group.network, group.items
    full = lambda x: jnp.asarray(np.asarray(x, np.float32))
    penalty, none = items.penalty * network.spread, np.zeros(len(items))
    return System(
        place=jnp.asarray(network.node),
        home=jnp.asarray(network.home),
        holding=full(items.holding.T),
        transit=full(np.zeros(items.holding.T.shape)),
        unit_cost=full(network.unit_cost * network.spread),
        cost_per_weight=full(network.cost_per_weight * network.spread),
        days_late=full(network.days_late),
        volume=full(items.volume),
        weight=full(items.weight),
        lost_cost=full(none if group.waits else penalty),
        late_cost=full(items.late_cost * network.spread),
        wait_cost=full(penalty if group.waits else none),
        parent=(-1,) * len(network.node),
        days=days,
        whole=whole,
        patience=-1 if group.waits else 0,
        via=() if via is None else tuple(via[network.node].tolist()),
    )


def make_limits(problem: Problem, warm: int) -> Limits:
    """Capacities of the buildings, those of the first period in the warm-up too.

    Args:
      problem: the problem.
      warm: periods of warm-up.
    """
    full = lambda x: jnp.asarray(np.asarray(ahead(x, warm, axis=1), np.float32))
    overage = np.broadcast_to(problem.overage, problem.storage.shape)
    return Limits(
        full(problem.storage), full(problem.inbound), full(problem.outbound),
        full(overage), jnp.zeros(len(problem.storage)),
    )  # fmt: skip


def with_depots(limits: Limits, above: DepotLimits, warm: int) -> Limits:
    """Capacities with those of depots after them; stock above their storage costs what
    it costs at most at a node.

    Args:
      limits: of nodes, with the warm-up.
      above: of depots.
      warm: periods of warm-up.
    """
    full = lambda x: jnp.asarray(ahead(x, warm, axis=1), jnp.float32)
    join = lambda a, b: jnp.concatenate([a, jnp.broadcast_to(b, room.shape)])
    room, none = full(above.storage), jnp.asarray(jnp.inf)
    worst = jnp.max(limits.overage, initial=0.0)
    return Limits(
        join(limits.storage, room), join(limits.inbound, full(above.inbound)),
        join(limits.outbound, none), join(limits.overage, worst),
        jnp.concatenate([limits.waiting, jnp.zeros(len(room))]),
    )  # fmt: skip


def ahead(values, warm: int, *, axis: int):
    """Values with those of the first period put before it `warm` times."""
    first = np.take(values, [0] * warm, axis=axis)
    return np.concatenate([first, values], axis=axis)


def make_paths(
    problem: Problem, sample: Sample, cuts, warm: int, slots: int = 1
) -> tuple[Paths, ...]:
    """Demand and lead times of every group on the scenarios of a sample.

    Demand is orders where sales are lost, and units of every class where customers
    wait. A period of warm-up takes the first period of another scenario, so that it is
    as random as the first and says nothing of the path to come.

    Args:
      problem: the problem.
      sample: one scenario a path.
      cuts: loads between regimes in each period, from `load_cuts`.
      warm: periods of warm-up.
      slots: parts of a period in which its demand comes.
    """
    regime = _early(_regimes(problem, sample, cuts), warm)
    paths = []
    for k, group in enumerate(problem.groups):
        source = SlotSource(problem, group, sample)
        slot = _early(source.slot.T[: problem.periods], warm)
        if group.waits:
            demand = _demand(source, slot)
        else:
            rng = np.random.default_rng([sample.seed, 3, k])
            demand = _orders(source, slot, regime, slots, rng)
        lead = _early(np.moveaxis(sample.lead[k], 1, 0), warm)
        rng = np.random.default_rng([sample.seed, 4, k])
        shape = len(lead), len(group.items), len(sample.weight)
        vendor = jnp.asarray(rng.random(shape, np.float32))
        paths.append(Paths(demand, jnp.asarray(lead), jnp.asarray(regime), vendor))
    return tuple(paths)


def load_cuts(problem: Problem, sample: Sample) -> Float[np.ndarray, "periods cuts"]:
    """Loads that cut the scenarios of each period into regimes of equal size.

    Args:
      problem: the problem, with its number of regimes.
      sample: the scenarios that the plan was made on.
    """
    load = period_load(problem, sample.slot, sample.factor)[: problem.periods]
    shares = np.arange(1, problem.regimes) / problem.regimes
    return np.quantile(load, shares, axis=1).T


def _regimes(problem, sample, cuts):
    load = period_load(problem, sample.slot, sample.factor)[: problem.periods]
    return (load[:, None] > cuts[:, :, None]).sum(axis=1)


def _chunks(source: SlotSource):
    items = len(source.group.items)
    return (source(k, min(k + 64, items)) for k in range(0, items, 64))


def _orders(source: SlotSource, slot, regime, slots: int, rng) -> Orders:
    """Orders of each period and each part of it, from the source's slots."""
    places, units, items = [], [], 0
    for chunk in map(np.asarray, _chunks(source)):
        item, when, klass = np.nonzero(chunk)
        places.append(np.stack([when, klass, item + items]).astype(np.int32))
        units.append(chunk[item, when, klass])
        items += len(chunk)
    places, units = np.concatenate(places, axis=1), np.concatenate(units)
    order = np.lexsort(places[::-1])  # by slot, then class, then item
    (when, klass, item), units = places[:, order], units[order]
    start = np.searchsorted(when, np.arange(slot.max() + 2))
    flat = [[] for _ in range(6)]
    for t, today in enumerate(slot):
        count = start[today + 1] - start[today]
        path = np.repeat(np.arange(len(today), dtype=np.int32), count)
        entry = np.arange(len(path)) + np.repeat(
            start[today] - np.cumsum(count) + count, count
        )
        key = klass[entry] * (regime.max() + 1) + regime[t][path]
        order = np.argsort(_narrow(key), kind="stable")  # then by path, then by item
        path, entry = path[order], entry[order]
        for k, part in enumerate(_parts(units[entry], slots, rng)):
            some = np.flatnonzero(part)
            at, on = entry[some], path[some]
            step = np.full(len(some), t * slots + k, np.int32)
            columns = step, klass[at], regime[t][on], on, item[at], part[some]
            for column, values in zip(flat, columns, strict=True):
                column.append(values)
    packed = pack_orders(
        *map(np.concatenate, flat), steps=len(slot) * slots, paths=slot.shape[1]
    )
    shaped = (np.asarray(x).reshape(len(slot), slots, *x.shape[1:]) for x in packed)
    return Orders(*map(jnp.asarray, shaped))


def _narrow(values):
    """The same in 16 bits where they fit: sorting them takes one pass."""
    return values.astype(np.uint16) if values.max(initial=0) < 2**16 else values


def _parts(units, slots: int, rng):
    """The units of orders that come in each part of a period: each in one of them,
    whole units whole, by systematic sampling."""
    if slots == 1:
        return [units]
    start, whole = rng.random(len(units)), units == np.floor(units)
    until = [np.floor(units * (k / slots) + start) for k in range(slots + 1)]
    return [
        np.where(whole, until[k + 1] - until[k], units / slots) for k in range(slots)
    ]


def _demand(source: SlotSource, slot):
    """Units, "periods classes items paths"."""
    parts = [_by_period(chunk, slot) for chunk in _chunks(source)]
    return jnp.concatenate(parts, axis=2)


def order_count(problem: Problem, group: Group, slots: int) -> float:
    """Orders of a group in a mean period of one path, at most.

    Args:
      problem: the problem.
      group: the group.
      slots: parts of a period in which its demand comes.
    """
    most = np.bincount(group.network.part_region).max() * slots
    units = group.demand.quantity
    whole = (units == np.ceil(units)) | (problem.kind == "forecast")
    count = np.where(whole, np.minimum(units, most), most)
    return float(count.sum()) / problem.slots


@jax.jit
def _by_period(slots, slot):
    taken = slots[:, jnp.asarray(slot)]  # items periods paths classes
    return jnp.transpose(taken, (1, 3, 0, 2)).astype(jnp.float32)


def _early(values, warm: int):
    """Values by period, paths last, with periods of warm-up put before them."""
    first = [np.roll(values[:1], k + 1, axis=-1) for k in range(warm)]
    return np.concatenate([*first, values])

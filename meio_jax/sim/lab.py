"""Decisions on fresh paths, side by side: every one meets the same chance."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from meio_jax.kernels.fulfill import Routes
from meio_jax.kernels.orders import Tries, list_tries
from meio_jax.problem import Problem
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.bridge import (
    ahead,
    load_cuts,
    make_limits,
    make_paths,
    make_system,
    order_count,
    with_depots,
)
from meio_jax.sim.depots import Depots
from meio_jax.sim.period import changed
from meio_jax.sim.policy import OrderUpTo
from meio_jax.sim.run import empty_state, plan_routes, simulate_paths
from meio_jax.sim.start import earlier, given_start, steady_start
from meio_jax.sim.step import DEFAULT, DEPOTS
from meio_jax.supply.chain import Limits as DepotLimits
from meio_jax.supply.chain import Supply

ROOM = 400e6  # bytes of demand and stock held at once
COPIES = 16  # of stock: on hand, on its way, in the arrays of a step


class Decision(NamedTuple):
    """What a policy decides before the paths are known.

    Attributes:
      name: shown in tables.
      targets: order-up-to levels of each group, units.
      tolls: price of a shipment from each node in each regime, money per unit of a
        window, of each group: it steers fulfilment.
      reserves: units that a node keeps from customers who are not its own, by group;
        past the last of their periods the last holds.
      depots: how each group is supplied; empty where nodes are from outside, where
        stock never ends.
    """

    name: str
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...]
    tolls: tuple[Float[np.ndarray, "regimes nodes periods"], ...]
    reserves: tuple[Float[np.ndarray, "kept nodes items"], ...]
    depots: tuple[Depots, ...] = ()


class Record(NamedTuple):
    """What a decision did, path by path; the warm-up is not in it.

    Attributes:
      name: of the decision.
      money: of each part of `step.COSTS`.
      demand: units of each class, of each group.
      served: units shipped, of these.
      on_time: units that keep their promise.
      local: units shipped from the home of their class.
      near: units shipped from the first pool of their home.
      use: volume on hand after receipts, units received, units shipped; what passes
        through a building to another is received and shipped there as well.
      on_hand: units in all buildings at the end of a period.
      ordered: units ordered by nodes in a period; of those that depots supply, units
        sent.
      sold: units of demand in a period.
      wrong: paths with an order that was negative or not a number.
      depots: volume on hand when nodes have been sent what they get, units received,
        units on hand.
      bought: units ordered from vendors in a period.
      moved: how far targets move, as `target_change` says; the same on every path.
    """

    name: str
    money: Float[np.ndarray, "costs periods paths"]
    demand: tuple[Float[np.ndarray, "classes paths"], ...]
    served: tuple[Float[np.ndarray, "classes paths"], ...]
    on_time: tuple[Float[np.ndarray, "classes paths"], ...]
    local: tuple[Float[np.ndarray, "classes paths"], ...]
    near: tuple[Float[np.ndarray, "classes paths"], ...]
    use: Float[np.ndarray, "resources buildings periods paths"]
    on_hand: Float[np.ndarray, "periods paths"]
    ordered: Float[np.ndarray, "periods paths"]
    sold: Float[np.ndarray, "periods paths"]
    wrong: Bool[np.ndarray, " paths"]
    depots: Float[np.ndarray, "three depots periods paths"]
    bought: Float[np.ndarray, "periods paths"]
    moved: Float[np.ndarray, " paths"]


def target_change(targets: tuple[Float[np.ndarray, "items periods nodes"], ...]):
    """Plan stability: how far targets move from one period to the next, as a share.

    sum |y_t - y_(t-1)| / sum y_t over items, nodes and periods after the first; 0 where
    targets stay or there is one period.

    Args:
      targets: order-up-to levels of each group, units.
    """
    moved = sum(float(np.abs(np.diff(y, axis=1)).sum()) for y in targets)
    held = sum(float(y[:, 1:].sum()) for y in targets)
    return moved / max(held, 1e-9)


def simulate_decisions(
    problem: Problem,
    decisions: list[Decision],
    planned: Sample,
    samples: list[Sample],
    *,
    days: float,
    slots: int = 1,
    whole: bool = True,
    callback: Callable[[int, int], None] | None = None,
    supplies: tuple[Supply, ...] = (),
    depot_limits: DepotLimits | None = None,
) -> list[Record]:
    """Simulates decisions on the same samples, one scenario a path.

    Where the problem has stock, every decision starts from it. Else every one starts
    from its own first targets and runs a warm-up of as many periods as orders take,
    which is not counted: each then starts as if it had been in force before. Depots
    start as `start.steady_start` draws them.

    Args:
      problem: items, network, capacities.
      decisions: what to simulate.
      planned: scenarios of the plan: regimes of load are those that they show.
      samples: fresh scenarios, from `path_samples` or of given weeks.
      days: length of a period.
      slots: parts of a period in which its demand comes.
      whole: whether stock moves in whole units.
      callback: called with the paths done and the paths in all, after every sample.
      supplies: what lies above each group, where decisions have depots.
      depot_limits: capacities of depots; none unless given.
    """
    longest, warm = spans(problem, samples)
    cuts, limits = load_cuts(problem, planned), make_limits(problem, warm)
    systems = tuple(
        make_system(g, days=days, whole=whole, via=problem.via) for g in problem.groups
    )
    if depot_limits is not None:
        limits = with_depots(limits, depot_limits, warm)
    depots = [tuple(earlier(x, warm) for x in d.depots) for d in decisions]
    policies = [policies_of(decision, warm) for decision in decisions]
    routes = [routes_of(problem, systems, policy) for policy in policies]
    alike = (
        _alike(each, len(system.place))
        for each, system in zip(zip(*routes, strict=True), systems, strict=True)
    )
    routes = list(zip(*alike, strict=True))
    parts: list[list[Record]] = [[] for _ in decisions]
    total, done = sum(len(s.weight) for s in samples), 0
    for sample in samples:
        paths = make_paths(problem, sample, cuts, warm, slots)
        for k, decision in enumerate(decisions):
            states = tuple(
                start_state(*each, len(sample.weight), longest)
                for each in zip(problem.groups, systems, policies[k], strict=True)
            )
            if depots[k]:
                states = _supplied(
                    problem, supplies, sample, depots[k], states, policies[k],
                    warm + problem.periods,
                )  # fmt: skip
            trace = simulate_paths(
                systems, policies[k], limits, paths, states, routes[k], slots=slots,
                depots=depots[k], phases=DEPOTS if depots[k] else DEFAULT,
            )  # fmt: skip
            parts[k].append(_record(decision, systems, limits, trace, warm))
        done += len(sample.weight)
        if callback is not None:
            callback(done, total)
    return [_joined(records) for records in parts]


def spans(problem: Problem, samples: list[Sample]) -> tuple[int, int]:
    """Periods of the longest order and one, and periods of warm-up."""
    longest = 1 + max(
        int(lead.max(initial=0)) for sample in samples for lead in sample.lead
    )
    started = all(group.stock is not None for group in problem.groups)
    return longest, 0 if started else longest + 1


def path_samples(
    problem: Problem,
    draw: Callable[..., Sample],
    *,
    paths: int,
    seeds: list[int],
    slots: int = 1,
) -> list[Sample]:
    """Fresh scenarios in chunks that fit into memory, each with a seed of its own.

    Args:
      problem: the problem.
      draw: `draw(count=..., seed=...)` gives a sample of the law of demand.
      paths: paths in all; rounded up to fill the last chunk.
      seeds: more than there will be chunks.
      slots: parts of a period in which its demand comes.
    """
    each = chunk_size(problem, slots)
    chunks = max(-(-paths // each), 1)
    count = -(-paths // chunks)
    return [draw(count=count, seed=seed) for seed in seeds[:chunks]]


def chunk_size(problem: Problem, slots: int = 1) -> int:
    """Paths whose demand and stock fit into memory.

    Args:
      problem: the problem.
      slots: parts of a period in which its demand comes.
    """
    periods, need = problem.periods + 4, 0.0
    for group in problem.groups:
        items, nodes = len(group.items), len(group.network.node)
        orders = len(group.network.home) * items  # of a period
        if not group.waits:
            orders = min(orders * slots, 2 * order_count(problem, group, slots))
        need += 4 * COPIES * items * nodes + 8 * periods * orders
    return max(int(ROOM / need), 1)


def policies_of(decision: Decision, warm: int) -> tuple[OrderUpTo, ...]:
    """The decision as policies of the systems, its first period in the warm-up too;
    reserves in every period, so that decisions with and without share a program."""
    full = lambda x: jnp.asarray(np.asarray(x, np.float32))
    last = lambda x, n: x[np.minimum(np.arange(n), len(x) - 1)]
    return tuple(
        OrderUpTo(
            full(ahead(np.moveaxis(target, 0, 2), warm, axis=0)),
            full(ahead(np.swapaxes(toll, 1, 2), warm, axis=1)),
            full(ahead(last(reserve, target.shape[1]), warm, axis=0)),
        )
        for target, toll, reserve in zip(
            decision.targets, decision.tolls, decision.reserves, strict=True
        )
    )


def routes_of(problem, systems, policies) -> tuple[Routes | Tries, ...]:
    """The order in which fulfilment tries nodes, of each system."""
    found = []
    for group, system, policy in zip(problem.groups, systems, policies, strict=True):
        ring = group.network.ring
        routes = plan_routes(system, policy, ring, group.network.spread)
        levels = len(group.network.tree.pool_of)
        tries = (
            routes
            if group.waits
            else list_tries(routes, len(ring), ring.shape[1], levels)
        )
        found.append(tries)
    return tuple(found)


def _alike(routes, nodes: int):
    """Routes of several decisions in the same shapes: what is added is not used."""
    none = nodes if isinstance(routes[0], Tries) else 0
    width = [max(x.shape[-1] for x in field) for field in zip(*routes, strict=True)]
    wide = lambda x, w: jnp.pad(
        x, [(0, 0)] * (x.ndim - 1) + [(0, w - x.shape[-1])], constant_values=none
    )
    return [type(each)(*map(wide, each, width)) for each in routes]


def start_state(group, system, policy, paths: int, longest: int):
    """The problem's stock, what is due on its way, or the policy's first targets, on
    the shelf."""
    first = policy.target[0] if group.stock is None else jnp.asarray(group.stock.T)
    wide = lambda x: jnp.repeat(x[..., None].astype(jnp.float32), paths, axis=-1)
    if group.stock is None or group.due is None:
        return empty_state(system, wide(first), longest - 1)
    due = jnp.moveaxis(jnp.asarray(group.due), 0, 2)  # periods nodes items
    state = empty_state(
        system, wide(first - due.sum(axis=0)), max(longest - 1, len(due))
    )
    pipeline = state.pipeline.at[: len(due)].set(wide(due))
    return eqx.tree_at(lambda s: s.pipeline, state, pipeline)


def _supplied(problem, supplies, sample, depots, states, policies, periods: int):
    """States with depots above them, as the inventory says or in steady state."""
    out = []
    for k, (group, supply) in enumerate(zip(problem.groups, supplies, strict=True)):
        state, paths = states[k], len(sample.weight)
        if group.stock is not None:
            start = given_start(supply, np.asarray(state.on_hand), paths, periods)
        else:
            start = steady_start(
                problem, group, sample, depots[k], np.asarray(policies[k].target[0]),
                periods, seed=[sample.seed, 5, k],
            )  # fmt: skip
        shelf = jnp.asarray(start.shelf, jnp.float32)
        out.append(changed(state, on_hand=shelf, above=start.above))
    return tuple(out)


def _record(decision, systems, limits, trace, warm) -> Record:
    """Sums in float64 what the ledgers say after the warm-up."""
    ledgers = [
        {k: np.asarray(v, float)[warm:] for k, v in ledger._asdict().items()
         if k != "depots"}
        for ledger in trace.ledgers
    ]  # fmt: skip
    above = [x.depots for x in trace.ledgers]
    rows = lambda key: sum(np.asarray(getattr(x, key), float)[warm:] for x in above)
    upper = np.stack([rows(key) for key in ("volume", "received", "on_hand")])
    total = lambda key: tuple(ledger[key].sum(axis=0) for ledger in ledgers)
    of_all = lambda values: np.sum(list(values), axis=0)
    by_period = lambda key: of_all(ledger[key].sum(axis=1) for ledger in ledgers)
    buildings, periods = len(limits.storage) - upper.shape[2], upper.shape[1]
    use = np.zeros((3, buildings, periods, upper.shape[3]))
    for system, ledger in zip(systems, ledgers, strict=True):
        for k, key in enumerate(("volume", "received", "shipped")):
            use[k, np.asarray(system.place)] += np.moveaxis(ledger[key], 1, 0)
        via = np.array(system.via, int)
        some = np.flatnonzero(via >= 0)
        for k in (1, 2):  # what passed
            passed = np.moveaxis(ledger["received"], 1, 0)[some]
            np.add.at(use[k], via[some], passed)
    wrong = np.any([x["wrong"].any(axis=0) for x in ledgers], axis=0)
    return Record(
        name=decision.name,
        money=np.moveaxis(of_all(ledger["money"] for ledger in ledgers), 1, 0),
        demand=total("demand"), served=total("served"), on_time=total("on_time"),
        local=total("local"), near=total("near"), use=use,
        on_hand=by_period("on_hand"), ordered=by_period("ordered"),
        sold=by_period("demand"),
        wrong=wrong, depots=np.moveaxis(upper, 1, 2),
        bought=np.sum(rows("bought"), axis=1),
        moved=np.full(len(wrong), target_change(decision.targets)),
    )  # fmt: skip


def _joined(records: list[Record]) -> Record:
    """One record of all paths."""
    join = lambda values: np.concatenate(values, axis=-1)
    fields = {}
    for key in Record._fields[1:]:
        values = [getattr(record, key) for record in records]
        if isinstance(values[0], tuple):
            fields[key] = tuple(map(join, zip(*values, strict=True)))
        else:
            fields[key] = join(values)
    return Record(records[0].name, **fields)

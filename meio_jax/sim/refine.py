"""Refines a decision through the simulator's own gradient.

Sample paths are piecewise linear in targets and spill limits, so the slope of simulated
cost along a path is its expectation's slope (infinitesimal perturbation analysis,
Glasserman & Tayur 1995), by reverse mode. Optax steps on batches of paths of one family
of seeds; what is kept is the best whole decision on paths of another; neither says what
it is worth: that takes paths of a third.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from meio_jax.kernels.fulfill import Routes
from meio_jax.kernels.kinks import larger, within
from meio_jax.kernels.orders import Orders, Tries
from meio_jax.problem import Problem
from meio_jax.recover.round import round_targets
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.bridge import ahead, load_cuts, make_limits, make_paths, make_system
from meio_jax.sim.lab import (
    Decision,
    Record,
    policies_of,
    routes_of,
    simulate_decisions,
    spans,
    start_state,
)
from meio_jax.sim.policy import OrderUpTo
from meio_jax.sim.run import run
from meio_jax.sim.system import Limits, Paths, System

KEEP = 10.0  # price of expected stock above storage, in multiples of overage


class Change(NamedTuple):
    """What refinement moves, of one group; the same in all periods.

    Attributes:
      shift: of targets, in roots of a target.
      reserve: spill limits, units.
    """

    shift: Float[Array, "nodes items"]
    reserve: Float[Array, "nodes items"]


class Refined(NamedTuple):
    """A refined decision.

    Attributes:
      decision: the best that was found; the given one if no other was better.
      before: its score on the paths of selection: cost of a period, and stock that is
        above storage in expectation at ten times the cost of overage; money.
      after: that of the decision.
      scores: step and score of each check.
    """

    decision: Decision
    before: float
    after: float
    scores: tuple[tuple[int, float], ...]


def refine(
    problem: Problem,
    decision: Decision,
    planned: Sample,
    batches: list[Sample],
    selection: list[Sample],
    *,
    days: float,
    steps: int,
    rate: float,
    check: int = 5,
    patience: int = 4,
    callback: Callable[[float], None] | None = None,
) -> Refined:
    """Moves targets and spill limits down the slope of simulated cost.

    Args:
      problem: the problem.
      decision: where to begin: a plan.
      planned: scenarios of the plan.
      batches: scenarios of the steps, one batch a step in turn; of equal size.
      selection: scenarios to choose among steps by.
      days: length of a period.
      steps: steps at most.
      rate: of Adam in the first step, in roots of a target; it falls to 0.
      check: steps between looks at the paths of selection.
      patience: checks without a gain before it stops.
      callback: called with the score after every check.
    """
    slope = _slope(problem, decision, planned, batches, days)
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    sizes = [(len(g.network.node), len(g.items)) for g in problem.groups]
    changes = tuple(
        Change(jnp.zeros(s, jnp.float32), jnp.zeros(s, jnp.float32)) for s in sizes
    )
    state = optimiser.init(changes)
    judge = lambda d: score(
        problem, simulate_decisions(problem, [d], planned, selection, days=days)[0]
    )
    best, least = decision, judge(decision)
    scores, idle = [(0, least)], 0
    for step in range(1, steps + 1):
        gradient = slope(changes, (step - 1) % len(batches), jax.random.key(step))
        updates, state = optimiser.update(gradient, state)
        moved: Any = optax.apply_updates(changes, updates)
        changes = tuple(c._replace(reserve=jnp.maximum(c.reserve, 0)) for c in moved)
        if step % check and step < steps:
            continue
        tried = whole_decision(problem, decision, changes)
        found = judge(tried)
        scores.append((step, found))
        if callback is not None:
            callback(found)
        idle += 1
        if found < least:
            best, least, idle = tried, found, 0
        if idle >= patience:
            break
    return Refined(best, scores[0][1], least, tuple(scores))


def score(problem: Problem, record: Record) -> float:
    """Mean cost of a period, and expected stock above storage at `KEEP` times what
    overage costs, so that a refined decision keeps expected storage as a plan does."""
    periods = record.money.shape[1]
    over = np.maximum(record.use[0].mean(axis=-1) - problem.storage, 0)
    keep = KEEP * np.broadcast_to(problem.overage, over.shape)
    return float(record.money.sum(axis=(0, 1)).mean() + (keep * over).sum()) / periods


def whole_decision(problem: Problem, decision: Decision, changes) -> Decision:
    """The decision with its changes, in whole units within the bounds of targets."""
    targets = []
    for group, target, change in zip(
        problem.groups, decision.targets, changes, strict=True
    ):
        moved = np.asarray(_moved(np.moveaxis(target, 0, 2), change), float)
        items = group.items
        targets.append(
            round_targets(
                np.moveaxis(moved, 2, 0),
                group.network.tree.walk,
                items.key,
                items.lower,
                items.upper,
            )
        )
    reserves = tuple(
        np.floor(np.asarray(c.reserve, float) + 0.5)[None] for c in changes
    )
    return decision._replace(targets=tuple(targets), reserves=reserves)


def _moved(target, change: Change):
    """Targets "periods nodes items" with their shift; none where there was none."""
    root = jnp.sqrt(jnp.mean(jnp.asarray(target), axis=0) + 1)
    moved = larger(target + root * change.shift, 0.0)
    return jnp.where(target > 0, moved, larger(change.shift, 0.0) * (target >= 0))


def _shaken(target, key, least, most):
    """Targets by up to half a unit off, the same way in all periods, within bounds."""
    off = jax.random.uniform(key, target.shape[1:], target.dtype, -0.5, 0.5)
    return within(target + off, least, most)


def _slope(problem: Problem, decision: Decision, planned, batches, days):
    """Gradient of mean simulated cost in the changes, on one of the batches."""
    longest, warm = spans(problem, batches)
    cuts, limits = load_cuts(problem, planned), make_limits(problem, warm)
    systems = tuple(
        make_system(g, days=days, whole=False, via=problem.via) for g in problem.groups
    )
    policies = policies_of(decision, warm)
    routes = routes_of(problem, systems, policies)
    paths = _alike([make_paths(problem, b, cuts, warm) for b in batches])
    count = len(batches[0].weight)
    full = lambda x: jnp.asarray(ahead(np.moveaxis(x, 0, 2), warm, axis=0), jnp.float32)
    bounds = tuple((full(g.items.lower), full(g.items.upper)) for g in problem.groups)
    starts = tuple(_Start(g.stock, g.due) for g in problem.groups)
    world = _World(systems, policies, limits, routes, bounds, starts)
    count = len(batches[0].weight)
    return lambda changes, k, key: _gradient(
        changes, paths[k], key, world, longest, warm, count
    )


class _Start(NamedTuple):
    """Stock of a group, as of `Group`."""

    stock: Any
    due: Any


class _World(NamedTuple):
    """What a refinement keeps while it moves changes; all of it may be traced."""

    systems: tuple[System, ...]
    policies: tuple[OrderUpTo, ...]
    limits: Limits
    routes: tuple[Routes | Tries, ...]
    bounds: tuple[tuple[Any, Any], ...]
    starts: tuple[_Start, ...]


def _cost(changes, paths, key, world: _World, longest: int, warm: int, count: int):
    """Mean cost of all periods on some paths, as `score` counts it."""
    systems, limits = world.systems, world.limits
    moved = tuple(
        OrderUpTo(_shaken(_moved(p.target, c), key, *ends), p.toll, c.reserve[None])
        for p, c, ends in zip(world.policies, changes, world.bounds, strict=True)
    )
    states = tuple(
        start_state(*each, count, longest)
        for each in zip(world.starts, systems, moved, strict=True)
    )
    trace = run(systems, moved, limits, paths, states, world.routes)
    money = sum(x.money[warm:].sum(axis=(0, 1)).mean() for x in trace.ledgers)
    volume = jnp.zeros_like(limits.storage[:, warm:])
    for system, ledger in zip(systems, trace.ledgers, strict=True):
        mean = ledger.volume[warm:].mean(axis=2).T
        volume = volume.at[system.place].add(mean)
    over = larger(volume - limits.storage[:, warm:], 0.0)
    return money + (KEEP * limits.overage[:, warm:] * over).sum()


# one program for all refinements of problems of the same shapes
_gradient = jax.jit(jax.grad(_cost), static_argnames=("longest", "warm", "count"))


def _alike(batches: list[tuple[Paths, ...]]) -> list[tuple[Paths, ...]]:
    """Orders of several batches in the same shapes, in few over all problems of nearly
    one size: what is added is no order."""
    out = []
    for group in zip(*batches, strict=True):
        if not isinstance(group[0].demand, Orders):
            out.append(group)
            continue
        shapes = [p.demand.units.shape[2:] for p in group]
        rows, width = (_coarse(max(s[k] for s in shapes)) for k in (0, 1))
        out.append([_padded(p, rows, width) for p in group])
    return [tuple(x) for x in zip(*out, strict=True)]


def _coarse(count: int) -> int:
    """A power of two, or one and a half of one: at most half as much again."""
    step = 1 << max(count.bit_length() - 2, 0)
    return -(-count // step) * step


def _padded(paths: Paths, rows: int, width: int) -> Paths:
    orders = paths.demand
    assert isinstance(orders, Orders)
    more = rows - orders.units.shape[2], width - orders.units.shape[3]
    ends = [(0, 0), (0, 0), (0, more[0]), (0, more[1])]
    pad = lambda x: jnp.pad(x, ends[: x.ndim])
    return Paths(Orders(*map(pad, orders)), paths.lead, paths.regime)

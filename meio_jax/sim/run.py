"""Runs systems over periods and paths."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from meio_jax.kernels.fulfill import Routes, greedy_routes
from meio_jax.kernels.orders import Tries
from meio_jax.sim.depots import Depots
from meio_jax.sim.period import Ledger, Now, Phase, Rooms, World, start_period
from meio_jax.sim.policy import AbstractPolicy
from meio_jax.sim.step import DEFAULT
from meio_jax.sim.system import Limits, Paths, State, System


class Trace(NamedTuple):
    """What a run leaves.

    Attributes:
      states: of each system at the end.
      ledgers: of each system, every array with a leading axis of periods.
    """

    states: tuple[State, ...]
    ledgers: tuple[Ledger, ...]


def run(
    systems: tuple[System, ...],
    policies: tuple[AbstractPolicy, ...],
    limits: Limits,
    paths: tuple[Paths, ...],
    states: tuple[State, ...],
    routes: tuple[Routes | Tries | None, ...],
    *,
    depots: tuple[Depots, ...] = (),
    slots: int = 1,
    phases: tuple[Phase, ...] = DEFAULT,
) -> Trace:
    """Simulates systems that share buildings, all paths together; differentiable.

    Args:
      systems: what is simulated.
      policies: of each system.
      limits: capacities of the buildings.
      paths: demand and lead times of each system.
      states: of each system when the first period starts.
      routes: of each system, from `plan_routes`, with leading axes of periods and
        regimes; the same as tries where demand is orders; None where every class is
        served by its home alone.
      depots: that supply each system, for the chain `DEPOTS`.
      slots: parts of a period in which its demand comes.
      phases: the chain of a period.
    """
    world = World(systems, policies, slots, depots)

    def step(states, today):
        period, paths, routes, (storage, inbound, outbound, overage) = today
        rooms = Rooms(storage, inbound, outbound, overage, limits.waiting)
        now = tuple(
            Now(period, p.demand, _by_item(p.lead), p.regime, r, p.vendor)
            for p, r in zip(paths, routes, strict=True)
        )
        done = start_period(world, states, rooms)
        for phase in phases:
            done = phase(world, now, done)
        return done.states, done.ledgers

    count = len(paths[0].lead)
    by_period = limits.storage, limits.inbound, limits.outbound, limits.overage
    by_period = tuple(x.T for x in by_period)
    days = jnp.arange(count), paths, routes, by_period
    return Trace(*lax.scan(jax.checkpoint(step), states, days))


def _by_item(lead):
    """Lead times with an axis of items, of size 1 where all items share them."""
    return lead if lead.ndim == 3 else lead[:, None]


simulate_paths = jax.jit(run, static_argnames=("slots", "phases"))


def plan_routes(
    system: System, policy: AbstractPolicy, ring, spread: float = 1.0
) -> Routes:
    """The order in which fulfilment tries pairs in each period and regime.

    Args:
      system: whose demand is served.
      policy: whose tolls steer.
      ring: first level whose pool holds a node and the home of a class.
      spread: periods over which the tolls are divided.
    """
    weight, late = (float(np.median(x)) for x in (system.weight, system.late_cost))
    cost = np.asarray(system.unit_cost) + weight * np.asarray(system.cost_per_weight)
    cost = cost + late * np.asarray(system.days_late)
    toll = np.moveaxis(np.asarray(policy.toll, float), 1, 0) * spread
    worst = float(np.max(np.asarray(system.lost_cost)))
    if float(np.max(np.asarray(system.wait_cost))) > 0:
        worst = max(worst, float(cost[np.isfinite(cost)].max()) + 1)
    found = greedy_routes(cost, worst, ring, toll.reshape(-1, toll.shape[2]))
    return Routes(*(jnp.asarray(x.reshape(*toll.shape[:2], -1)) for x in found))


def empty_state(system: System, on_hand, leads: int) -> State:
    """A state with stock on the shelf and nothing on its way.

    Args:
      system: whose state it is.
      on_hand: units, "nodes items paths".
      leads: the longest lead time, periods.
    """
    on_hand = jnp.asarray(on_hand)
    nodes, items, paths = on_hand.shape
    none = partial(jnp.zeros, dtype=on_hand.dtype)
    waits = 1 + max(system.patience, 0) if system.patience else 0
    return State(
        on_hand=on_hand,
        pipeline=none((max(leads, 1), nodes, items, paths)),
        waiting=none(on_hand.shape),
        owed=none((system.ages, nodes, items, paths)),
        backlog=none((waits, len(system.home), items, paths)),
        deferred=none(on_hand.shape),
    )


def no_limits(buildings: int, periods: int) -> Limits:
    """Buildings without capacities."""
    none = jnp.full((buildings, periods), jnp.inf)
    return Limits(none, none, none, jnp.zeros_like(none), jnp.zeros(buildings))


def keep_order(lead):
    """Lead times of orders that never overtake each other.

    Args:
      lead: lead times as drawn, "periods nodes paths", or by item before paths.
    """
    period = np.arange(len(lead)).reshape(-1, *[1] * (np.ndim(lead) - 1))
    arrival = np.maximum.accumulate(period + np.asarray(lead), axis=0)
    return arrival - period

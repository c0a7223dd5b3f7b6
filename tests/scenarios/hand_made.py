"""Problems of a few items made by hand."""

import numpy as np

from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem

NODES, REGIONS, PERIODS = 2, 3, 4
SHARES = np.array([0.5, 0.3, 0.2])  # speeds of each region
PARTS = REGIONS * len(SHARES)


def network(lead_mean=0.0, lead_std=0.0):
    """Two nodes; three regions with three speeds, every part a class of its own."""
    cost = np.random.default_rng(0).uniform(1, 3, (NODES, PARTS))
    return build_network(
        node=np.arange(NODES), unit_cost=cost, cost_per_weight=0 * cost,
        days_late=0 * cost, region=np.repeat(np.arange(REGIONS), 3),
        speed=np.tile(np.arange(3), REGIONS), share=np.tile(SHARES, REGIONS),
        volume=np.ones(PARTS), weight=1.0, late_cost=0.0,
        lead_mean=np.full(NODES, lead_mean), lead_std=np.full(NODES, lead_std),
    )  # fmt: skip


def items(count):
    """Items that differ in nothing but their keys, hashes of 63 bits."""
    key = np.random.default_rng(7).integers(0, 2**63 - 1, count)
    one, by_node = np.ones(count), np.ones((count, NODES))
    bounds = np.zeros((count, PERIODS, NODES))
    return Items(
        position=np.arange(count), key=key, volume=one, weight=one, penalty=9 * one,
        late_cost=one, holding=by_node, lower=bounds, upper=bounds + np.inf,
    )  # fmt: skip


def demand(count, slots, spread):
    """About half of all cells; forecasts have a spread, data are whole units."""
    rng = np.random.default_rng(3)
    cells = rng.uniform(size=(count, slots, REGIONS)) < 0.5
    item, slot, region = np.nonzero(cells)
    quantity = rng.integers(1, 30, len(item)) * 1.0
    return Demand(
        start=np.searchsorted(item, np.arange(count + 1)),
        slot=slot,
        region=region,
        quantity=quantity,
        std=spread * quantity,
    )


def problem(kind, *, count=7, slots=20, weight=(), lead_mean=0.0, lead_std=0.0):
    """A problem of one group without limits."""
    group = Group(
        network=network(lead_mean, lead_std),
        items=items(count),
        demand=demand(count, slots, 0.7 if kind == "forecast" else 0.0),
        stock=None,
    )
    free = np.full((NODES, PERIODS), np.inf)
    return Problem(
        (group,), free, free, free, free, np.array(weight, float), kind, slots
    )

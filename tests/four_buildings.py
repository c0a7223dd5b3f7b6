"""Twelve items in two clusters of two buildings, with Poisson histories."""

from dataclasses import replace

import numpy as np

from meio_jax.config import Config
from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem

ITEMS, NODES, REGIONS, PERIODS = 12, 4, 4, 3


def network():
    """Two clusters of two nodes, a region at each; lanes of half a period."""
    region, near = np.arange(REGIONS), 1.0
    apart = np.abs(region[:, None] // 2 - region[None, :] // 2)
    cost = np.where(np.eye(4) > 0, near, np.where(apart == 0, 1.8, 3.5))
    return build_network(
        node=np.arange(NODES),
        unit_cost=cost,
        cost_per_weight=np.zeros((NODES, REGIONS)),
        days_late=np.zeros((NODES, REGIONS)),
        region=region,
        speed=np.zeros(REGIONS, int),
        share=np.ones(REGIONS),
        volume=np.ones(REGIONS),
        weight=1.0,
        late_cost=0.0,
        lead_mean=np.full(NODES, 0.5),
        lead_std=np.zeros(NODES),
    )


def problem(storage=60.0, inbound=45.0, outbound=40.0):
    """Twelve items with Poisson histories and three capacities at every node."""
    rng = np.random.default_rng(0)
    slots = 30
    cells = np.indices((ITEMS, slots, REGIONS)).reshape(3, -1)
    mean = rng.uniform(1, 5, (ITEMS, 1, REGIONS))
    units = rng.poisson(np.broadcast_to(mean, (ITEMS, slots, REGIONS))).ravel() * 1.0
    demand = Demand(
        start=np.arange(ITEMS + 1) * slots * REGIONS,
        slot=cells[1],
        region=cells[2],
        quantity=units,
        std=np.zeros_like(units),
    )
    shape = ITEMS, PERIODS, NODES
    items = Items(
        position=np.arange(ITEMS),
        key=rng.integers(0, 2**62, ITEMS),
        volume=rng.uniform(0.5, 2, ITEMS),
        weight=np.ones(ITEMS),
        penalty=rng.uniform(6, 12, ITEMS),
        late_cost=np.zeros(ITEMS),
        holding=np.full((ITEMS, NODES), 0.3),
        lower=np.zeros(shape),
        upper=np.full(shape, np.inf),
    )
    full = lambda x: np.full((NODES, PERIODS), x)
    return Problem(
        groups=(Group(network(), items, demand, None),),
        storage=full(storage),
        inbound=full(inbound),
        outbound=full(outbound),
        item_limit=full(np.inf),
        weight=np.zeros(0),
        kind="history",
        slots=slots,
    )


def options():
    """Solver options of these tests."""
    return replace(Config().solver, levels=8, atoms=16, max_evaluations=20)

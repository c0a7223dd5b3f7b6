"""A small network with tight capacities, made in code, for any number of periods."""

import jax.numpy as jnp
import numpy as np

from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.scenarios.sample import draw_sample

NODES, SLOTS, STAGE, SOFTNESS = 6, 40, 1.0, 0.1


def network():
    """Three clusters of two nodes, a region at each; lanes of half a period."""
    region = np.arange(NODES)
    apart = np.abs(region[:, None] // 2 - region[None, :] // 2)
    cost = np.where(np.eye(NODES) > 0, 1.0, np.where(apart == 0, 1.8, 2.5 + apart))
    return build_network(
        node=region, unit_cost=cost, cost_per_weight=np.zeros((NODES, NODES)),
        days_late=np.zeros((NODES, NODES)), region=region,
        speed=np.zeros(NODES, int), share=np.ones(NODES), volume=np.ones(NODES),
        weight=1.0, late_cost=0.0, lead_mean=np.full(NODES, 0.5),
        lead_std=np.zeros(NODES),
    )  # fmt: skip


def problem(items: int, periods: int, growth: float = 0.0, seed: int = 0) -> Problem:
    """Items with Poisson histories; storage, inbound and outbound at every node, the
    last node at 60 % of the others' share. Growth changes demand, not capacity."""
    rng = np.random.default_rng(seed)
    shape = items, SLOTS, NODES
    cells = np.indices(shape).reshape(3, -1)
    mean = rng.gamma(0.8, 3.0, (items, 1, NODES))
    units = rng.poisson(np.broadcast_to(mean, shape)).astype(float)
    demand = Demand(
        start=np.arange(items + 1) * SLOTS * NODES, slot=cells[1], region=cells[2],
        quantity=units.ravel() * (1 + growth), std=np.zeros(units.size),
    )  # fmt: skip
    volume = rng.uniform(0.5, 2, items)
    cube = items, periods, NODES
    made = Items(
        position=np.arange(items), key=rng.integers(0, 2**62, items), volume=volume,
        weight=np.ones(items), penalty=rng.uniform(6, 12, items),
        late_cost=np.zeros(items), holding=np.full((items, NODES), 0.3),
        lower=np.zeros(cube), upper=np.full(cube, np.inf),
    )  # fmt: skip
    flow = mean[:, 0].sum(axis=0)
    stock = (volume[:, None] * mean[:, 0]).sum(axis=0)
    size = np.where(np.arange(NODES) == NODES - 1, 0.6, 1.0)
    over = lambda x: np.repeat((x * size)[:, None], periods, axis=1)
    return Problem(
        groups=(Group(network(), made, demand, None),), storage=over(2.2 * stock),
        inbound=over(1.25 * flow), outbound=over(1.1 * flow),
        item_limit=over(np.inf * size), weight=np.zeros(0), kind="history", slots=SLOTS,
    )  # fmt: skip


def dual(items: int, periods: int, growth: float = 0.0) -> Dual:
    """The dual of the instance, with a period's demand in stock to begin with."""
    made = problem(items, periods, growth)
    sample = draw_sample(made, count=32, seed=0)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=8, atoms=32, dtype=jnp.float64
    )
    found = Dual(made, (rows,))
    found.carried = made.inbound[:, 0].copy()
    return found

"""Depots that order for an echelon and ration by a curve."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import mean_cost, plain_system

from meio_jax.kernels.fulfill import share_whole
from meio_jax.sim.layered import Layered
from meio_jax.sim.run import empty_state, no_limits
from meio_jax.sim.run import simulate_paths as simulate
from meio_jax.sim.system import Paths
from meio_jax.supply.schedule import rationed

PERIODS, PATHS = 160, 600


def policy(nodes, items, target, level, *, depots=1, share=None, along=None):
    full = lambda x, *shape: jnp.broadcast_to(jnp.asarray(x, float), shape)
    places = depots + nodes
    return Layered(
        target=full(target, 1, nodes, items), level=full(level, 1, items),
        share=full(1 / depots if share is None else share, items, depots),
        along=None if along is None else jnp.asarray(along, float),
        toll=jnp.zeros((1, PERIODS, places)), reserve=jnp.zeros((1, places, items)),
    )  # fmt: skip


def run(made, system, demand, lead, start):
    """All periods; demand of the stores, lead times with depots first."""
    lead = jnp.asarray(lead)
    none = np.zeros((len(demand), len(start) - demand.shape[1], *demand.shape[2:]))
    demand = np.concatenate([none, demand], axis=1)
    regime = jnp.zeros((len(demand), demand.shape[-1]), int)
    state = empty_state(system, jnp.asarray(start), int(lead.max()) + 1)
    limits = no_limits(len(system.place), len(demand))
    paths = Paths(jnp.asarray(demand), lead, regime)
    return simulate((system,), (made,), limits, (paths,), (state,), (None,))


def stores(count, *, items=1, depots=1, wait=9.0, whole=False):
    """Stores with customers of their own, supplied by depots in turn."""
    source = tuple(k % depots for k in range(count))
    return plain_system(
        (-1,) * depots + source, holding=(1.0,) * (depots + count), wait=wait,
        whole=whole, items=items,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "sd", "depot", "store", "level", "bound"),
    [(3, 1.6, 2, 1, 70.0452717, 13.7562036)],
)
def test_what_is_sent_on_at_once_costs_no_less_than_eppen_and_schrage(
    count, sd, depot, store, level, bound
):
    # ORACLES D25: the depot keeps nothing and equal stores go to one position; the
    # closed form lets stores lend stock, so it is a bound, and a close one
    rng = np.random.default_rng(2)
    demand = np.maximum(rng.normal(5, sd, (PERIODS, count, 1, PATHS)), 0)
    along = np.array([0.0, 1e3]).reshape(2, 1, 1) * np.ones((2, count, 1))
    made = policy(count, 1, 1e3, level, along=along)
    lead = np.full((PERIODS, 1 + count, PATHS), store)
    lead[:, 0] = depot
    start = np.full((1 + count, 1, PATHS), (level - 1) / count)
    start[0] = 0
    trace = run(made, stores(count), demand, lead, start)
    mean, error = mean_cost(trace, 60, ("holding", "backorder"))
    assert 4 * error < 0.02 * bound
    assert bound - 4 * error <= mean <= 1.03 * bound


def test_units_are_conserved_and_orders_bring_the_echelon_to_its_level():
    rng = np.random.default_rng(3)
    depots, count, items, paths, periods = 2, 4, 3, 5, 30
    system = stores(count, items=items, depots=depots, whole=True)
    demand = rng.poisson(3.0, (periods, count, items, paths)).astype(float)
    lead = rng.integers(0, 4, (periods, depots + count, items, paths))
    along = np.linspace(0, 9, 4).reshape(4, 1, 1) * np.ones((4, count, items))
    share = rng.dirichlet(np.ones(depots), items)
    made = policy(count, items, 9.0, 70.0, depots=depots, share=share, along=along)
    made = Layered(**vars(made) | {"toll": made.toll[:, :periods]})
    start = np.full((depots + count, items, paths), 5.0)
    trace = run(made, system, demand, lead, start)
    ledger, state = trace.ledgers[0], trace.states[0]
    outside = np.asarray(ledger.ordered)[:, :depots].sum(axis=(0, 1))
    shipped = np.asarray(ledger.shipped).sum(axis=(0, 1))
    there = state.on_hand.sum((0, 1)) + state.pipeline.sum((0, 1, 2))
    assert_array_equal(start.sum(axis=(0, 1)) + outside, shipped + there)
    assert not np.asarray(ledger.wrong).any()
    # after every order: all that is there, on order, less backlog = level
    position = there - np.asarray(state.backlog).sum((0, 1, 2))
    last = demand[-1].sum(axis=(0, 1))
    assert_array_equal(position + last, items * 70.0)
    assert float(np.asarray(state.on_hand).min()) >= 0


def test_lead_times_by_item_are_each_items_own():
    system = stores(1, items=2)
    demand = np.zeros((6, 1, 2, 1))
    lead = np.zeros((6, 2, 2, 1), int)
    lead[:, 0, 1] = 3  # of the second item to the depot
    made = policy(1, 2, 4.0, 10.0)
    made = Layered(**vars(made) | {"toll": made.toll[:, :6]})
    trace = run(made, system, demand, lead, np.zeros((2, 2, 1)))
    received = np.asarray(trace.ledgers[0].received)[:, 0, 0]
    assert_array_equal(received, [10, 0, 0, 10, 0, 0])


def test_the_simulator_rations_as_the_schedule_does():
    rng = np.random.default_rng(5)
    count, items, paths = 5, 4, 3
    along = np.sort(rng.integers(0, 30, (6, count, items)), axis=0).astype(float)
    along[0] = 0
    made = policy(count, items, along[-1], 0.0, along=along)
    held = rng.integers(0, 8, (count, items, paths)).astype(float)
    want = np.moveaxis(np.maximum(along[-1][:, :, None] - held, 0), 0, 1)
    stock = np.floor(want.sum(axis=1) * rng.uniform(0, 1.2, (items, paths)))
    rows = np.arange(1, 1 + count)
    divide = made.ration(
        rows, jnp.asarray(held), lambda most, left: share_whole(most, left, 0.3)
    )
    found = np.asarray(divide(jnp.asarray(stock), jnp.asarray(want)))
    assert (found <= want + 1e-9).all()
    assert_allclose(found.sum(axis=1), np.minimum(stock, want.sum(axis=1)))
    for path in range(paths):
        same = rationed(
            along.transpose(0, 2, 1), held[:, :, path].T, np.ones((items, count), bool),
            stock[:, path],
        )  # fmt: skip
        short = stock[:, path] < want[:, :, path].sum(axis=1)
        assert np.abs(found[short][:, :, path] - same[short]).max(initial=0) <= 1

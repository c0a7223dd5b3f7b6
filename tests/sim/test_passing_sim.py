"""What passes through a building: docks and shipping room on the way, by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from four_buildings import problem
from numpy.testing import assert_allclose, assert_array_equal
from plain import bounded, plain_run, plain_system

from meio_jax.scenarios.sample import draw_sample
from meio_jax.sim.lab import Decision, simulate_decisions
from meio_jax.sim.policy import order_up_to
from meio_jax.sim.run import empty_state, simulate_paths
from meio_jax.sim.system import Paths


def run(level, demand, *, whole=True, via=(-1, 0), **rooms):
    """Two buildings, the second behind the first; lead times of 0."""
    system = plain_system((-1, -1), lost=1.0, whole=whole)
    system = replace(system, via=via)
    demand = np.asarray(demand, float)[:, :, None]
    limits = bounded(2, len(demand), **rooms)
    return plain_run(system, level, demand, [0, 0], limits=limits, start=0.0)


def test_a_dock_is_shared_with_what_passes():
    ledger = run([6, 12], [[0, 0]] * 4, inbound=9).ledgers[0]
    got = np.asarray(ledger.received)[:, :, 0]
    # due 6 and 12 of 18: the 9 that fit are shared as 3 and 6, twice
    assert_array_equal(got, [[3, 6], [3, 6], [0, 0], [0, 0]])


def test_customers_get_the_shipping_room_that_is_left():
    trace = run([8, 5], [[8, 0], [8, 5], [8, 5]], outbound=10)
    ledger = trace.ledgers[0]
    assert_array_equal(np.asarray(ledger.received)[:, 1, 0], [5, 0, 5])
    assert_array_equal(np.asarray(ledger.shipped)[:, 0, 0], [5, 10, 5])
    free = run([8, 5], [[8, 0], [8, 5], [8, 5]], outbound=10, via=()).ledgers[0]
    assert_array_equal(np.asarray(free.shipped)[:, 0, 0], [8, 8, 8])


def test_a_closed_way_keeps_units_outside_and_loses_none():
    trace = run([0, 7], [[0, 0]] * 3, outbound=0)
    state = trace.states[0]
    assert not np.asarray(trace.ledgers[0].received).any()
    assert_array_equal(np.asarray(state.waiting)[:, 0, 0], [0, 7])


def test_real_units_fill_the_way_and_have_a_gradient():
    system = replace(plain_system((-1, -1), lost=1.0, whole=False), via=(-1, 0))
    none = jnp.zeros((5, 1), int)
    path = Paths(jnp.full((5, 2, 1, 1), 2.5), jnp.zeros((5, 2, 1), int), none)
    state = empty_state(system, np.zeros((2, 1, 1)), 1)
    limits = bounded(2, 5, inbound=4.5)

    def received(level):
        policy = order_up_to(level[None, :, None])
        trace = simulate_paths((system,), (policy,), limits, (path,), (state,), (None,))
        return trace.ledgers[0].received[:3, 1].sum()

    level = jnp.array([3.0, 2.5])
    slope = jax.grad(received)(level)
    for k in range(2):
        step = 1e-4 * jnp.eye(2)[k]
        by_steps = (received(level + step) - received(level - step)) / 2e-4
        assert_allclose(slope[k], by_steps, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inbound", [np.inf, 45.0])
def test_a_lab_counts_what_passes_and_keeps_within_docks(inbound):
    made = replace(problem(outbound=500.0), via=np.array([-1, 0, 0, -1]))
    made = replace(made, inbound=np.full_like(made.storage, inbound))
    planned = draw_sample(made, count=8, seed=0)
    targets = np.full((12, made.periods, 4), 6.0)
    toll = (np.zeros((1, 4, made.periods)),)
    decision = Decision("plan", (targets,), toll, (np.zeros((1, 4, 12)),))
    fresh = draw_sample(made, count=6, seed=1)
    look = lambda m: simulate_decisions(m, [decision], planned, [fresh], days=7)[0]
    record, plain = look(made), look(replace(made, via=None))
    assert (record.use[1] <= inbound).all()
    assert not record.wrong.any()
    if np.isinf(inbound):  # nothing binds: only what is counted differs
        assert_array_equal(record.money, plain.money)
        passed = plain.use[1, [1, 2]].sum(axis=0)
        assert_allclose(record.use[1, 0], plain.use[1, 0] + passed)
        assert_allclose(record.use[2, 0], plain.use[2, 0] + passed)
        assert_array_equal(record.use[:, 1:], plain.use[:, 1:])
    else:
        assert record.use[1, [1, 2]].sum() < plain.use[1, [1, 2]].sum()

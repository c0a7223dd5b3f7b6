"""The slope of cost in targets: reverse mode against differences and a theorem."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from plain import bounded, plain_system

from meio_jax.sim.policy import order_up_to
from meio_jax.sim.run import empty_state, no_limits, plan_routes, run
from meio_jax.sim.step import AFTER_DEMAND, DEFAULT
from meio_jax.sim.system import Paths

PERIODS = 12


def cost_of(system, demand, lead, shelf, *, limits=None, echelon=False, ring=None,
            phases=DEFAULT, warm=0):  # fmt: skip
    """Mean cost of a period and path as a function of targets, "nodes items"."""
    periods, nodes, _, paths = demand.shape
    lead = np.broadcast_to(np.asarray(lead)[..., None], (periods, nodes, paths))
    path = Paths(
        jnp.asarray(demand), jnp.asarray(lead), jnp.zeros((periods, paths), int)
    )
    shelf = jnp.repeat(jnp.asarray(shelf, float)[:, :, None], paths, 2)
    state = empty_state(system, shelf, int(lead.max()))
    limits = no_limits(nodes, periods) if limits is None else limits
    blank = order_up_to(jnp.zeros((periods, nodes, demand.shape[2])), echelon=echelon)
    routes = None if ring is None else plan_routes(system, blank, ring)

    def cost(target):
        policy = eqx.tree_at(lambda p: p.target, blank, target[None])
        trace = run(
            (system,), (policy,), limits, (path,), (state,), (routes,), phases=phases
        )
        return trace.ledgers[0].money[warm:].sum(axis=1).mean()

    return jax.jit(cost), jax.jit(jax.grad(cost))


def against_differences(cost, slope, target, width=1e-6):
    """Reverse mode equals central differences in every target."""
    target = jnp.asarray(target, float)
    found = np.asarray(slope(target))
    unit = np.eye(target.size).reshape(-1, *target.shape) * width
    by_steps = [float(cost(target + e) - cost(target - e)) / (2 * width) for e in unit]
    assert_allclose(found.ravel(), by_steps, rtol=1e-5, atol=1e-7)
    assert (np.abs(found) > 1e-3).any()
    return found


def spread(seed, shape, mean=6.0):
    """Demand without ties: no two events of a path meet in a kink."""
    return np.random.default_rng(seed).gamma(3.0, mean / 3, shape)


def test_newsvendor():
    # With a lead of 0 every period is one: slope h - (h + p) P(D > S).
    demand = spread(0, (PERIODS, 1, 1, 300))
    system = plain_system(holding=(2.0,), wait=9.0, whole=False)
    cost, slope = cost_of(system, demand, [0], np.full((1, 1), 7.0))
    found = against_differences(cost, slope, [[8.0]])
    assert_allclose(found, 2 - 11 * (demand > 8).mean(), rtol=1e-9)


@pytest.mark.parametrize(
    ("patience", "tight"), [(0, True), (-1, True), (-1, False), (1, True)]
)
def test_one_node(patience, tight):
    demand = spread(1, (PERIODS, 1, 2, 40))
    system = plain_system(
        holding=(1.0,), lost=7.0, wait=0 if patience == 0 else 4.0, items=2,
        whole=False, patience=patience,
    )  # fmt: skip
    system = eqx.tree_at(lambda s: s.late_cost, system, jnp.full(2, 0.3))
    limits = bounded(1, PERIODS, inbound=13.3, outbound=12.1) if tight else None
    cost, slope = cost_of(system, demand, [2], [[18.0, 14.0]], limits=limits)
    against_differences(cost, slope, [[19.0, 16.0]])


@pytest.mark.parametrize(
    ("echelon", "phases"), [(True, DEFAULT), (False, DEFAULT), (False, AFTER_DEMAND)]
)
def test_serial_system(echelon, phases):
    demand = spread(2, (PERIODS, 3, 1, 40)) * np.array([0, 0, 1])[:, None, None]
    system = plain_system(
        (-1, 0, 1), holding=(1, 2, 3), transit=(0, 1, 2), wait=20.0, whole=False
    )
    local = np.array([14.3, 9.2, 11.7])
    target = np.cumsum(local[::-1])[::-1] if echelon else local
    cost, slope = cost_of(
        system, demand, [2, 1, 1], 0.8 * local[:, None], echelon=echelon, phases=phases
    )
    found = against_differences(cost, slope, target[:, None])
    assert (found != 0).all()


def network():
    """Two depots and three stores, two items, classes that spill to neighbours."""
    system = plain_system(
        (-1, -1, 0, 0, 1), holding=(1, 1, 2, 2, 3), lost=20.0, items=2, whole=False
    )
    ring = np.array([[0, 2, 1, 1, 2], [2, 0, 2, 2, 1], [1, 2, 0, 1, 2],
                     [1, 2, 1, 0, 2], [2, 1, 2, 2, 0]])  # fmt: skip
    extra = np.random.default_rng(3).uniform(0, 1, ring.shape)
    system = eqx.tree_at(
        lambda s: (s.unit_cost, s.late_cost, s.days_late), system,
        (jnp.asarray(2 * ring + extra), jnp.array([0.2, 0.4]), jnp.asarray(1.0 * ring)),
    )  # fmt: skip
    return system, ring


@pytest.mark.parametrize("tight", [False, True])
def test_network_with_routes_and_two_items(tight):
    system, ring = network()
    demand = (
        spread(4, (PERIODS, 5, 2, 20)) * np.array([0.2, 0.2, 1, 1, 1])[:, None, None]
    )
    limits = bounded(5, PERIODS, inbound=18.7, outbound=14.9) if tight else None
    target = np.random.default_rng(5).uniform(9, 15, (5, 2))
    target[:2] += 20
    cost, slope = cost_of(
        system, demand, [2, 1, 1, 0, 1], 0.8 * target, limits=limits, ring=ring
    )
    found = against_differences(cost, slope, target)
    assert (found != 0).all()


def test_a_unit_more_or_less_of_whole_demand():
    # Whole demand, spread by less than half a unit so that no event sits in a kink:
    # the slope, averaged over common paths, is half the difference of a unit more and
    # a unit less, up to the curvature between them, which the midpoints show.
    rng, paths = np.random.default_rng(6), 4000
    demand = np.zeros((PERIODS, 3, 1, paths))
    demand[:, 1:] = rng.poisson(5, (PERIODS, 2, 1, paths))
    demand = np.maximum(demand + rng.uniform(-0.5, 0.5, demand.shape), 0)
    demand[:, 0] = 0
    system = plain_system((-1, 0, 0), holding=(1, 2, 2), wait=15.0, whole=False)
    target = np.array([[21.0], [12.0], [13.0]])
    cost, slope = cost_of(system, demand, [2, 1, 1], target, warm=4)
    for node in range(3):
        unit = np.zeros((3, 1))
        unit[node] = 1
        steps = (float(cost(target + unit)) - float(cost(target - unit))) / 2
        nodes, weights = np.polynomial.legendre.leggauss(5)
        along = [float(slope(target + x * unit)[node, 0]) for x in nodes]
        assert_allclose(weights @ along / 2, steps, rtol=2e-3, atol=2e-3)
        spread_of_slopes = max(along) - min(along)
        assert abs(along[2] - steps) < 0.2 * spread_of_slopes
        assert min(along) < steps < max(along)

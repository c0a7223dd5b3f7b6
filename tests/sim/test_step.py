"""A period's chain: units are conserved to the last one, and limits hold."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float
from numpy.testing import assert_allclose, assert_array_equal
from plain import bounded, plain_run, plain_system

from meio_jax.kernels.fulfill import share_out, share_whole
from meio_jax.sim.period import COSTS
from meio_jax.sim.policy import AbstractPolicy, OrderUpTo
from meio_jax.sim.run import empty_state, keep_order, plan_routes, simulate_paths
from meio_jax.sim.system import Limits, Paths, System

PERIODS, DRAWS, LONGEST = 12, 6, 3
seeds = st.integers(0, 10**6)


class Shape(NamedTuple):
    """What of a random world is compiled."""

    parents: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, ...], ...]
    items: int = 2
    patience: int = 0
    ages: int = 1
    slots: int = 1
    whole: bool = True
    routed: bool = False
    regimes: int = 1
    via: tuple[tuple[int, ...], ...] = ()


ONE = dict(places=((0, 1, 2, 3, 4),))
SHAPES = {
    "lost": Shape(((-1, 0, 0, 1, 1),), **ONE),
    "wait": Shape(((-1, 0, 1, 1, 0),), **ONE, patience=-1, ages=3),
    "leave": Shape(((-1, 0, 1, 2, 0),), **ONE, patience=2, ages=2, slots=2),
    "routed": Shape(
        ((-1, -1, 0, 0, 1),), **ONE, patience=1, slots=2, routed=True, regimes=2
    ),
    "two": Shape(
        ((-1, 0, 0), (-1, 0, 1)), ((0, 1, 2), (2, 0, 1)), patience=-1, routed=True,
        slots=2,
    ),
    "real": Shape(
        ((-1, 0, 0, 1, 1),), **ONE, whole=False, patience=1, ages=2, routed=True
    ),
    "behind": Shape(((-1,) * 5,), **ONE, patience=2, via=((-1, 0, 0, -1, 3),)),
    "both": Shape(
        ((-1,) * 3, (-1,) * 3), ((0, 1, 2), (2, 0, 1)), whole=False, routed=True,
        via=((-1, 0, -1), (-1, -1, 0)),
    ),
}  # fmt: skip
RING = np.array(
    [
        [0, 1, 1, 2, 2],
        [1, 0, 1, 2, 2],
        [1, 1, 0, 2, 2],
        [2, 2, 2, 0, 1],
        [2, 2, 2, 1, 0],
    ]
)
HALVED = ["leave", "real"]  # with fewer paths too, which is compiled again
TIGHT = dict(inbound=(4, 14), outbound=(2, 9), storage=(3, 12))


def world(shape: Shape, seed: int, draws: int = DRAWS):
    """Random inputs of `simulate_paths`; a lost unit costs 1, service less."""
    rng = np.random.default_rng(seed)
    buildings = 1 + max(max(place) for place in shape.places)
    systems, policies, paths, states, routes = [], [], [], [], []
    ways = shape.via or ((),) * len(shape.places)
    for parent, place, via in zip(shape.parents, shape.places, ways, strict=True):
        nodes, items, regimes = len(parent), shape.items, shape.regimes
        near = RING[:nodes, :nodes]
        cost = 0.1 * near + rng.uniform(0, 0.1, (nodes, nodes))
        served = (near == 0) | (rng.random((nodes, nodes)) < 0.7)
        each = lambda value: jnp.full(shape.items, float(value))
        system = System(
            place=jnp.array(place), home=jnp.arange(nodes),
            holding=jnp.asarray(rng.uniform(1, 2, (nodes, items))),
            transit=jnp.asarray(rng.uniform(0, 1, (nodes, items))),
            unit_cost=jnp.asarray(np.where(served, cost, np.inf)),
            cost_per_weight=jnp.asarray(cost / 4), days_late=jnp.asarray(near * 1.0),
            volume=jnp.asarray(rng.uniform(1, 3, items)), weight=each(1),
            lost_cost=each(1), late_cost=each(0.1),
            wait_cost=each(1.0 if shape.patience < 0 else 0.3), parent=parent,
            whole=shape.whole, patience=shape.patience, ages=shape.ages, via=via,
        )  # fmt: skip
        target = rng.integers(0, 16, (PERIODS, nodes, items)) * 1.0
        toll = rng.uniform(0, 0.1, (regimes, PERIODS, nodes))
        reserve = rng.integers(0, 3, (nodes, items)) * 1.0
        policy = OrderUpTo(
            jnp.asarray(target), jnp.asarray(toll), jnp.asarray(reserve)[None]
        )
        demand = rng.poisson(2.5, (PERIODS, nodes, items, draws)) * 1.0
        if not shape.whole:
            demand *= rng.uniform(0.5, 1.5, demand.shape)
        paths.append(
            Paths(
                jnp.asarray(demand),
                jnp.asarray(rng.integers(0, LONGEST + 1, (PERIODS, nodes, draws))),
                jnp.asarray(rng.integers(0, regimes, (PERIODS, draws))),
            )
        )
        shelf = jnp.asarray(rng.integers(0, 9, (nodes, items, draws)) * 1.0)
        states.append(empty_state(system, shelf, LONGEST))
        routes.append(plan_routes(system, policy, near) if shape.routed else None)
        systems.append(system)
        policies.append(policy)
    tight = [rng.integers(*TIGHT[k], (buildings, PERIODS)) for k in TIGHT]
    inbound, outbound, storage = (x + 0.5 * rng.integers(0, 2) for x in tight)
    limits = Limits(
        jnp.asarray(storage), jnp.asarray(inbound), jnp.asarray(outbound),
        jnp.asarray(rng.uniform(0, 1, storage.shape)), jnp.ones(buildings),
    )  # fmt: skip
    if routes[0] is not None:  # of one length for all seeds: compiled once
        width = buildings**2
        pad = lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[2])))
        routes = [jax.tree.map(pad, r) for r in routes]
    return (
        [tuple(x) for x in (systems, policies)]
        + [limits]
        + [tuple(x) for x in (paths, states, routes)]
    )


def simulate(shape: Shape, inputs):
    """What is left of a world, as NumPy arrays."""
    return jax.tree.map(np.asarray, simulate_paths(*inputs, slots=shape.slots))


def books(system, start, end, ledger):
    """Per node: where units come from and where they go, of all items."""
    total = lambda x: x.sum(axis=0)  # over periods
    items = lambda x: x.sum(axis=-2)
    transit = items(end.pipeline.sum(axis=0)) + items(end.waiting)
    owed = items(end.owed.sum(axis=0))
    sent = np.zeros_like(transit)
    for node, parent in enumerate(system.parent):
        if parent >= 0:
            sent[parent] += total(ledger.received)[node] + transit[node]
    ordered = total(ledger.received) + transit + owed
    kept = items(np.asarray(start.on_hand)) + total(ledger.received)
    gone = items(end.on_hand) + items(end.deferred) + total(ledger.shipped) + sent
    return (total(ledger.ordered), ordered), (kept, gone)


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=12)
@given(seeds)
def test_units_are_conserved_and_limits_hold(name, seed):
    shape = SHAPES[name]
    inputs = world(shape, seed)
    systems, _, limits, paths, starts, _ = inputs
    trace = simulate(shape, inputs)
    tiny = 0 if shape.whole else 1e-9
    buildings = len(limits.storage)
    load = {k: np.zeros((PERIODS, buildings, DRAWS)) for k in ("in", "out", "volume")}
    every = zip(systems, paths, starts, trace.states, trace.ledgers, strict=True)
    for system, path, start, end, ledger in every:
        for given_to, found in books(system, start, end, ledger):
            assert_allclose(found, given_to, rtol=0, atol=tiny)
        # demand: served, lost or waited for, by path; none vanishes between slots
        assert_allclose(
            ledger.demand, np.asarray(path.demand).sum(axis=2), rtol=0, atol=tiny
        )
        lost = ledger.money[:, COSTS.index("lost")].sum(axis=0)  # at 1 a unit
        waits = end.backlog.sum(axis=(0, 1, 2))
        served = ledger.served.sum(axis=(0, 1))
        assert_allclose(
            ledger.demand.sum(axis=(0, 1)), served + lost + waits, rtol=0, atol=1e-9
        )
        shipped = ledger.shipped.sum(axis=(0, 1)) + end.deferred.sum(axis=(0, 1))
        assert_allclose(served, shipped, rtol=0, atol=tiny)
        assert (ledger.on_time <= ledger.served + tiny).all()
        assert (ledger.local <= ledger.served + tiny).all()
        assert not ledger.wrong.any()
        for x in jax.tree.leaves((end, ledger)):
            assert x.min(initial=0) >= -tiny
        units = ledger._replace(money=0, volume=0)
        for x in jax.tree.leaves((end, units)):
            assert not shape.whole or (x == np.round(x)).all()
        for k, place in enumerate(np.asarray(system.place)):
            load["in"][:, place] += ledger.received[:, k]
            load["out"][:, place] += ledger.shipped[:, k]
            load["volume"][:, place] += ledger.volume[:, k]
        for k, way in enumerate(system.via):
            if way >= 0:  # received and shipped there as well
                load["in"][:, way] += ledger.received[:, k]
                load["out"][:, way] += ledger.received[:, k]
    room = lambda x: np.asarray(x).T[:, :, None]
    assert (load["in"] <= room(limits.inbound) + tiny).all()
    assert (load["out"] <= room(limits.outbound) + tiny).all()
    over = np.maximum(load["volume"] - room(limits.storage), 0)
    assert_allclose(
        trace.ledgers[0].money[:, COSTS.index("overage")],
        np.einsum("bt,tbp->tp", limits.overage, over), atol=1e-9,
    )  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=8)
@given(seeds)
def test_docks_take_what_they_can_and_the_last_period_pays_for_what_is_left(name, seed):
    shape = SHAPES[name]
    inputs = world(shape, seed)
    trace = simulate(shape, inputs)
    for system, end, ledger in zip(inputs[0], trace.states, trace.ledgers, strict=True):
        money = dict(zip(COSTS, ledger.money[-1], strict=True))
        held = end.on_hand + end.deferred
        due = {
            "holding": np.einsum("ni,nip->p", system.holding, held),
            "transit": np.einsum("ni,lnip->p", system.transit, end.pipeline),
            "waiting": end.waiting.sum(axis=(0, 1)),
            "backorder": np.einsum("i,aqip->p", system.wait_cost, end.backlog),
        }
        for part, amount in due.items():
            assert_allclose(money[part], amount, atol=1e-9, err_msg=part)
        assert_array_equal(ledger.on_hand[-1], held.sum(axis=1))
        put_off = system.days * np.einsum("i,nip->p", system.late_cost, end.deferred)
        assert (money["late"] >= put_off - 1e-9).all()
        if len(inputs[0]) == 1 and shape.whole and not shape.via:
            full = np.floor([inputs[2].inbound[:, -1], inputs[2].outbound[:, -1]])
            blocked = [end.waiting.sum(axis=1) > 0, end.deferred.sum(axis=1) > 0]
            for moved, limit, stuck in zip(
                (ledger.received[-1], ledger.shipped[-1]), full, blocked, strict=True
            ):
                assert_array_equal(moved[stuck], (limit[:, None] + 0 * moved)[stuck])


@pytest.mark.parametrize("name", SHAPES)
def test_paths_do_not_know_of_each_other(name):
    shape = SHAPES[name]
    inputs = world(shape, 7)
    whole = simulate(shape, inputs)

    def of_paths(index):
        pick = lambda tree: jax.tree.map(lambda x: x[..., index], tree)
        parts = [*inputs[:3], pick(inputs[3]), pick(inputs[4]), inputs[5]]
        return simulate(shape, parts), pick(whole)

    order = np.random.default_rng(0).permutation(DRAWS)
    half = (order[: DRAWS // 2], order[DRAWS // 2 :]) if name in HALVED else ()
    for index in (order, *half):
        found, expected = of_paths(index)
        jax.tree.map(lambda x, y: assert_allclose(x, y, atol=1e-9), found, expected)


@pytest.mark.parametrize("name", ["routed", "two"])
def test_policies_meet_the_same_demand(name):
    shape = SHAPES[name]
    inputs = world(shape, 3)
    other = eqx.tree_at(lambda p: [x.target for x in p], inputs[1], replace_fn=jnp.cos)
    ours = simulate(shape, inputs)
    theirs = simulate(shape, [inputs[0], other, *inputs[2:]])
    for one, two in zip(ours.ledgers, theirs.ledgers, strict=True):
        assert_array_equal(one.demand, two.demand)
        assert (one.served != two.served).any()


# Against a simulator of a few lines: no limits, no routes, one item, real units


def by_hand(parent, level, demand, lead, start, *, patient):
    """Cost-free account of one path: on hand, owed and backlog after each period."""
    nodes, periods = len(parent), len(demand)
    children = [[k for k in range(nodes) if parent[k] == n] for n in range(nodes)]
    arrivals = np.zeros((periods + LONGEST + 1, nodes))
    on_hand, owed, backlog = start.copy(), np.zeros(nodes), np.zeros(nodes)
    coming, left = np.zeros(nodes), []
    for t in range(periods):
        for n in reversed(range(nodes)):
            below = sum(owed[k] for k in children[n])
            position = on_hand[n] + coming[n] + owed[n] - below - backlog[n]
            owed[n] += max(level[n] - position, 0)
        for n in range(nodes):
            if parent[n] < 0:
                arrivals[t + lead[t, n], n] += owed[n]
                coming[n] += owed[n]
                owed[n] = 0
            on_hand[n] += arrivals[t, n]
            coming[n] -= arrivals[t, n]
            asked = sum(owed[k] for k in children[n])
            part = min(1, on_hand[n] / asked) if asked else 0
            for k in children[n]:
                arrivals[t + lead[t, k], k] += part * owed[k]
                coming[k] += part * owed[k]
                owed[k] -= part * owed[k]
            on_hand[n] -= part * asked
        wanted = demand[t] + backlog
        served = np.minimum(on_hand, wanted)
        on_hand = on_hand - served
        backlog = (wanted - served) * patient
        left.append(np.concatenate([on_hand, backlog]))
    return np.array(left)


@pytest.mark.parametrize("patient", [True, False])
@given(seeds)
def test_trees_as_by_hand(patient, seed):
    rng, parent = np.random.default_rng(seed), (-1, 0, 0, 1, 1)
    demand = rng.gamma(2, 1.5, (PERIODS, 5, 2))
    lead = rng.integers(0, LONGEST + 1, (PERIODS, 5, 2))
    lead[0, 0, 0] = LONGEST  # of one length for all seeds
    level, start = rng.uniform(0, 30, 5), rng.uniform(0, 30, 5)
    system = plain_system(
        parent, wait=1.0 if patient else 0, lost=0 if patient else 1.0, whole=False
    )
    trace = plain_run(system, level, demand, lead, start=start)
    for path in range(2):
        args = demand[:, :, path], lead[:, :, path], start
        left = by_hand(parent, level, *args, patient=patient)
        on_hand = np.asarray(trace.ledgers[0].on_hand)[:, :, path]
        assert_allclose(on_hand, left[:, :5], atol=1e-9)
        backlog = np.asarray(trace.states[0].backlog).sum(axis=(0, 2))[:, path]
        assert_allclose(backlog, left[-1, 5:], atol=1e-9)


# What one node does


@given(seeds)
def test_more_stock_never_serves_less(seed):
    rng = np.random.default_rng(seed)
    demand = rng.poisson(3, (PERIODS, 1, 4))
    lead = keep_order(rng.integers(0, LONGEST + 1, (PERIODS, 1, 4)))
    lead[0] = LONGEST
    limits = bounded(1, PERIODS, inbound=4, outbound=4)
    served = []
    for more in (0, 1, 5):
        trace = plain_run(
            plain_system(wait=1.0), [8], demand, keep_order(lead), start=2 + more,
            limits=limits,
        )  # fmt: skip
        served.append(np.cumsum(np.asarray(trace.ledgers[0].served), axis=0))
    assert (served[0] <= served[1]).all()
    assert (served[1] <= served[2]).all()


@pytest.mark.parametrize("patience", [1, 2])
def test_customers_leave_after_their_patience(patience):
    # Three units wanted in the first period, stock arrives in the third.
    demand = np.zeros((5, 1, 1))
    demand[0] = 3
    system = plain_system(lost=7.0, wait=1.0, patience=patience)
    trace = plain_run(system, [3], demand, [2], start=0)
    money = np.asarray(trace.ledgers[0].money)[:, :, 0]
    served = np.asarray(trace.ledgers[0].served)[:, 0, 0]
    in_time = patience == 2
    assert_array_equal(served, [0, 0, 3 * in_time, 0, 0])
    assert_array_equal(money[:, COSTS.index("lost")], [0, 21 * (not in_time), 0, 0, 0])
    waits = money[:, COSTS.index("backorder")]
    assert_array_equal(waits, [3, 3 * in_time, 0, 0, 0])
    assert not np.asarray(trace.ledgers[0].on_time).any()  # they waited


@pytest.mark.parametrize(("ages", "owed"), [(1, [0, 2, 2]), (3, [0, 0, 4])])
def test_oldest_orders_go_first(ages, owed):
    # Node 1 asks for 4 in the second period, node 2 in the third; the supplier has
    # none and gets the first 4 in the fourth.
    demand = np.zeros((4, 3, 1))
    demand[0, 1], demand[1, 2] = 4, 4
    system = plain_system((-1, 0, 0), wait=1.0, ages=ages)
    trace = plain_run(system, [0, 4, 4], demand, [2, 0, 0])
    ordered = np.asarray(trace.ledgers[0].ordered)[:, :, 0]
    assert_array_equal(ordered, [[0, 0, 0], [4, 4, 0], [4, 0, 4], [0, 0, 0]])
    left = np.asarray(trace.states[0].owed).sum(axis=(0, 2, 3))
    assert_array_equal(left, owed)


class Faulty(AbstractPolicy):
    """Orders the same of every node in every period."""

    units: Float[Array, " nodes"]
    toll: Float[Array, "regimes periods nodes"]
    reserve: Float[Array, "kept nodes items"]

    def order(self, view):
        return jnp.broadcast_to(self.units[:, None, None], view.on_hand.shape)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf, None])
def test_orders_that_make_no_sense_are_flagged_and_not_placed(bad):
    units = jnp.array([2.0, 3.0 if bad is None else bad])
    system, periods = plain_system((-1, 0)), 3
    policy = Faulty(units, jnp.zeros((1, periods, 2)), jnp.zeros((1, 2, 1)))
    path = Paths(
        jnp.ones((periods, 2, 1, 2)), jnp.zeros((periods, 2, 2), int),
        jnp.zeros((periods, 2), int),
    )  # fmt: skip
    state = empty_state(system, jnp.zeros((2, 1, 2)), 0)
    trace = simulate_paths(
        (system,), (policy,), bounded(2, periods), (path,), (state,), (None,)
    )
    ledger = trace.ledgers[0]
    assert_array_equal(ledger.wrong, np.full((periods, 2), float(bad is not None)))
    assert_array_equal(ledger.ordered[:, 0], np.full((periods, 2), 2))
    assert_array_equal(ledger.ordered[:, 1], np.full((periods, 2), 3 * (bad is None)))


@pytest.mark.parametrize("lead", [-1, 4])
def test_lead_times_that_do_not_fit_are_flagged(lead):
    leads = np.full((3, 1, 2), 3)
    leads[1, 0, 1] = lead
    system, path = plain_system(), jnp.ones((3, 1, 1, 2))
    policy = Faulty(jnp.ones(1), jnp.zeros((1, 3, 1)), jnp.zeros((1, 1)))
    trace = simulate_paths(
        (system,), (policy,), bounded(1, 3),
        (Paths(path, jnp.asarray(leads), jnp.zeros((3, 2), int)),),
        (empty_state(system, jnp.zeros((1, 1, 2)), 3),), (None,),
    )  # fmt: skip
    assert_array_equal(trace.ledgers[0].wrong, [[0, 0], [0, 1], [0, 0]])


# Shares of what is scarce

whole_shares, real_shares = jax.jit(share_whole), jax.jit(share_out)


@given(seeds, st.sampled_from([np.float32, np.float64]), st.sampled_from([9, 10**6]))
def test_whole_shares(seed, dtype, largest):
    # In float32 as well, where running totals of millions are coarse.
    rng = np.random.default_rng(seed)
    want = rng.integers(0, largest, (3, 8, 500)).astype(dtype)
    if largest > 9:  # one of millions, where the grain of float32 changes, and few
        near = 2.0 ** rng.integers(18, 23, (2, 500))
        want[1:, 0], want[1:, 1:7] = near + rng.integers(-4, 3, (2, 500)), 1
    total = want.sum(axis=1)
    most = np.floor(total * rng.uniform(0, 1.2, total.shape)).astype(dtype)
    most[0] += 0.5
    most[1] = np.maximum(total[1] - rng.integers(0, 20, 500), 0)
    got = np.asarray(whole_shares(most, want, jnp.asarray(rng.uniform(), dtype)))
    assert got.dtype == dtype
    assert_array_equal(got, np.round(got))
    assert_array_equal(got.sum(axis=1), np.minimum(np.floor(most), total))
    assert (got >= 0).all()
    assert (got <= want).all()
    part = np.minimum(np.floor(most) / np.maximum(total, 1), 1)[:, None]
    assert (abs(got - part * want) <= (1 if largest == 9 else 3) + 2e-3).all()


def test_odd_units_go_round():
    want, most = np.array([[1.0], [1], [1], [3]]), np.array([2.0])
    turns = (np.arange(1000) * 0.6180339887) % 1
    got = np.mean([whole_shares(most, want, t) for t in turns], axis=0)
    assert_allclose(got, want / 3, atol=0.01)


@given(seeds)
def test_real_shares_are_in_proportion(seed):
    rng = np.random.default_rng(seed)
    want = rng.gamma(1, 5, (3, 8, 5)) * (rng.random((3, 8, 5)) < 0.7)
    total = want.sum(axis=1)
    most = total * rng.uniform(0, 1.5, total.shape)
    got = np.asarray(real_shares(most, want))
    part = np.minimum(most / np.maximum(total, 1e-300), 1)
    assert_allclose(got, want * part[:, None], rtol=1e-12, atol=1e-12)

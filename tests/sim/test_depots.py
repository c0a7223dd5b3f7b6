"""Depots that order for an echelon and ration by a curve."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import mean_cost, plain_system

from meio_jax.sim.depots import Depots, Upstream
from meio_jax.sim.policy import order_up_to
from meio_jax.sim.run import empty_state, no_limits
from meio_jax.sim.run import simulate_paths as simulate
from meio_jax.sim.step import DEPOTS
from meio_jax.sim.system import Limits, Paths
from meio_jax.supply.ration import divided
from meio_jax.supply.schedule import rationed

PERIODS, PATHS = 160, 600


def depots(source, level, along, lead, *, share=None, **terms) -> Depots:
    """Depots of stores: lead times of equal chance by item, "items draws"."""
    source, lead = np.asarray(source), jnp.asarray(lead, float)
    nodes, items = source.shape
    count = int(source.max()) + 1
    even = np.full((count, items), 1 / count)
    each = lambda x: jnp.full(items, x)
    full = {
        "review": each(1), "least": each(0.0), "multiple": each(1.0),
        "most": each(jnp.inf), "premium": each(0.0),
        "holding": jnp.ones((count, items)),
    }  # fmt: skip
    return Depots(
        place=nodes + jnp.arange(count), source=jnp.asarray(source),
        level=jnp.broadcast_to(jnp.asarray(level, float), (1, items)),
        share=jnp.asarray(even if share is None else share),
        along=jnp.asarray(along, float)[:, None], lead=lead, **full | terms,
    )  # fmt: skip


def stores(count, *, items=1, wait=9.0, whole=False):
    """Stores with customers of their own, supplied from outside."""
    return plain_system(
        (-1,) * count, holding=(1.0,) * count, wait=wait, whole=whole, items=items
    )


def run(
    made: Depots, system, demand, lead, shelf, *, store=0.0, rooms=None, chance=0.0
):
    """All periods; lead times of stores, depots with the same stock each."""
    periods, nodes, items, paths = demand.shape
    count = len(made.place)
    state = empty_state(system, jnp.asarray(shelf, float), int(np.max(lead)) + 1)
    full = lambda *shape: jnp.zeros((*shape, count, items, paths))
    above = Upstream(full() + store, full(periods + 1), full())
    state = type(state)(**vars(state) | {"above": above})
    chance = jnp.broadcast_to(jnp.asarray(chance, float), (periods, items, paths))
    regime = jnp.zeros((periods, paths), int)
    paths_ = Paths(jnp.asarray(demand, float), jnp.asarray(lead), regime, chance)
    policy = order_up_to(made.along[-1])
    rooms = no_limits(nodes + count, periods) if rooms is None else rooms
    return simulate(
        (system,), (policy,), rooms, (paths_,), (state,), (None,), depots=(made,),
        phases=DEPOTS,
    )  # fmt: skip


def test_what_is_sent_on_at_once_costs_no_less_than_eppen_and_schrage():
    # ORACLES D25: the depot keeps nothing and equal stores go to one position; the
    # closed form lets stores lend stock, so it is a bound, and a close one
    count, level, bound = 3, 70.0452717, 13.7562036
    rng = np.random.default_rng(2)
    demand = np.maximum(rng.normal(5, 1.6, (PERIODS, count, 1, PATHS)), 0)
    along = np.linspace(0, 60, 31).reshape(31, 1, 1) * np.ones((31, count, 1))
    made = depots(np.zeros((count, 1), int), level, along, [[2.0]])
    shelf = np.full((count, 1, PATHS), (level - 1) / count)
    lead = np.ones((PERIODS, count, PATHS), int)
    trace = run(made, stores(count), demand, lead, shelf)
    mean, error = mean_cost(trace, 60, ("holding", "backorder"))
    assert 4 * error < 0.02 * bound
    assert bound - 4 * error <= mean <= 1.03 * bound


def test_units_are_conserved_and_orders_bring_the_echelon_to_its_level():
    rng = np.random.default_rng(3)
    count, items, paths, periods = 5, 3, 5, 30
    demand = rng.poisson(3.0, (periods, count, items, paths)).astype(float)
    lead = rng.integers(0, 4, (periods, count, paths))
    along = np.linspace(0, 9, 4).reshape(4, 1, 1) * np.ones((4, count, items))
    source = rng.integers(0, 2, (count, items))  # by item
    source[0], source[1] = 0, 1
    share = rng.dirichlet(np.ones(2), items).T
    waits = np.sort(rng.uniform(0, 4, (items, 16)), axis=1)
    made = depots(source, 70.0, along, waits, share=share)
    shelf, chance = np.full((count, items, paths), 5.0), rng.random((30, items, paths))
    trace = run(
        made, stores(count, items=items, whole=True), demand, lead, shelf, store=4.0,
        chance=chance,
    )  # fmt: skip
    ledger, state = trace.ledgers[0], trace.states[0]
    there = shelf.sum(axis=(0, 1)) + 2 * items * 4.0
    bought = np.asarray(ledger.depots.bought).sum(axis=(0, 1))
    shipped = np.asarray(ledger.shipped).sum(axis=(0, 1))
    above = state.above
    left = (state.on_hand.sum((0, 1)) + state.pipeline.sum((0, 1, 2))
            + above.store.sum((0, 1)) + above.coming.sum((0, 1, 2)))  # fmt: skip
    assert_array_equal(there + bought, shipped + left)
    # after every order: all that is there, on order, less backlog = level
    position = left - np.asarray(state.backlog).sum((0, 1, 2))
    assert_array_equal(position + demand[-1].sum(axis=(0, 1)), items * 70.0)
    assert float(np.asarray(state.on_hand).min()) >= 0
    assert float(np.asarray(above.store).min()) >= 0
    assert_array_equal(np.asarray(state.on_hand) % 1, 0)
    assert not np.asarray(ledger.wrong).any()
    sent = np.asarray(ledger.depots.sent).sum(axis=(0, 1))
    assert_array_equal(sent, np.asarray(ledger.ordered).sum(axis=(0, 1)))


def test_vendors_deliver_after_their_own_lead_times_in_packs_and_at_reviews():
    demand = np.zeros((8, 1, 3, 1))
    along = np.array([0.0, 4.0]).reshape(2, 1, 1) * np.ones((2, 1, 3))
    made = depots(
        np.zeros((1, 3), int), [10.0, 11.0, 10.0], along, [[0.0], [3.0], [1.0]],
        review=jnp.array([1, 1, 3]), multiple=jnp.array([1.0, 4.0, 1.0]),
        least=jnp.array([0.0, 0.0, 30.0]), premium=jnp.array([0.0, 0.5, 0.0]),
    )  # fmt: skip
    lead = np.zeros((8, 1, 1), int)
    trace = run(made, stores(1, items=3), demand, lead, np.zeros((1, 3, 1)))
    got = np.asarray(trace.ledgers[0].depots.received)[:, 0, 0]
    # the third item never wants half of its minimum
    assert_array_equal(got, [10, 0, 0, 12, 0, 0, 0, 0])
    money = np.asarray(trace.ledgers[0].money)[:, -1, 0]
    assert_array_equal(money, [6.0, 0, 0, 0, 0, 0, 0, 0])
    late = run(made, stores(1, items=3), demand + 4, lead, np.zeros((1, 3, 1)))
    bought = np.asarray(late.ledgers[0].depots.bought)[:, 0, 0]
    # four a period of each: packs of 4 every period, 30 at the first review that wants
    # 15 or more
    assert_array_equal(bought, [10 + 12, 8, 8, 8 + 30, 8, 8, 8, 8])


def test_docks_and_rooms_of_depots_bind():
    demand = np.zeros((4, 1, 1, 1))
    along = np.zeros((2, 1, 1))
    made = depots([[0]], 10.0, along, [[0.0]])
    none = jnp.full((2, 4), jnp.inf)
    rooms = Limits(
        none.at[1].set(5), none.at[1].set(3), none, jnp.full((2, 4), 2.0), jnp.zeros(2)
    )
    trace = run(
        made, stores(1), demand, np.zeros((4, 1, 1), int), np.zeros((1, 1, 1)),
        rooms=rooms,
    )  # fmt: skip
    ledger = trace.ledgers[0]
    assert_array_equal(np.asarray(ledger.depots.received)[:, 0, 0], [3, 3, 3, 1])
    over = np.asarray(ledger.money)[:, 7, 0]  # overage
    assert_array_equal(over, [0, 2, 8, 10])


def ration(rng, count=5, items=4):
    along = np.sort(rng.integers(0, 30, (6, count, items)), axis=0).astype(float)
    along[0] = 0
    held = rng.integers(0, 8, (count, items)).astype(float)
    want = np.maximum(along[-1] - held, 0)
    stock = np.floor(want.sum(axis=0) * rng.uniform(0, 1.2, items))
    return along, held, want, stock


def divide(along, held, want, stock):
    total, spread = lambda x: x.sum(axis=0), lambda x: x[None]
    return divided(along, held, want, stock, total, spread)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_scarce_is_used_up_at_one_price(seed):
    along, held, want, stock = ration(np.random.default_rng(seed))
    found = divide(along, held, want, stock)
    assert (found >= 0).all()
    assert (found <= want + 1e-9).all()
    assert_allclose(found.sum(axis=0), np.minimum(stock, want.sum(axis=0)))
    # oracle: for every item all nodes lie between their wants at the same two prices
    at = np.clip(along[:, :] - held, 0, want)
    for i in range(stock.size):
        if stock[i] >= want[:, i].sum():
            continue
        k = np.flatnonzero(at[:, :, i].sum(axis=1) <= stock[i]).max()
        assert (found[:, i] >= at[k, :, i] - 1e-9).all()
        assert (found[:, i] <= at[k + 1, :, i] + 1e-9).all()
    same = rationed(
        along.transpose(0, 2, 1), held.T, np.ones(held.T.shape, bool), stock
    )
    short = stock < want.sum(axis=0)
    assert np.abs(found.T[short] - same[short]).max(initial=0) <= 1 + 1e-9


def test_more_stock_takes_nothing_from_anybody():
    along, held, want, stock = ration(np.random.default_rng(9))
    before = divide(along, held, want, stock)
    assert (divide(along, held, want, stock + 1) >= before - 1e-9).all()

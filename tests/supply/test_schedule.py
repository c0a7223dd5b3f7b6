"""Orders and transfers in units: what balances, packs, rationing, lanes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from small_supply import choice, curve, lanes, offers, supply

from meio_jax.supply.schedule import WHY, Ways, project, rationed, whole_flow


def ways(source, *, lead=0, wait=2, share=None) -> Ways:
    source = np.asarray(source)
    items, nodes = source.shape
    depots = int(source.max()) + 1
    if share is None:
        share = np.stack([(source == d).mean(axis=1) for d in range(depots)], axis=1)
    return Ways(
        source, np.full((items, nodes), lead), np.full(items, wait),
        np.zeros(items, int), np.asarray(share),
    )  # fmt: skip


def run(made, way, levels, targets, shipped, stock=None, due=None, cost=None):
    targets = np.asarray(targets, float)
    due = np.zeros(targets.shape) if due is None else due
    has = np.arange(len(targets)) if made.offers.size else np.full(len(targets), -1)
    free = lambda period, level: 0 * level
    return project(
        made, way, choice(has, levels), curve(targets), np.asarray(shipped, float),
        stock, due, cost or free,
    )  # fmt: skip


def balances(ledger):
    """Units that were there or came are those that are there or went."""
    nodes = ledger.shelf.shape[2]
    begin = ledger.start.sum(axis=1)
    orders = ledger.bought, ledger.base, ledger.direct
    bought = sum(x.sum(axis=2) for x in orders)
    came = begin[:, None] + np.cumsum(bought, axis=1)
    went = np.cumsum(ledger.shipped.sum(axis=2), axis=1)
    there = sum(x.sum(axis=2) for x in (ledger.shelf, ledger.store, ledger.coming))
    assert_array_equal(came, went + there + ledger.ordered.sum(axis=2))
    shelf = np.concatenate([ledger.start[:, None, :nodes], ledger.shelf], axis=1)
    coming = ledger.coming
    assert (shelf >= 0).all()
    assert (ledger.store >= 0).all()
    assert (coming >= 0).all()
    # each node for itself, its pipeline included
    own = np.cumsum(ledger.sent + ledger.direct - ledger.shipped, axis=1)
    assert_array_equal(ledger.start[:, None, :nodes] + own, ledger.shelf + coming)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_units_balance_whatever_the_supply(seed):
    rng = np.random.default_rng(seed)
    items, depots, nodes, periods = rng.integers([1, 1, 1, 3], [4, 4, 4, 6])
    cells = (items, periods, nodes)
    made = supply(
        items, depots, nodes, periods,
        offers=offers(
            np.arange(items), depots, least=rng.integers(0, 9),
            review=rng.integers(1, 4), multiple=rng.integers(1, 7),
            capacity=rng.choice([np.inf, 20, 3]),
        ),
        lanes=lanes(
            depots, nodes, capacity=rng.choice([np.inf, 9]), multiple=rng.integers(1, 4)
        ),
    )  # fmt: skip
    some = rng.random(items) < 0.4  # whose orders have a base of the next item's terms
    made = made._replace(
        offers=made.offers._replace(
            base=np.where(some, (np.arange(items) + 1) % items, -1),
            rate=np.where(some, rng.uniform(0, 9, items), 0.0),
        )
    )
    stock = due = None
    if rng.random() < 0.5:
        due = rng.integers(0, 5, cells).astype(float)
        stock = due.sum(axis=1) + rng.integers(0, 20, (items, nodes))
        made = made._replace(
            stock=rng.integers(0, 30, (items, depots)).astype(float),
            due=rng.integers(0, 6, (items, depots, periods)).astype(float),
        )
    source = rng.integers(-1, depots, (items, nodes))
    share = rng.dirichlet(np.ones(depots), items)
    way = Ways(
        source, rng.integers(0, 3, (items, nodes)), rng.integers(0, 5, items),
        rng.integers(0, 5, items), share,
    )  # fmt: skip
    levels = rng.integers(0, 120, (items, periods))
    targets, shipped = rng.integers(0, 15, cells), rng.uniform(0, 6, cells)
    cost = lambda period, level: (level - 40.0) ** 2
    ledger = run(made, way, levels, targets, shipped, stock, due, cost)
    balances(ledger)
    late = ledger.base.sum(axis=2).cumsum(axis=1)
    late = late - made.offers.rate[:, None] * np.arange(1, periods + 1)
    assert (np.abs(late) <= made.offers.multiple[:, None] / 2 + 1e-9).all()
    for name in ("bought", "base", "sent", "direct", "shipped"):
        units = getattr(ledger, name)
        assert_array_equal(units, units.round())
        assert (units >= 0).all()


def test_a_steady_system_orders_what_it_sells():
    made = supply(1, 2, 3, 6)
    targets = np.full((1, 6, 3), 8)
    ledger = run(made, ways([[0, 0, 1]]), np.full((1, 6), 60), targets,
                 np.full((1, 6, 3), 4))  # fmt: skip
    balances(ledger)
    assert_array_equal(ledger.bought.sum(axis=2), 12)
    assert_array_equal(ledger.sent, 4)
    assert_array_equal(ledger.bought[0, 1:], [[8, 4]] * 5)  # by what is shipped below


def test_stock_and_what_is_due_are_not_bought_again():
    made = supply(1, 1, 1, 3)._replace(stock=np.array([[5.0]]), due=np.zeros((1, 1, 3)))
    made.due[0, 0, 1] = 7
    due = np.zeros((1, 3, 1))
    due[0, 0, 0] = 2
    stock = np.array([[3.0]])  # 1 on the shelf, 2 on their way
    ledger = run(made, ways([[0]], wait=1), np.full((1, 3), 20),
                 np.full((1, 3, 1), 4), np.zeros((1, 3, 1)), stock, due)  # fmt: skip
    balances(ledger)
    assert ledger.bought[0, 0, 0] == 20 - 5 - 7 - 3
    assert ledger.sent[0, 0, 0] == 4 - 3
    assert ledger.arrived[0, 0, 0] == 2 + 1
    assert ledger.landed[0, 1, 0] == 7 + 5


@pytest.mark.parametrize(
    ("terms", "bought", "reason"),
    [
        ({}, 10, "order up to the level"),
        ({"multiple": 6}, 12, "order multiple"),
        ({"multiple": 9}, 9, "order multiple"),  # nearer to the best amount
        ({"least": 15}, 15, "minimum order"),
        ({"least": 40}, 0, "minimum order not worth it"),
        ({"capacity": 7}, 7, "vendor capacity"),
        ({"capacity": 7, "multiple": 3}, 6, "vendor capacity"),
    ],
)
def test_packs_take_the_cheapest_amount_that_they_allow(terms, bought, reason):
    made = supply(1, 1, 1, 1, offers=offers([0], 1, **terms))
    made = made._replace(stock=np.array([[0.0]]))
    ledger = run(made, ways([[0]], wait=1), [[10]], np.full((1, 1, 1), 4),
                 np.zeros((1, 1, 1)), np.zeros((1, 1)),
                 cost=lambda period, level: (level - 10.0) ** 2)  # fmt: skip
    assert ledger.bought.sum() == bought
    assert WHY[ledger.reason[0, 0]] == reason
    assert ledger.pack[0, 0] == (bought - 10) ** 2


def test_orders_are_placed_at_reviews_alone():
    made = supply(1, 1, 1, 6, offers=offers([0], 1, review=3))
    ledger = run(made, ways([[0]], wait=1), np.full((1, 6), 40),
                 np.full((1, 6, 1), 9), np.full((1, 6, 1), 3.0))  # fmt: skip
    balances(ledger)
    assert (ledger.bought[0, :, 0] > 0).tolist() == [True, False, False] * 2
    assert ledger.bought[0, 3, 0] == 9


def test_what_is_scarce_goes_to_one_price():
    along = np.zeros((3, 1, 2))
    along[:, 0] = [[0, 0], [2, 8], [6, 10]]
    none, all_ = np.zeros((1, 2)), np.ones((1, 2), bool)
    for stock, expected in ((10, [2, 8]), (5, [1, 4]), (13, [4, 9]), (0, [0, 0])):
        found = rationed(along, none, all_, np.array([float(stock)]))
        assert found.sum() <= stock
        assert_array_equal(found[0], expected)
    held = np.array([[5.0, 0.0]])  # the first has more than its share
    assert_array_equal(rationed(along, held, all_, np.array([6.0]))[0], [0, 6])


def test_depots_that_nobody_delivers_to_never_run_out():
    made = supply(1, 1, 2, 3, offers=offers([], 1))
    ledger = run(made, ways([[0, 0]]), np.zeros((1, 3)), np.full((1, 3, 2), 5),
                 np.full((1, 3, 2), 2.0))  # fmt: skip
    assert_array_equal(ledger.sent, 2)
    assert not ledger.bought.any()


def test_a_full_lane_sends_what_it_can():
    made = supply(2, 1, 1, 1, lanes=lanes(1, 1, capacity=6))
    made = made._replace(stock=np.full((2, 1), 50.0))
    ledger = run(made, ways([[0], [0]]), np.zeros((2, 1)), np.full((2, 1, 1), 6),
                 np.zeros((2, 1, 1)), np.zeros((2, 1)))  # fmt: skip
    assert ledger.sent.sum() == 6
    assert_array_equal(ledger.sent[:, 0, 0], [3, 3])


@given(st.lists(st.floats(0, 5), min_size=1, max_size=12))
def test_whole_flows_stay_within_half_a_unit(flow):
    flow = np.array(flow)[:, None]
    assert np.abs(np.cumsum(whole_flow(flow) - flow)).max() <= 0.5 + 1e-9

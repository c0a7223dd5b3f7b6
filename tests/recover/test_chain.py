"""Raised targets: nothing has to be taken out, within capacities, and no more."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.recover.chain import raise_targets

ITEMS, PERIODS, NODES = SHAPE = 7, 4, 2


def problem(volume, upper, stock=None) -> Problem:
    """One group of items, without limits; its demand is not looked at."""
    one, none = np.ones(ITEMS), np.zeros(0)
    items = Items(
        position=np.arange(ITEMS), key=np.arange(ITEMS), volume=volume, weight=one,
        penalty=one, late_cost=one, holding=np.ones((ITEMS, NODES)),
        lower=np.zeros(SHAPE), upper=upper,
    )  # fmt: skip
    places = SimpleNamespace(node=np.arange(NODES))
    group = Group(places, items, Demand(none, none, none, none, none), stock)
    free = np.full((NODES, PERIODS), np.inf)
    return Problem((group,), free, free, free, free, none, "history", 1)


def draw(seed, whole=True, limited=False, stocked=False):
    """A problem, targets that jump, their shipments and what the last unit ships."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 9, SHAPE) * 1.0 if whole else rng.uniform(0, 9, SHAPE)
    shipped = y * rng.uniform(0, 1, SHAPE)
    ships = rng.uniform(0, 1, (ITEMS, PERIODS, 1, NODES)) * (y > 0)[:, :, None]
    upper = y + np.where(rng.random(SHAPE) < 0.2, 0, np.inf)
    stock = rng.uniform(0, 9, (ITEMS, NODES)) if stocked else None
    made = problem(rng.uniform(0.5, 2, ITEMS), upper, stock)
    use = use_of(made, y, shipped)
    if limited:
        room = use + np.abs(use) * rng.uniform(0, 0.3, use.shape)
        storage, inbound, outbound = room
        made = replace(made, storage=storage, inbound=inbound, outbound=outbound)
    return made, y, shipped, ships, use


def use_of(made, y, shipped):
    """Storage, inbound and outbound, all stock on hand, nothing to start from."""
    left = np.pad(y - shipped, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    volume = made.groups[0].items.volume[:, None, None]
    return np.stack([(x.sum(axis=0)).T for x in (volume * y, y - left, shipped)])


def lift(made, y, shipped, ships, use, whole=True):
    return raise_targets(made, (y,), (shipped,), use, (ships,), whole=whole)[0]


seeds, flag = st.integers(0, 10**6), st.booleans()


@given(seeds, flag, flag)
def test_without_limits_no_stock_is_taken_out_and_no_more_is_raised(
    seed, whole, stocked
):
    made, y, shipped, ships, use = draw(seed, whole, stocked=stocked)
    new = lift(made, y, shipped, ships, use, whole)
    items, stock = made.groups[0].items, made.groups[0].stock
    start = np.full((ITEMS, 1, NODES), -np.inf) if stock is None else stock[:, None]
    left = np.concatenate([start, (new - shipped)[:, :-1]], axis=1)
    floor = np.ceil(left - 0.5) if whole else left
    np.testing.assert_allclose(new, np.maximum(y, np.minimum(floor, items.upper)))


@given(seeds, flag)
def test_raises_stay_within_capacities_and_the_box(seed, whole):
    made, y, shipped, ships, use = draw(seed, whole, limited=True)
    new = lift(made, y, shipped, ships, use, whole)
    assert (new >= y).all()
    assert (new <= made.groups[0].items.upper).all()
    more = (new - y) * ships[:, :, 0]  # the most that the raised units can ship
    after = use_of(made, new, shipped + more)
    assert (after <= made.capacities + 1e-6).all()


def test_what_fits_is_raised_for_the_smallest_items_first():
    made = problem(np.arange(ITEMS, 0, -1.0), np.full(SHAPE, np.inf))
    storage = made.storage.copy()
    storage[0, 1] = 4 * (1 + 2 + 3) + 1
    made = replace(made, storage=storage)
    y, none = np.zeros(SHAPE), np.zeros(SHAPE)  # nothing is sold
    y[:, 0] = 4.0
    new = lift(made, y, none, none[:, :, None], use_of(made, y, none))
    assert (new[:, 1, 0] == [0, 0, 0, 0, 4, 4, 4]).all()
    assert (new[:, :, 1] == 4).all()


def test_groups_share_the_room():
    made = problem(np.ones(ITEMS), np.full(SHAPE, np.inf))
    made = replace(made, groups=made.groups * 2, storage=np.full((NODES, PERIODS), 50))
    y, none = np.zeros(SHAPE), np.zeros(SHAPE)
    y[:, 0] = 4.0
    use = 2 * use_of(made, y, none)
    first, second = raise_targets(
        made, (y, y), (none, none), use, (none[:, :, None],) * 2, whole=True
    )
    assert (first[:, 1:] == 4).all()
    assert (second[:, 1:].sum(axis=0) == 20).all()  # 50 less 28, in fours

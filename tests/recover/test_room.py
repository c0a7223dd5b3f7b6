"""Room kept free for swings: a newsvendor in volume."""

from itertools import pairwise

import equinox as eqx
import numpy as np
import pytest
from four_buildings import NODES, PERIODS, problem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from meio_jax.recover.room import room_kept, swings
from meio_jax.scenarios.sample import draw_sample

MADE = problem(storage=60.0)
SAMPLE = draw_sample(MADE, count=40, seed=5, balanced=True)
SENT = (np.full((PERIODS, NODES), 12.0),)


def priced(price, overage, made=MADE):
    made = eqx.tree_at(lambda p: p.overage, made, np.full((NODES, PERIODS), overage))
    prices = np.full((NODES, PERIODS), price)
    return room_kept(made, swings(MADE, SAMPLE), SAMPLE.weight, SENT, prices)


def test_swings_have_no_mean_and_end_where_all_orders_are_there():
    (swing,) = swings(MADE, SAMPLE)
    assert swing.shape == (NODES, 40)
    assert_allclose(swing @ SAMPLE.weight, 0, atol=1e-12)
    late = SAMPLE.lead[0][:, 0] > 0
    for n in range(NODES):  # with nothing under way stock is the whole target
        top = swing[n].max()
        assert_allclose(swing[n][~late[n]], top)
        assert (swing[n][late[n]] <= top).all()
    assert_allclose(swing.max(axis=1), late.mean(axis=1), rtol=0.4)


def test_orders_that_come_at_once_leave_no_swings():
    fast = eqx.tree_at(
        lambda s: s.lead, SAMPLE, tuple(np.zeros_like(x) for x in SAMPLE.lead)
    )
    assert_allclose(swings(MADE, fast)[0], 0)


@given(st.floats(0, 3), st.floats(0.1, 3))
@settings(deadline=None, max_examples=30)
def test_room_is_the_cheapest_one(price, overage):
    kept = priced(price, overage)
    above = 12.0 * swings(MADE, SAMPLE)[0]
    tried = np.linspace(0, 30, 601)
    for n in range(NODES):
        money = lambda x, e=above[n]: price * x + overage * np.maximum(e - x, 0).mean()
        assert money(kept[n, 0]) <= min(map(money, tried)) + 1e-9


@pytest.mark.parametrize(("price", "overage"), [(2.0, 1.0), (0.0, 0.0)])
def test_no_room_where_storage_is_dearer_or_overage_is_free(price, overage):
    assert_allclose(priced(price, overage), 0)


def test_room_falls_in_the_price_and_unlimited_storage_keeps_none():
    levels = [priced(p, 1.0) for p in (0.0, 0.2, 0.5, 0.9)]
    assert all((a >= b).all() for a, b in pairwise(levels))
    assert levels[0].max() > 0
    free = eqx.tree_at(lambda p: p.storage, MADE, np.full((NODES, PERIODS), np.inf))
    assert_allclose(priced(0.0, 1.0, free), 0)

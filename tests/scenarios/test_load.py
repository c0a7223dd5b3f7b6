"""Demand of items by class: split in whole units, the same in any chunk."""

import numpy as np
import pytest
from hand_made import PARTS, REGIONS, SHARES, problem
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.problem import Demand, Group, take_items
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import draw_sample
from meio_jax.scenarios.split import share_table, split_units

seeds = st.integers(0, 10**6)
keys = st.tuples(seeds, st.integers(0, 2**63 - 1))


def source(kind, group=None, seed=4):
    mine = problem(kind, slots=4 if kind == "forecast" else 20)
    sample = draw_sample(mine, count=3, seed=seed, common=0.2)
    return SlotSource(mine, group or mine.groups[0], sample)


@pytest.mark.parametrize("kind", ["history", "forecast"])
def test_demand_of_an_item_is_the_same_in_any_chunk_or_order(kind):
    load = source(kind)
    alone = [np.asarray(load(k, k + 1))[0] for k in range(7)]
    for first in (0, 1, 4):  # one size: a forecast compiles for each
        assert_array_equal(load(first, first + 3), np.stack(alone[first : first + 3]))
    part = source(kind, take_items(load.group, np.array([6, 2, 0, 5])))
    assert_array_equal(part(1, 4), np.stack([alone[k] for k in (2, 0, 5)]))


@pytest.mark.parametrize("kind", ["history", "forecast"])
def test_other_seeds_and_other_items_are_other_draws(kind):
    one, other = source(kind), source(kind, seed=5)
    assert (np.asarray(one(0, 3)) != np.asarray(other(0, 3))).any()
    group, demand = one.group, one.group.demand
    first = slice(0, demand.start[1])
    cells = {k: np.tile(getattr(demand, k)[first], 3) for k in CELLS}
    same = Demand(start=demand.start[1] * np.arange(4), **cells)
    items = take_items(group, np.arange(3)).items
    a, b, _ = np.asarray(source(kind, Group(group.network, items, same, None))(0, 3))
    assert (a != b).any()


CELLS = ("slot", "region", "quantity", "std")


def test_history_is_split_and_not_changed():
    load = source("history")
    demand, network = load.group.demand, load.group.network
    units = np.asarray(load(0, 7), float)
    expected = np.zeros((7, 20, REGIONS))
    item = np.repeat(np.arange(7), np.diff(demand.start))
    expected[item, demand.slot, demand.region] = demand.quantity
    region = np.zeros((PARTS, REGIONS))
    region[network.part_class, network.part_region] = 1
    assert_array_equal(units @ region, expected)
    assert_array_equal(units, np.floor(units))


@given(keys, st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_whole_units_are_split_into_whole_units(key, quantity):
    quantity = np.array(quantity, float)
    units = split_units(quantity, np.tile(SHARES, (len(quantity), 1)), key=key)
    assert_array_equal(units.sum(axis=1), quantity)
    assert_array_equal(units, np.floor(units))
    assert units.min() >= 0
    again = split_units(quantity, np.tile(SHARES, (len(quantity), 1)), key=key)
    assert_array_equal(units, again)


def test_fractions_are_split_in_proportion():
    quantity = np.array([2.5, 7.0, 0.25])
    units = split_units(quantity, np.tile(SHARES, (3, 1)), key=(0, 1))
    assert_allclose(units[[0, 2]], quantity[[0, 2], None] * SHARES)
    assert units[1].sum() == 7
    assert_array_equal(units[1], np.floor(units[1]))


def test_splits_are_multinomial():
    draws = np.concatenate(
        [split_units(np.full(50, 8.0), np.tile(SHARES, (50, 1)), key=(0, k))
         for k in range(400)]
    )  # fmt: skip
    deviation = (8 * SHARES * (1 - SHARES)) ** 0.5
    error = 5 * deviation / len(draws) ** 0.5
    assert (np.abs(draws.mean(axis=0) - 8 * SHARES) < error).all()
    assert_allclose(draws.std(axis=0), deviation, rtol=0.05)


def test_share_table_pads_with_nothing():
    region = np.array([2, 0, 2, 0, 2])
    part, share = share_table(region, np.array([1.0, 3, 2, 1, 1]), 3)
    assert_allclose(share, [[0.75, 0.25, 0], [0, 0, 0], [0.25, 0.5, 0.25]])
    assert_array_equal(part[0, :2], [1, 3])
    assert_array_equal(part[2], [0, 2, 4])

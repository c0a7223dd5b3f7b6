"""What a sample of items says of their sum."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from four_buildings import ITEMS, NODES, PERIODS, options, problem
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.dual.use import use_charges
from meio_jax.planner import solve_problem
from meio_jax.recover.certify import draw_items, sound_prices
from meio_jax.recover.evaluate import Evaluator, node_use, violation
from meio_jax.scenarios.sample import draw_sample

SIZE = np.random.default_rng(0).lognormal(0, 2, 200)


def test_all_items_give_the_sum_itself():
    draw = draw_items(SIZE, 200, 0)
    value = np.random.default_rng(1).normal(size=200)
    assert draw.total(value) == value.sum()
    assert draw.error(value) == 0


def test_estimates_are_unbiased():
    value = SIZE * np.random.default_rng(2).uniform(0.5, 1.5, 200)
    found = [
        (d.total(value[d.chosen]))
        for d in (draw_items(SIZE, 30, s) for s in range(800))
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - value.sum()) < 4 * error
    assert error > 0


def test_intervals_cover_the_sum_as_often_as_they_say():
    value = SIZE * np.random.default_rng(3).uniform(0.5, 1.5, 200)
    inside = 0
    for seed in range(400):
        draw = draw_items(SIZE, 40, seed)
        part = value[draw.chosen]
        inside += abs(draw.total(part) - value.sum()) <= draw.error(part)
    assert 0.91 <= inside / 400 <= 0.985


def test_values_in_proportion_to_size_have_no_error():
    draw = draw_items(SIZE, 20, 5)
    spread = 1e-3 * SIZE.mean() + 1e-12
    value = (SIZE + spread)[draw.chosen]
    assert_allclose(draw.total(value), (SIZE + spread).sum())
    assert_allclose(draw.error(value), 0, atol=1e-9 * SIZE.sum())


@pytest.mark.parametrize("count", [3, 10, 100])
@given(seed=st.integers(0, 99))
def test_no_more_items_than_asked_and_the_dearest_among_them(count, seed):
    draw = draw_items(SIZE, count, seed)
    assert len(draw.chosen) <= count
    assert draw.weight.shape[1] >= 2
    if count >= 30:  # its share is 6 %
        assert SIZE.argmax() in draw.chosen[draw.sure]


def least_charges(made, prices):
    """The least that a unit of each item is charged, holding included."""
    group = made.groups[0]
    stock, _ = use_charges(made.paid(prices), np.ones(NODES), group.items.volume)
    return stock + group.items.holding[:, None]


@pytest.mark.parametrize("via", [None, np.array([-1, 0, 0, -1])])
@given(seed=st.integers(0, 99))
def test_at_sound_prices_no_target_is_paid_for_growing(via, seed):
    made = replace(problem(), via=via, regimes=2)
    rng = np.random.default_rng(seed)
    prices = rng.exponential(1.0, made.capacities.shape)
    prices *= rng.uniform(size=prices.shape) < 0.7
    prices[1, 0] = 0.0, 0.0, 50.0
    sound = sound_prices(made, prices)
    assert least_charges(made, prices).min() < 0
    assert least_charges(made, sound).min() > -1e-12
    assert (sound <= prices + 1e-12).all()
    assert sound.min() >= 0
    assert_array_equal(sound[0], prices[0])
    assert_allclose(sound_prices(made, sound), sound, rtol=0, atol=1e-12)


def test_items_with_a_largest_target_ask_for_nothing():
    made = problem()
    limited = eqx.tree_at(
        lambda p: p.groups[0].items.upper, made, np.full((ITEMS, PERIODS, NODES), 50.0)
    )
    prices = np.zeros(made.capacities.shape)
    prices[1, :, -1] = 9.0
    assert_array_equal(sound_prices(limited, prices), prices)
    assert sound_prices(made, prices)[1].max() < 1


def test_plans_that_build_ahead_cost_no_less_than_the_bound():
    """Docks are wide in the first period and closed later."""
    inbound = np.zeros((NODES, PERIODS))
    inbound[:, 0] = np.inf
    made = eqx.tree_at(
        lambda p: (p.inbound, p.groups[0].items.holding),
        problem(storage=np.inf, outbound=np.inf),
        (inbound, np.full((ITEMS, NODES), 0.05)),
    )
    sample = draw_sample(made, count=30, seed=0, balanced=True)
    found = solve_problem(made, sample, options())
    assert found.certificate.items == ITEMS
    assert found.bound_prices[1].max() > 0.09
    assert least_charges(made, found.bound_prices).min() > -1e-12
    assert 0 <= found.cost - found.bound < 0.03 * found.cost
    greedy = Evaluator(made, 0, sample)
    toll = np.zeros((1, NODES, PERIODS))
    cheapest = np.inf
    for level in (15, 18, 20, 22, 25, 80):
        target = np.full((ITEMS, PERIODS, NODES), float(level))
        for t in range(1, PERIODS):  # nothing is received
            sold = greedy(target, toll).shipped[:, t - 1]
            target[:, t] = target[:, t - 1] - sold
        outcome = greedy(target, toll)
        use = node_use(made, (outcome,), (target,), np.zeros(NODES))
        assert violation(made, use) == 0
        cheapest = min(cheapest, outcome.cost)
    assert found.bound < cheapest < 1.2 * found.bound

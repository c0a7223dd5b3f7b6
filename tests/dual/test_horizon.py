"""Horizons whose periods are all alike are planned as one period."""

import equinox as eqx
import numpy as np
import pytest
from four_buildings import ITEMS, NODES, PERIODS, options, problem
from numpy.testing import assert_allclose, assert_array_equal

import meio_jax.planner
from meio_jax.horizon import Horizon, alike, first_period
from meio_jax.planner import solve_problem, targets_at
from meio_jax.recover.evaluate import node_use, violation
from meio_jax.scenarios.sample import draw_sample
from meio_jax.solution import Place


def ring(made, count=24):
    return draw_sample(made, count=count, seed=1, balanced=True)


def test_all_alike_is_seen():
    made = problem()
    assert alike(made, ring(made))
    assert not alike(made, draw_sample(made, count=24, seed=1))  # chance by period
    moving = eqx.tree_at(lambda p: p.storage, made, made.storage * [1, 1, 0.5])
    assert not alike(moving, ring(moving))
    fixed = made.groups[0].items.upper.copy()
    fixed[0, 1, 0] = 3
    held = eqx.tree_at(lambda p: p.groups[0].items.upper, made, fixed)
    assert not alike(held, ring(held))


def test_one_period_costs_what_each_of_many_does(monkeypatch):
    made = problem(inbound=np.inf)
    sample = ring(made)
    quick = solve_problem(made, sample, options())
    monkeypatch.setattr(meio_jax.planner, "alike", lambda *_: False)
    long = solve_problem(made, sample, options())
    assert quick.targets[0].shape == long.targets[0].shape == (ITEMS, PERIODS, NODES)
    assert_array_equal(quick.targets[0], quick.targets[0][:, :1].repeat(PERIODS, 1))
    assert_allclose(quick.free_value, long.free_value, rtol=1e-6)
    assert_allclose(quick.bound, long.bound, rtol=2e-3)
    assert max(quick.bound, long.bound) <= min(quick.cost, long.cost) + 1e-6
    assert quick.cost <= long.cost * 1.002
    assert violation(made, quick.use) == 0
    bare = eqx.tree_at(lambda p: p.storage, made, made.storage)
    own = node_use(bare, quick.outcomes, quick.targets, np.zeros(NODES))
    assert_allclose(quick.use[[0, 2]], own[[0, 2]])  # all but the first receipts


def test_what_is_told_is_of_all_periods():
    made = problem(inbound=np.inf)
    sample, lines, places = ring(made), [], []
    found = solve_problem(made, sample, options(), lines.append, keep=places.append)
    assert tuple(lines) == found.history
    assert lines[-1].value == found.bound
    assert found.prices.shape == places[-1].prices.shape == made.capacities.shape
    start = Place(found.prices, found.bound_prices, lifts=found.lifts)
    again = solve_problem(made, sample, options(), start=start)
    assert again.evaluations < found.evaluations
    assert_allclose(again.cost, found.cost, rtol=5e-3)


def test_refined_targets_come_back_as_one_period():
    made = problem(inbound=np.inf)
    seen = []

    def refine(targets, tolls, say):
        seen.append((targets[0].shape, tolls[0].shape))
        say(1000.0)
        return tuple(np.maximum(y - 1, 0) for y in targets)

    sample = ring(made)
    plain = solve_problem(made, sample, options())
    found = solve_problem(made, sample, options(), refine=refine)
    assert seen == [((ITEMS, PERIODS, NODES), (1, NODES, PERIODS))]
    assert_array_equal(found.targets[0], np.maximum(plain.targets[0] - 1, 0))
    assert [x.value for x in found.history if x.phase == "refine"] == [
        pytest.approx(1000.0)
    ]


def test_receipts_that_do_not_fit_are_planned_period_by_period():
    made = problem(inbound=14.0)  # less than is sold
    found = solve_problem(made, ring(made), options())
    assert violation(made, found.use) == 0
    assert (found.prices[1] > 0).any()


def test_targets_at_prices_are_those_of_the_long_problem(monkeypatch):
    made = problem(inbound=np.inf)
    sample, prices = ring(made), np.zeros(made.capacities.shape)
    prices[0] = 0.1
    quick = targets_at(made, sample, options(), prices)[0]
    monkeypatch.setattr(meio_jax.planner, "alike", lambda *_: False)
    assert_array_equal(quick, targets_at(made, sample, options(), prices)[0])


def test_the_first_period_meets_what_all_do():
    made = problem()
    sample = ring(made)
    one, seen = first_period(made, sample)
    assert one.periods == 1
    assert seen.longest == sample.longest
    assert_array_equal(np.sort(seen.slot[:, 0]), np.sort(sample.slot[:, 2]))
    assert np.isinf(one.inbound).all()
    line = Horizon(made).line(
        meio_jax.planner.Progress("ascend", 1, 10.0, 0.0, 0.0, 4, 1.0)
    )
    assert (line.value, line.priced) == (10.0 * PERIODS, 4 * PERIODS)

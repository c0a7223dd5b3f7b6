"""A sample of the items stands for all of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.bench_scale.instance import problem
from meio_jax.config import Solver
from meio_jax.dual.strata import item_demand, sample_problem
from meio_jax.planner import solve_problem
from meio_jax.scenarios.sample import draw_sample


@pytest.fixture(scope="module")
def made():
    return problem(300, nodes=5, periods=2, regions=9, slots=12)


def test_demand_is_that_of_an_item(made):
    group = made.groups[0]
    item = np.repeat(np.arange(300), np.diff(group.demand.start))
    total = np.bincount(item, group.demand.quantity, 300)
    assert_allclose(item_demand(group), total)


@pytest.mark.parametrize("seed", range(3))
def test_every_stratum_has_its_share_and_capacities_theirs(made, seed):
    part = sample_problem(made, 30, seed)
    group, few = made.groups[0], part.groups[0]
    size = group.items.volume * item_demand(group)
    rank = np.argsort(np.argsort(size))
    taken = np.isin(group.items.key, few.items.key)
    assert_array_equal(np.bincount(rank[taken] // 10, minlength=30), np.ones(30))
    share = (few.items.volume @ item_demand(few)) / size.sum()
    assert_allclose(part.storage, made.storage * share)
    flow = item_demand(few).sum() / item_demand(group).sum()
    assert_allclose(part.inbound, made.inbound * flow)
    assert 0.05 < share < 0.2


def test_all_items_are_the_problem_itself(made):
    part = sample_problem(made, 10**6, 0)
    assert_array_equal(part.groups[0].items.key, made.groups[0].items.key)
    assert_allclose(part.storage, made.storage)


@pytest.mark.slow
def test_prices_of_a_sample_plan_all_items(made):
    sample = draw_sample(made, count=16, seed=0, balanced=True)
    options = dict(atoms=16, certify=24, gap=0.2)
    full = solve_problem(made, sample, Solver(**options))
    found = solve_problem(made, sample, Solver(sample_items=60, **options))
    assert found.status in ("optimal_within_gap", "gap_above_target")
    assert found.evaluations < full.evaluations
    assert found.bound <= found.cost
    assert found.cost <= 1.03 * full.cost
    worth = (full.prices * np.where(np.isfinite(full.prices), full.use, 0)).sum()
    now = (found.prices * np.where(np.isfinite(found.prices), full.use, 0)).sum()
    assert 0.5 * worth < now < 2 * worth


@pytest.mark.slow
def test_many_items_begin_at_prices_of_a_sample(made, monkeypatch):
    monkeypatch.setattr("meio_jax.planner.SMALL", 0)
    sample = draw_sample(made, count=16, seed=0, balanced=True)
    options = Solver(atoms=16, certify=8, corrections=4)
    full = solve_problem(made, sample, options)
    seen = []
    monkeypatch.setattr("meio_jax.planner.FIRST", 60)
    found = solve_problem(made, sample, options, lambda line: seen.append(line.phase))
    assert {"sample", "correct"} <= set(seen)
    assert found.evaluations < full.evaluations
    assert abs(found.cost / full.cost - 1) < 0.01
    assert (found.use <= made.capacities * (1 + 1e-9)).all()


@pytest.mark.slow
def test_a_plan_does_not_hang_on_whether_rows_are_held(made):
    sample = draw_sample(made, count=16, seed=0, balanced=True)
    options = dict(atoms=16, certify=8, gap=0.2, smoothing=(1.0,))
    held = solve_problem(made, sample, Solver(**options))
    drawn = solve_problem(made, sample, Solver(memory_gb=1e-3, **options))
    assert_allclose(drawn.prices, held.prices, rtol=1e-4, atol=1e-6)
    assert_allclose(drawn.cost, held.cost, rtol=1e-6)
    assert_allclose(drawn.bound, held.bound, rtol=1e-6)
    assert np.mean(drawn.targets[0] != held.targets[0]) < 1e-3

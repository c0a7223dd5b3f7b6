"""Refinement: what it does to targets that are wrong, and to a plan's tables."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from jax.flatten_util import ravel_pytree
from numpy.testing import assert_allclose, assert_array_equal
from tiny_folder import FAST, write

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.config import Config, with_overrides
from meio_jax.scenarios.sample import draw_sample, seeds_of
from meio_jax.sim import policies
from meio_jax.sim.lab import path_samples, simulate_decisions
from meio_jax.sim.refine import (
    Change,
    _cost,
    _gradient,
    _slope,
    refine,
    score,
    whole_decision,
)
from meio_jax.tables import examine
from meio_jax.tables.build import build

SETS = (*FAST, "problem.horizon=3")
REFINE = "refine.steps=10", "refine.paths=4", "refine.selection=12"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A problem, its scenarios, node-wise newsvendors for it, and fresh paths."""
    folder = write(tmp_path_factory.mktemp("refine"))
    config = with_overrides(Config(), list(SETS))
    examined = examine(meio.read(folder), config)
    problem, _ = build(examined.tables, examined.calendar)
    sample = draw_sample(problem, count=64, seed=0)
    draw = partial(draw_sample, problem)
    samples = lambda family, paths: path_samples(
        problem, draw, paths=paths, seeds=seeds_of(0, family, 99)
    )
    return problem, sample, policies.base_stock().decide(problem, sample), samples


def cost(problem, decision, sample, paths):
    record = simulate_decisions(problem, [decision], sample, paths, days=7.0)[0]
    return score(problem, record)


@pytest.mark.parametrize("share", [0.4, 2.5])
def test_wrong_targets_are_mended(case, share):
    problem, sample, good, samples = case
    wrong = good._replace(targets=tuple(np.floor(share * y) for y in good.targets))
    batches = [draw for k in range(6) for draw in samples(3, 8 + k)]
    batches = [b for b in batches if len(b.weight) == 8] * 2
    found = refine(
        problem, wrong, sample, batches, samples(1, 96), days=7.0, steps=60, rate=0.5,
        patience=12,
    )  # fmt: skip
    fresh = samples(2, 200)
    before, after, reference = (
        cost(problem, d, sample, fresh) for d in (wrong, found.decision, good)
    )
    assert before > 4 * reference
    assert after < 1.05 * reference
    assert found.after == min(score for _, score in found.scores) < found.before


def of_eight(samples, family=3):
    """Batches of eight paths."""
    return [s for s in samples(family, 8) if len(s.weight) == 8] * 2


def other(decision, share):
    return decision._replace(
        targets=tuple(np.floor(share * y) for y in decision.targets)
    )


def changes_of(problem, seed):
    rng = np.random.default_rng(seed)
    shapes = [(len(g.network.node), len(g.items)) for g in problem.groups]
    draw = lambda low, s: jnp.asarray(rng.uniform(low, 2, s), jnp.float32)
    return tuple(Change(draw(-2, s), draw(0, s)) for s in shapes)


@pytest.mark.parametrize("share", [0.4, 2.5])
def test_slopes_are_differences(case, monkeypatch, share):
    # a difference over one unit of a change is the mean of the slopes between
    problem, sample, good, samples = case
    seen = []
    keep = lambda changes, *rest: seen.append(rest) or _gradient(changes, *rest)
    monkeypatch.setattr("meio_jax.sim.refine._gradient", keep)
    slope = _slope(problem, other(good, share), sample, of_eight(samples), 7.0)
    changes, key = changes_of(problem, 1), jax.random.key(5)
    slope(changes, 0, key)
    start, back = ravel_pytree(changes)
    cost = jax.jit(_cost, static_argnums=(4, 5, 6))
    parts = 40
    for k in range(0, start.size, 2):
        step = jnp.zeros_like(start).at[k].set(1)
        more, less = (
            float(cost(back(start + x * step), *seen[0])) for x in (0.5, -0.5)
        )
        along = [
            float(ravel_pytree(slope(back(start + x * step), 0, key))[0][k])
            for x in ((np.arange(parts) + 0.5) / parts - 0.5).tolist()
        ]
        assert_allclose(np.mean(along), more - less, rtol=0.03, atol=0.5)


def test_refinements_of_the_same_shapes_share_a_program(case):
    problem, sample, good, samples = case
    ask = partial(
        refine, planned=sample, selection=samples(1, 8), days=7.0, steps=4, rate=0.5,
        check=1,
    )  # fmt: skip
    group = problem.groups[0]
    items = replace(group.items, upper=np.minimum(group.items.upper, 60.0))
    dear = replace(
        problem, groups=(replace(group, items=items), *problem.groups[1:]),
        overage=3 * problem.overage,
    )  # fmt: skip
    ask(problem, other(good, 2.5), batches=of_eight(samples))
    before = _gradient._cache_size()
    second = ask(dear, other(good, 0.4), batches=of_eight(samples, 4))
    assert _gradient._cache_size() == before > 0
    _gradient.clear_cache()
    alone = ask(dear, other(good, 0.4), batches=of_eight(samples, 4))
    assert _gradient._cache_size() == 1
    assert second.scores == alone.scores
    for y, z in zip(second.decision.targets, alone.decision.targets, strict=True):
        assert_array_equal(y, z)


def test_nothing_changes_without_a_gain(case):
    problem, sample, good, samples = case
    batches = samples(3, 4)
    found = refine(
        problem, good, sample, batches, samples(1, 8), days=7.0, steps=2, rate=1e-6
    )
    for y, z in zip(found.decision.targets, good.targets, strict=True):
        assert_array_equal(y, z)


def test_changes_keep_to_bounds_and_whole_units(case):
    problem, _, good, _ = case
    rng = np.random.default_rng(0)
    shapes = [y.shape[::-2] for y in good.targets]
    changes = tuple(
        Change(rng.normal(0, 3, s), rng.uniform(0, 3, s)) for s in shapes
    )  # fmt: skip
    moved = whole_decision(problem, good, changes)
    for group, y, keep in zip(
        problem.groups, moved.targets, moved.reserves, strict=True
    ):
        assert (y == np.floor(y)).all()
        assert (y >= group.items.lower).all()
        assert (y <= group.items.upper).all()
        assert (keep == np.floor(keep)).all()
        assert (keep >= 0).all()
    assert any((y != z).any() for y, z in zip(moved.targets, good.targets, strict=True))


@pytest.mark.slow  # most of it compilation
def test_a_refined_plan_from_tables_to_its_run(tmp_path):
    folder = write(tmp_path / "data")
    sets = [f"--set={s}" for s in (*SETS, *REFINE, "refine.rate=0.5")]
    run = tmp_path / "run"
    answer = CliRunner().invoke(
        main, ["solve", str(folder), "--refine", "--out", str(run), *sets]
    )
    assert answer.exit_code in (0, 3), answer.output
    plan = meio.load(run)
    found = plan.facts["refinement"]
    assert found["after"] <= found["before"]
    assert found["checks"][0] == [0, found["before"]]
    assert f"refined  simulated cost {found['before']:,.0f}" in answer.output
    able = plan.prices[plan.prices["resource"] != "items"]
    assert able["utilization"].max() <= 1 + 1e-9
    outcome = meio.simulate(folder, [run], paths=6)
    # spill limits of the table are those that are simulated
    none = plan.targets.assign(spill_limit=40.0)
    hoard = replace(plan, targets=none)
    other = meio.simulate(folder, [hoard], paths=6)
    local = [
        o.kpis.set_index("metric")["value"]["local share"] for o in (outcome, other)
    ]
    assert local[1] > local[0]
    assert_allclose(local[1], 1)


def test_unrefined_plans_have_no_spill_limits(tmp_path):
    folder = write(tmp_path / "data")
    plan = meio.solve(folder, config=with_overrides(Config(), list(SETS)))
    assert plan.facts["refinement"] is None
    assert (plan.targets["spill_limit"] == 0).all()

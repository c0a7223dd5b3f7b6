"""Slopes of greedy fulfilment, against its own cost."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from four_buildings import ITEMS, NODES, PERIODS, problem
from numpy.testing import assert_allclose

from experiments.labs import demo_lab, few_items
from meio_jax import planner
from meio_jax.dual.use import use_charges, use_cost
from meio_jax.planner import solve_problem, targets_at
from meio_jax.recover.evaluate import Evaluator, outcome_use, violation
from meio_jax.recover.slopes import greedy_slopes
from meio_jax.scenarios.sample import draw_sample
from meio_jax.solution import Place

TURNS = 64  # scenarios with the same demand, over which half units are evenly spread


@pytest.fixture(scope="module", params=[1, 2])
def case(request):
    """A problem all of whose scenarios are the same weeks, in one and two regimes."""
    made = replace(problem(), regimes=request.param)
    sample = draw_sample(made, count=TURNS, seed=0)
    sample = eqx.tree_at(
        lambda s: (s.slot, s.lead),
        sample,
        (
            np.broadcast_to(sample.slot[:1], sample.slot.shape),
            tuple(np.broadcast_to(x[..., :1], x.shape) for x in sample.lead),
        ),
    )
    return made, Evaluator(made, 0, sample)


def lagrangian(made, evaluator, target, toll, prices):
    """Cost of every item and period, and of what it uses."""
    out = evaluator(target, toll)
    paid = out.holding + out.shipping + out.lost
    return paid + use_cost(outcome_use(made.groups[0], out, target), prices)


def test_slope_is_the_difference_that_a_unit_makes(case):
    made, evaluator = case
    rng = np.random.default_rng(3)
    target = rng.integers(1, 14, (ITEMS, PERIODS, NODES)).astype(float)
    target += rng.uniform(-0.2, 0.2, target.shape)
    prices = rng.uniform(0, 0.3, made.capacities.shape)
    prices[1] = 0.0  # bears on two periods
    toll = np.zeros((made.regimes, NODES, PERIODS))
    items = made.groups[0].items
    stock, ship = use_charges(prices, evaluator.window, items.volume)
    slope = stock + ship.mean(axis=2) + greedy_slopes(
        evaluator, target, toll, items.holding[:, None, None] - ship
    )  # fmt: skip
    step = 0.5
    for n in range(NODES):
        more, less = (target + s * step * (np.arange(NODES) == n) for s in (1, -1))
        cost = [lagrangian(made, evaluator, y, toll, prices) for y in (more, less)]
        # others are shaken too: near a kink of theirs a slope lies between two
        assert_allclose(slope[:, :, n], cost[0] - cost[1], atol=0.6)
    scale = np.abs(slope).mean()
    cost = [
        lagrangian(made, evaluator, np.round(target) + s * step, toll, prices)
        for s in (1, -1)
    ]
    whole = stock + ship.mean(axis=2) + greedy_slopes(
        evaluator, np.round(target), toll, items.holding[:, None, None] - ship
    )  # fmt: skip
    off = np.abs(whole.sum(axis=2) - (cost[0] - cost[1])).mean()
    assert off < 0.15 * NODES * scale


def test_slope_where_nothing_competes_is_that_of_a_newsvendor(case):
    made, evaluator = case
    toll = np.zeros((made.regimes, NODES, PERIODS))
    worth = np.full((ITEMS, PERIODS, made.regimes, NODES), 0.7)
    plenty = np.full((ITEMS, PERIODS, NODES), 1e3)
    assert_allclose(greedy_slopes(evaluator, plenty, toll, worth), 0.7, rtol=1e-5)
    none = greedy_slopes(evaluator, 0 * plenty, toll, worth)
    penalty = made.groups[0].items.penalty[:, None, None]
    assert (none <= 0.7 + 1e-6).all()
    assert (none >= -penalty - 1e-6).all()
    assert (none < 0).mean() > 0.9  # a first unit saves a sale or a longer way


def test_slopes_scale_with_money(case):
    made, evaluator = case
    dearer = eqx.tree_at(
        lambda p: (p.groups[0].items.penalty, p.groups[0].network.unit_cost),
        made,
        (10 * made.groups[0].items.penalty, 10 * made.groups[0].network.unit_cost),
    )
    ten = Evaluator(dearer, 0, evaluator.sample)
    target = np.full((ITEMS, PERIODS, NODES), 6.0)
    toll = np.zeros((made.regimes, NODES, PERIODS))
    worth = np.full((ITEMS, PERIODS, made.regimes, NODES), 0.3)
    found = greedy_slopes(evaluator, target, toll, worth)
    assert_allclose(
        greedy_slopes(ten, target, toll, 10 * worth), 10 * found, rtol=1e-4, atol=1e-4
    )


@pytest.fixture(scope="module")
def demo():
    """The bulky items of the demo with their share of its rooms."""
    lab = demo_lab(False)
    made = few_items(lab.problem, 46)
    sample = draw_sample(made, count=48, seed=2, balanced=True)
    return made, sample, replace(lab.solver, certify=4)


def test_corrected_plans_cost_less_and_keep_room(demo):
    made, sample, solver = demo
    plain = solve_problem(made, sample, replace(solver, corrections=0))
    found = solve_problem(made, sample, replace(solver, corrections=6))
    assert violation(made, found.use) == 0
    assert found.cost < plain.cost
    assert plain.kept.max() == 0
    held = found.use[0] > 0
    assert found.kept[held].sum() > 1e-2 * found.use[0].sum()
    assert (found.use[0] <= made.storage - found.kept + 1e-6).all()
    wide = np.full_like(made.outbound, np.inf)  # docks end rounds later
    made = eqx.tree_at(lambda p: (p.outbound, p.inbound), made, (wide, wide))
    found = solve_problem(made, sample, replace(solver, corrections=6))
    cold = [line.phase for line in found.history].count("correct")
    place = Place(
        found.prices, found.bound_prices, lifts=found.lifts, tilts=found.tilts,
        kept=found.kept,
    )  # fmt: skip
    again = solve_problem(made, sample, replace(solver, corrections=6), start=place)
    warm = [line.phase for line in again.history].count("correct")
    assert 1 <= warm < cold <= 6
    assert again.evaluations < found.evaluations
    assert abs(again.cost - found.cost) < 0.01 * found.cost


def test_prices_of_a_corrected_plan_mean_little_without_its_corrections(demo):
    made, sample, solver = demo
    none = np.full_like(made.storage, np.inf)  # storage alone binds, little is repaired
    made = replace(made, inbound=none, outbound=none)
    found = solve_problem(made, sample, replace(solver, corrections=6))
    pick = lambda tilts: targets_at(made, sample, solver, found.prices, tilts)[0]
    far, near = (np.abs(pick(t) - found.targets[0]).sum() for t in ((), found.tilts))
    assert near < 0.05 * found.targets[0].sum() < 0.2 * far


def test_free_overage_keeps_no_room(demo):
    made, sample, solver = demo
    free = eqx.tree_at(lambda p: p.overage, made, 0 * made.overage)
    found = solve_problem(free, sample, replace(solver, corrections=1))
    assert found.kept.max() == 0


def test_a_dock_is_kept_by_prices_of_all_that_it_ships(demo, monkeypatch):
    made, sample, solver = demo
    wide = np.full_like(made.outbound, np.inf)
    made = eqx.tree_at(lambda p: (p.outbound, p.inbound), made, (wide, wide))
    free = solve_problem(made, sample, solver)
    node, tight = free.use[2][:, 0].argmax(), wide.copy()
    tight[node] = 0.8 * free.use[2][node]
    made = eqx.tree_at(lambda p: p.outbound, made, tight)
    found = solve_problem(made, sample, solver)
    assert violation(made, found.use) == 0
    assert found.prices[2][node].min() > 0
    monkeypatch.setattr(planner._Run, "_see_flows", lambda *_: 0.0)
    blind = solve_problem(made, sample, solver)
    dearer = found.cost - free.cost  # 0.8 % and 2.5 % when this was written
    assert 0 < dearer < 0.6 * (blind.cost - free.cost)
    over = [next(x for x in p.history if x.phase == "repair") for p in (found, blind)]
    assert over[0].violation < 0.5 * over[1].violation

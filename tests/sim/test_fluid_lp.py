"""The fluid linear program: against one written out arc by arc, and the planner."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog

from experiments.dual_methods.instance import problem as made_in_code
from meio_jax.config import Config
from meio_jax.faults import InputError
from meio_jax.planner import solve_problem
from meio_jax.scenarios.sample import draw_sample
from meio_jax.sim import fluid_lp, policies
from meio_jax.sim.fluid_lp import solve_fluid
from meio_jax.sim.planned import mean_scenario

ITEMS, NODES, PERIODS = 4, 6, 3


@pytest.fixture(scope="module")
def tight():
    """Too little room, moving demand, orders that protect one period or two."""
    problem = made_in_code(ITEMS, PERIODS)
    return problem, draw_sample(problem, count=8, seed=3)


def by_arcs(problem, sample):
    """Every arc and period as a column of a dense program, by loops over everything.

    Columns: y[i, n, t], x[i, n, q, t], lost u[i, q, t]; every region is a class.
    """
    group, demand = problem.groups[0], problem.groups[0].demand
    items, network = group.items, group.network
    slots = np.zeros((ITEMS, problem.slots, NODES))
    item = np.repeat(np.arange(ITEMS), np.diff(demand.start))
    slots[item, demand.slot, demand.region] = demand.quantity
    lead = sample.lead[0][:, :, 0]
    wanted = np.zeros((ITEMS, NODES, PERIODS))
    for i, q, t in np.ndindex(wanted.shape):
        for k in range(lead[network.home[q], t] + 1):
            wanted[i, q, t] += slots[i, sample.slot[0, t + k], q]
    m = 1 + lead.mean(axis=1)
    y = np.arange(ITEMS * NODES * PERIODS).reshape(ITEMS, NODES, PERIODS)
    x = y.size + np.arange(y.size * NODES).reshape(ITEMS, NODES, NODES, PERIODS)
    u = y.size + x.size + np.arange(wanted.size).reshape(wanted.shape)
    cost = np.zeros(y.size + x.size + u.size)
    rows, limits, equal, demands = [], [], [], []

    def row(entries, limit, into, ends):
        line = np.zeros(len(cost))
        for column, value in entries:
            line[column] += value
        into.append(line)
        ends.append(limit)

    for i, n, t in np.ndindex(y.shape):
        cost[y[i, n, t]] = items.holding[i, n]
        cost[x[i, n, :, t]] = network.unit_cost[n] - items.holding[i, n]
        sent = [(x[i, n, q, t], 1.0) for q in range(NODES)]
        row([*sent, (y[i, n, t], -1.0)], 0, rows, limits)
    for i, q, t in np.ndindex(wanted.shape):
        cost[u[i, q, t]] = items.penalty[i]
        met = [(x[i, n, q, t], 1.0) for n in range(NODES)]
        row([*met, (u[i, q, t], 1.0)], wanted[i, q, t], equal, demands)
    home = np.argmin(network.unit_cost, axis=0)
    v = items.volume

    def received(n, t):
        """What a node receives in a period, and the stock that its first builds on."""
        come = [(y[i, n, t], 1.0) for i in range(ITEMS)]
        if not t:  # what the nearest node would have left
            return come, wanted[:, home == n, 0].sum() * (1 - 1 / m[n])
        come += [(y[i, n, t - 1], -1.0) for i in range(ITEMS)]
        arcs = [x[i, n, q, t - 1] for i in range(ITEMS) for q in range(NODES)]
        return come + [(arc, 1 / m[n]) for arc in arcs], 0.0

    for n, t in np.ndindex(NODES, PERIODS):
        ship = [(i, x[i, n, q]) for i in range(ITEMS) for q in range(NODES)]
        store = [(y[i, n, t], v[i]) for i in range(ITEMS)]
        store += [(arc[t], v[i] * (1 / m[n] - 1)) for i, arc in ship]
        row(store, problem.storage[n, t], rows, limits)
        through = [] if problem.via is None else np.flatnonzero(problem.via == n)
        passes = [received(k, t) for k in through]
        there = problem.outbound[n, t] + sum(start for _, start in passes)
        sent = [(arc[t], 1 / m[n]) for _, arc in ship]
        row(sum((come for come, _ in passes), sent), there, rows, limits)
        come, start = received(n, t)
        there = problem.inbound[n, t] + start + sum(start for _, start in passes)
        row(sum((more for more, _ in passes), come), there, rows, limits)
    bound = np.isfinite(limits)
    rows, limits = np.array(rows)[bound], np.array(limits)[bound]
    found = linprog(cost, rows, limits, equal, demands, method="highs-ds")
    assert found.status == 0
    return found.fun, found.x[y], wanted


WAYS = np.array([-1, 0, -1, 2, 2, -1])  # two nodes through one, one through another


@pytest.mark.parametrize("via", [None, WAYS])
def test_generated_arcs_reach_the_program_of_all_arcs(tight, via):
    mean, one = mean_scenario(*tight)
    mean = replace(mean, via=via)
    cost, levels, wanted = by_arcs(mean, one)
    found = solve_fluid(mean, one)
    assert_allclose(found.cost, cost, rtol=1e-6)
    assert found.arcs < NODES * wanted.size  # not all are needed
    assert (found.prices[0].max(), found.prices[1:].max()) > (0, 0)
    held = np.einsum("itn,i->n", found.targets[0], mean.groups[0].items.volume)
    same = np.einsum("int,i->n", levels, mean.groups[0].items.volume)
    if via is not None:  # nodes behind one dock are as good as each other
        held, same = held.sum(), same.sum()
    assert_allclose(held, same, rtol=0.05)  # optima may differ by item


@pytest.mark.parametrize("resource", ["storage", "inbound", "outbound"])
def test_prices_say_what_a_little_more_room_saves(tight, resource):
    mean, one = mean_scenario(*tight)
    row = ("storage", "inbound", "outbound").index(resource)
    base = solve_fluid(mean, one)
    n, t = np.unravel_index(base.prices[row].argmax(), base.prices[row].shape)
    saved = []
    for step in (1e-3, -1e-3):
        room = getattr(mean, resource).copy()
        room[n, t] += step
        saved.append(
            base.cost - solve_fluid(replace(mean, **{resource: room}), one).cost
        )
    price = base.prices[row, n, t]
    assert saved[0] / 1e-3 - 1e-3 <= price <= -saved[1] / 1e-3 + 1e-3


def test_with_room_targets_are_mean_demand_of_the_window(tight):
    problem, sample = tight
    none = np.full_like(problem.storage, np.inf)
    free = replace(problem, storage=none, inbound=none, outbound=none)
    mean, one = mean_scenario(free, sample)
    _, _, wanted = by_arcs(mean, one)
    found = solve_fluid(mean, one)
    assert_allclose(np.swapaxes(found.targets[0], 1, 2), wanted, rtol=1e-5, atol=1e-6)
    assert found.rounds == 1
    assert not found.prices.any()


def test_the_policy_is_whole_fits_and_is_steady_where_periods_are_alike(tight):
    problem, _ = tight
    sample = draw_sample(problem, count=8, seed=3, balanced=True)
    found = policies.fluid_lp().decide(problem, sample)
    (targets,) = found.targets
    assert found.name == "fluid_lp"
    assert_array_equal(targets, np.round(targets))
    assert_array_equal(targets, np.repeat(targets[:, :1], PERIODS, axis=1))
    assert_array_equal(policies.clip(problem, sample, found.targets)[0], targets)
    assert targets.sum() > 0


def test_what_is_too_large_or_has_no_room_is_refused(tight, monkeypatch):
    mean, one = mean_scenario(*tight)
    lower = np.full_like(mean.groups[0].items.lower, 1e4)
    forced = eqx.tree_at(lambda p: p.groups[0].items.lower, mean, lower)
    with pytest.raises(InputError, match="no solution"):
        solve_fluid(forced, one)
    monkeypatch.setattr(fluid_lp, "MOST", 10)
    with pytest.raises(InputError, match="arcs to begin with; it may have 10"):
        solve_fluid(mean, one)


@pytest.mark.slow  # most of it compilation
@pytest.mark.parametrize("via", [None, WAYS])
def test_the_planner_on_the_mean_scenario_brackets_it(tight, via):
    mean, one = mean_scenario(*tight)
    mean = replace(mean, via=via)
    inbound = mean.inbound.copy()
    inbound[:, 0] = np.inf  # what the first receipts build on is the planner's own
    outbound = mean.outbound.copy()
    if via is not None:
        outbound[:, 0] = np.inf  # where they pass
    mean = replace(mean, inbound=inbound, outbound=outbound)
    options = replace(
        Config().solver, levels=8, atoms=16, max_evaluations=12, whole_units=False,
    )  # fmt: skip
    wanted, network = by_arcs(mean, one)[2], mean.groups[0].network
    # a plan holds no more at a node than the nation wants: here more would save, as
    # nothing is in the way of what comes in the first period
    most = np.repeat(wanted.sum(axis=1)[:, :, None], NODES, axis=2)
    mean = eqx.tree_at(lambda p: p.groups[0].items.upper, mean, most)
    plan = solve_problem(mean, one, options)
    cheapest = network.unit_cost.min(axis=0)
    once = 1 - 1 / one.window(0)[network.home]  # plans count service once a period
    paid = np.einsum("iqt,q->", wanted, cheapest * once)
    cost = solve_fluid(mean, one).cost - paid
    assert plan.bound <= cost * (1 + 1e-6)
    assert cost <= plan.cost * (1 + 1e-6)

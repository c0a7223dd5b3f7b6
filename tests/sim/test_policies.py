"""Baselines: textbook levels, splits by hand, the cut to storage, and a simulation."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import meio_jax
from experiments.dual_methods.instance import problem as made_in_code
from meio_jax.config import Config
from meio_jax.network import build_network
from meio_jax.planner import solve_problem, targets_at
from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.recover.evaluate import Evaluator, node_use
from meio_jax.scenarios.sample import draw_sample
from meio_jax.sim import policies
from meio_jax.sim.hindsight import hindsight_cost
from meio_jax.sim.lab import simulate_decisions
from meio_jax.sim.nodewise import place
from meio_jax.sim.planned import mean_scenario, steady
from meio_jax.sim.windows import Windows, assorted, home_volume

OPTIONS = replace(Config().solver, levels=8, atoms=16, max_evaluations=8)
ITEMS, NODES, PERIODS = 5, 6, 3
NODE_RULES = [
    policies.base_stock(),
    policies.base_stock(shortage="next_best"),
    policies.proportional(),
    policies.days_of_cover(),
    policies.buy_then_place(),
]
PLANNED = [
    policies.unpriced(OPTIONS), policies.static_prices(OPTIONS), policies.fluid(OPTIONS)
]  # fmt: skip
name = lambda recipe: recipe.name
every_rule = pytest.mark.parametrize("recipe", NODE_RULES, ids=name)


@pytest.fixture(scope="module")
def tight():
    """Five items at six nodes with too little room, and scenarios."""
    problem = made_in_code(ITEMS, PERIODS)
    return problem, draw_sample(problem, count=16, seed=0, balanced=True)


@pytest.fixture(scope="module")
def loose(tight):
    """The same without capacities."""
    return unlimited(tight[0]), tight[1]


def unlimited(problem):
    none = np.full_like(problem.storage, np.inf)
    return replace(problem, storage=none, inbound=none, outbound=none)


def windows_by_hand(problem, sample):
    """Demand that the order of each period covers, units, by loops over everything;
    every region has one class, at home at the node of its number."""
    group, lead = problem.groups[0], sample.lead[0]
    demand = group.demand
    slots = np.zeros((ITEMS, problem.slots, NODES))
    item = np.repeat(np.arange(ITEMS), np.diff(demand.start))
    slots[item, demand.slot, demand.region] = demand.quantity
    out = np.zeros((ITEMS, PERIODS, NODES, len(sample.weight)))
    for t, n, s in np.ndindex(*out.shape[1:]):
        for ahead in range(lead[n, t, s] + 1):
            out[:, t, n, s] += slots[:, sample.slot[s, t + ahead], n]
    return out


def smallest(samples, ratio):
    """The smallest sample that no fewer than a share of them exceed, by counting."""
    ordered = np.sort(samples)
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    return ordered[np.flatnonzero(share >= ratio - 1e-12)[0]]


def one_node(chance, *, holding, penalty, near=0.0, far=np.inf, waits=False):
    """One item, one period, demand 0, 1, 2, ... with these chances, all at home at the
    first of two nodes; the other is far."""
    count = len(chance)
    cost = np.array([[near], [far]])
    network = build_network(
        node=np.arange(2), unit_cost=cost, cost_per_weight=0 * np.ones((2, 1)),
        days_late=np.zeros((2, 1)), region=np.zeros(1, int), speed=np.zeros(1, int),
        share=np.ones(1), volume=np.ones(1), weight=1.0, late_cost=0.0,
        lead_mean=np.zeros(2), lead_std=np.zeros(2),
    )  # fmt: skip
    demand = Demand(
        start=np.array([0, count]), slot=np.arange(count),
        region=np.zeros(count, int), quantity=np.arange(count) * 1.0,
        std=np.zeros(count),
    )  # fmt: skip
    one = np.ones(1)
    items = Items(
        position=np.zeros(1, int), key=np.ones(1, int), volume=one, weight=0 * one,
        penalty=penalty * one, late_cost=0 * one, holding=np.full((1, 2), holding),
        lower=np.zeros((1, 1, 2)), upper=np.full((1, 1, 2), np.inf),
    )  # fmt: skip
    free = np.full((2, 1), np.inf)
    return Problem(
        (Group(network, items, demand, None, waits),), free, free, free, free,
        np.asarray(chance), "scenarios", count,
    )  # fmt: skip


def level(problem, recipe):
    """The only target that is not of the far node."""
    sample = draw_sample(problem, count=1, seed=0)
    return recipe.decide(problem, sample).targets[0][0, 0]


def poisson(mean):
    chance = stats.poisson.pmf(np.arange(80), mean)
    return chance / chance.sum()


@pytest.mark.parametrize("recipe", [NODE_RULES[0], *NODE_RULES[2:]], ids=name)
def test_one_node_is_the_newsvendor_of_the_textbook(recipe):
    # ORACLES D3: h = 200, p = 270, Poisson(18): S = 19; N3: h = 1, p = 4, Poisson(6): 8
    for mean, h, p, best in [(18, 200.0, 270.0, 19), (6, 1.0, 4.0, 8)]:
        problem = one_node(poisson(mean), holding=h, penalty=p)
        assert_array_equal(level(problem, recipe), [best, 0])


def test_what_a_unit_short_costs():
    lost, next_best = NODE_RULES[:2]
    demand = poisson(20)
    ppf = lambda u: stats.poisson.ppf(u / (1 + u), 20)
    costs = dict(holding=1.0, penalty=9.0, near=2.0)
    assert level(one_node(demand, **costs, far=3.5), lost)[0] == ppf(9 - 2)
    assert level(one_node(demand, **costs, far=3.5), next_best)[0] == ppf(3.5 - 2)
    assert level(one_node(demand, **costs, far=30.0), next_best)[0] == ppf(9 - 2)
    # one who waits is served later all the same
    assert level(one_node(demand, **costs, waits=True), lost)[0] == ppf(9)
    dear = costs | dict(near=9.5)  # dearer than to lose the sale: not stocked
    assert_array_equal(level(one_node(demand, **dear), lost), 0)


def test_base_stock_is_a_quantile_of_demand_over_lead_times(loose):
    problem, sample = loose
    cost, items = problem.groups[0].network.unit_cost, problem.groups[0].items
    demand, own = windows_by_hand(problem, sample), cost.min(axis=0)
    second = np.sort(cost, axis=0)[1]
    for recipe, short in zip(
        NODE_RULES, (items.penalty[:, None] + 0 * own, second + 0 * demand[:, 0, :, 0]),
        strict=False,
    ):  # fmt: skip
        u = short - own
        ratio = u / (u + items.holding)
        wanted = [
            smallest(demand[i, t, n], ratio[i, n])
            for i, t, n in np.ndindex(demand.shape[:3])
        ]
        found = recipe.decide(problem, sample)
        assert_array_equal(found.targets[0].ravel(), wanted)
        assert not any(np.any(x) for x in (*found.tolls, *found.reserves))


def national_by_hand(problem, sample):
    items = problem.groups[0].items
    demand = windows_by_hand(problem, sample).sum(axis=2)
    own = problem.groups[0].network.unit_cost.min(axis=0)
    assert np.ptp(own) == 0  # so that means over nodes are simple
    u = items.penalty - own[0]
    ratio = u / (u + items.holding[:, 0])
    return np.array(
        [[smallest(demand[i, t], ratio[i]) for t in range(PERIODS)]
        for i in range(ITEMS)]
    )  # fmt: skip


@pytest.mark.parametrize("recipe", NODE_RULES[2:], ids=name)
def test_splits_add_up_to_the_national_newsvendor(loose, recipe):
    found = recipe.decide(*loose).targets[0]
    assert_array_equal(found.sum(axis=2), national_by_hand(*loose))
    assert_array_equal(found, np.round(found))


def test_proportional_splits_all_items_alike(loose):
    problem, sample = loose
    found = policies.proportional().decide(problem, sample).targets[0]
    demand = problem.groups[0].demand
    used = np.zeros(problem.slots)
    np.add.at(used, sample.slot[:, :PERIODS], 1.0)
    volume = np.bincount(demand.region, demand.quantity * used[demand.slot])
    wanted = found.sum(axis=2, keepdims=True) * volume / volume.sum()
    assert np.abs(found - wanted).max() < 1
    assert_allclose(home_volume(problem.groups[0], sample).sum(axis=0), volume / 16)


def test_cover_is_the_same_at_every_node(loose):
    problem, sample = loose
    found = policies.days_of_cover().decide(problem, sample).targets[0]
    length = sample.window(0)
    rate = windows_by_hand(problem, sample).mean(axis=3) / length
    cover = found.sum(axis=2) / rate.sum(axis=2)
    assert np.abs(found - cover[:, :, None] * rate).max() < 1


def test_nothing_where_an_item_may_not_be_and_its_demand_falls_to_the_next(loose):
    problem, sample = loose
    upper = problem.groups[0].items.upper.copy()
    upper[2, :, 4] = 0  # node 5 is the other of its pair
    shut = eqx.tree_at(lambda p: p.groups[0].items.upper, problem, upper)
    for recipe in NODE_RULES:
        before = recipe.decide(problem, sample).targets[0]
        after = recipe.decide(shut, sample).targets[0]
        assert (after[2, :, 4] == 0).all()
        assert (after[2, :, 5] >= before[2, :, 5]).all()
        assert after[2, :, 5].sum() > before[2, :, 5].sum()


def test_nodes_keep_to_their_number_of_items(loose):
    problem, sample = loose
    limit = np.full((NODES, PERIODS), np.inf)
    limit[1] = 2
    few = replace(problem, item_limit=limit)
    sold = home_volume(problem.groups[0], sample)[:, 1]
    best = np.argsort(-sold)[:2]
    assert set(
        np.flatnonzero(assorted(few, sample).groups[0].items.upper[:, 0, 1])
    ) == (set(best))
    for recipe in NODE_RULES:
        found = recipe.decide(few, sample).targets[0]
        assert set(np.flatnonzero(found[:, :, 1].any(axis=1))) <= set(best)


def split_cost(demand, h, u, split):
    gap = np.array(split)[:, None] - demand
    return np.where(gap > 0, h[:, None] * gap, -u[:, None] * gap).mean(axis=1).sum()


def placed(demand, h, u, total, upper=np.inf):
    nodes = len(demand)
    wide = lambda x: np.full((1, 1, nodes), x)
    windows = Windows(
        demand[None, None], np.full(demand.shape[1], 1 / demand.shape[1]),
        demand.mean(axis=1)[None, None], h[None], u[None], u[None], wide(0.0),
        wide(upper),
    )  # fmt: skip
    return place(windows, u[None], np.array([[float(total)]]))[0, 0]


@given(st.integers(0, 10_000))
def test_no_other_split_of_the_total_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    demand = rng.poisson(rng.uniform(0, 4, (3, 1)), (3, 5)).astype(float)
    h, u = rng.uniform(0.1, 2, 3), rng.uniform(0, 5, 3)
    total = int(rng.integers(0, demand.max(axis=1).sum() + 1))
    found = placed(demand, h, u, total)
    assert found.sum() == total
    splits = [s for s in np.ndindex(*[total + 1] * 3) if sum(s) == total]
    best = min(split_cost(demand, h, u, s) for s in splits)
    assert_allclose(split_cost(demand, h, u, found), best, atol=1e-12)
    assert placed(demand, h, u, total, upper=1.0).max() <= 1


@every_rule
def test_money_has_no_scale(tight, recipe):
    problem, sample = tight
    group = problem.groups[0]
    ten = eqx.tree_at(
        lambda g: (g.network.unit_cost, g.items.penalty, g.items.holding), group,
        (10 * group.network.unit_cost, 10 * group.items.penalty,
         10 * group.items.holding),
    )  # fmt: skip
    found = recipe.decide(eqx.tree_at(lambda p: p.groups[0], problem, ten), sample)
    assert_array_equal(found.targets[0], recipe.decide(problem, sample).targets[0])


def stored(problem, sample, targets):
    """Expected use of storage as a share of it."""
    outcomes = [
        Evaluator(problem, 0, sample)(targets[0], np.zeros((1, NODES, PERIODS)))
    ]
    use = node_use(problem, outcomes, targets, np.zeros(NODES))[0]
    return use / problem.storage


@every_rule
def test_clipped_targets_fit(tight, loose, recipe):
    problem, sample = tight
    whole = recipe.decide(*loose).targets
    found = recipe.decide(problem, sample).targets
    before, after = (stored(problem, sample, y) for y in (whole, found))
    assert before.max() > 1
    assert after.max() <= 1 + 1e-9
    assert (found[0] <= whole[0]).all()
    room = (1 - after) * problem.storage
    largest = problem.groups[0].items.volume.max()
    assert room[before > 1].max() < 3 * largest  # cut to storage, not to nothing
    assert_array_equal(found[0], np.round(found[0]))
    assert_array_equal(policies.clip(problem, sample, found)[0], found[0])


def test_clipping_changes_only_nodes_that_are_full(tight):
    problem, sample = tight
    targets = policies.base_stock().decide(unlimited(problem), sample).targets
    wide = replace(problem, storage=np.full_like(problem.storage, 1e9))
    assert policies.clip(wide, sample, targets) == targets
    wide.storage[2, 1] = problem.storage[2, 1] / 2
    cut = policies.clip(wide, sample, targets)[0]
    changed = np.argwhere(cut != targets[0])[:, 1:]
    assert set(map(tuple, changed)) == {(1, 2)}


def test_clipping_keeps_least_targets(tight):
    problem, sample = tight
    items = problem.groups[0].items
    lower = items.lower.copy()
    lower[1] = 5.0
    held = eqx.tree_at(lambda p: p.groups[0].items.lower, problem, lower)
    held = replace(held, storage=np.full_like(held.storage, 0.5))
    found = policies.base_stock().decide(held, sample).targets[0]
    assert (found[1] == 5).all()
    assert (np.delete(found, 1, axis=0) == 0).all()


@pytest.mark.slow
def test_unpriced_is_the_plan_where_nothing_binds(loose):
    problem, sample = loose
    plan = solve_problem(problem, sample, OPTIONS)
    for recipe in PLANNED[:2]:
        found = recipe.decide(problem, sample)
        if recipe.name == "unpriced":
            assert_array_equal(found.targets[0], plan.targets[0])
        evaluator = Evaluator(problem, 0, sample)
        assert_allclose(
            evaluator(found.targets[0], found.tolls[0]).cost, plan.cost, rtol=0.02
        )


@pytest.mark.slow
def test_prices_hold_targets_down_and_steady_ones_do_not_move(tight):
    problem, sample = tight
    plan = solve_problem(problem, sample, OPTIONS)
    same = steady(plan.prices, problem.capacities)
    assert np.ptp(same, axis=2).max() < 1e-12
    assert_allclose(same.sum(), plan.prices.sum())
    free = targets_at(problem, sample, OPTIONS, 0 * same)[0]
    priced = targets_at(problem, sample, OPTIONS, same)[0]
    dear = targets_at(problem, sample, OPTIONS, same + 100.0)[0]
    assert dear.sum() < priced.sum() < free.sum()
    found = policies.static_prices(OPTIONS).decide(problem, sample)
    assert found.tolls[0].max() > 0


def test_steady_prices_are_means_over_limited_periods():
    capacities = np.array([[[1.0, np.inf, 1.0]]])
    prices = np.array([[[2.0, 0.0, 4.0]]])
    assert_allclose(steady(prices, capacities), [[[3.0, 0.0, 3.0]]])


def test_mean_scenario_is_the_mean(tight):
    problem, sample = tight
    mean, one = mean_scenario(problem, sample)
    demand, given_cells = mean.groups[0].demand, problem.groups[0].demand
    item = np.repeat(np.arange(ITEMS), np.diff(demand.start))
    table = np.zeros((ITEMS, problem.slots, NODES))
    cells = np.repeat(np.arange(ITEMS), np.diff(given_cells.start))
    table[cells, given_cells.slot, given_cells.region] = given_cells.quantity
    wanted = table[:, sample.slot[:, : mean.slots]].mean(axis=1)
    found = np.zeros_like(wanted)
    found[item, demand.slot, demand.region] = demand.quantity
    assert_allclose(found, wanted, rtol=1e-6)
    assert one.slot.shape == (1, mean.slots)
    assert mean.slots >= PERIODS


@pytest.mark.slow
def test_fluid_holds_the_mean_and_no_safety_stock(loose):
    problem, sample = loose
    found = policies.fluid(OPTIONS).decide(problem, sample).targets[0]
    mean = windows_by_hand(problem, sample).mean(axis=3)
    assert np.abs(found - mean).max() < 1 + 1e-6
    assert np.abs(found - mean).mean() < 0.5


def least_by_hand(problem, samples):
    group = problem.groups[0]
    cheapest = group.network.unit_cost.min(axis=0)
    least = np.minimum(cheapest, group.items.penalty[:, None])
    demand, total = group.demand, []
    item = np.repeat(np.arange(ITEMS), np.diff(demand.start))
    worth = demand.quantity * least[item, demand.region]
    by_slot = np.bincount(demand.slot, worth, problem.slots)
    for sample in samples:
        total += list(by_slot[sample.slot[:, :PERIODS]].sum(axis=1))
    return np.array(total)


def check_records(problem, sample, recipes):
    """Simulates recipes on the same paths and looks for what cannot be."""
    problem = replace(problem, overage=0.5)
    samples = [draw_sample(problem, count=12, seed=s) for s in (11, 12)]
    decisions = [r.decide(problem, sample) for r in recipes]
    records = simulate_decisions(problem, decisions, sample, samples, days=7.0)
    hindsight = np.concatenate(
        [hindsight_cost(problem, s).sum(axis=0) for s in samples]
    )
    assert_allclose(hindsight, least_by_hand(problem, samples), rtol=1e-6)
    assert len({r.name for r in records}) == len(records)
    for record in records:
        assert np.isfinite(record.money).all()
        assert not record.wrong.any()
        assert (record.money.sum(axis=(0, 1)) > hindsight).all()
        served = sum(x.sum() for x in record.served)
        assert 0.6 < served / record.sold.sum() <= 1
    sums = np.array([r.money.sum() for r in records])
    assert sums.max() < 2.5 * sums.min()
    return records


def test_policies_on_the_same_paths(tight):
    check_records(*tight, NODE_RULES)


def test_with_room_a_ratio_of_lost_sales_loses_little(loose):
    record = check_records(*loose, NODE_RULES[:3])[0]
    assert record.served[0].sum() / record.sold.sum() > 0.98


@pytest.mark.slow
def test_planned_policies_on_the_same_paths(tight):
    check_records(*tight, PLANNED)


def test_public_name():
    assert meio_jax.policies is policies
    with pytest.raises(ValueError, match="must be 'lost' or 'next_best'"):
        policies.base_stock(shortage="last")  # pyright: ignore[reportArgumentType]

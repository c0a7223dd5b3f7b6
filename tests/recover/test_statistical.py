"""Certificate B against newsvendors whose law, cost and optimism are known."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.dual_methods.instance import problem as network_problem
from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.recover.evaluate import Evaluator, node_use
from meio_jax.recover.statistical import carried_stock, fresh_seeds, statistical
from meio_jax.scenarios.sample import draw_sample

# ORACLES C2: demand U(0, 1), holding 1, lost 3: the best level is .75 and costs .375;
# OPTIMISM is the mean of the least cost on N draws, TRUE what their levels cost.
POINTS, H, P, LEVEL, TRUTH = 4096, 1.0, 3.0, 0.75, 0.375
OPTIMISM = {4: 0.3, 16: 0.35294, 64: 0.36923}
GRID = 1e-3  # what the grid of demands may move means by


def cost_of(level):
    return H * level**2 / 2 + P * (1 - level) ** 2 / 2


def uniform(storage=np.inf):
    """One item, node and period; every demand of a grid on (0, 1) is a slot."""
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    network = build_network(
        node=np.zeros(1, int), unit_cost=none, cost_per_weight=none, days_late=none,
        region=np.zeros(1, int), speed=np.zeros(1, int), share=np.ones(1),
        volume=np.ones(1), weight=1.0, late_cost=0.0, lead_mean=np.zeros(1),
        lead_std=np.zeros(1),
    )  # fmt: skip
    demand = Demand(
        start=np.array([0, POINTS]), slot=np.arange(POINTS),
        region=np.zeros(POINTS, int), quantity=(np.arange(POINTS) + 0.5) / POINTS,
        std=np.zeros(POINTS),
    )  # fmt: skip
    items = Items(
        position=np.zeros(1, int), key=np.ones(1, int), volume=np.ones(1),
        weight=np.ones(1), penalty=np.full(1, P), late_cost=np.zeros(1),
        holding=H * one, lower=np.zeros((1, 1, 1)), upper=np.full((1, 1, 1), np.inf),
    )  # fmt: skip
    return Problem(
        groups=(Group(network, items, demand, None),), storage=storage * one,
        inbound=np.inf * one, outbound=np.inf * one, item_limit=np.inf * one,
        weight=np.zeros(0),
        kind="history", slots=POINTS,
    )  # fmt: skip


def certificate(problem, price, level, *, scenarios=64, **kwargs):
    """Certificate B of a level at a price of storage."""
    prices = np.array([price, 0, 0], float).reshape(3, 1, 1)
    arguments = dict(seed=0, scenarios=scenarios, batches=40, paths=40_000) | kwargs
    return statistical(
        problem, partial(draw_sample, problem, block=1), prices,
        (np.full((1, 1, 1), level),), (np.zeros((1, 1, 1)),), np.zeros(1), **arguments,
    )  # fmt: skip


@pytest.mark.parametrize("scenarios", OPTIMISM)
def test_bound_of_a_newsvendor_is_its_mean_optimism(scenarios):
    found = certificate(uniform(), 0, LEVEL, scenarios=scenarios, paths=400)
    assert abs(found.bound - OPTIMISM[scenarios]) <= found.bound_error + GRID
    assert found.bound - found.bound_error <= TRUTH
    if scenarios == 4:
        assert found.bound + found.bound_error < TRUTH


@pytest.mark.parametrize("level", [0.2, LEVEL, 0.9])
def test_cost_of_a_level_is_the_true_one(level):
    found = certificate(uniform(), 0, level, scenarios=4)
    assert abs(found.cost - cost_of(level)) <= found.cost_error + GRID
    assert found.cost_error < 0.02 * found.cost
    assert found.paths == 40_000


def test_price_of_full_storage_bounds_what_fits():
    """Room for half a unit has the price P - (H + P) / 2 = 1, and no gap there."""
    found = certificate(uniform(0.5), 1.0, 0.5)
    assert found.bound - found.bound_error <= cost_of(0.5)
    assert_allclose(found.bound, cost_of(0.5), rtol=0.03)  # optimism of 64 scenarios
    assert_allclose([found.slack, found.violation], 0, atol=1e-6)
    assert 0 < found.gap < 0.1
    wrong = certificate(uniform(0.5), 0.3, 0.5)  # any price bounds, others less
    assert wrong.bound + wrong.bound_error < found.bound


def test_a_plan_over_its_capacity_is_seen():
    """It costs less than the bound, and with its use at the price it does not."""
    found = certificate(uniform(0.5), 1.0, 0.6)
    assert_allclose([found.violation, found.slack], [0.2, -0.1], rtol=1e-6)
    assert found.cost < found.bound - found.bound_error
    assert found.cost - found.slack > found.bound - found.bound_error


@pytest.mark.parametrize("seed", [3, 5])
def test_best_level_of_sixteen_draws_is_bracketed(seed):
    """Room for .7 units; level and price are the best on the plan's own draws, where
    the level costs no more than any other, while under the law it costs more."""
    problem = uniform(0.7)
    own = draw_sample(problem, count=16, seed=seed, block=1)
    demand = (own.slot[:, 0] + 0.5) / POINTS
    level = min(np.sort(demand)[11], 0.7)  # rank 16 P / (H + P)
    price = max(P - (H + P) * np.mean(demand <= 0.7), 0)
    found = certificate(problem, price, level, seed=seed)
    seen = lambda y: np.maximum(H * (y - demand), P * (demand - y)).mean()
    truth = cost_of(0.7)
    assert found.bound - found.bound_error <= truth <= found.cost + found.cost_error
    assert found.violation <= 1e-6
    assert seen(level) <= seen(0.7) + 1e-12
    assert cost_of(level) >= truth
    assert abs(found.cost - cost_of(level)) <= found.cost_error + GRID


def test_bound_does_not_see_the_targets():
    bounds = [certificate(uniform(), 0.3, level, paths=40)[:2] for level in (0.1, 0.9)]
    assert bounds[0] == bounds[1]


def test_what_is_carried_is_not_received():
    """Of one period, room and inbound of half a unit are alike but for the stock that
    is there: it is worth its price, and .6 units then fit."""
    by_room = certificate(uniform(0.5), 0.3, 0.6, paths=40)
    problem = uniform()
    problem = replace(problem, inbound=np.full((1, 1), 0.5))
    found = statistical(
        problem, partial(draw_sample, problem, block=1),
        np.array([0, 0.3, 0]).reshape(3, 1, 1), (np.full((1, 1, 1), 0.6),),
        (np.zeros((1, 1, 1)),), np.full(1, 0.2), seed=0, scenarios=64, batches=40,
        paths=40,
    )  # fmt: skip
    assert_allclose(found.bound, by_room.bound - 0.3 * 0.2, rtol=1e-12)
    assert_allclose([found.slack, found.violation], [0.3 * 0.1, 0], atol=1e-6)


def test_fresh_seeds_are_new():
    for seed in range(50):
        seeds = fresh_seeds(seed, 40)
        assert len({seed, *seeds}) == 41
    assert fresh_seeds(0, 20) == fresh_seeds(0, 40)[:20]
    assert not set(fresh_seeds(0, 40)) & set(fresh_seeds(1, 40))
    given = fresh_seeds(7, 3)[1]
    assert given not in fresh_seeds(given, 40)


@pytest.fixture(scope="module")
def network():
    """Targets of eight items on six nodes, some prices, and certificate B from all."""
    problem = network_problem(8, 2)
    draw = partial(draw_sample, problem)
    rng = np.random.default_rng(0)
    targets = (rng.poisson(3.0, (8, 2, 6)).astype(float),)
    prices = rng.uniform(0, 0.5, (3, 6, 2))
    carried = rng.uniform(2, 20, 6)
    certify = partial(
        statistical, problem, draw, prices, targets, (np.zeros((1, 6, 2)),), carried,
        seed=0, scenarios=16, batches=10, paths=1000,
    )  # fmt: skip
    return problem, targets, carried, certify, certify()


def test_network_targets_are_bracketed(network):
    *_, found = network
    assert found.bound - found.bound_error < found.cost - found.slack + found.cost_error
    assert found.violation > 0


def test_a_sample_of_items_bounds_the_same(network):
    *_, certify, every = network
    some = certify(count=5)
    assert some.bound != every.bound
    assert abs(some.bound - every.bound) <= some.bound_error + every.bound_error
    assert some.cost == every.cost


def test_carried_stock_is_read_off_the_use_of_inbound(network):
    problem, targets, carried, *_ = network
    sample = draw_sample(problem, count=8, seed=1)
    outcomes = (Evaluator(problem, 0, sample)(targets[0], np.zeros((1, 6, 2))),)
    use = node_use(problem, outcomes, targets, carried)
    assert_allclose(carried_stock(problem, outcomes, targets, use), carried)

"""Newsvendors that share outbound in every scenario (oracle C10, and HiGHS)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from experiments.regimes.newsvendors import Instance, pathwise_cost, solve, synthetic


def linear_programme(instance: Instance) -> float:
    """The least mean cost with outbound respected in every scenario, by HiGHS."""
    items, scenarios = instance.demand.shape
    per_scenario = np.repeat(
        (instance.service - instance.penalty - instance.holding)[:, None], scenarios, 1
    )
    below_target = np.hstack(
        [np.repeat(-np.eye(items), scenarios, 0), np.eye(items * scenarios)]
    )
    outbound = np.hstack(
        [np.zeros((scenarios, items)), np.tile(np.eye(scenarios), items)]
    )
    done = linprog(
        np.concatenate([instance.holding, per_scenario.ravel() / scenarios]),
        A_ub=np.vstack([below_target, outbound]),
        b_ub=np.repeat([0.0, instance.outbound], [items * scenarios, scenarios]),
        bounds=[(0, None)] * items + [(0, d) for d in instance.demand.ravel()],
    )
    return done.fun + instance.penalty @ instance.demand.mean(axis=1)


@pytest.mark.parametrize("common", [0.0, 0.3])
def test_a_regime_for_each_scenario_is_the_linear_programme(common):
    instance = synthetic(12, 8, common, seed=1)
    best, found = linear_programme(instance), solve(instance, 8)
    assert found.bound <= best * (1 + 1e-9)
    assert best <= found.cost * (1 + 1e-9)
    assert_allclose([found.bound, found.cost], best, rtol=5e-3)


def test_bound_of_fewer_regimes_holds():
    instance = synthetic(12, 8, 0.3, seed=2)
    best = linear_programme(instance)
    bounds = [solve(instance, k).bound for k in (1, 4)]
    assert bounds[0] < bounds[1] <= best * (1 + 1e-9)


@given(st.integers(0, 1000), st.floats(0.2, 2.0))
def test_shipping_what_is_worth_most_is_best_at_any_targets(seed, size):
    """Any other order of the items ships at least as dearly."""
    instance = synthetic(5, 6, 0.3, seed)
    target = size * instance.demand.mean(axis=1)
    rng = np.random.default_rng(seed)
    best = pathwise_cost(instance, target)
    order = rng.permutation(5)
    want = np.minimum(target[:, None], instance.demand)[order]
    room = np.maximum(instance.outbound - (np.cumsum(want, axis=0) - want), 0)
    sent = np.minimum(want, room)
    h, p = instance.holding[order], instance.penalty[order]
    left, lost = target[order, None] - sent, instance.demand[order] - sent
    assert best <= (h @ left + p @ lost).mean() * (1 + 1e-12)


def test_gap_of_one_regime_falls_with_the_root_of_independent_items():
    """0.65 / sqrt(items) where a tenth of the demand must be lost."""
    sizes = np.array([25, 400])
    gaps = [np.mean([solve(synthetic(n, 64, 0.0, s), 1).gap for s in range(3)])
            for n in sizes]  # fmt: skip
    assert_allclose(gaps * np.sqrt(sizes), 0.65, rtol=0.15)


def test_common_shocks_need_regimes():
    """The gap does not fall with the items but with the regimes: 24 %, 1.5 %, 0.5 %."""
    few, many = synthetic(25, 64, 0.2, 0), synthetic(400, 64, 0.2, 0)
    assert min(solve(few, 1).gap, solve(many, 1).gap) > 0.15
    gaps = [solve(many, k).gap for k in (1, 2, 8)]
    assert gaps[1] < 0.15 * gaps[0]
    assert gaps[2] < 0.3 * gaps[1]

"""Demand of lead times: its mean and spread, review periods, equal draws."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from small_supply import offers

from meio_jax.config import Config
from meio_jax.supply.chain import quantiles
from meio_jax.supply.draws import lead_demand
from meio_jax.tables import Tables, examine
from meio_jax.tables.build import build


def problem_of(name: str, units, **columns):
    """One node, and demand as history or as scenarios; the axes before items, regions
    and periods are scenarios."""
    keys = ["scenario", "item", "region", "period"][-units.ndim :]
    cells = dict(
        zip(keys, np.indices(units.shape).reshape(units.ndim, -1), strict=True)
    )
    items, regions = (np.arange(units.shape[k]) for k in (-3, -2))
    frames = {
        "items": {"item": items, "unit_cost": 1.0, "lost_sale_cost": 3.0},
        "nodes": {"node": ["N"], "type": ["fc"]},
        "ship_options": {
            "node": "N", "region": regions, "speed": "any", "unit_cost": 0.1,
        },
        name: {**cells, "mean" if name == "demand" else "quantity": units.ravel()},
    }  # fmt: skip
    for column, of in columns.items():
        frames[name][column] = of(cells)
    given = Tables(**{k: pd.DataFrame(v) for k, v in frames.items()})
    examined = examine(given, Config())
    assert not examined.faults.errors
    return build(examined.tables, examined.calendar)[0]


def history_problem(weeks=60):
    rng = np.random.default_rng(4)
    units = rng.poisson(np.array([6.0, 20.0])[:, None, None], (2, 2, weeks))
    return problem_of("history", units), units.sum(axis=1)


def test_history_gives_its_own_mean_and_spread():
    problem, units = history_problem()
    law = offers([0, 1], 1, lead=3.0)
    law = law._replace(lead=np.full((2, 2048), 3.0))
    found = lead_demand(problem, problem.groups[0], law, seed=1, block=1)
    mean, var = units.mean(axis=1), units.var(axis=1)
    assert_allclose(found.demand[:, 0].mean(axis=1), 3 * mean, rtol=0.02)
    assert_allclose(found.demand[:, 0].var(axis=1), 3 * var, rtol=0.15)
    assert (found.demand == found.demand[:, :1]).all()  # noise moves no level
    assert found.arrival[0, 2].max() == 5
    assert (found.wait == 3).all()


def test_one_lead_time_for_all_adds_its_whole_spread():
    problem, units = history_problem()
    law = offers([0, 1], 1)._replace(lead=quantiles([6.0, 6.0], [2.0, 2.0], 2048))
    found = lead_demand(
        problem, problem.groups[0], law, seed=1, block=1, crossing=False
    )
    mean, var = units.mean(axis=1), units.var(axis=1)
    assert_allclose(found.wait.mean(axis=1), 6, rtol=0.01)
    wait = found.wait.var(axis=1)
    assert_allclose(wait, 4 + 1 / 6, rtol=0.1)  # rounded to whole periods at random
    expected = 6 * var + wait * mean**2  # the variance of a random sum
    assert_allclose(found.demand[:, 0].var(axis=1), expected, rtol=0.15)


def test_orders_that_cross_are_far_less_spread():
    # ORACLES N6: Poisson(5) a period, leads 1, 2, 3 with chances 1/4, 1/2, 1/4: what is
    # on order has mean 10 and variance 19.375, not the 22.5 of one lead time's demand
    rng = np.random.default_rng(0)
    units = rng.poisson(5.0, (1, 1, 4000))
    problem = problem_of("history", units)
    lead = np.repeat([1.0, 2.0, 2.0, 3.0], 2048)[None]
    law = offers([0], 1)._replace(lead=lead)
    for crossing, variance in ((True, 19.375), (False, 22.5)):
        found = lead_demand(
            problem, problem.groups[0], law, seed=1, block=1, crossing=crossing
        ).demand[0, 0]
        assert_allclose(found.mean(), 10, rtol=0.02)
        assert_allclose(found.var(), variance, rtol=0.04)


@pytest.mark.parametrize("crossing", [True, False])
def test_a_review_is_waited_for(crossing):
    problem, units = history_problem()
    law = offers([0], 1, lead=1.0, review=3)._replace(lead=np.ones((1, 999)))
    found = lead_demand(
        problem, problem.groups[0], law, seed=1, block=1, crossing=crossing
    )
    assert np.bincount(found.wait[0]).tolist() == [0, 333, 333, 333]
    assert_allclose(found.demand[0, 0].mean(), 2 * units[0].mean(), rtol=0.05)


def test_the_users_paths_are_used_as_they_are():
    demand = np.arange(24.0).reshape(2, 2, 2, 3)  # scenarios items regions periods
    weight = lambda cells: np.array([1.0, 3.0])[cells["scenario"]]
    problem = problem_of("scenarios", demand, weight=weight)
    found = lead_demand(problem, problem.groups[0], offers([1], 1, lead=2.0), seed=0)
    path = demand[:, 1].sum(axis=1)
    path = np.concatenate([path, np.repeat(path[:, -1:], 2, axis=1)], axis=1)
    expected = np.stack([path[:, t : t + 2].sum(axis=1) for t in range(3)])
    draws = found.demand[0]
    assert_allclose(draws, expected[:, np.arange(draws.shape[1]) % 2])
    assert_allclose(found.prob.reshape(-1, 2).sum(axis=0), [0.25, 0.75])


def test_a_forecast_has_the_mean_and_spread_of_the_periods_on_the_way():
    mean = np.array([[[4.0, 6.0, 8.0, 10.0]]])
    problem = problem_of("demand", mean, std=lambda cells: np.full(4, 3.0))
    law = offers([0], 1, lead=2.0)._replace(lead=np.full((1, 2048), 2.0))
    found = lead_demand(problem, problem.groups[0], law, seed=0)
    expected = [10, 14, 18, 20]  # of this period and the next; the last is repeated
    assert_allclose(found.demand[0].mean(axis=1), expected, rtol=0.01)
    assert_allclose(found.demand[0].var(axis=1), 18, rtol=0.03)


@pytest.mark.parametrize(("mean", "std"), [(3.0, 1.0), (10.0, 9.0), (2.0, 0.0)])
def test_quantiles_have_the_mean_and_about_the_spread_of_the_law(mean, std):
    found = quantiles([mean], [std], 512)[0]
    assert_allclose(found.mean(), mean)
    assert_allclose(found.std(), std, rtol=0.03, atol=1e-12)
    assert (np.diff(found) >= 0).all()

"""Shang and Song's newsvendors against Clark and Scarf's levels and costs."""

import numpy as np
import pytest
from clark_scarf import clark_scarf, normal, poisson
from numpy.testing import assert_allclose, assert_array_equal
from plain import mean_cost, plain_run, plain_system
from scipy import stats

from meio_jax.sim.serial import sample_quantile, shang_song
from meio_jax.sim.step import AFTER_DEMAND

QUARTERS = np.full(4, 0.25)
TABLE = [  # Shang & Song (2003), Table 1, rows 1 and 17: ORACLES D14, D15
    (9, (8, 13, 17, 21), (8, 14, 19, 24), (8, 13, 18, 22), np.floor),
    (99, (11, 16, 21, 26), (11, 17, 23, 28), (11, 17, 22, 27), np.ceil),
]


def poisson_quantiles(mean, stages):
    """Of the demand over 1, 2, ... lead times of a period."""
    return [stats.poisson(mean * (j + 1)).ppf for j in range(stages)]


@pytest.mark.parametrize(("penalty", "lower", "upper", "best", "whole"), TABLE)
def test_bounds_of_the_papers_table(penalty, lower, upper, best, whole):
    found = shang_song(poisson_quantiles(4, 4), QUARTERS, penalty)
    assert_array_equal(found.lower, lower)
    assert_array_equal(found.upper, upper)
    assert_array_equal(whole(found.mean), best)  # the heuristic finds the optimum


@pytest.mark.parametrize(
    ("holding", "leads", "penalty"),
    [((3, 2, 2), (1, 1, 2), 37.12), ((2, 2, 1, 1, 1), (1,) * 5, 24),
     ((1,) * 3, (1,) * 3, 2)],
)  # fmt: skip
def test_best_levels_lie_between_the_bounds(holding, leads, penalty):
    total, step = np.cumsum(leads), 0.02
    laws = [normal(50 * lead, 10 * lead**0.5) for lead in leads]
    best, _ = clark_scarf(holding, penalty, laws, step)
    quantiles = [normal(50 * t, 10 * t**0.5).ppf for t in total]
    found = shang_song(quantiles, np.array(holding, float), penalty)
    assert (found.lower <= np.array(best) + step).all()
    assert (best <= found.upper + step).all()
    assert_allclose(found.lower[0], found.upper[0])  # stage 1 is a newsvendor


def serial_cost(levels, penalty, paths=4000, periods=120):
    """Mean cost of echelon levels, stages downstream first: Poisson(4) a period, demand
    before orders, a lead time of 1 everywhere. Same demand whatever the levels."""
    up, local = np.array(levels, float)[::-1], np.cumsum(QUARTERS)
    system = plain_system(
        (-1, 0, 1, 2), holding=tuple(local), wait=penalty, transit=(0, *local[:-1])
    )
    demand = np.zeros((periods, 4, paths))
    demand[:, 3] = np.random.default_rng(0).poisson(4, (periods, paths))
    trace = plain_run(
        system, up, demand, (1,) * 4, echelon=True, phases=AFTER_DEMAND,
        start=-np.diff(np.append(up, 0)),
    )  # fmt: skip
    return mean_cost(trace, 20)


def test_the_mean_of_the_bounds_costs_little_more_than_the_optimum():
    laws = [poisson(4)] * 4
    best, least = clark_scarf(QUARTERS, 39, laws, 1)
    found = shang_song(poisson_quantiles(4, 4), QUARTERS, 39)
    near, error = serial_cost(np.round(found.mean), 39)
    exact, _ = serial_cost(best, 39)
    assert abs(exact - least) < 4 * error
    assert near < 1.01 * exact  # the paper's errors are below a percent
    for bound in (found.lower, found.upper):
        assert near <= serial_cost(bound, 39)[0] + error


def test_samples_do_what_a_law_does():
    draws = np.random.default_rng(0).poisson(4, (40_000, 4)).cumsum(axis=1)
    sampled = shang_song([sample_quantile(x) for x in draws.T], QUARTERS, 9)
    exact = shang_song(poisson_quantiles(4, 4), QUARTERS, 9)
    assert_allclose(sampled.mean, exact.mean, atol=0.5)
    quantile = sample_quantile(np.array([3.0, 1.0, 2.0, 4.0]))
    assert [quantile(r) for r in (0.1, 0.25, 0.26, 0.75, 1.0)] == [1, 1, 2, 3, 4]

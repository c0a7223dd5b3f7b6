"""The order of scenarios by load, and which numbers of regimes are possible."""

from dataclasses import replace

import numpy as np
import pytest
from hand_made import PERIODS, problem
from numpy.testing import assert_array_equal

from meio_jax.faults import InputError
from meio_jax.scenarios.regimes import check_regimes, load_order
from meio_jax.scenarios.sample import draw_sample


def totals(made):
    """Demand of all items in each slot."""
    demand = made.groups[0].demand
    return np.bincount(demand.slot, demand.quantity, made.slots)


@pytest.mark.parametrize(("lead", "cover"), [(0.0, 1), (0.4, 1), (1.0, 2), (1.7, 3)])
def test_history_is_ordered_by_the_units_of_a_mean_protection_interval(lead, cover):
    made = problem("history", lead_mean=lead)
    sample = draw_sample(made, count=30, seed=0)
    for t in range(PERIODS):
        load = totals(made)[sample.slot[:, t : t + cover]].sum(axis=1)
        assert (np.diff(load[sample.order[t]]) >= 0).all()
        assert_array_equal(np.sort(sample.order[t]), np.arange(30))


def test_scenarios_of_the_user_are_ordered_by_their_units():
    made = problem("scenarios", slots=3 * PERIODS, weight=np.full(3, 1 / 3))
    order = draw_sample(made, count=1, seed=0).order
    assert_array_equal(order, totals(made).reshape(3, PERIODS).argsort(axis=0).T)


def test_forecasts_are_ordered_by_the_common_factor():
    sample = draw_sample(problem("forecast"), count=16, seed=0, common=0.3)
    assert_array_equal(sample.order, sample.factor[:, :PERIODS].argsort(axis=0).T)


def test_forecasts_weigh_factors_by_the_expected_units_of_their_periods():
    made = problem("forecast", slots=PERIODS + 1, lead_mean=1.0)
    sample = draw_sample(made, count=16, seed=0, common=0.3)
    units = totals(made)[sample.slot] * sample.factor
    load = units[:, :PERIODS] + units[:, 1 : PERIODS + 1]
    assert_array_equal(sample.order, load.argsort(axis=0).T)


def test_equal_loads_keep_the_order_of_the_scenarios():
    sample = draw_sample(problem("forecast"), count=12, seed=0)  # no common factor
    assert_array_equal(sample.order, np.tile(np.arange(12), (PERIODS, 1)))


def test_larger_units_leave_the_order_alone():
    made = problem("history", lead_mean=0.6)
    sample = draw_sample(made, count=20, seed=1)
    group = made.groups[0]
    larger = replace(group.demand, quantity=1000 * group.demand.quantity)
    large = replace(made, groups=(replace(group, demand=larger),))
    assert_array_equal(load_order(large, sample.slot, sample.factor), sample.order)


def test_regimes_divide_the_scenarios():
    made = replace(problem("history"), regimes=5)
    with pytest.raises(InputError, match=r"regimes = 5: must divide .* 64") as raised:
        draw_sample(made, count=64, seed=0)
    assert "4 and 8" in str(raised.value)
    assert draw_sample(made, count=60, seed=0).order.shape == (PERIODS, 60)


def test_regimes_need_equal_weights():
    with pytest.raises(InputError, match="different weights"):
        check_regimes(2, np.array([0.1, 0.2, 0.3, 0.4]))
    check_regimes(1, np.array([0.1, 0.2, 0.3, 0.4]))
    check_regimes(2, np.full(4, 0.25))

"""Scenarios: what they are made of, and the demand of their windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made import NODES, PERIODS, problem
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.scenarios.sample import draw_sample, forecast_slots, window_demand

seeds = st.integers(0, 10**6)
HISTORY = problem("history", lead_mean=2.3, lead_std=1.1)


@given(seeds, st.integers(1, 25), st.sampled_from([0, 3, 11, 99]))
def test_history_comes_in_blocks_of_consecutive_periods(seed, block, recent):
    sample = draw_sample(HISTORY, count=6, seed=seed, block=block, recent=recent)
    use = min(recent or 20, 20)
    assert sample.slot.min() >= 20 - use
    assert sample.slot.max() < 20
    step = np.diff(sample.slot, axis=1)
    inside = (np.arange(step.shape[1]) + 1) % min(block, use) > 0
    assert (step[:, inside] == 1).all()
    assert sample.slot.shape == (6, PERIODS + sample.longest)
    assert_allclose(sample.weight, 1 / 6)
    assert_allclose(sample.factor, 1)


@given(seeds, st.sampled_from(["history", "forecast"]), st.integers(1, 9))
def test_balanced_scenarios_show_every_period_the_same_windows(seed, kind, block):
    made = problem(kind, lead_mean=2.3, lead_std=1.1)
    sample = draw_sample(made, count=13, seed=seed, block=block, balanced=True)
    seen = np.concatenate([x.reshape(-1, *x.shape[1:]) for x in sample.lead])
    for t in range(PERIODS - 1):
        for s in range(13):
            assert_array_equal(seen[:, t + 1, s], seen[:, t, (s + 1) % 13])
            if kind == "history":
                assert sample.slot[s, t + 1] == sample.slot[(s + 1) % 13, t]


def test_balanced_blocks_come_from_strata_of_history():
    """Of 20 periods, 16 scenarios in blocks of 4 start once in every quarter of the 17
    places where a block can start."""
    sample = draw_sample(HISTORY, count=16, seed=3, block=4, balanced=True)
    ring = sample.slot[:, 0].reshape(4, 4)
    assert (np.diff(ring, axis=1) == 1).all()
    assert_array_equal(np.sort(ring[:, 0] * 4 // 17), range(4))


def test_a_scenario_of_a_balanced_sample_has_the_law_of_history():
    draws = [
        draw_sample(HISTORY, count=8, seed=s, block=4, balanced=True).slot[0, 0]
        for s in range(3000)
    ]
    share = np.bincount(draws, minlength=20) / 3000
    assert_allclose(share[:17], 1 / 17, atol=5 * (1 / 17 / 3000) ** 0.5)


def test_every_start_of_a_block_is_drawn_equally_often():
    sample = draw_sample(HISTORY, count=20_000, seed=1, block=4)
    share = np.bincount(sample.slot[:, 0], minlength=20) / 20_000
    assert_allclose(share[:17], 1 / 17, atol=5 * (1 / 17 / 20_000) ** 0.5)
    assert share[17:].sum() == 0


def test_equal_seeds_give_equal_scenarios():
    one, two, other = (draw_sample(HISTORY, count=9, seed=s) for s in (5, 5, 6))
    assert_array_equal(one.slot, two.slot)
    assert_array_equal(one.lead[0], two.lead[0])
    assert (one.slot[:, :4] != other.slot[:, :4]).any()


def test_scenarios_of_the_user_are_used_as_they_are():
    given_weight = np.array([0.5, 0.2, 0.3])
    mine = problem("scenarios", slots=3 * PERIODS, weight=given_weight, lead_mean=2.0)
    sample = draw_sample(mine, count=99, seed=0)
    assert sample.longest == 2
    own = np.arange(3 * PERIODS).reshape(3, PERIODS)
    expected = np.hstack([own, own[:, -1:], own[:, -1:]])  # the last is repeated
    assert_array_equal(sample.slot, expected)
    assert_array_equal(sample.weight, given_weight)


def test_forecasts_go_on_as_in_their_last_period():
    mine = problem("forecast", slots=PERIODS, lead_mean=2.0)
    sample = draw_sample(mine, count=5, seed=0)
    assert_array_equal(sample.slot, np.tile([0, 1, 2, 3, 3, 3], (5, 1)))


@pytest.mark.parametrize("common", [0.0, 0.3])
def test_common_factor_has_mean_one_and_the_asked_variation(common):
    mine = problem("forecast", slots=PERIODS)
    factor = draw_sample(mine, count=20_000, seed=2, common=common).factor
    assert_allclose(factor.mean(axis=0), 1, atol=5 * common / 20_000**0.5)
    assert_allclose(factor.std(axis=0), common, rtol=0.05)


@pytest.mark.parametrize("mean", [0.0, 1.0, 3.0])
def test_certain_whole_lead_times_are_exact(mean):
    sample = draw_sample(problem("history", lead_mean=mean), count=50, seed=0)
    assert_array_equal(sample.lead[0], np.full((NODES, PERIODS, 50), mean))


@pytest.mark.parametrize(("mean", "std"), [(0.4, 0.0), (2.5, 0.0), (2.3, 1.1)])
def test_rounding_keeps_the_mean_of_lead_times(mean, std):
    mine = problem("history", lead_mean=mean, lead_std=std)
    lead = draw_sample(mine, count=5_000, seed=1).lead[0]
    assert_allclose(lead, np.floor(lead), atol=0)
    error = (std**2 + 0.25) ** 0.5 / lead.size**0.5  # rounding adds 1/4 at most
    assert_allclose(lead.mean(), mean, atol=5 * error)
    assert std**2 - 0.1 <= lead.var() <= std**2 + 0.35
    if not std:
        assert set(np.unique(lead)) == {np.floor(mean), np.ceil(mean)}


@given(seeds, st.integers(0, 4))
def test_windows_are_sums_over_the_lead_time_and_a_period(seed, longest):
    rng = np.random.default_rng(seed)
    slots, path = rng.integers(0, 9, (6, 3)) * 1.0, PERIODS + longest
    slot, home = rng.integers(0, 6, (2, path)), rng.integers(0, NODES, 3)
    lead = rng.integers(0, longest + 1, (NODES, PERIODS, 2))
    total = windows(jnp.asarray(slots), slot, lead, home, longest)
    for q in range(3):
        for t in range(PERIODS):
            for w in range(2):
                until = t + lead[home[q], t, w] + 1
                expected = slots[slot[w, t:until], q].sum()
                assert_allclose(total[q, t, w], expected)


windows = jax.jit(window_demand, static_argnums=4)


def draw(mean, std, share, factor, seed=0):
    mean, std = jnp.array([[mean]]), jnp.array([[std]])
    share, factor = jnp.array([share]), jnp.asarray(factor)[:, None]
    return np.asarray(forecast_slots(mean, std, share, factor, jax.random.key(seed)))


COUNT = 40_000


# Poisson, wider than Poisson, much wider, narrower (normal, away from zero).
@pytest.mark.parametrize(
    ("mean", "std"), [(4.0, 2.0), (6.0, 4.0), (0.3, 2.0), (30.0, 3.0)]
)
def test_forecasts_have_the_asked_mean_and_variance(mean, std):
    units = draw(mean, std, [1.0], np.ones(COUNT))
    assert_allclose(units, np.floor(units), atol=0)
    assert units.min() >= 0
    assert_allclose(units.mean(), mean, atol=5 * std / COUNT**0.5)
    fourth = ((units - units.mean()) ** 4).mean()
    spread = ((fourth - units.var() ** 2) / COUNT) ** 0.5  # of the sample variance
    rounding = 1 / 12 if std**2 < mean else 0  # of the normal to whole units
    assert_allclose(units.var(), std**2 + rounding, atol=5 * spread)


@pytest.mark.parametrize("std", [5.0, 3.0, 1.0])  # wide, Poisson, narrower
def test_classes_have_their_shares_of_the_forecast(std):
    share = np.array([0.93, 0.04, 0.03])
    units = draw(9.0, std, share, np.ones(COUNT))[:, 0]
    error = 5 * (units.std(axis=0) + 0.1) / COUNT**0.5
    assert (np.abs(units.mean(axis=0) - 9 * share) < error).all()


def test_a_common_factor_correlates_items():
    factor = np.random.default_rng(0).gamma(4, 1 / 4, COUNT)  # variation 1/2
    one, two = (draw(20.0, 20.0**0.5, [1.0], factor, seed).ravel() for seed in (1, 2))
    # var = mean + mean^2 / 4, cov = mean^2 / 4
    assert_allclose(np.corrcoef(one, two)[0, 1], 100 / 120, atol=0.02)
    apart = (draw(20.0, 20.0**0.5, [1.0], np.ones(COUNT), s).ravel() for s in (1, 2))
    assert abs(np.corrcoef(*apart)[0, 1]) < 5 / COUNT**0.5

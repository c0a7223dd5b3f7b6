"""Paired statistics against textbook values and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.stats import ttest_rel

from meio_jax.stats import holm, interval, paired


def test_interval_of_a_textbook_sample():
    """Student (1908), extra hours of sleep by two drugs: difference 1.58, t = 4.0621,
    p = 0.00283, 95 % interval 0.7001 to 2.4599."""
    one = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    two = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    found = paired(two, one)
    assert_allclose(found.difference, (1.58, 0.7001142, 2.4598858), rtol=1e-6)
    assert_allclose(found.p, 0.00283289, rtol=1e-5)
    assert_allclose(
        found.reduction,
        (one.var(ddof=1) + two.var(ddof=1)) / (two - one).var(ddof=1),
    )


def test_intervals_hold_the_truth_19_times_of_20():
    rng = np.random.default_rng(0)
    shared = rng.gamma(2, 1, (4000, 12))
    one, two = (shared + rng.normal(0, 0.3, shared.shape) for _ in range(2))
    found = [paired(a + 1, b).difference for a, b in zip(one, two, strict=True)]
    held = np.mean([x.low <= 1 <= x.high for x in found])
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_pairs_of_common_chance_need_fewer_paths():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 3, 5000)
    one, two = (shared + rng.normal(0, 1, 5000) for _ in range(2))
    assert paired(one, two).reduction == pytest.approx(10, rel=0.1)


def test_equal_policies_differ_by_nothing():
    values = np.arange(5.0)
    assert paired(values, values) == ((0, 0, 0), 1.0, np.inf)
    assert paired(values + 1, values).p == 0


def test_chances_are_those_of_student_also_for_differences_that_hardly_differ():
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(2, 30))
    assert_allclose(paired(one, other).p, ttest_rel(one, other).pvalue)
    assert paired(one + 1e9, one).p < 1e-100  # and without a warning


def test_one_path_has_no_interval():
    assert np.isnan(interval(np.ones(1))[1:]).all()
    found = paired(np.ones(1), np.zeros(1))
    assert found.difference.mean == 1
    assert np.isnan([found.p, found.reduction]).all()


def test_holm_as_in_the_textbook():
    """p = .01, .04, .03, .005: times 3, 1, 2, 4 in order, never falling."""
    assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm(np.array([np.nan, 0.02]))[0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_chance_and_bonferroni(chances):
    p = np.array(chances)
    adjusted = holm(p)
    assert (adjusted >= p - 1e-12).all()
    assert (adjusted <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_rejects_no_true_hypothesis_too_often():
    rng = np.random.default_rng(2)
    p = stats.norm.sf(np.abs(rng.normal(size=(4000, 6)))) * 2
    wrong = np.mean([holm(row).min() < 0.05 for row in p])
    assert wrong < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 4000)

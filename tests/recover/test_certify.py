"""What a sample of items says of their sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from meio_jax.recover.certify import draw_items

SIZE = np.random.default_rng(0).lognormal(0, 2, 200)


def test_all_items_give_the_sum_itself():
    draw = draw_items(SIZE, 200, 0)
    value = np.random.default_rng(1).normal(size=200)
    assert draw.total(value) == value.sum()
    assert draw.error(value) == 0


def test_estimates_are_unbiased():
    value = SIZE * np.random.default_rng(2).uniform(0.5, 1.5, 200)
    found = [
        (d.total(value[d.chosen]))
        for d in (draw_items(SIZE, 30, s) for s in range(800))
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - value.sum()) < 4 * error
    assert error > 0


def test_intervals_cover_the_sum_as_often_as_they_say():
    value = SIZE * np.random.default_rng(3).uniform(0.5, 1.5, 200)
    inside = 0
    for seed in range(400):
        draw = draw_items(SIZE, 40, seed)
        part = value[draw.chosen]
        inside += abs(draw.total(part) - value.sum()) <= draw.error(part)
    assert 0.91 <= inside / 400 <= 0.985


def test_values_in_proportion_to_size_have_no_error():
    draw = draw_items(SIZE, 20, 5)
    spread = 1e-3 * SIZE.mean() + 1e-12
    value = (SIZE + spread)[draw.chosen]
    assert_allclose(draw.total(value), (SIZE + spread).sum())
    assert_allclose(draw.error(value), 0, atol=1e-9 * SIZE.sum())


@pytest.mark.parametrize("count", [3, 10, 100])
@given(seed=st.integers(0, 99))
def test_no_more_items_than_asked_and_the_dearest_among_them(count, seed):
    draw = draw_items(SIZE, count, seed)
    assert len(draw.chosen) <= count
    assert draw.weight.shape[1] >= 2
    if count >= 30:  # its share is 6 %
        assert SIZE.argmax() in draw.chosen[draw.sure]

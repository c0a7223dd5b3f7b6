"""Ways up the dual, one step at a time: what they keep, and how many they need."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.dual_methods.instance import dual as make
from meio_jax.dual.ascend import LBFGS, Newton, residuals
from meio_jax.dual.box import maximise_box

METHODS = [
    Newton(stages=(1.0,), softness=0.1),
    LBFGS(stages=(1.0,), softness=0.1),
]


@pytest.fixture(scope="module")
def dual():
    return make(items=40, periods=2)


def cold(method, dual):
    return method.init(dual, np.zeros(dual.limited.size), dual.start())


def climb(method, dual, state, most=60):
    while not method.terminate(dual, state) and state.steps < most:
        state = method.step(dual, state)
    return state


@pytest.fixture(scope="module")
def top(dual):
    return climb(METHODS[0], dual, cold(METHODS[0], dual))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_one_evaluation_and_never_loses_value(dual, method):
    state = cold(method, dual)
    for _ in range(6):
        before, seen = state, dual.evaluations
        state = method.step(dual, state)
        assert dual.evaluations == seen + 1
        assert state.steps == before.steps + 1
        assert state.point.value >= before.point.value - 1e-6 * abs(before.point.value)
        assert state.evaluated.price.min() >= 0


def test_newton_needs_few_evaluations_cold(dual, top):
    state = cold(METHODS[0], dual)
    while state.point.value < top.point.value - 1e-3 * abs(top.point.value):
        state = METHODS[0].step(dual, state)
    assert state.steps <= 12
    assert residuals(dual, top.point).loss < 1e-3


def test_newton_needs_fewer_from_the_prices_of_nearly_the_same_demand(top):
    grown = make(items=40, periods=2, growth=0.01)
    method = METHODS[0]
    found = climb(method, grown, cold(method, grown)).point.value
    state = method.init(grown, top.point.price, top.point.targets, stage=0)
    while state.point.value < found - 1e-3 * abs(found):
        state = method.step(grown, state)
    assert state.steps <= 4


def test_a_refused_step_is_remembered_and_shortens_the_reach(dual):
    method, state = METHODS[0], cold(METHODS[0], dual)
    before = None
    while before is None or state.point is not before.point:
        before, state = state, method.step(dual, state)
        assert state.steps < 40
    assert state.inner.refused.size
    assert (state.inner.reach < before.inner.reach).any()


@pytest.mark.parametrize("shift", [0.0, -3.0])  # definite, and not
def test_box_maximum_is_no_lower_than_at_any_other_point(shift):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    bend = root @ root.T + shift * np.diag(np.r_[1.0, np.zeros(11)])
    slope, lower, upper = rng.normal(size=12), -rng.uniform(0, 1, 12), np.ones(12)
    move, best = maximise_box(slope, bend, lower, upper)
    assert (move >= lower).all()
    assert (move <= upper).all()
    if shift == 0:
        tried = rng.uniform(lower, upper, (2000, 12))
        rises = tried @ slope - np.einsum("ij,jk,ik->i", tried, bend, tried) / 2
        assert best >= rises.max()
        here = slope - bend @ move
        inside = (move > lower) & (move < upper)
        assert_allclose(here[inside], 0, atol=1e-6)
    assert best > 0


def test_search_is_exact_enough_for_slopes(dual):
    price = np.random.default_rng(1).uniform(0, 0.3, dual.limited.size)
    look = lambda targets: dual.at(
        price, targets, stage=1.0, softness=0.1, curved=False
    )
    far = look(dual.start())
    near = look(far.targets)
    assert_allclose(far.slope / dual.scale, near.slope / dual.scale, atol=1e-3)

"""K1: terms, smoothed optimum, bound and single units, against other solvers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_trees import (
    MANY,
    MEMBER,
    NODES,
    NONE,
    PAIRS,
    POOLS,
    SHAPE,
    bound,
    by_linear_programme,
    cost,
    draw,
    smooth,
    tree,
)

from meio_jax.kernels.tree import (
    WIDE,
    every_hinge,
    exact_terms,
    pool_terms,
    tree_inverse,
    unit_change,
    unit_moves,
)

seeds = st.integers(0, 10**6)
terms, exact = jax.jit(pool_terms), jax.jit(exact_terms)
moves_of = jax.jit(unit_moves)
change_of = jax.jit(unit_change, static_argnames="less")
STOCK = np.array([1.3, 0.4, 2.2, 0.9, 2.6, 3.7, 6.1])
WIDTH = np.linspace(0.43, 1.57, POOLS)


def test_terms_are_averages_over_the_window():
    data = draw(0, scenarios=7)
    result = terms(data.atoms, data.prob, STOCK, WIDTH)
    offsets = WIDTH[:, None] * (np.arange(4000) + 0.5 - 2000) / 2000  # pools points
    above = data.atoms[..., None] - (STOCK[:, None] + offsets)[:, None, :]
    some = (data.atoms > 0)[..., None]  # an atom without demand asks for no stock
    mean = lambda x: np.einsum("s,svjx->vj", data.prob, x) / 4000
    assert_allclose(result.shortage, mean(np.maximum(above, 0) * some), atol=1e-6)
    assert_allclose(result.tail, mean((above > 0) & some), atol=1e-3)
    gap = np.abs(data.atoms - STOCK[:, None])
    for name, half in (("density", WIDTH), ("around", WIDE * WIDTH)):
        near = (gap < half[:, None]) & (data.atoms > 0)
        expected = np.einsum("s,svj->vj", data.prob, near) / (2 * half[:, None])
        assert_allclose(getattr(result, name), expected, rtol=1e-12)


def test_derivatives_of_the_shortage_are_the_tail_and_the_density():
    data = draw(1, scenarios=7)
    look = lambda y: terms(data.atoms, data.prob, y, WIDTH)
    here, up, down = look(STOCK), look(STOCK + 1e-6), look(STOCK - 1e-6)
    slope = jax.grad(lambda y: look(y).shortage.sum())(STOCK)
    assert_allclose(slope, -here.tail.sum(axis=1), rtol=1e-12)
    assert_allclose((up.shortage - down.shortage) / 2e-6, -here.tail, atol=1e-6)
    assert_allclose((up.tail - down.tail) / 2e-6, -here.density, atol=1e-6)


@given(seeds, st.floats(1e-9, 3.0))
def test_smoothing_lies_above_by_a_quarter_of_the_width_at_most(seed, width):
    data = draw(seed)
    stock = np.random.default_rng(seed).uniform(0, 8, POOLS)
    result = terms(data.atoms, data.prob, stock, np.full(POOLS, width))
    shortage, tail = exact(data.atoms, data.prob, stock)
    hinge = np.maximum(data.atoms - stock[:, None], 0)
    assert_allclose(shortage, np.einsum("s,svj->vj", data.prob, hinge), atol=1e-12)
    above = np.asarray(result.shortage - shortage)
    assert above.min() >= -1e-12
    assert above.max() <= width / 4 + 1e-12
    if width < 1e-6:
        assert_allclose(result.tail, tail, atol=1e-12)


@given(seeds, st.sampled_from([PAIRS, [[0, 1, 2, 3], [4, 4, 4, 5], [6] * 4], [[0]]]))
def test_tree_inverse_solves_the_free_part(seed, pool_of):
    shape, rng = tree(pool_of), np.random.default_rng(seed)
    pools, nodes = shape.member.shape
    bend, diagonal = rng.uniform(0, 3, pools), rng.uniform(0.1, 2, nodes)
    free, right = rng.integers(0, 2, nodes) * 1.0, rng.normal(size=nodes)
    x = tree_inverse(shape.same, shape.pool_of, bend, diagonal, free, right)
    above = np.asarray(shape.member)[nodes:]
    matrix = np.diag(diagonal) + above.T @ (bend[nodes:, None] * above)
    keep, expected = free > 0, np.zeros(nodes)
    expected[keep] = np.linalg.solve(matrix[np.ix_(keep, keep)], right[keep])
    assert_allclose(x, expected, atol=1e-12)


@given(seeds)
def test_narrow_smoothing_finds_the_linear_programme(seed):
    data, (lower, upper) = draw(seed), box(seed)
    best, _ = by_linear_programme(data, lower, upper)
    found = smooth(data, 1e-4, lower, upper)
    value = cost(data, found.target)
    assert best - 1e-9 <= value <= best + data.drop.sum() * 1e-4 / 4 + 1e-7


def box(seed):
    """Bounds of which some bind and one target is fixed."""
    rng = np.random.default_rng(seed)
    lower = rng.integers(0, 2, NODES) * 1.0
    upper = lower + rng.integers(1, 5, NODES)
    upper[0] = lower[0]
    return lower, upper


@given(seeds, st.floats(0.3, 2.0))
def test_charges_are_multi_level_critical_ratios(seed, width):
    data, upper = draw(seed), np.full(NODES, 4.0)
    found = smooth(data, width, NONE, upper)
    worth = MEMBER.T @ np.asarray(data.drop * found.terms.tail).sum(axis=1)
    y, rest = np.asarray(found.target), data.charge - worth
    assert_allclose(rest[(y > 0) & (y < 4)], 0, atol=1e-7)
    assert rest[y == 0].min(initial=0) >= -1e-7
    assert rest[y == 4].max(initial=0) <= 1e-7


def test_derivative_in_the_charge_is_the_target():
    data = draw(3, scenarios=12, most=6)

    def solve(charge):
        found = smooth(data._replace(charge=charge), 1.0)
        value = charge @ found.target + jnp.sum(data.drop * found.terms.shortage)
        return value, found.target

    target = solve(data.charge)[1]
    assert target.min() > 0
    for n in range(NODES):
        step = 1e-4 * np.eye(NODES)[n]
        slope = (solve(data.charge + step)[0] - solve(data.charge - step)[0]) / 2e-4
        assert_allclose(slope, target[n], atol=1e-5)


@given(seeds, st.integers(1, 12), st.sampled_from([0.0, 1.0]))
def test_no_slopes_give_more_than_the_minimum(seed, cuts, credit):
    data, (lower, upper) = draw(seed), box(seed)
    data = data._replace(charge=data.charge - credit)  # some are negative
    best, good = by_linear_programme(data, lower, upper)
    rng = np.random.default_rng(seed)
    guess, spread = rng.uniform(0, 12, POOLS), rng.uniform(0, 3, POOLS)
    for slope in (rng.uniform(-0.5, 3, POOLS), good):
        value = bound(data, slope, guess, spread, lower, upper, cuts)
        assert value <= best + 1e-9


@given(seeds, st.integers(1, 6))
def test_few_cuts_at_good_slopes_stay_below(seed, cuts):
    data, upper = draw(seed), np.full(NODES, 20.0)  # no bound binds from above
    best, slope = by_linear_programme(data, NONE, upper)
    guess = np.random.default_rng(seed).uniform(0, 12, POOLS)
    value = bound(data, slope, guess, np.full(POOLS, 1.0), NONE, upper, cuts)
    assert 0.3 * best <= value <= best + 1e-9


@pytest.mark.parametrize("case", ["free", "credit", "boxed"])
@pytest.mark.parametrize("seed", range(8))
def test_good_slopes_give_the_minimum(seed, case):
    data = draw(seed)
    if case == "credit":  # more than all demand is stocked where stock earns money
        data = data._replace(charge=data.charge - np.array([3.0, 0, 0, 0]))
    lower, upper = box(seed) if case == "boxed" else (NONE, MANY)
    best, slope = by_linear_programme(data, lower, upper)
    found = smooth(data, 1e-5, lower, upper)
    stock, near = MEMBER @ found.target, np.full(POOLS, 1e-3)
    smoothed = (data.drop * found.terms.tail).sum(axis=1)
    for theta in (slope, smoothed):
        value = bound(data, theta, stock, near, lower, upper, 60, found.target)
        assert_allclose(value, best, rtol=1e-6)


@given(seeds)
def test_unit_moves_are_differences_of_the_cost(seed):
    data, eye = draw(seed), np.eye(NODES)
    y = np.random.default_rng(seed).integers(0, 5, NODES) * 1.0
    moves = moves_of(SHAPE, *data, y)
    change = lambda step: cost(data, y + step) - cost(data, y)
    for n in range(NODES):
        assert_allclose(moves.more[n], change(eye[n]), atol=1e-9)
        less = change(-eye[n]) if y[n] else np.inf
        assert_allclose(moves.less[n], less, atol=1e-9)
        for m in range(NODES):
            swap = change(eye[m] - eye[n]) if y[n] else np.inf
            assert_allclose(moves.move[m, n], swap, atol=1e-9)
    hinges = every_hinge(*data.drop.shape)
    atoms, fall = data.atoms.reshape(len(data.atoms), -1), data.drop.reshape(-1)
    for less, expected in ((False, moves.more), (True, moves.less)):
        found = change_of(
            SHAPE, hinges, atoms, data.prob, fall, data.charge, y, less=less
        )
        assert_allclose(found, expected, atol=1e-9)

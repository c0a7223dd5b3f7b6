"""K0 against textbook newsvendors, brute force and the envelope theorem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm, poisson

from meio_jax.kernels.newsvendor import newsvendor

POINTS = 20_000  # equiprobable points of a normal: the middles of its quantiles
GRID = norm.ppf((np.arange(POINTS) + 0.5) / POINTS)
EVEN = np.full(POINTS, 1 / POINTS)
kernel = jax.jit(newsvendor)

D = np.round(np.random.default_rng(0).gamma(2.0, 5.0, 40), 1)
W = np.random.default_rng(1).dirichlet(np.ones(40))
H, B = 1.0, 9.0
charges = st.floats(-1.0, 12.0)


def levels_costs(h, b, charge, demand=D, weight=W):
    """Cost of every level that can be optimal: 0 or a demand that was seen."""
    levels = np.append(demand, 0.0)
    gap = levels[:, None] - demand
    return levels, np.maximum(h * gap, -b * gap) @ weight + charge * levels


# Snyder & Shen (2019), Fundamentals of Supply Chain Theory: example 4.3 (first), its
# problem with a lead time of 4 and a review period of 1 (third), stockpyl's README.
@pytest.mark.parametrize(
    ("mean", "std", "h", "b", "level", "cost"),
    [
        (50, 8, 0.18, 0.70, 56.60395592743389, 1.9976051931766445),
        (120, 10, 2, 18, 132.815515655446, 35.09966638649737),
        (5 * 50, 8 * 5**0.5, 0.18, 0.70, 264.7668943742, 4.4667810041),
        (900, 60, 43, 79, 922.7214038, 2718.1967818),
    ],
)
def test_normal_textbook_values(mean, std, h, b, level, cost):
    result = kernel(mean + std * GRID, EVEN, h, b, 0.0)
    spacing = std / norm.pdf(norm.ppf(b / (h + b))) / POINTS  # of points at the level
    assert_allclose(result.level, level, atol=spacing, rtol=0)
    # Middles miss the tails' share of the mean, about std / POINTS of it.
    assert_allclose(result.cost, cost, atol=(h + b) * std / POINTS, rtol=0)


# Snyder & Shen (2019): problem 4.8(a) and a Poisson newsvendor with h=1, p=4.
@pytest.mark.parametrize(
    ("mean", "h", "b", "level", "cost"),
    [(18, 200, 270, 19, 786.0884409351115), (6, 1, 4, 8, 3.570106946)],
)
def test_poisson_textbook_values(mean, h, b, level, cost):
    demand = np.arange(150.0)
    result = kernel(demand, poisson.pmf(demand, mean), h, b, 0.0)
    assert result.level == level
    assert_allclose(result.cost, cost, rtol=1e-9)


@pytest.mark.parametrize("charge", [-0.5, 0.0, 0.7, 8.9, 12.0])  # credit to priced out
def test_no_other_level_is_cheaper(charge):
    result = kernel(D, W, H, B, charge)
    levels, costs = levels_costs(H, B, charge)
    assert_allclose(result.cost, costs.min(), rtol=1e-12)
    assert result.level in levels


def test_what_the_level_does_adds_up():
    result = kernel(D, W, H, B, 0.7)
    assert_allclose(result.shortage, W @ np.maximum(D - result.level, 0))
    assert_allclose(result.fill + result.shortage, W @ D)
    assert_allclose(result.fill + result.leftover, result.level)
    cost = H * result.leftover + B * result.shortage + 0.7 * result.level
    assert_allclose(result.cost, cost)


def test_derivatives_are_the_level_the_leftover_and_the_shortage():
    point = (H, B, 0.73)
    cost = lambda h, b, charge: kernel(D, W, h, b, charge).cost
    result = kernel(D, W, *point)
    expected = [result.leftover, result.shortage, result.level]  # envelope, Danskin
    assert_allclose(jax.grad(cost, (0, 1, 2))(*point), expected, rtol=1e-12)
    for k, slope in enumerate(expected):
        step = 1e-5 * np.eye(3)[k]
        difference = cost(*(point + step)) - cost(*(point - step))
        assert_allclose(difference / 2e-5, slope, rtol=1e-6)


@given(charges, charges)
def test_level_falls_and_cost_is_concave_in_the_charge(p, q):
    at_p, at_q = kernel(D, W, H, B, p), kernel(D, W, H, B, q)
    assert (at_q.level - at_p.level) * (q - p) <= 0
    between = kernel(D, W, H, B, (p + q) / 2).cost
    assert between >= (at_p.cost + at_q.cost) / 2 - 1e-9
    assert at_q.cost <= at_p.cost + at_p.level * (q - p) + 1e-9  # a supergradient


@given(charges, st.sampled_from([2.0**k for k in range(-6, 7)]))
def test_money_and_units_scale(charge, scale):
    one = kernel(D, W, H, B, charge)
    money = kernel(D, W, scale * H, scale * B, scale * charge)
    units = kernel(scale * D, W, H, B, charge)
    assert money.level == one.level
    assert units.level == scale * one.level
    assert_allclose([money.cost, units.cost], scale * one.cost, rtol=1e-12)


@given(charges, st.lists(st.floats(0, 60), min_size=5, max_size=5), st.randoms())
def test_scenarios_of_no_weight_and_their_order_do_not_matter(charge, extra, random):
    demand, weight = np.append(D, extra), np.append(W, np.zeros(5))
    order = random.sample(range(45), 45)
    more = kernel(demand[order], weight[order], H, B, charge)
    assert more.level == kernel(D, W, H, B, charge).level
    assert_allclose(more.cost, kernel(D, W, H, B, charge).cost, rtol=1e-12)


@given(st.floats(B, 50))
def test_priced_out_nothing_is_stocked(charge):
    result = kernel(D, W, H, B, charge)
    assert result.level == 0
    assert_allclose(result.cost, B * (W @ D), rtol=1e-12)


SIX = dict(
    mean=[100, 200, 150, 80, 50, 300], std=[20, 60, 30, 24, 15, 45],
    h=[1, 1, 2, 1, 4, 0.5], b=[9, 19, 8, 4, 36, 2], v=[1, 2, 1.5, 1, 3, 0.5],
)  # fmt: skip
THREE = dict(
    mean=[100, 50, 80], std=[30, 20, 10], h=[1, 2, 1], b=[9, 8, 4], v=[1, 2, 1.5]
)  # fmt: skip


# Normal newsvendors that share a capacity: solved by the first-order condition
# F(x) = (b - price v) / (h + b) and a root in the price.
@pytest.mark.parametrize(
    ("data", "capacity", "price", "levels", "cost"),
    [
        (SIX, 1200, 2.158514612340712, [109.586627, 237.524516, 148.210923, 71.927193,
                                        59.563007, 284.863486], 662.2304196309),
        (SIX, 1000, 3.917701642552274, [100.412612, 208.788963, 126.050643, 28.806425,
                                        54.040350, 204.012047], 1292.1496437864),
        (THREE, 300, 2.2681112084, [113.4620746, 42.09763218, 68.2284407],
         237.35542328),
    ],
)  # fmt: skip
def test_bisection_on_the_price_of_a_capacity(data, capacity, price, levels, cost):
    mean, std, h, b, v = (np.array(x, float) for x in data.values())
    demand = jnp.asarray(mean[:, None] + std[:, None] * GRID)
    items = jax.jit(jax.vmap(newsvendor, (0, None, 0, 0, 0)))
    low, high = 0.0, float((b / v).max())
    for _ in range(30):
        middle = (low + high) / 2
        used = v @ items(demand, EVEN, h, b, middle * v).level
        low, high = (middle, high) if used > capacity else (low, middle)
    found = items(demand, EVEN, h, b, high * v)
    step = (h + b) / v / POINTS  # prices at which an item's level moves by a point
    assert_allclose(high, price, atol=step.max(), rtol=0)
    ratio = (b - price * v) / (h + b)
    spacing = std / norm.pdf(norm.ppf(ratio)) / POINTS
    moved = v * step.max() / (h + b) * POINTS  # points by which the price may be off
    assert_allclose(found.level, levels, atol=(spacing * (1 + moved)).max(), rtol=0)
    dual = found.cost.sum() - high * capacity
    assert_allclose(dual, cost, atol=((h + b) * std).sum() / POINTS, rtol=0)
    assert found.cost.sum() - high * (v @ found.level) >= dual - 1e-9  # weak duality


# Uniform demand, h = 1, b = 3: the truth is level 0.75 and cost 0.375. The last column
# is what the sampled level costs in truth: (h E[S^2] + b E[(1 - S)^2]) / 2.
UNIFORM = [
    (4, 0.30000, 0.50000), (8, 0.33333, 0.43333), (16, 0.35294, 0.40196),
    (32, 0.36364, 0.38770), (64, 0.36923, 0.38112), (256, 0.37354, 0.37648),
]  # fmt: skip


@pytest.mark.parametrize(("count", "seen", "true"), UNIFORM)
def test_bias_of_a_sample_by_mean_order_statistics(count, seen, true):
    """The sampled optimum is linear in the order statistics while the rank stands, so
    its mean is what the kernel makes of their means, j / (N + 1): no sampling here. The
    level's variance is that of one of them, a beta variable (David & Nagaraja 2003).
    """
    demand = np.arange(1, count + 1) / (count + 1)
    found = kernel(demand, np.full(count, 1 / count), 1.0, 3.0, 0.0)
    assert_allclose(found.cost, seen, atol=5e-6)  # of the table's digits
    mean = float(found.level)
    assert_allclose(mean, 0.75 * count / (count + 1), rtol=1e-12)
    second = mean**2 + mean * (1 - mean) / (count + 2)
    assert_allclose((second + 3 * (1 - 2 * mean + second)) / 2, true, atol=5e-6)


@pytest.mark.parametrize(("count", "seen", "true"), UNIFORM[:4])
def test_bias_of_a_sample_by_sampling(count, seen, true):
    """Optima of 4,000 samples straddle the truth; within 4 standard errors."""
    demand = np.random.default_rng(7).uniform(size=(4_000, count))
    items = jax.jit(jax.vmap(newsvendor, (0, None, None, None, None)))
    found = items(demand, np.full(count, 1 / count), 1.0, 3.0, 0.0)
    level = np.asarray(found.level)
    costs = np.asarray(found.cost), (level**2 + 3 * (1 - level) ** 2) / 2
    for values, expected in zip(costs, (seen, true), strict=True):
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - expected) <= 4 * error
    assert costs[0].mean() < 0.375 < costs[1].mean()

"""One shared capacity against HiGHS, published instances, brute force and theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import linprog
from scipy.stats import norm

from meio_jax.kernels.capacity import (
    Segments,
    capacitated_newsvendor,
    critical_price,
    merge_exchange,
    order_statistic,
)

kernel = jax.jit(capacitated_newsvendor, static_argnames="chunk")

ITEMS, COUNT = 12, 16
rng = np.random.default_rng(4)
D = np.round(rng.gamma(2.0, 5.0, (ITEMS, COUNT)))  # whole units: many ties
H, P, V = rng.uniform(0.5, 2, ITEMS), rng.uniform(2, 9, ITEMS), rng.uniform(1, 3, ITEMS)
FREE = kernel(D, H, P, V, np.inf)
shares = st.floats(0, 1.2)  # of the capacity that would be used
scales = st.sampled_from([2.0**k for k in range(-6, 7)])


def mean_cost(level, demand=D, h=H, p=P):
    gap = level[:, None] - demand
    return np.maximum(h[:, None] * gap, -p[:, None] * gap).mean(axis=1).sum()


def dual_value(price, capacity, demand=D, h=H, p=P, v=V):
    """By trying 0 and every sample as the level of every item."""
    levels = np.append(demand, np.zeros((len(demand), 1)), axis=1)
    gap = levels[:, :, None] - demand[:, None, :]
    over, short = np.maximum(gap, 0).mean(axis=2), np.maximum(-gap, 0).mean(axis=2)
    costs = h[:, None] * over + p[:, None] * short + price * v[:, None] * levels
    return costs.min(axis=1).sum() - price * capacity


def highs(demand, h, p, v, capacity):
    """Price and cost by a linear program: a column a segment between two samples."""
    count = demand.shape[1]
    size = np.diff(np.sort(demand, axis=1), axis=1, prepend=0.0)
    saved = p[:, None] - (h + p)[:, None] * np.arange(count) / count
    found = linprog(
        -saved.ravel(),
        A_ub=np.repeat(v, count)[None],
        b_ub=[capacity],
        bounds=np.stack([np.zeros(size.size), size.ravel()], axis=1),
        method="highs",
        options={"presolve": False},
    )
    return -found.ineqlin.marginals[0], p @ demand.mean(axis=1) + found.fun


def instance(items):
    """Samples, h, p, v, and 80% of the capacity that would be used."""
    rng = np.random.default_rng(0)
    ranges = [(10, 100), (0.2, 0.6), (0.5, 2), (4, 20), (0.5, 2)]
    mean, cv, h, p, v = (rng.uniform(*ends, items) for ends in ranges)
    noise = cv[:, None] * rng.standard_normal((items, 64))
    demand = np.maximum(mean[:, None] * (1 + noise), 0)
    rank = np.ceil(p / (h + p) * 64).astype(int) - 1
    free = np.sort(demand, axis=1)[np.arange(items), rank]
    return demand, h, p, v, 0.8 * (v @ free)


# The sampled instances of the rooms' list of oracles; solved by HiGHS to a gap of 0.
@pytest.mark.parametrize(
    ("items", "cost", "price"),
    [
        (1_000, 61708.30128351512, 1.6800299017676),
        (10_000, 611451.5099329418, 1.6330185104631),  # starts from every 32nd item
    ],
)
def test_sampled_instances(items, cost, price):
    demand, h, p, v, capacity = instance(items)
    found = kernel(demand, h, p, v, capacity)
    assert found.solved
    assert_allclose(found.cost, cost, rtol=1e-12)
    assert_allclose(found.price, price, rtol=1e-12)
    assert_allclose(found.bound, found.cost, rtol=1e-12)
    assert_allclose(v @ found.level, capacity, rtol=1e-12)
    assert_allclose(found.cost, mean_cost(found.level, demand, h, p), rtol=1e-12)


SIX = dict(
    mean=[100, 200, 150, 80, 50, 300], std=[20, 60, 30, 24, 15, 45],
    h=[1, 1, 2, 1, 4, 0.5], p=[9, 19, 8, 4, 36, 2], v=[1, 2, 1.5, 1, 3, 0.5],
)  # fmt: skip


# Six normal items, by the first-order condition and a root in the price; the samples
# are the middles of 4,000 quantiles, so that the steps of the use are small.
@pytest.mark.parametrize(
    ("capacity", "price", "cost"),
    [(1200, 2.158514612340712, 662.2304196309),
     (1000, 3.917701642552274, 1292.1496437864), (2000, 0.0, None)],
)  # fmt: skip
def test_six_normal_items(capacity, price, cost):
    mean, std, h, p, v = (np.array(x, float) for x in SIX.values())
    points = 4_000
    demand = mean[:, None] + std[:, None] * norm.ppf((np.arange(points) + 0.5) / points)
    found = kernel(demand, h, p, v, float(capacity))
    assert found.solved
    assert_allclose(found.price, price, atol=2 * ((h + p) / v).max() / points)
    if cost is None:  # slack
        assert_allclose(found.use, 1462.6916298665, rtol=1e-3)
    else:
        assert_allclose(found.cost, cost, rtol=1e-3)
        assert_allclose(v @ found.level, capacity, rtol=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95, 1.1])
def test_highs_agrees_on_few_items(share):
    capacity = share * float(FREE.use)
    found = kernel(D, H, P, V, capacity)
    price, cost = highs(D, H, P, V, capacity)
    assert_allclose(found.cost, cost, rtol=1e-12)
    assert_allclose(found.price, price, atol=1e-9)
    assert_allclose(found.cost, mean_cost(np.asarray(found.level)), rtol=1e-12)
    assert found.bound == pytest.approx(dual_value(price, capacity), rel=1e-12)


def test_items_of_very_different_volume():  # windows are narrow: several looks
    volume = np.logspace(-4, 4, ITEMS)
    for share in (0.1, 0.5, 0.9):
        capacity = share * float(volume @ FREE.level)
        found = kernel(D, H, P, volume, capacity)
        assert found.solved
        assert_allclose(found.use, capacity, rtol=1e-12)
        assert_allclose(found.cost, mean_cost(np.asarray(found.level)), rtol=1e-12)
        bound = dual_value(float(found.price), capacity, v=volume)
        assert_allclose(found.cost, bound, rtol=1e-12)


def test_more_scenarios_than_the_network_sorts():
    demand = np.random.default_rng(2).gamma(2.0, 5.0, (5, 200))
    capacity = 0.6 * float(kernel(demand, H[:5], P[:5], V[:5], np.inf).use)
    found = kernel(demand, H[:5], P[:5], V[:5], capacity)
    price, cost = highs(demand, H[:5], P[:5], V[:5], capacity)
    assert_allclose([found.cost, found.price], [cost, price], rtol=1e-10)


def test_cost_falls_by_the_price_of_a_unit_of_capacity():
    capacity = 0.7 * float(FREE.use)
    cost = lambda *fixed: kernel(D, *fixed).cost
    point = (H, P, V, capacity)
    found, slopes = kernel(D, *point), jax.grad(cost, (0, 1, 2, 3))(*point)
    assert found.price > 0
    assert_allclose(slopes[3], -found.price, rtol=1e-12)
    assert_allclose(slopes[0], found.leftover, rtol=1e-12)
    assert_allclose(slopes[1], found.shortage, rtol=1e-12)
    assert_allclose(slopes[2], found.price * found.level, rtol=1e-12)
    for k, slope in enumerate(slopes):
        step = [1e-5 if k == j else 0.0 for j in range(4)]
        ends = [
            cost(*(x + s * d for x, d in zip(point, step, strict=True)))
            for s in (1, -1)
        ]
        assert_allclose((ends[0] - ends[1]) / 2e-5, np.sum(slope), rtol=1e-6)


def test_without_a_limit_levels_are_order_statistics():
    rank = np.ceil(P / (H + P) * COUNT).astype(int)
    assert_allclose(FREE.level, np.sort(D, axis=1)[np.arange(ITEMS), rank - 1])
    assert FREE.price == 0
    assert_allclose(FREE.cost, mean_cost(np.asarray(FREE.level)), rtol=1e-12)
    slopes = jax.grad(lambda c: kernel(D, H, P, V, c).cost)
    assert slopes(np.inf) == 0


def test_without_room_nothing_is_stocked():
    found = kernel(D, H, P, V, 0.0)
    assert found.solved
    assert not found.level.any()
    assert_allclose(found.price, (P / V).max(), rtol=1e-12)
    assert_allclose(found.cost, P @ D.mean(axis=1), rtol=1e-12)


def test_a_negative_capacity_is_not_solved():
    found = kernel(D, H, P, V, -1.0)
    assert not found.solved
    assert found.bound == -np.inf


@given(shares, shares)
def test_price_falls_and_cost_is_convex_in_the_capacity(one, other):
    a, b = sorted([one * float(FREE.use), other * float(FREE.use)])
    at_a, at_b = kernel(D, H, P, V, a), kernel(D, H, P, V, b)
    assert at_b.price <= at_a.price
    between = kernel(D, H, P, V, (a + b) / 2).cost
    assert between <= (at_a.cost + at_b.cost) / 2 + 1e-9
    assert at_b.cost >= at_a.cost - at_a.price * (b - a) - 1e-9
    assert v_at_most(at_a, a)


def v_at_most(found, capacity):
    return found.use <= capacity * (1 + 1e-12) + 1e-12


@given(shares, scales)
def test_money_and_units_scale(share, scale):
    capacity = share * float(FREE.use)
    one = kernel(D, H, P, V, capacity)
    money = kernel(D, scale * H, scale * P, V, capacity)
    units = kernel(scale * D, H, P, V, scale * capacity)
    assert_allclose(money.price, scale * one.price, rtol=1e-12)
    assert_allclose(units.price, one.price, rtol=1e-12)
    assert_allclose(money.level, one.level, rtol=1e-9, atol=1e-9)
    assert_allclose(units.level, scale * one.level, rtol=1e-9, atol=1e-9)
    assert_allclose([money.cost, units.cost], scale * one.cost, rtol=1e-12)


@given(shares, st.permutations(range(ITEMS)), st.sampled_from([1, 5, 12, 256]))
def test_order_of_items_and_chunks_do_not_matter(share, order, chunk):
    capacity, order = share * float(FREE.use), np.array(order)
    one = kernel(D, H, P, V, capacity)
    other = kernel(D[order], H[order], P[order], V[order], capacity, chunk=chunk)
    assert_allclose(other.price, one.price, rtol=1e-12)
    assert_allclose(other.cost, one.cost, rtol=1e-12)
    assert_allclose(other.level, one.level[order], rtol=1e-9, atol=1e-9)


@given(shares)
def test_no_plan_beats_the_bound_and_the_plan_reaches_it(share):
    capacity = share * float(FREE.use)
    found = kernel(D, H, P, V, capacity)
    bound = dual_value(float(found.price), capacity)
    assert_allclose(found.bound, bound, rtol=1e-9)
    assert_allclose(found.cost, bound, rtol=1e-9)
    assert found.solved
    assert v_at_most(found, capacity)
    for price in (0.0, 0.9 * found.price, 1.1 * found.price):  # others bound it lower
        assert dual_value(float(price), capacity) <= bound + 1e-9


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 24, 64])
def test_network_finds_every_order_statistic(count):
    rows = np.random.default_rng(count).integers(0, 30, (count, count)).astype(float)
    found = jax.jit(order_statistic)(rows, jnp.arange(count))
    assert_allclose(found, np.sort(rows, axis=1)[np.arange(count), np.arange(count)])


def test_network_sorts_every_sequence_of_bits():  # hence everything: Knuth, 5.3.4Z
    for size in range(1, 11):
        bits = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
        for i, j in merge_exchange(size):
            bits[:, [i, j]] = np.sort(bits[:, [i, j]], axis=1)
        assert (np.diff(bits, axis=1) >= 0).all()


pieces = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.5]), st.integers(0, 5)),
    min_size=6, max_size=6,
)  # fmt: skip


@given(pieces, st.integers(-1, 30), st.floats(0, 4))
def test_critical_price_is_the_least_at_which_what_is_dearer_fits(pieces, room, guess):
    worth, size = np.array(pieces, float).T
    fits = [t for t in {0.0, *worth} if t >= 0 and size[worth > t].sum() <= room]
    found = jax.jit(critical_price)(Segments(worth, size), float(room), guess)
    assert found == (min(fits) if room >= 0 else np.inf)

"""Layers: convex curves against brute force, HiGHS and textbooks."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize, stats

from meio_jax.kernels.echelon import (
    Curve,
    added,
    after_demand,
    best,
    divided,
    serial,
    shares,
    shortage,
    tilted,
    tree_curve,
    upstream,
    value_at,
)

ONE = jnp.array([1.0])


def law(distribution, step):
    """Draws on a grid and their chances, of a law of SciPy."""
    low, high = (np.floor(distribution.ppf(q) / step) for q in (1e-12, 1 - 1e-12))
    draws = step * np.arange(low, high + 2)
    mass = -np.diff(distribution.sf(np.append(draws, draws[-1] + step) - step / 2))
    return draws, mass / mass.sum()


def laws(distributions, step):
    """The same of several, padded to one length."""
    found = [law(d, step) for d in distributions]
    width = max(len(d) for d, _ in found)
    fill = lambda x: np.pad(x, (0, width - len(x)))
    return tuple(np.stack([fill(f[k]) for f in found]) for k in (0, 1))


poisson, normal = stats.poisson, stats.norm
BOOKS = {  # echelon holding, penalty, lead-time demand, step; levels and cost of a book
    "D10": ((3, 2, 2), 37.12, [normal(5, 1), normal(5, 1), normal(10, 2**0.5)], 0.02,
            (6.490881, 12.017606, 22.705498), 47.660150),
    "D11": ((3, 2, 2), 37.12, [poisson(5), poisson(5), poisson(10)], 1,
            (9, 15, 26), 72.046741),
    "D12": ((2, 2, 1, 1, 1), 24, [normal(32, 8 * 0.5**0.5)] * 5, 0.2,
            (40.58670, 74.25740, 109.08559, 142.12134, 174.51802), 451.609438),
    "D13": ((2, 2, 1, 1, 1), 24, [poisson(32)] * 5, 1,
            (41, 74, 109, 142, 174), 453.691559),
    "D14": ((0.25,) * 4, 9, [poisson(4)] * 4, 1, (8, 13, 18, 22), 12.687898),
    "D15": ((0.25,) * 4, 99, [poisson(4)] * 4, 1, (11, 17, 22, 27), 16.205544),
    "D16": ((1,) * 3, 30, [normal(50, 10)] * 3, 0.25,
            (68.763586, 124.190171, 177.088681), 233.989834),
    "D17": ((1,) * 8, 30, [normal(50, 10)] * 8, 0.5,
            (69.379315, 125.197424, 178.460886, 230.431021, 281.579193, 332.138822,
             382.243857, 431.978435), 1673.600702),
}  # fmt: skip


@pytest.mark.parametrize("book", BOOKS)
def test_serial_systems_of_the_books(book):
    holding, penalty, distributions, step, levels, cost = BOOKS[book]
    demand, prob = laws(distributions, step)
    start = -float(demand.max(axis=1).sum()) - step
    steps = int((1.4 * levels[-1] - start) / step)
    found = serial(
        demand, prob, jnp.array(holding, float), penalty, step, start, steps
    )  # fmt: skip
    assert_allclose(found.cost, cost, rtol=1e-5 if step == 1 else 2e-4)
    assert_allclose(found.level, levels, atol=0 if step == 1 else step)


@pytest.mark.parametrize(
    ("stores", "rho", "depot", "lead", "level", "cost"),
    [(3, 0.0, 2, 1, 70.0452717, 13.7562036), (10, 0.5, 3, 2, 344.2163149, 60.5507396)],
)
def test_a_depot_without_stock_and_stores_that_share(
    stores, rho, depot, lead, level, cost
):
    # D25, D26: Eppen & Schrage (1981), stores may give stock back.
    mean, sd, h, b, step = 5.0, 1.6, 1.0, 9.0, 0.1
    demand, prob = law(normal(mean * (lead + 1), sd * (lead + 1) ** 0.5), step)
    store = tilted(shortage(demand, prob, h + b, -40.0, step, 1200), h)
    store = store._replace(value=store.value - h * (prob @ demand))
    parts = Curve(
        jnp.full(stores, store.start), store.step, jnp.full(stores, store.value),
        jnp.tile(store.rise, (stores, 1)),
    )  # fmt: skip
    spread = (depot * stores * sd**2 * (1 + (stores - 1) * rho)) ** 0.5
    taken, chance = law(normal(depot * stores * mean, spread), step)
    found = best(after_demand(divided(parts), taken, chance, 0.7 * level, 6000))
    assert_allclose(found.cost, cost, rtol=1e-3)
    assert_allclose(found.stock, level, atol=0.5)


def random_tree(seed, whole=True):
    """Four nodes in two pools in one root: parts of cost, by node and pool."""
    rng = np.random.default_rng(seed)
    size, draws = 5, 7
    prob = np.full(draws, 1 / draws)
    demand = rng.integers(0, 5, (4, draws)) * 1.0 if whole else rng.gamma(2, 1, (4, 7))
    curve = lambda d, w, charge, steps: tilted(
        shortage(d, prob, w, 0.0, 1.0, steps), charge
    )
    pair = demand.reshape(2, 2, draws).sum(axis=1)
    weight = rng.uniform(0, 4, 3)
    charge = rng.uniform(-0.5, 2, 4)
    nodes = [curve(demand[n], weight[0], charge[n], size) for n in range(4)]
    pools = [curve(pair[k], weight[1], 0.0, 2 * size) for k in range(2)]
    root = [curve(demand.sum(axis=0), weight[2], 0.0, 4 * size)]
    return size, nodes, pools, root, rng


def stacked(curves):
    """Several curves as one with a leading axis, the step without."""
    fields = [jnp.stack([jnp.asarray(c[k]) for c in curves]) for k in range(4)]
    return Curve(fields[0], fields[1][0], fields[2], fields[3])


CHILDREN = jnp.array([[0, 1], [2, 3]]), jnp.array([[0, 1]])


def whole_tree(nodes, pools, root):
    return tree_curve(stacked(nodes), (stacked(pools), stacked(root)), CHILDREN)


@pytest.mark.parametrize("seed", range(5))
def test_a_tree_against_all_allocations(seed):
    size, nodes, pools, root, _ = random_tree(seed)
    found = whole_tree(nodes, pools, root)
    least = np.full(4 * size + 1, np.inf)
    table = lambda c: np.asarray(value_at(c, jnp.arange(len(c.rise) + 1.0)))
    n, p, r = ([table(c) for c in level] for level in (nodes, pools, root))
    for y in product(range(size + 1), repeat=4):
        total = sum(n[k][y[k]] for k in range(4)) + p[0][y[0] + y[1]]
        total += p[1][y[2] + y[3]] + r[0][sum(y)]
        least[sum(y)] = min(least[sum(y)], total)
    assert_allclose(value_at(found, jnp.arange(4.0 * size + 1)), least, atol=1e-9)
    assert_allclose(best(found).cost, least.min())
    assert least[int(best(found).stock)] == least.min()


def test_allocatable_stock_against_highs():
    # G(X) = min h0 (X - sum y) + sum_n E c_n(y_n), sum y <= X, by a linear program.
    rng = np.random.default_rng(3)
    nodes, draws, h0, steps = 3, 8, 0.4, 40
    demand = rng.integers(0, 12, (nodes, draws)) * 1.0
    prob = np.full(draws, 1 / draws)
    weight, charge = rng.uniform(2, 6, nodes), rng.uniform(0.5, 1.5, nodes)
    parts = stacked(
        [
            tilted(shortage(demand[k], prob, weight[k], 0.0, 1.0, steps), charge[k])
            for k in range(nodes)
        ]
    )
    merged = divided(parts)
    for stock in (0.0, 3.0, 11.0, 17.0, 30.0):
        # variables: y, kept upstream, shortage of each node and draw
        c = np.r_[charge, h0, (weight[:, None] * prob).ravel()]
        equal = np.r_[np.ones(nodes + 1), np.zeros(nodes * draws)][None]
        short = np.zeros((nodes * draws, len(c)))
        for k in range(nodes):
            for s in range(draws):
                short[k * draws + s, [k, nodes + 1 + k * draws + s]] = -1
        lp = optimize.linprog(
            c, A_ub=short, b_ub=-demand.ravel(), A_eq=equal, b_eq=[stock]
        )
        kept = upstream(merged, h0)
        assert_allclose(value_at(kept, stock), lp.fun, rtol=1e-9)
        sent = jnp.minimum(stock, merged.step * (merged.rise < h0).sum())
        y = shares(parts, sent)
        own = sum(
            float(
                value_at(Curve(parts.start[k], 1.0, parts.value[k], parts.rise[k]), u)
            )
            for k, u in enumerate(np.asarray(y))
        )
        assert_allclose(own + h0 * (stock - float(y.sum())), lp.fun, rtol=1e-9)


def test_what_to_buy_against_all_amounts():
    _, nodes, pools, root, rng = random_tree(8)
    worth = upstream(whole_tree(nodes, pools, root), 0.1)
    demand, prob = rng.integers(0, 8, 6) * 1.0, rng.dirichlet(np.ones(6))
    buy = tilted(after_demand(worth, demand, prob, 0.0, 40), 0.3)
    by_hand = [
        0.3 * y + float(prob @ value_at(worth, y - jnp.asarray(demand)))
        for y in range(41)
    ]
    assert_allclose(best(buy).cost, min(by_hand))
    assert int(best(buy).stock) == int(np.argmin(by_hand))


@given(st.integers(0, 10**6))
def test_curves_stay_convex_and_shares_add_up(seed):
    size, nodes, pools, root, rng = random_tree(seed % 1000)
    total = whole_tree(nodes, pools, root)
    kept = upstream(total, 0.2)
    later = after_demand(kept, rng.uniform(0, 6, 5), rng.dirichlet(np.ones(5)), 0.0, 30)
    for curve in (total, kept, later, added(later, later)):
        assert (np.diff(curve.rise) >= -1e-9).all()
    assert (kept.rise <= 0.2 + 1e-12).all()
    stock = float(rng.integers(0, 4 * size + 1))
    parts = stacked(nodes)
    y = shares(parts, stock)
    assert float(y.sum()) == stock
    more = shares(parts, stock + 1)
    assert (np.asarray(more) >= np.asarray(y)).all()  # nobody loses by more stock


def test_slopes_of_cost_are_those_of_differences():
    rng = np.random.default_rng(5)
    demand = rng.gamma(3, 2, (3, 16))
    prob = jnp.full(16, 1 / 16)
    taken = rng.gamma(4, 1, 16)

    def cost(weight, charge, h0):
        make = lambda d, w, c: tilted(shortage(d, prob, w, 0.0, 1.0, 30), c)
        start, step, value, rise = jax.vmap(make)(demand, weight, charge)
        worth = upstream(divided(Curve(start, step[0], value, rise)), h0)
        return best(tilted(after_demand(worth, taken, prob, 0.0, 90), 0.01)).cost

    at = (jnp.array([3.0, 4.0, 5.0]), jnp.array([0.9, 0.7, 0.8]), jnp.array(0.01))
    found = jax.grad(cost, argnums=(0, 1, 2))(*at)
    for k, (x, slope) in enumerate(zip(at, found, strict=True)):
        way = jnp.asarray(rng.uniform(-1, 1, x.shape))
        ends = [cost(*at[:k], x + s * 1e-5 * way, *at[k + 1 :]) for s in (1, -1)]
        assert_allclose((slope * way).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-5)
        assert np.abs(slope).max() > 1e-2


def store(rate, holding, backorder, low=-40.0, steps=100):
    """h E(y - D)^+ + b E(D - y)^+ of a store with Poisson demand over its lead time."""
    demand, prob = law(poisson(rate), 1)
    curve = shortage(
        demand, prob, holding + backorder, jnp.array(low), jnp.array(1.0), steps
    )
    curve = tilted(curve, jnp.array(float(holding)))
    return curve._replace(value=curve.value - holding * (prob @ demand))


def several(curve, count):
    """Equal parts side by side."""
    wide = lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x)))
    return Curve(wide(curve.start), curve.step, wide(curve.value), wide(curve.rise))


def over(curve, rate, steps):
    """The curve after a Poisson lead time's demand."""
    demand, prob = law(poisson(rate), 1)
    return after_demand(curve, demand, prob, curve.start + demand[-1], steps)


@pytest.mark.parametrize(
    ("count", "rate", "lead", "h0", "h", "b", "optimum", "stock", "below"),
    [
        (3, 2, 1, 1, 1.5, 15, 15.450043, 7 + 3 * 4, 0.0587),
        (5, 1, 2, 0.5, 1, 19, 14.531597, 13 + 5 * 3, 0.0389),
    ],
)
def test_distribution_systems_cost_no_less_than_the_bound(
    count, rate, lead, h0, h, b, optimum, stock, below
):
    # ORACLES D22, D23: local base stock, first come first served. Here the warehouse
    # sees all stores and may divide as is best, and stores may lend stock: a bound,
    # whose distance is what local control and committed stock cost: 5.9 and 3.9 %.
    parts = several(store(rate, h, b), count)
    under = upstream(divided(parts), jnp.array(float(h0)))
    found = best(over(under, count * rate * lead, 200))
    assert_allclose(1 - found.cost / optimum, below, atol=1e-4)
    assert abs(found.stock - stock) <= 2


def test_a_tree_of_depots_costs_no_less_than_the_bound():
    # ORACLES D24: one depot, two below it, two stores each, h = 1/3, 2/3, 1, b = 20
    parts = several(store(8, 1, 20), 2)
    below = upstream(divided(parts), jnp.array(2 / 3))
    middle = several(over(below, 16, 160), 2)
    above = upstream(divided(middle), jnp.array(1 / 3))
    found = best(over(above, 32, 300))
    assert_allclose(1 - found.cost / 33.025503, 0.0325, atol=1e-4)
    assert abs(found.stock - (33 + 2 * 18 + 4 * 14)) <= 2

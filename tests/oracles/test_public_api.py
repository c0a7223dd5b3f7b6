"""Known answers through the public names: tables in, targets, prices and a bound out.

Convention of every instance here: a period's stock serves that period's demand, a unit
left is charged holding and a unit short is lost at the item's lost sale cost; targets
are order-up-to levels at the start of a period, which is when storage is measured. The
cases are numbered as in the docstrings of the tests; sources are named there.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from four_nodes import DEMAND, four_nodes, linear_program
from numpy.testing import assert_allclose
from scipy import stats
from user_tables import options, tables, targets

import meio_jax
from meio_jax.api import solve
from meio_jax.kernels.capacity import capacitated_newsvendor
from meio_jax.kernels.newsvendor import newsvendor

ROUNDING = 1e-6  # relative: plans cost in float32, bounds end at a gap of 1e-6
# A price off by d loses about d^2 / 2 times the slope of the use, which is near 6,000
# for a thousand items: the search ends at 1e-7 of a cost of 60,000, so d may be 1.4e-3.
PRICES = 1e-3  # relative
POINTS = 400
EDGES = stats.norm.ppf(np.linspace(0, 1, POINTS + 1))
NORMAL = POINTS * -np.diff(stats.norm.pdf(EDGES))  # means of equally likely bins
REAL = options(whole_units=False, atoms=POINTS, gap=1e-4)
WHOLE = options(atoms=POINTS, gap=1e-4)
on_the_grid = jax.jit(capacitated_newsvendor)  # the optimum on samples, by their ranks
ITEMS = 6  # of every newsvendor instance, filled up with items that nobody wants


def newsvendors(demand, h, p, v=1.0, *, config=REAL, **kwargs):
    """Plan of independent items at one node, at most `ITEMS`; demand is a list."""
    count = len(demand)
    full = np.zeros((POINTS, ITEMS))
    full[: len(demand[0]), :count] = np.transpose(demand)
    fill = lambda x: np.append(np.broadcast_to(x, count), np.ones(ITEMS - count))
    given = tables(
        full[:, :, None, None], penalty=fill(p), holding=fill(h)[:, None],
        volume=fill(v), **kwargs,
    )  # fmt: skip
    return solve(given, config=config)


def normals(mean, sd):
    """Demand of normal items on the grid, each item's in an order of its own."""
    rng = np.random.default_rng(5)
    pairs = zip(mean, sd, strict=True)
    return [mu + sigma * rng.permutation(NORMAL) for mu, sigma in pairs]


@jax.jit
def priced(demand, h, p, charge):
    """Every item alone, at a charge on its level."""
    weight = jnp.full(demand.shape[1], 1 / demand.shape[1])
    return jax.vmap(newsvendor, (0, None, 0, 0, 0))(demand, weight, h, p, charge)


def bin_width(mean, sd, ratio):
    """Width of the grid's bin that holds a quantile, units."""
    at = np.searchsorted(EDGES, stats.norm.ppf(ratio)) - 1
    at = np.clip(at, 1, POINTS - 2)
    return np.asarray(sd) * (EDGES[at + 1] - EDGES[at])


@pytest.mark.parametrize(
    ("mean", "h", "p", "level", "cost"),
    [(18, 200, 270, 19, 786.0884409351115), (6, 1, 4, 8, 3.570106946)],
)
def test_poisson_newsvendor_with_scenario_weights(mean, h, p, level, cost):
    """Snyder & Shen, problem 4.8(a), and Poisson(6); each count is a scenario."""
    count = np.arange(POINTS)
    weight = stats.poisson(mean).pmf(count)
    plan = newsvendors([count], h, p, weight=weight, config=WHOLE)
    assert plan.status == "optimal_within_gap"
    assert targets(plan)[0, 0] == level
    assert_allclose([plan.cost, plan.bound], cost, rtol=ROUNDING)


def test_normal_newsvendors():
    """Snyder & Shen, example 4.3 (item 0), and others; per-item costs by the columns.

    An item's level is the mean of the bin that holds the true one, so it is within a
    bin's width w of it, or of two where smoothing ends in the next bin. The cost is
    flat there with curvature (h + p) f, and a bin has the mass f w = 1 / POINTS, so it
    is within 2 (h + p) w / POINTS of the true cost.
    """
    mean, sd = np.array([50, 120, 900, 100, 70, 80]), np.array([8, 10, 60, 30, 20, 10])
    h, p = np.array([0.18, 2, 43, 1, 2, 1]), np.array([0.7, 18, 79, 9, 8, 4])
    level = [
        56.60395592743389, 132.815515655446, 922.7214038,
        138.44654697, 86.83242467, 88.41621234,
    ]  # fmt: skip
    width = bin_width(mean, sd, p / (h + p))
    plan = newsvendors(normals(mean, sd), h, p)
    table = plan.targets
    served = table["cycle_stock"] + table["pipeline_stock"]
    cost = h * table["safety_stock"] + p * (mean - served)
    assert (np.abs(targets(plan)[:, 0] - level) <= 2 * width).all()
    error = cost[:3] - [1.9976051931766445, 35.09966638649737, 2718.1967818]
    assert (np.abs(error) <= 2 * (h + p)[:3] * width[:3] / POINTS).all()
    assert_allclose(cost[3:].sum(), 122.63997968, rtol=1e-4)
    assert_allclose(plan.cost, cost.sum(), rtol=ROUNDING)
    assert plan.bound <= plan.cost * (1 + ROUNDING)


def test_a_lane_of_four_periods_protects_five():
    """N(50, 8) a period, lead time 4, review every period: S covers N(250, 8 sqrt 5).

    The order of period 1 arrives in period 5, after which the next one comes: it covers
    periods 1 to 5, so the horizon holds all five and the first target is the answer.
    The lane's demand is spread unevenly over the periods: only its sum matters.
    """
    h, p, width = 0.18, 0.70, bin_width(250, 8 * 5**0.5, 0.70 / 0.88)
    total = 250 + 8 * 5**0.5 * NORMAL
    path = total[:, None] * np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    given = tables(
        path[:, None, None, :], penalty=[p], holding=[[h]], lead_time=4, waits=True
    )  # fmt: skip
    plan = solve(given, config=REAL)
    first = plan.targets.iloc[0]
    assert abs(first["order_up_to"] - 264.7668943742) <= width
    served = first["cycle_stock"] + first["pipeline_stock"]
    cost = h * first["safety_stock"] + p * (250 - served)
    assert abs(cost - 4.4667810041) <= (h + p) * width / POINTS + 1e-4
    assert_allclose(first["pipeline_stock"], 0.8 * served, rtol=ROUNDING)


SIX = {
    "mean": [100, 200, 150, 80, 50, 300], "sd": [20, 60, 30, 24, 15, 45],
    "h": [1, 1, 2, 1, 4, 0.5], "p": [9, 19, 8, 4, 36, 2], "v": [1, 2, 1.5, 1, 3, 0.5],
}  # fmt: skip
THREE = {  # item 1 and the capacity moved up by 20 units: no demand below zero
    "mean": [100, 70, 80], "sd": [30, 20, 10], "h": [1, 2, 1], "p": [9, 8, 4],
    "v": [1, 2, 1.5],
}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "capacity", "price", "levels", "cost"),
    [
        (SIX, 1200, 2.158514612340712,
         [109.586627, 237.524516, 148.210923, 71.927193, 59.563007, 284.863486],
         662.2304196309),
        (SIX, 1000, 3.917701642552274,
         [100.412612, 208.788963, 126.050643, 28.806425, 54.040350, 204.012047],
         1292.1496437864),
        (THREE, 340, 2.2681112084, [113.4620746, 62.09763218, 68.2284407],
         237.35542328),
    ],
    ids=["six items, 1200", "six items, 1000", "three items"],
)  # fmt: skip
def test_newsvendors_under_one_capacity(data, capacity, price, levels, cost):
    """Closed form for normal demand: the price solves v.x(price) = capacity.

    On the grid's scenarios plan and bound are the optimum, and so is the dual value at
    the price.

    The grid's levels at a price step by a bin whenever the ratio passes 1 / POINTS, so
    its price is within the largest (h + p) / (POINTS v) of that of normal demand. Bin
    means make costs of the grid a lower bound (Jensen), by (h + p) w / POINTS an item;
    a price off by d loses d^2 / 2 times the slope of the use.
    """
    mean, sd, h, p, v = (
        np.array(data[k], float) for k in ("mean", "sd", "h", "p", "v")
    )
    demand = normals(mean, sd)
    plan = newsvendors(demand, h, p, v, storage=capacity)
    found, chosen = plan.prices["price"][0], targets(plan)[: len(mean), 0]
    grid = on_the_grid(np.array(demand), h, p, v, float(capacity))
    assert grid.solved
    assert_allclose([plan.cost, plan.bound], grid.cost, rtol=ROUNDING)
    alone = priced(np.array(demand), h, p, found * v)
    dual = float(alone.cost.sum()) - found * capacity
    assert_allclose(dual, grid.cost, rtol=ROUNDING)
    assert_allclose(found, grid.price, rtol=PRICES)
    assert_allclose(plan.prices["use"][0], capacity, rtol=ROUNDING)
    off = ((h + p) / (POINTS * v)).max() + PRICES * price
    assert abs(found - price) <= off
    ratio = lambda price: np.clip((p - v * price) / (h + p), 1e-9, 1)
    quantile = lambda price: mean + sd * stats.norm.ppf(ratio(price))
    width = bin_width(mean, sd, ratio(price))
    assert_allclose(quantile(price), levels, rtol=1e-6)
    assert (chosen >= quantile(price + off) - width).all()
    assert (chosen <= quantile(price - off) + width).all()
    density = stats.norm.pdf(stats.norm.ppf(ratio(price))) / sd
    loss = off**2 / 2 * (v**2 / ((h + p) * density)).sum()
    assert cost - loss - ((h + p) * width).sum() / POINTS <= plan.bound
    assert plan.bound <= plan.cost <= cost * (1 + ROUNDING)


def test_value_falls_with_capacity_by_its_price():
    """d cost / d capacity = -price: the cost is convex in the capacity, so that its
    fall over two units lies between the prices at their ends; that of normal demand is
    the price of the middle to the step of the grid, (h + p) / (POINTS v)."""
    mean, sd, h, p, v = (np.array(THREE[k]) for k in ("mean", "sd", "h", "p", "v"))
    value = partial(newsvendors, normals(mean, sd), h, p, v)
    less, more = value(storage=339), value(storage=341)
    error = ROUNDING * less.cost
    for attribute in ("bound", "cost"):
        fall = (getattr(less, attribute) - getattr(more, attribute)) / 2
        assert more.prices["price"][0] - error <= fall
        assert fall <= less.prices["price"][0] + error
        assert_allclose(fall, 2.2681112084, atol=((h + p) / (POINTS * v)).max())


@pytest.mark.slow  # most of it compilation
def test_a_thousand_items_on_64_scenarios():
    """A sample of 64 scenarios of 1,000 items; the optimum and its price by HiGHS."""
    rng = np.random.default_rng(0)
    count, size = 1000, 64
    ranges = (10, 100), (0.2, 0.6), (0.5, 2), (4, 20), (0.5, 2)
    mu, cv, h, p, v = (rng.uniform(*r, count) for r in ranges)
    noise = rng.standard_normal((count, size))
    demand = np.maximum(0, mu[:, None] * (1 + cv[:, None] * noise))
    rank = np.ceil(p / (h + p) * size).astype(int) - 1
    free = np.sort(demand, axis=1)[np.arange(count), rank]
    given = tables(
        demand.T[:, :, None, None], penalty=p, holding=h[:, None], volume=v,
        storage=0.8 * v @ free,
    )  # fmt: skip
    plan = solve(given, config=options(whole_units=False, atoms=size))
    optimum = 61708.30128351512
    assert_allclose([plan.bound, plan.cost], optimum, rtol=ROUNDING)
    found = plan.prices["price"][0]
    dual = float(priced(demand, h, p, found * v).cost.sum())
    dual -= found * plan.prices["capacity"][0]
    assert_allclose(dual, optimum, rtol=ROUNDING)
    assert_allclose(found, 1.6800299017676, rtol=PRICES)
    assert_allclose(plan.prices["use"][0], 0.8 * v @ free, rtol=ROUNDING)


def gold(storage=np.inf, *, money=1.0, config=WHOLE, **data):
    """Plan of the four nodes, and the optimum of the linear program."""
    given = four_nodes(storage, money=money, **data)
    optimum = money * linear_program(storage, **data).cost
    return solve(given, config=config), optimum


def test_four_nodes_without_capacities():
    """The two items' own optima, 14.675 + 9.25, in whole units."""
    plan, optimum = gold()
    assert_allclose(optimum, 23.925, rtol=1e-9)
    assert_allclose(plan.cost, 23.925, rtol=ROUNDING)
    assert_allclose(plan.bound, 23.925, rtol=ROUNDING)
    assert_allclose(targets(plan)[1], [2, 6, 4, 4])


@pytest.fixture(scope="module")
def full():
    """Plan and optimum with room for 6 at each of the four nodes."""
    return gold(6.0)


def test_four_nodes_with_full_storage(full):
    """31.625 with fractions, 31.75 in whole units; prices near 1.45 (many are best)."""
    plan, optimum = full
    assert_allclose(optimum, 31.625, rtol=1e-9)
    assert plan.bound <= 31.625 * (1 + ROUNDING)
    assert plan.cost >= 31.75 * (1 - ROUNDING)  # nothing whole is cheaper
    assert (plan.prices["use"] <= 6 + 1e-9).all()
    assert (targets(plan) == np.round(targets(plan))).all()


def test_bound_of_four_nodes_is_the_optimum(full):
    assert_allclose(full[0].bound, 31.625, rtol=1e-6)


def test_plan_of_four_nodes_beats_two_of_everything(full):
    """Two of both items at every node fill the room too, and cost 19.375 + 14.1; the
    best whole targets cost 31.75."""
    assert_allclose(full[0].cost, 31.75, rtol=ROUNDING)


def test_four_nodes_in_fractions():
    """The linear program's optimum, from both sides."""
    for room, optimum in ((6.0, 31.625), (np.inf, 23.925)):
        plan, _ = gold(room, config=REAL)
        assert_allclose([plan.cost, plan.bound], optimum, rtol=ROUNDING)


def test_plan_costs_no_less_than_the_optimum_nor_the_bound_more():
    rng = np.random.default_rng(11)
    for room in (4.0, 9.0, np.array([3.0, 12.0, 0.0, 7.0])):
        demand = rng.poisson(2.0, DEMAND.shape)
        a = rng.uniform(0.4, 0.8, 4)
        a = np.stack([a * rng.uniform(1.0, 2.5, 4), a])
        plan, optimum = gold(room, demand=demand, a=a)
        assert_allclose(plan.bound, optimum, rtol=ROUNDING)
        assert optimum <= plan.cost * (1 + ROUNDING)
        assert plan.status != "over_capacity"
        assert (plan.prices["price"] >= 0).all()


def test_money_times_ten_gives_ten_times_the_bound_and_the_same_targets(full):
    plan, _ = gold(6.0, money=10.0)
    assert_allclose(targets(plan), targets(full[0]))
    assert_allclose(plan.cost, 10 * full[0].cost, rtol=ROUNDING)
    assert_allclose(plan.bound, 10 * full[0].bound, rtol=1e-6)  # prices are not unique


def test_room_for_all_has_no_price(full):
    loose, _ = gold(600.0)
    free, _ = gold()
    assert (loose.prices["price"] == 0).all()
    assert_allclose(targets(loose), targets(free))
    assert loose.cost < full[0].cost


def test_items_in_another_order_have_the_same_plan():
    mean, sd, h, p, v = (np.array(SIX[k]) for k in ("mean", "sd", "h", "p", "v"))
    demand, turn = normals(mean, sd), np.array([3, 5, 0, 4, 2, 1])
    plan = newsvendors(demand, h, p, v, storage=1000)
    turned = newsvendors(
        [demand[k] for k in turn], h[turn], p[turn], v[turn], storage=1000
    )
    assert_allclose(targets(turned), targets(plan)[turn], rtol=1e-5)
    assert_allclose(turned.prices["price"], plan.prices["price"], rtol=1e-5)
    assert_allclose(turned.bound, plan.bound, rtol=1e-6)


def test_stock_taken_from_a_node_goes_to_its_neighbours():
    everywhere, _ = gold()
    closed, optimum = gold(np.array([1e3, 0.0, 1e3, 1e3]))
    before, after = targets(everywhere).sum(axis=0), targets(closed).sum(axis=0)
    assert (targets(closed)[:, 1] == 0).all()
    assert after[0] > before[0]  # in the same cluster
    assert (after[[2, 3]] >= before[[2, 3]]).all()
    assert_allclose(closed.bound, optimum, rtol=ROUNDING)
    assert optimum <= closed.cost * (1 + ROUNDING)
    assert everywhere.cost < closed.cost


def test_public_names_stay_what_they_are_after_use(full):
    """Submodules that a call imports must not take the place of a public name."""
    for name in ("check", "demo", "load", "read", "solve"):
        assert callable(getattr(meio_jax, name)), name
    assert full[0].status

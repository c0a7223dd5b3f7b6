"""The simulator against textbooks: their numbers, their conventions, within 4 errors.

`agrees` asks for both: the mean lies within four standard errors (over independent
paths) of the textbook's number, and four errors are small against what the next best
convention would give (a period more or less of lead time, cost before demand or after).
"""

import jax.numpy as jnp
import numpy as np
import pytest
from clark_scarf import clark_scarf, normal, poisson
from numpy.testing import assert_allclose
from plain import bounded, mean_cost, plain_run, plain_system

from meio_jax.sim.policy import order_up_to
from meio_jax.sim.run import empty_state, keep_order, no_limits, plan_routes
from meio_jax.sim.run import simulate_paths as simulate
from meio_jax.sim.step import AFTER_DEMAND
from meio_jax.sim.system import Limits, Paths, System

HOLDING_PARTS = ("holding", "backorder")


def agrees(found, expected, sharp, slack=0.0):
    """Mean within 4 errors of `expected`, and 4 errors no more than `sharp` of it."""
    mean, error = found
    assert 4 * error <= sharp * expected, "too few paths to tell"
    assert abs(mean - expected) <= 4 * error + slack, (mean, error, expected)


def draws(law, periods, paths, nodes=1, seed=0, at=-1):
    """Demand of the node `at`; the others have no customers."""
    demand = np.zeros((periods, nodes, paths))
    demand[:, at] = law(np.random.default_rng(seed), (periods, paths))
    return demand


def gaussian(mean, sd):
    return lambda rng, shape: np.maximum(rng.normal(mean, sd, shape), 0)


def counts(mean):
    return lambda rng, shape: rng.poisson(mean, shape)


# One node


@pytest.mark.parametrize(
    ("mean", "room", "p", "level", "cost", "outside"),
    [
        (4, 5, 9, 9, 5.9972808, 1.1562400),
        (4, 6, 9, 7, 4.2977435, 0.3144182),
        (5, 6, 4, 9, 5.2025864, 1.5270055),
        (4, np.inf, 9, 7, 3.8476060, 0.0),
    ],
)
def test_capacitated_base_stock(mean, room, p, level, cost, outside):
    # Federgruen & Zipkin (1986): orders arrive at once, at most `room` a period. What
    # waits outside counts as ordered, so it is their shortfall V' = (V + D - room)^+.
    periods, paths = 700, 800
    limits = bounded(1, periods, inbound=room)
    limits = Limits(
        limits.storage, limits.inbound, limits.outbound, limits.overage, jnp.ones(1)
    )
    trace = plain_run(
        plain_system(wait=p), [level], draws(counts(mean), periods, paths), [0],
        limits=limits,
    )  # fmt: skip
    agrees(mean_cost(trace, 100, HOLDING_PARTS), cost, 0.03)
    waits = mean_cost(trace, 100, ("waiting",))
    assert 4 * waits[1] <= 0.1 * max(outside, 0.01)
    assert abs(waits[0] - outside) <= 4 * waits[1]


def test_newsvendor_with_a_lead_time():
    # Lead 4, review 1: what is ordered at a period's start faces five periods' demand.
    trace = plain_run(
        plain_system(holding=(0.18,), wait=0.70, whole=False), [264.7668943742],
        draws(gaussian(50, 8), 100, 10_000), [4],
    )  # fmt: skip
    agrees(mean_cost(trace, 10), 4.4667810041, 0.01)


@pytest.mark.parametrize(
    ("lead", "p", "level", "cost"),
    [
        (1, 4, 12, 4.163), (1, 39, 16, 7.853), (2, 9, 19, 6.311), (2, 19, 21, 7.834),
        (4, 4, 25, 5.196), (4, 39, 33, 11.047),
    ],
)  # fmt: skip
def test_base_stock_with_lost_sales(lead, p, level, cost):
    # Zipkin (2008): ordered in t, there before the demand of t + lead; costs after
    # demand. The oracle is a simulation too, good to 0.01.
    trace = plain_run(
        plain_system(lost=p), [level], draws(counts(5), 100, 6000), [lead]
    )
    agrees(mean_cost(trace, 20), cost, 0.012, slack=0.01)


def outstanding(lead):
    """Units on order once a period's orders are placed and its receipts are in."""
    level, demand = 100, draws(counts(5), *np.asarray(lead).shape[::2])
    trace = plain_run(plain_system(), [level], demand, lead)
    on_hand = np.asarray(trace.ledgers[0].on_hand)[10:, 0] + demand[10:, 0]
    return level - on_hand


def test_orders_that_cross_are_fewer_than_the_formula_without_crossing_says():
    # E Q^2 = 30: the variance is the sum over ages of 30 P(out) - 25 P(out)^2.
    lead = np.random.default_rng(1).choice([1, 2, 2, 3], (60, 1, 8000))
    units = outstanding(lead)
    per_path = units.mean(axis=0)
    agrees((per_path.mean(), per_path.std() / np.sqrt(8000)), 10, 0.01)
    spread = ((units - 10) ** 2).mean(axis=0)
    agrees((spread.mean(), spread.std() / np.sqrt(8000)), 19.375, 0.02)


def test_orders_that_keep_their_order():
    # An order waits for those before it: 2 are out with probability 1 - 3/16, 3 with
    # 1/4, and what is out is the last so many orders. Mean 5 E M, variance
    # 5 E M + 25 Var M, more than with crossing.
    lead = keep_order(np.random.default_rng(1).choice([1, 2, 2, 3], (60, 1, 8000)))
    chance = np.array([3 / 16, 9 / 16, 1 / 4])
    mean = chance @ [1, 2, 3]
    variance = 5 * mean + 25 * (chance @ [1, 4, 9] - mean**2)
    units = outstanding(lead)
    per_path = units.mean(axis=0)
    agrees((per_path.mean(), per_path.std() / np.sqrt(8000)), 5 * mean, 0.01)
    spread = ((units - 5 * mean) ** 2).mean(axis=0)
    agrees((spread.mean(), spread.std() / np.sqrt(8000)), variance, 0.03)


# Serial systems: stages downstream first in the data, upstream first in the simulator


def serial_cost(holding, leads, penalty, levels, law, *, paths, periods, seed=0):
    """Mean cost of echelon levels. Demand, then orders and receipts, then costs: an
    order faces `lead` periods of demand, not one more. What is on its way to a stage
    is charged as at the stage above; to the first one, nothing."""
    local = np.cumsum(holding[::-1])  # upstream first
    stages, up = len(leads), np.array(levels)[::-1]
    system = plain_system(
        (-1, *range(stages - 1)), holding=tuple(local), wait=penalty,
        transit=(0, *local[:-1]), whole=float(levels[0]).is_integer(),
    )  # fmt: skip
    warm = 3 * sum(leads) + 5
    demand = draws(law, periods + warm, paths, stages, seed)
    trace = plain_run(
        system, up, demand, leads[::-1], echelon=True, phases=AFTER_DEMAND,
        start=-np.diff(np.append(up, 0)),
    )  # fmt: skip
    return mean_cost(trace, warm)


FOSCT = ((3, 2, 2), (1, 1, 2), 37.12)  # example 6.1
HALVES = ((2, 2, 1, 1, 1), (1,) * 5, 24)  # example 6.2; a period is half a unit of time
QUARTERS = ((0.25,) * 4, (1,) * 4)  # Shang & Song (2003); a quarter of a unit
ONES = lambda n: ((1,) * n, (1,) * n, 30)

BOOKS = [
    # holding, leads, penalty; mean and sd of a period's demand; levels; cost
    (*FOSCT, 5, 1, (6.490881, 12.017606, 22.705498), 47.660150),
    (*FOSCT, 5, None, (9, 15, 26), 72.046741),
    (*HALVES, 32, 8 / 2**0.5, (40.58670, 74.25740, 109.08559, 142.12134, 174.51802),
     451.609438),
    (*HALVES, 32, None, (41, 74, 109, 142, 174), 453.691559),
    (*QUARTERS, 9, 4, None, (8, 13, 18, 22), 12.687898),
    (*QUARTERS, 99, 4, None, (11, 17, 22, 27), 16.205544),
    (*ONES(3), 50, 10, (68.763586, 124.190171, 177.088681), 233.989834),
    (*ONES(8), 50, 10, (69.379315, 125.197424, 178.460886, 230.431021, 281.579193,
     332.138822, 382.243857, 431.978435), 1673.600702),
]  # fmt: skip
NAMES = ["D10", "D11", "D12", "D13", "D14", "D15", "D16", "D17"]


def stage_laws(leads, mean, sd):
    """Lead-time demand of each stage, and the grid's step."""
    if sd is None:
        return [poisson(mean * lead) for lead in leads], 1
    return [normal(mean * lead, sd * lead**0.5) for lead in leads], sd / 400


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_clark_scarf_gives_the_books_levels_and_costs(book):
    holding, leads, penalty, mean, sd, levels, cost = book
    laws, step = stage_laws(leads, mean, sd)
    found, least = clark_scarf(holding, penalty, laws, step)
    assert_allclose(found, levels, atol=step if sd else 0)
    assert_allclose(least, cost, rtol=1e-6)


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_serial_systems_cost_what_clark_scarf_say(book):
    holding, leads, penalty, mean, sd, levels, cost = book
    law = counts(mean) if sd is None else gaussian(mean, sd)
    found = serial_cost(
        holding,
        leads,
        penalty,
        levels,
        law,
        paths=6000 if penalty == 99 else 1500,
        periods=80 + 10 * len(leads),
    )
    agrees(found, cost, 0.012)


@pytest.mark.parametrize(
    ("leads", "cost"),
    [((2, 1, 2), 71.186), ((1, 1, 3), 48.758), ((2, 2, 3), 84.091)],
)
def test_a_period_more_of_a_lead_costs_what_it_should(leads, cost):
    # With the first example's data: were the chain off by a period, these costs would
    # come out at its leads.
    holding, _, penalty = FOSCT
    laws, step = stage_laws(leads, 5, 1)
    levels, least = clark_scarf(holding, penalty, laws, step)
    assert_allclose(least, cost, atol=6e-4)
    law = gaussian(5, 1)
    found = serial_cost(holding, leads, penalty, levels, law, paths=1500, periods=100)
    agrees(found, least, 0.01)


# Distribution systems


def continuous(parent, holding, penalty, rate, leads, levels, step, *, ages, length):
    """Mean cost of local base stock under continuous review, in periods of `step`.

    Demand of a period is seen at its end, then everyone orders: the warehouse's level
    has its exact law at each end. First come, first served holds between periods, as
    `ages` reach over the warehouse's lead time; orders of one period share in
    proportion, and that error falls with the step.
    """
    nodes, paths = len(parent), 128
    stores = [k for k in range(nodes) if k not in parent]
    steps = [round(lead / step) for lead in leads]
    warm = 3 * sum(set(steps)) + 2 * max(steps)
    demand = np.zeros((warm + round(length / step), nodes, paths))
    rng = np.random.default_rng(3)
    demand[:, stores] = rng.poisson(rate * step, (len(demand), len(stores), paths))
    system = plain_system(parent, holding=holding, wait=penalty, ages=ages)
    trace = plain_run(system, levels, demand, steps, phases=AFTER_DEMAND)
    return mean_cost(trace, warm)


SIMON = ((-1, 0, 0, 0), (1, 1.5, 1.5, 1.5), 15, 2, (1, 1, 1, 1), (7, 4, 4, 4))
GRAVES = ((-1, *[0] * 5), (0.5, *[1] * 5), 19, 1, (2, *[1] * 5), (13, *[3] * 5))
TREE = (
    (-1, 0, 0, 1, 1, 2, 2), (1 / 3, 2 / 3, 2 / 3, 1, 1, 1, 1), 20, 8, (1,) * 7,
    (33, 18, 18, 14, 14, 14, 14),
)  # fmt: skip


@pytest.mark.parametrize(
    ("book", "cost", "ages"), [(GRAVES, 14.531597, 17), (TREE, 33.025503, 9)]
)
def test_local_base_stock_under_continuous_review(book, cost, ages):
    # Axsater's exact recursion. At 1/8 the error of the step is below that of sampling.
    found = continuous(*book, 1 / 8, ages=ages, length=300)
    agrees(found, cost, 0.02)


def test_shorter_periods_come_closer_to_continuous_review():
    exact = 15.450043  # its three retailers, as above
    coarse = continuous(*SIMON, 1, ages=2, length=1000)
    assert coarse[0] < exact - 5 * coarse[1]  # a period's orders pool
    agrees(continuous(*SIMON, 1 / 8, ages=9, length=1000), exact, 0.01)


@pytest.mark.parametrize(
    ("stores", "leads", "rho", "level", "bound"),
    [
        (3, (2, 1), 0.0, 70.0452717, 13.7562036),
        (10, (3, 2), 0.5, 344.2163149, 60.5507396),
    ],
)
def test_depot_costs_a_little_more_than_if_stores_were_balanced(
    stores, leads, rho, level, bound
):
    # Eppen & Schrage (1981): a depot sends on all that it gets and makes stores equal;
    # orders before demand, costs after it, an order faces L0 + L + 1 periods. The
    # simulator shares in proportion to what is owed: that makes stores equal as far as
    # their common level, a little above what they get on average, is reached. What is
    # left at the depot pays like stock at a store. Both cost a little: 1 to 2 %, where
    # a period of lead time more or less is 6 % and more.
    warm, periods, paths, mean, sd = 40, 100, 4000, 5, 1.6
    rng = np.random.default_rng(5)
    shock = rng.standard_normal((warm + periods, 1, paths))
    noise = rng.standard_normal((warm + periods, stores, paths))
    demand = np.zeros((warm + periods, stores + 1, paths))
    demand[:, 1:] = mean + sd * (rho**0.5 * shock + (1 - rho) ** 0.5 * noise)
    system = plain_system(
        (-1, *[0] * stores), holding=1.0, wait=9, whole=False
    )  # fmt: skip
    store = level / stores - mean * leads[0] + 2
    trace = plain_run(
        system, (level, *[store] * stores), np.maximum(demand, 0),
        (leads[0], *[leads[1]] * stores), echelon=True, start=(0, *[store] * stores),
    )  # fmt: skip
    cost, error = mean_cost(trace, warm)
    assert 4 * error < 0.01 * bound
    assert bound - 4 * error < cost < 1.025 * bound


# Fulfilment


def two_orders(units, demand):
    """Cost of a slow order that ships at 5 (or 6 if lost) and a fast one at 0 (or 20).

    One item has one cost of a lost sale: 20, and the slow order pays 14 back.
    """
    one = jnp.ones(1)
    system = System(
        place=jnp.zeros(1, int), home=jnp.zeros(2, int), holding=jnp.zeros((1, 1)),
        transit=jnp.zeros((1, 1)), unit_cost=jnp.array([[5 + 14.0, 0.0]]),
        cost_per_weight=jnp.zeros((1, 2)), days_late=jnp.zeros((1, 2)), volume=one,
        weight=one, lost_cost=20 * one, late_cost=0 * one, wait_cost=0 * one,
        parent=(-1,),
    )  # fmt: skip
    periods = len(demand)
    policy = order_up_to(jnp.zeros((periods, 1, 1)))
    path = Paths(
        jnp.asarray(demand, float)[:, :, None, None],
        jnp.zeros((periods, 1, 1), int), jnp.zeros((periods, 1), int),
    )  # fmt: skip
    trace = simulate(
        (system,), (policy,), no_limits(1, periods), (path,),
        (empty_state(system, jnp.full((1, 1, 1), float(units)), 0),),
        (plan_routes(system, policy, np.zeros((1, 2), int)),),
    )  # fmt: skip
    return float(trace.ledgers[0].money.sum()) - 14


def test_greedy_in_the_order_of_arrival_against_hindsight():
    # The slow order a period ahead of the fast one takes the only unit; in one period
    # the dearest goes first, which is what hindsight does.
    greedy = [two_orders(units, [[1, 0], [0, 1]]) for units in range(4)]
    hindsight = [two_orders(units, [[1, 1]]) for units in range(4)]
    assert_allclose(greedy, [26, 25, 5, 5])
    assert_allclose(hindsight, [26, 6, 5, 5])

"""What the end of the horizon does: stock left then is worth what it cost, no more, so
inbound that it could save has no price beyond, and the last periods run stock down.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from scipy.optimize import linprog
from scipy.sparse import lil_matrix, vstack
from user_tables import options, tables

import meio_jax

DEMAND = np.random.default_rng(0).gamma(4, 2.5, (16, 3))  # scenarios, items
PENALTY, HOLDING, SHIP = np.array([9.0, 12, 8]), np.array([0.2, 0.3, 0.1]), 2.0
ROOM = 0.85 * DEMAND.mean(axis=0).sum()  # for receipts of a period
CARRIED = (DEMAND.max(axis=0) - DEMAND.mean(axis=0)).sum()  # by targets at no price


def linear_program(periods: int) -> tuple[np.ndarray, np.ndarray]:
    """Stock of all items and price of inbound in every period, by HiGHS."""
    scenarios, items = DEMAND.shape
    stock = np.arange(periods * items).reshape(periods, items)
    sent = stock.size + np.arange(periods * DEMAND.size).reshape(periods, *DEMAND.shape)
    cost = np.tile(HOLDING, periods)
    worth = (SHIP - HOLDING - PENALTY) / scenarios
    cost = np.r_[cost, np.tile(worth, periods * scenarios)]
    within = lil_matrix((sent.size, cost.size))
    within[np.arange(sent.size), sent.ravel()] = 1
    held = np.broadcast_to(stock[:, None], sent.shape)
    within[np.arange(sent.size), held.ravel()] = -1
    receipts = lil_matrix((periods, cost.size))
    for t in range(periods):
        receipts[t, stock[t]] = 1
        if t:
            receipts[t, stock[t - 1]] = -1
            receipts[t, sent[t - 1].ravel()] = 1 / scenarios
    room = np.full(periods, ROOM)
    room[0] += CARRIED
    most = np.r_[np.full(stock.size, np.inf), np.tile(DEMAND.ravel(), periods)]
    found = linprog(
        cost, vstack([within, receipts]).tocsr(), np.r_[np.zeros(sent.size), room],
        bounds=np.c_[np.zeros(most.size), most], method="highs",
    )  # fmt: skip
    return found.x[stock].sum(axis=1), -found.ineqlin.marginals[-periods:]


def plan(periods: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by the package: demand of every period alike, its scenarios shuffled."""
    orders = [np.random.default_rng(t).permutation(len(DEMAND)) for t in range(periods)]
    demand = np.stack([DEMAND[order] for order in orders], axis=-1)[:, :, None]
    made = tables(demand, penalty=PENALTY, holding=HOLDING[:, None], ship=SHIP)
    limit = {"node": [0], "resource": "inbound", "period": np.nan, "capacity": ROOM}
    made = meio_jax.Tables(**dict(made), capacities=pd.DataFrame(limit))
    config = options(whole_units=False, chain=False, max_evaluations=20)
    problem = replace(config.problem, horizon=periods)
    config = replace(config, problem=problem, given=frozenset({"problem.horizon"}))
    found = meio_jax.solve(made, config=config)
    stock = found.targets.groupby("period")["order_up_to"].sum()
    return stock.to_numpy(), found.prices.set_index("period")["price"].to_numpy()


def test_a_plan_ends_as_the_linear_program_does():
    (stock, price), (optimal, exact) = plan(5), linear_program(5)
    assert_allclose(stock, optimal, rtol=0.01)
    assert_allclose(price, exact, rtol=0.05)


def test_the_last_periods_run_stock_down_and_leave_the_first_alone():
    (short, _), (stock, price) = linear_program(6), linear_program(16)
    assert_allclose(short[:3], stock[:3], rtol=0.005)
    assert_allclose(price[6:11], price[6:11].mean(), rtol=0.02)
    assert price[-1] < 0.5 * price[8]
    assert 0.05 < 1 - stock[-1] / stock[8] < 0.15

"""A two-stage network LP whose outbound holds in every scenario: a regime for each.

Four items, two nodes, three regions, six equally likely scenarios, one period, solved
by HiGHS; data and solution are in net_lp_A.json. Its model, in items i, nodes f,
regions r and scenarios s:

    min sum c_if x_if + mean_s [sum (t_fr + g slow_fr) y_ifrs + p_i u_irs + h_i e_ifs]
    x_if = sum_r y_ifrs + e_ifs,  sum_f y_ifrs + u_irs = d_irs,
    sum_i v_i x_if <= K_f,  sum_ir w_i y_ifrs <= O_f for every s
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from meio_jax.config import Config
from meio_jax.network import build_network
from meio_jax.planner import solve_problem
from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.recover.evaluate import violation
from meio_jax.scenarios.sample import draw_sample

GIVEN = json.loads((Path(__file__).parent / "net_lp_A.json").read_text())
DATA = {k: np.array(v, float) for k, v in GIVEN["data"].items()}
ITEMS, REGIONS, SCENARIOS = DATA["d"].shape
NODES = len(DATA["t"])
OBJECTIVE = 1181.1666666667
FREE = 934.1666666667  # without capacities
ROUNDING = 1e-6  # relative: plans cost in float32, bounds end at a gap of 1e-6


def group(i):
    """Item i in units that take one of outbound each, w_i to the LP's one.

    Stock costs c_if where it is left, with h_i, and where it is sold, with the service:
    that is c_if on all of it. Slow service is a day late, at g a day.
    """
    w = DATA["w"][i]
    buy = DATA["c"][i] / w
    slow, none = DATA["slow"], np.zeros((NODES, REGIONS))
    network = build_network(
        node=np.arange(NODES), unit_cost=DATA["t"] / w + buy[:, None],
        cost_per_weight=none, days_late=slow, region=np.arange(REGIONS),
        speed=np.zeros(REGIONS, int), share=np.ones(REGIONS),
        volume=w * DATA["d"][i].mean(axis=1), weight=1.0, late_cost=DATA["g"] / w,
        lead_mean=np.zeros(NODES), lead_std=np.zeros(NODES),
    )  # fmt: skip
    one, bounds = np.ones(1), np.zeros((1, 1, NODES))
    items = Items(
        position=np.array([i]), key=np.array([7919 * i + 1]), volume=DATA["v"][[i]] / w,
        weight=one, penalty=DATA["p"][[i]] / w, late_cost=DATA["g"] / w * one,
        holding=(DATA["h"][i] / w + buy)[None], lower=bounds, upper=bounds + np.inf,
    )  # fmt: skip
    slot, region = np.indices((SCENARIOS, REGIONS)).reshape(2, -1)
    quantity = w * DATA["d"][i].T.ravel()
    demand = Demand(
        start=np.array([0, slot.size]), slot=slot, region=region, quantity=quantity,
        std=0 * quantity,
    )  # fmt: skip
    return Group(network, items, demand, None)


def solve(storage, outbound, regimes):
    """The instance with its capacities times a factor, planned in fractions."""
    one = np.ones((NODES, 1))
    made = Problem(
        groups=tuple(group(i) for i in range(ITEMS)),
        storage=storage * DATA["K"][:, None],
        inbound=np.inf * one,
        outbound=outbound * DATA["O"][:, None],
        item_limit=np.inf * one,
        weight=np.full(SCENARIOS, 1 / SCENARIOS),
        kind="scenarios",
        slots=SCENARIOS,
        regimes=regimes,
    )
    sample = draw_sample(made, count=SCENARIOS, seed=0)
    options = replace(Config().solver, whole_units=False, max_evaluations=60)
    return made, solve_problem(made, sample, options)


@pytest.fixture(scope="module")
def tight():
    return solve(1.0, 1.0, SCENARIOS)


def test_oracle_lies_between_bound_and_plan(tight):
    """Bound and plan are the optimum, 1e-7 below and 2e-8 above; prices may differ
    from HiGHS' (7.0 and 5.9 of storage), for several are optimal."""
    solution = tight[1]
    assert_allclose([solution.bound, solution.cost], OBJECTIVE, rtol=ROUNDING)
    assert solution.bound <= OBJECTIVE
    assert (solution.prices >= 0).all()


def test_outbound_holds_in_every_scenario(tight):
    made, solution = tight
    assert violation(made, solution.use) == 0
    sent = SCENARIOS * solution.use[2:, :, 0]  # of each scenario, the quiet first
    assert (sent <= DATA["O"] * (1 + 1e-9)).all()
    assert (sent[-1] > 0.99 * DATA["O"][0]).sum() == 1  # the first node is full


def test_without_capacities():
    _, solution = solve(np.inf, np.inf, SCENARIOS)
    assert_allclose([solution.bound, solution.cost], FREE, rtol=ROUNDING)
    assert solution.bound <= FREE
    assert_allclose(solution.prices, 0)

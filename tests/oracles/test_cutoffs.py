"""Cut-offs (C9): 24 h is none, 0 h downgrades all, later never costs more."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import meio_jax
from meio_jax.config import Config

CONFIG = replace(
    Config(),
    solver=replace(Config().solver, whole_units=False, smoothing=(1.0,), levels=8),
)


def plan(near, far=24.0):
    """Two nodes, one region, a fast speed kept until the nodes' cut-off hours."""
    rng = np.random.default_rng(0)
    quantity = rng.gamma(4, 2.5, 16) + 0.123  # not whole: split in proportion, exactly
    frames = dict(
        items=dict(item=["A"], unit_cost=[5.0], lost_sale_cost=[20.0], late_cost=[2.0]),
        nodes=dict(node=["near", "far"], type=["fc", "fc"]),
        speeds=dict(speed=["fast", "slow"], promise_days=[1, 3]),
        speed_mix=dict(region=["R", "R"], speed=["fast", "slow"], share=[0.5, 0.5]),
        ship_options=dict(
            node=["near", "near", "far", "far"],
            region=["R"] * 4,
            speed=["fast", "slow"] * 2,
            unit_cost=[1.0, 1.0, 4.0, 4.0],
            cutoff_hour=[near, 24.0, far, 24.0],
        ),
        scenarios=dict(
            scenario=np.arange(16), item="A", region="R", period=0, quantity=quantity
        ),
    )
    frames = {name: pd.DataFrame(columns) for name, columns in frames.items()}
    return meio_jax.solve(meio_jax.Tables(**frames), config=CONFIG)


@pytest.fixture(scope="module")
def by_hour():
    return {hour: plan(hour) for hour in (0.0, 10.0, 16.0, 24.0)}


def on_promise(made):
    return made.service.set_index("speed")["on_promise_rate"]


def test_a_cutoff_at_midnight_is_none(by_hour):
    assert on_promise(by_hour[24.0])["fast"] == pytest.approx(
        on_promise(by_hour[24.0])["slow"], abs=0.02
    )


def test_no_hour_anywhere_downgrades_the_fast_class():
    made = plan(0.0, 0.0)
    assert on_promise(made)["fast"] == 0
    assert on_promise(made)["slow"] > 0.9
    demand = made.service.set_index("speed")["demand"]
    late = made.kpis.set_index("metric")["value"]["shipping cost per period"]
    assert late > 2.0 * demand["fast"] * 0.9  # late by a day: it pays late_cost


def test_a_later_cutoff_costs_no_more(by_hour):
    for value in ("cost", "bound"):
        line = [getattr(made, value) for made in by_hour.values()]
        assert all(a >= b - 1e-6 * abs(b) for a, b in pairwise(line))
    assert by_hour[0.0].cost > by_hour[24.0].cost * 1.01

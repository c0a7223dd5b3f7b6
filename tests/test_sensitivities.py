"""Sensitivities of every kind of input against planning again, on three items."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_folder import TINY, WEEKS, options, write

import meio_jax as meio
from experiments.sensitivities.run import compare


def random_folder():
    """The tiny folder with scenarios of its own, random lead times and cut-offs."""
    rng = np.random.default_rng(0)
    rows = [
        f"{s},{item},{region},{week},{rng.poisson(8 + 2 * k) + 2}"
        for s in range(16)
        for k, item in enumerate("ABC")
        for region in ("North", "South")
        for week in WEEKS
    ]
    text = lambda *lines: "\n".join(lines) + "\n"
    files = {name: text(*lines) for name, lines in TINY.items()}
    del files["demand.csv"]
    options_ = [line + ",17,0.5" for line in TINY["ship_options.csv"][1:]]
    fast = [line.replace("ground", "fast") for line in options_]
    lanes = [line + ",0.7" for line in TINY["lanes.csv"][1:]]
    return files | {
        "scenarios.csv": text("scenario,item,region,period,quantity", *rows),
        "lanes.csv": text(TINY["lanes.csv"][0] + ",lead_time_std", *lanes),
        "ship_options.csv": text(
            TINY["ship_options.csv"][0] + ",cutoff_hour,transit_days", *options_, *fast
        ),
        "speeds.csv": text("speed,promise_days,lost_sale_share", "ground,3,1",
                           "fast,0.5,1"),
        "speed_mix.csv": text("region,speed,share", "North,ground,0.6",
                              "North,fast,0.4", "South,ground,0.6", "South,fast,0.4"),
    }  # fmt: skip


@pytest.mark.slow  # eleven plans
def test_every_kind_of_input_agrees_with_planning_again(tmp_path):
    folder = write(tmp_path / "data", random_folder())
    plan = meio.solve(folder, config=options("solver.max_evaluations=20"))
    rows = {row["input"]: row for row in compare(plan, meio.read(folder))}
    assert len(rows) == 10
    for name, row in rows.items():
        # Prices that move can only add; a tenth of the room is no small change.
        assert row["estimate"] <= row["bound"] + 1e-3
        near = 0.25 if name in ("storage room", "lead-time mean") else 0.05
        assert_allclose(row["estimate"], row["bound"], rtol=near, atol=1e-3)
        if name != "outbound room":  # it does not bind
            assert abs(row["bound"]) > 0.05

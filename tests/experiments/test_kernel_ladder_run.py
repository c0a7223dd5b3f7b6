"""The experiment on the kernels stays alive, and orders them."""

import json

import jax
import pytest

from experiments.kernel_ladder.run import main


@pytest.mark.slow  # most of it compilation
def test_quick_run_orders_the_kernels(tmp_path):
    with jax.enable_x64(True):
        main(["--quick", "--out", str(tmp_path)])
    plan = json.loads((tmp_path / "quick.json").read_text())["plans"]["K1"]
    ladder = plan["ladder"]
    assert ladder["K2"] <= ladder["K3"] * (1 + 1e-6)
    assert abs(plan["node_dual_against_highs"]["largest_below"]) <= 1e-5
    assert plan["node_dual_against_highs"]["largest_above"] <= 1e-6

"""The experiment on refinement runs, on a few items."""

import json
import sys

import numpy as np
import pytest

from experiments.refinement import run


@pytest.mark.slow  # its compilation; tests/sim/test_refine.py has the same on tables
def test_quick(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--quick", "--out", str(tmp_path)])
    run.main()
    found = json.loads((tmp_path / "quick.json").read_text())
    names = {"plan", "plan, refined", "plan, targets refined", "plan, limits refined"}
    assert names < set(found["table"])
    steps, scores = zip(*found["checks"]["plan"], strict=True)
    assert steps == (0, 4)
    assert all(np.isfinite(scores))
    cost = {k: v["cost per period"]["mean"] for k, v in found["table"].items()}
    both = cost["plan, targets refined"] == cost["plan"] == cost["plan, limits refined"]
    assert not both or cost["plan, refined"] == cost["plan"]

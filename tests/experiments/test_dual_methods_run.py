"""The experiment on ways up the dual stays alive, and shows what it claims."""

import json

import pytest

from experiments.dual_methods.run import main


@pytest.mark.slow  # most of it compilation
def test_quick_run_has_newton_ahead(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert len(capsys.readouterr().out.splitlines()) == len(rows) == 6
    cold = {r["method"]: r["gap_after"] for r in rows if r["start"] == "cold"}
    assert cold["newton"] <= min(cold["lbfgs"], cold["adam"])
    assert all(r["evaluations"][1] <= 4 for r in rows if r["start"] == "warm")

"""The experiment on the number of scenarios stays alive, and brackets what it plans."""

import json

import pytest

from experiments.scenarios.run import main


@pytest.mark.slow  # most of it compilation
def test_quick_run_brackets_its_plan(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert row["bound_a"] <= row["cost_in_sample"] * (1 + 1e-6)
    low = row["fresh_bound"] - row["fresh_bound_error"]
    assert low < row["fresh_cost"] - row["fresh_slack"] + row["fresh_cost_error"]

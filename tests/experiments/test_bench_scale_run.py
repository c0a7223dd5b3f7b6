"""The suite that times the planner by size stays alive, and says what it should."""

import json

import pytest

from experiments.bench_scale import kernels
from experiments.bench_scale.run import main


@pytest.mark.slow  # most of it compilation
def test_quick_run_has_every_column(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert "| pairs |" in capsys.readouterr().out
    assert row["pairs"] == row["items"] * row["nodes"]
    assert row["bound"] <= row["cost"]
    assert min(row["floor_cpu"], row["wall"], row["peak_mb"], row["ratio"]) > 0
    assert row["evaluations"] > 1


@pytest.mark.slow
def test_quick_run_of_kernels_has_a_floor_for_each(tmp_path, capsys):
    kernels.main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows) == 11
    assert all(row["floor_seconds"]["cpu"] > 0 for row in rows)

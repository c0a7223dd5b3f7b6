"""The benchmark of crews stays alive: two processes find what one finds."""

import json

import pytest

from experiments.bench_sharded.run import main


@pytest.mark.slow  # processes compile, each for itself
def test_quick_run_compares_two_processes_with_one(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    alone, two = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert "| processes |" in capsys.readouterr().out
    assert (alone["processes"], two["processes"]) == (1, 2)
    assert alone["sent_mb"] == 0 < two["sent_mb"]
    assert two["differs"] < 1e-6

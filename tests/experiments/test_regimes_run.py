"""The experiment on regimes of load stays alive, and shows what it claims."""

import json

import pytest

from experiments.regimes.run import main


@pytest.mark.slow  # most of it compilation
def test_quick_run_closes_most_of_the_gap(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert len(capsys.readouterr().out.splitlines()) == len(rows) == 6
    for one, many in zip(rows[::2], rows[1::2], strict=True):
        assert (one["regimes"], many["regimes"]) == (1, 8)
        assert 0 <= many["gap"] < 0.1 * one["gap"]

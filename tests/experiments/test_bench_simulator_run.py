"""The experiment on the simulator's speed stays alive."""

import json

from experiments.bench_simulator.run import main


def test_quick_run_with_and_without_gradient(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "quick.json").read_text())["rows"]
    assert len(capsys.readouterr().out.splitlines()) == len(rows) == 2
    assert [row["gradient"] for row in rows] == [False, True]
    assert rows[0]["node_periods"] == 6 * 2 * 3 * 6
    assert all(row["cost"] > 0 for row in rows)

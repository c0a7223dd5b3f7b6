"""The quick run of the experiment on layers."""

import json
import sys

import pytest

from experiments.layers import run


@pytest.mark.slow
def test_every_policy_is_simulated_on_the_same_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--quick", "--out", str(tmp_path)])
    run.main()
    table = json.loads((tmp_path / "quick.json").read_text())["table"]
    assert len(table) == 6
    first, *others = table.values()
    assert first["difference"] is None
    for row in table.values():
        assert row["cost"]["low"] < row["cost"]["mean"] < row["cost"]["high"]
        assert 0 < row["on time"] <= row["fill"] <= 1
        assert sum(row["parts"].values()) == pytest.approx(
            row["cost"]["mean"], rel=0.01
        )
    assert all(
        row["difference"]["difference"][0] == row["difference"]["difference"][0]
        for row in others
    )
    never = table["as if orders never crossed"]
    assert never["depot stock"] > first["depot stock"]

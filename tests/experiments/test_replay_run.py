"""The quick run of the experiment on a day of events."""

import json
import sys

import pytest

from experiments.replay import run


@pytest.mark.slow
def test_events_are_planned_and_the_day_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--quick", "--out", str(tmp_path)])
    run.main()
    found = json.loads((tmp_path / "quick.json").read_text())
    assert len(found["table"]) == 4
    for row in found["table"].values():
        assert row["bound"] <= row["cost"]
        assert row["gap"] == pytest.approx((row["cost"] - row["bound"]) / row["cost"])
    assert found["apart"] == 0  # one program gives what the steps in turn give
    for clock in found["milliseconds"].values():
        assert 0 < clock["median"] <= clock["most"]
    assert found["frozen"]["seconds"][1] < 0.05 * found["cold"]["seconds"][1]

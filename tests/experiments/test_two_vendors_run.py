"""The quick run of the experiment on two vendors at once."""

import json
import sys

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from experiments.two_vendors import run


def test_a_split_is_never_worse_by_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--quick", "--out", str(tmp_path)])
    run.main()
    found = json.loads((tmp_path / "quick.json").read_text())
    rows = list(found["table"].values())
    assert len(rows) == len(run.PREMIUMS)
    for row in rows:
        assert row["worse by the model"] == 0
        assert 0 <= row["split"] + row["fast alone"] <= 1
        assert row["saved"] < row["saved at most"]
        assert row["item"]["low"] <= row["item"]["mean"] <= row["item"]["high"]
    # the dearer the fast vendor, the fewer items take it alone
    assert (np.diff([row["fast alone"] for row in rows]) <= 0).all()


def test_short_of_the_level_is_what_a_loop_finds():
    rng = np.random.default_rng(0)
    weeks, level = 260, 30.0
    demand = rng.poisson(5.0, (1, weeks)).astype(float)
    lead = rng.integers(0, 5, (1, weeks))
    rate, shelf, due = np.array([3.0]), level, np.zeros(weeks + 8)
    left = []
    for t in range(weeks):
        due[t + lead[0, t]] += rate[0]
        position = shelf + due[t:].sum()
        due[t + run.FAST] += max(level - position, 0.0)
        shelf += due[t] - demand[0, t]
        left.append(shelf)
    short = run.short_of(run.Paths(demand, lead), rate, slow=False)
    assert_allclose(level - short[0], left[run.WARM :])


def test_what_is_on_order_is_counted_until_it_arrives():
    orders = np.array([[2.0, 0.0, 1.0, 0.0]])
    found = run.on_order(orders, np.array([[2, 1, 1, 0]]))
    assert_array_equal(found, [[2, 2, 1, 0]])

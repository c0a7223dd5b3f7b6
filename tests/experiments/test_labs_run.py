"""The labs stay alive, and what they say holds together."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import labs
from experiments.interference.run import group_costs, halves, together, twice
from experiments.interference.run import main as interference
from experiments.lab1_network.run import main as network
from experiments.lab2_faults.run import main as faults
from experiments.lab3_cutoffs.run import main as cutoffs
from meio_jax import policies


def quick(main, folder) -> dict:
    main(["--quick", "--out", str(folder)])
    return json.loads((folder / "quick.json").read_text())


@pytest.mark.slow  # most of it compilation
def test_rivals_are_brought_to_the_plans_stock(tmp_path):
    result = quick(network, tmp_path)
    free, equal = result["as_decided"], result["at_equal_stock"]
    stock = free["plan"]["stock units"]["mean"]
    for name in result["factors"]:
        far, near = (t[name]["stock units"]["mean"] / stock for t in (free, equal))
        if abs(np.log(far)) > np.log(2):  # two steps come no nearer than that
            assert abs(np.log(near)) < abs(np.log(far))
    for name, row in free.items():
        assert row["on promise rate"]["mean"] <= row["fill rate"]["mean"]
        if name != "plan":
            cost = row["cost per period"]
            gap = cost["mean"] - free["plan"]["cost per period"]["mean"]
            assert cost["difference"]["mean"] == pytest.approx(gap, abs=0.01)


@pytest.mark.slow  # most of it compilation
def test_faults_cost_money_and_more_of_them_more(tmp_path):
    rows = quick(faults, tmp_path)["rows"]
    more = {(r["fault"], r["strength"], r["policy"]): r["more"]["mean"] for r in rows}
    for policy in ("plan", "base_stock_lost"):
        assert more["", "", policy] == 0
        assert more["closed", "the largest", policy] > 0
        low, high = (more["demand shock", f"x {f}", policy] for f in ("1.25", "1.5"))
        assert 0 < low < high
    promise = {(r["fault"], r["strength"]): r["on_promise"] for r in rows[::-1]}
    assert promise["a week late", "50% of orders"] < promise["", ""]


def test_later_cutoffs_are_worth_something(tmp_path):
    earlier, same, off = quick(cutoffs, tmp_path)["rows"]
    assert earlier["cheapest"] > same["cheapest"] > off["cheapest"]
    assert same["kept"]["more"]["mean"] == 0
    for row in (earlier, same, off):
        assert row["cheapest"] < row["kept"]["cost"]["mean"]


def by_path(lab, made, samples):
    return group_costs(lab, made, samples).sum(axis=0).mean(axis=0)


def test_costs_of_halves_add_up():
    lab = labs.demo_lab(True)
    made = policies.base_stock().decide(lab.problem, lab.sample)
    samples = labs.fresh_paths(lab, 8)
    whole = labs.simulate(lab, [made], samples)[made.name]["cost per period"]
    np.testing.assert_allclose(by_path(lab, made, samples), whole, rtol=1e-5)
    none = np.full_like(lab.problem.inbound, np.inf)  # docks share out whole units
    lab = lab._replace(problem=replace(lab.problem, inbound=none, outbound=none))
    sides = list(zip(*halves(lab.problem, 0), strict=True))
    assert sorted(np.concatenate([s[0] for s in sides])) == list(range(6))
    mixed, both = together(lab, sides, [made, made])
    parts, whole = by_path(mixed, both, twice(samples)), by_path(lab, made, samples)
    np.testing.assert_allclose(parts, whole, rtol=0.02)


@pytest.mark.slow  # most of it compilation
def test_designs_are_compared_with_the_truth(tmp_path):
    (rows,) = quick(interference, tmp_path)["table"].values()
    truth = rows["truth"]["estimate"]["mean"]
    assert truth != 0
    assert rows["truth"]["bias"]["mean"] == 0
    for name in ("items at random", "split capacity", "switch every 4 weeks"):
        gap = rows[name]["estimate"]["mean"] - truth
        assert rows[name]["bias"]["mean"] == pytest.approx(gap, rel=1e-4)

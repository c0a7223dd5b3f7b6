"""The labs stay alive, and what they say holds together."""

import json

import numpy as np
import pytest

from experiments.lab1_network.run import main as network


def quick(main, folder) -> dict:
    main(["--quick", "--out", str(folder)])
    return json.loads((folder / "quick.json").read_text())


def test_rivals_are_brought_to_the_plans_stock(tmp_path):
    result = quick(network, tmp_path)
    free, equal = result["as_decided"], result["at_equal_stock"]
    stock = free["plan"]["stock units"]["mean"]
    for name in result["factors"]:
        far, near = (t[name]["stock units"]["mean"] / stock for t in (free, equal))
        assert abs(np.log(near)) < abs(np.log(far))
    for name, row in free.items():
        assert row["on promise rate"]["mean"] <= row["fill rate"]["mean"]
        if name != "plan":
            cost = row["cost per period"]
            gap = cost["mean"] - free["plan"]["cost per period"]["mean"]
            assert cost["difference"]["mean"] == pytest.approx(gap, abs=0.01)

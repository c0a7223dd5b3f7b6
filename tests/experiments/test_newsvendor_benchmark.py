"""The benchmark's smoke run: every method finds the same optimum."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is Linux's")
def test_quick_run_compares_all_methods(tmp_path):
    module = "experiments.newsvendor_benchmark.run"
    command = [sys.executable, "-m", module, "--quick", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert not (tmp_path / "result.png").exists()
    for result in json.loads((tmp_path / "quick.json").read_text())["results"]:
        methods = result["methods"]
        assert set(methods) == {"ours", "numpy", "highs"}
        for row in methods.values():
            assert_allclose(row["objective"], methods["ours"]["objective"], rtol=1e-9)
            assert_allclose(row["price"], methods["ours"]["price"], rtol=1e-9)
            assert_allclose(row["use_relative_to_capacity"], 0, atol=1e-9)

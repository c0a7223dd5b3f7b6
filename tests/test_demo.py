"""The demo as a newcomer runs it: what is printed is what the README shows."""

import re
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from meio_jax.cli import main

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_readme_shows_the_demo(tmp_path):
    begin = time.perf_counter()
    answer = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "run")])
    assert answer.exit_code == 0, answer.output
    assert time.perf_counter() - begin < 120  # 59 s on two idle cores
    shown = README.read_text().split("<!-- demo -->")[1].split("<!-- /demo -->")[0]
    for word in ("tables ", "check ", "solved ", "plan ", "service ", "prices "):
        line = next(x.strip() for x in shown.splitlines() if x.strip().startswith(word))
        assert line in re.sub(r"\n +", "\n", answer.stderr)
    prices = pd.read_parquet(tmp_path / "run" / "prices.parquet")
    assert (prices["price"] > 1e-9).sum() >= 10
    assert prices["utilization"].max() <= 1 + 1e-9

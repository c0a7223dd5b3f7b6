"""A run of the tiny folder, simulated beside two baselines."""

from types import SimpleNamespace

import pytest
from page_reader import Page
from tiny_folder import options, write

import meio_jax as meio
from meio_jax.report import Run, html


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A plan, its outcome, its folder, and its page, read."""
    root = tmp_path_factory.mktemp("report")
    folder = write(root / "data")
    plan = meio.solve(folder, config=options("problem.horizon=3"))
    outcome = meio.simulate(
        meio.read(folder), [plan, "base_stock", "days_of_cover"], paths=12
    )
    home = plan.save(root / "run", log="a line\n")
    outcome.save(home / "simulation")
    run = Run("run", plan, outcome)
    text = html([run])
    return SimpleNamespace(
        plan=plan, outcome=outcome, home=home, run=run, text=text, page=Page(text)
    )

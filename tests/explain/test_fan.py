"""The fan chart: what it is drawn from, and the file."""

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose
from small_plan import folder_of_all_kinds, make_plan
from tiny_folder import WEEKS, write

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.explain import simulate_fan
from meio_jax.report.fan import save

PATHS = 256


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("fan")
    plan = make_plan(write(root / "data", folder_of_all_kinds()))
    return plan, plan.save(root / "run")


def target_of(plan, item):
    table = plan.targets
    rows = table[(table["item"] == item) & (table["node"] == "EAST")]
    return rows["order_up_to"].to_numpy()


def test_bands_are_in_order_and_below_what_targets_allow(made):
    plan, _ = made
    fan = simulate_fan(plan, "A", "EAST", paths=PATHS)
    assert fan.periods == WEEKS
    assert_allclose(fan.target, target_of(plan, "A"))
    assert fan.on_hand.shape == (5, len(WEEKS))
    assert (np.diff(fan.on_hand, axis=0) >= 0).all()
    assert (fan.on_hand >= 0).all()
    assert fan.on_hand.max() <= fan.target.max()
    assert fan.received.min() > 0  # it sells in every week


def test_without_demand_stock_rises_to_its_targets_and_stays(made):
    plan, _ = made
    fan = simulate_fan(plan, "D", "EAST", paths=PATHS)
    targets = target_of(plan, "D")
    most = np.maximum.accumulate(targets)
    assert most[-1] > targets[0]  # it does rise
    assert ((fan.on_hand >= targets[0]) & (fan.on_hand <= most)).all()
    assert (np.diff(fan.on_hand, axis=1) >= 0).all()
    assert fan.received.sum() <= most[-1] - targets[0]


def test_the_command_draws_the_picture(made, tmp_path):
    plan, run = made
    words = ["explain", str(run), "--item", "A", "--node", "EAST", "--plot"]
    answer = CliRunner().invoke(main, [*words, str(tmp_path / "a.svg")])
    assert answer.exit_code == 0, answer.output
    assert f"picture  {tmp_path / 'a.svg'}" in answer.stderr
    text = (tmp_path / "a.svg").read_text()
    assert "#0102" not in text  # colours that a page would replace
    again = save(simulate_fan(plan, "A", "EAST"), tmp_path / "b.svg")
    assert again.read_text() == text


def test_pictures_that_cannot_be_are_refused(made, tmp_path):
    plan, _ = made
    fan = simulate_fan(plan, "A", "EAST", paths=PATHS)
    assert save(fan, tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(meio.InputError, match=r"'\.gif' is not a kind of picture"):
        save(fan, tmp_path / "a.gif")
    with pytest.raises(meio.InputError, match="cannot be written"):
        save(fan, tmp_path / "none" / "a.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]

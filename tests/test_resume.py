"""Warm starts: from a plan, from a run folder, and from a solve that was killed."""

import os
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_cli import meio, names
from tiny_folder import edited, options, tiny, write

import meio_jax
from meio_jax import checkpoint as checkpoints
from meio_jax.api import solve
from meio_jax.checkpoint import Checkpoint
from meio_jax.dual.prices import Dual
from meio_jax.faults import InputError

CHECKPOINT = ".data-checkpoint.npz"
SETS = ("--set", "scenarios.count=8")
FULL = options("solver.max_evaluations=40")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "data")


@pytest.fixture(scope="module")
def cold(data):
    return solve(data, config=FULL)


@pytest.fixture(scope="module")
def runs(data, cold, tmp_path_factory):
    """A folder with one run of the tables."""
    home = tmp_path_factory.mktemp("runs")
    plan = replace(cold, facts=cold.facts | {"name": "data"})
    plan.save(home / "first")
    return home


def some(**changes) -> Checkpoint:
    """Prices of two nodes in two weeks, all different."""
    prices = np.arange(12.0).reshape(3, 2, 2)
    names = ("storage", "inbound", "outbound"), ("EAST", "WEST"), ("1", "2")
    first = Checkpoint("data", "abc", *names, prices, prices / 2, 1, 7, (1.5,))
    return replace(first, **changes)


@pytest.mark.parametrize("kind", ["plan", "folder"])
def test_a_warm_start_takes_fewer_evaluations_to_the_same_plan(kind, data, cold, runs):
    warm = solve(data, config=FULL, start=cold if kind == "plan" else runs / "first")
    assert warm.facts["evaluations"] <= cold.facts["evaluations"]
    assert warm.facts["evaluations_before"] == cold.facts["evaluations"]
    assert list(warm.facts["lifts"]) == list(cold.facts["lifts"])
    first = [next(m for m in p.metrics if m["phase"] == "ascend") for p in (warm, cold)]
    assert [m["evaluations"] for m in first] == [2, 4]  # no round of calibration
    assert_allclose(warm.cost, cold.cost, rtol=0.005)
    assert warm.bound <= cold.cost
    assert warm.facts["cost_without_capacities"] == pytest.approx(
        cold.facts["cost_without_capacities"], rel=0.01
    )


def test_a_start_of_other_capacities_still_finds_a_plan(data, cold, tmp_path):
    tight = write(tmp_path / "tight", edited("nodes.csv", "storage_capacity", "40", 3))
    here, warm = solve(tight, config=FULL), solve(tight, config=FULL, start=cold)
    assert warm.facts["evaluations"] <= here.facts["evaluations"]
    assert_allclose(warm.cost, here.cost, rtol=0.01)


def test_a_start_without_a_common_name_is_refused(cold, tmp_path):
    other = lambda text: text.replace("EAST", "E1").replace("WEST", "W1")
    files = {name: other(text) for name, text in tiny().items()}
    with pytest.raises(InputError, match=r"R02 start: knows .* no capacity is in both"):
        solve(write(tmp_path / "other", files), config=FULL, start=cold)


def test_the_checkpoint_of_a_plan_has_the_prices_of_its_table(cold, runs):
    kept = checkpoints.read(runs / "first" / "state.npz")
    assert_array_equal(kept.prices, cold.checkpoint.prices)
    assert_array_equal(kept.bound_prices, cold.checkpoint.bound_prices)
    assert kept.bound_prices.max() > 0
    for row in cold.prices.itertuples():
        at = (kept.resources.index(row.resource), kept.nodes.index(row.node),
              kept.periods.index(str(row.period)))  # fmt: skip
        assert kept.prices[at] == row.price
    assert kept.prices.sum() == pytest.approx(cold.prices["price"].sum())
    assert (kept.name, kept.digest) == ("data", cold.facts["input_digest"])


def test_regimes_keep_a_price_each(tmp_path):
    tight = write(tmp_path / "a", edited("capacities.csv", "capacity", "22", 2))
    config = options("scenarios.regimes=4", "scenarios.common=0.4")
    kept = []
    plan = solve(tight, config=config)
    again = solve(tight, config=config, start=plan, callback=kept.append)
    names = tuple(f"outbound {k}" for k in range(1, 5))
    assert plan.checkpoint.resources == ("storage", "inbound", *names)
    outbound = plan.checkpoint.prices[2:].sum(axis=(1, 2))
    assert (np.diff(outbound) >= 0).all()
    assert outbound[-1] > outbound[0]
    first = next(line for line in kept if line.phase == "ascend")
    assert first.priced == (plan.checkpoint.prices > 1e-9).sum()
    assert again.facts["evaluations"] <= plan.facts["evaluations"]


def test_prices_are_matched_by_name():
    resources, nodes = ("storage", "inbound", "outbound 1"), ("WEST", "NEW")
    found = some().matched(resources, nodes, ("2", "3"))
    assert found is not None
    expected = np.zeros((3, 2, 2))
    expected[0, 0, 0], expected[1, 0, 0] = 3, 7
    assert_array_equal(found, (expected, expected / 2))
    assert some().matched(resources, nodes, ("8", "9")) is None


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "state.npz"
    checkpoints.write(some(), path)
    checkpoints.write(some(stage=2), path)
    again = checkpoints.read(path)
    assert_array_equal(again.prices, some().prices)
    assert_array_equal(again.bound_prices, some().bound_prices)
    none = {"prices": None, "bound_prices": None}
    assert replace(again, **none).__dict__ == some(stage=2, **none).__dict__
    assert names(path.parent) == {"state.npz"}


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    checkpoints.write(some(), path)
    before = path.read_bytes()

    def full(stream, **_):
        stream.write(b"half")
        raise OSError("no space")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        checkpoints.write(some(stage=2), path)
    assert path.read_bytes() == before
    assert names(tmp_path) == {"state.npz"}


def damaged(path, damage):
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut short":
        path.write_bytes(whole[:-100])
    elif damage == "text":
        path.write_text("prices")
    elif damage == "a flipped bit":
        at = whole.index(np.arange(12.0)[5:9].tobytes())
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    elif damage == "an array":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    elif damage == "other arrays":
        np.savez(path, x=np.zeros(3))
    elif damage == "other format":
        np.savez(path, format=99)
    elif damage == "names that do not fit":
        checkpoints.write(some(nodes=("EAST",)), path)
    elif damage == "a negative price":
        checkpoints.write(some(prices=some().prices - 5), path)


DAMAGE = {
    "missing": "is missing", "empty": "cannot be read", "cut short": "cannot be read",
    "text": "cannot be read", "a flipped bit": "CRC", "an array": "cannot be read",
    "other arrays": "no format", "other format": "format 99, this version reads 2",
    "names that do not fit": r"shape \(3, 2, 2\), its names say \(3, 1, 2\)",
    "a negative price": "a price is negative",
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_gives_one_clear_error(damage, tmp_path):
    path = tmp_path / "state.npz"
    checkpoints.write(some(), path)
    damaged(path, damage)
    with pytest.raises(InputError, match=rf"R02 .*state\.npz.*{DAMAGE[damage]}") as got:
        solve(write(tmp_path / "data"), start=tmp_path)
    assert len(got.value.faults) == 1


def kill_at(monkeypatch, evaluation):
    """Lets a run die after an evaluation, with no chance to tidy up."""
    at = Dual.at

    def dying(self, *args, **kwargs):
        if self.evaluations == evaluation:
            sys.exit("killed")
        return at(self, *args, **kwargs)

    monkeypatch.setattr(Dual, "at", dying)


@pytest.mark.parametrize("evaluation", [6, 36])  # in the first stage, in the last
def test_a_killed_run_is_resumed(evaluation, data, cold, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        kill_at(patch, evaluation)
        assert meio("solve", data, *SETS).exit_code != 0
    assert names(tmp_path / "runs") == {CHECKPOINT}
    kept = checkpoints.read(tmp_path / "runs" / CHECKPOINT)
    assert kept.evaluations == evaluation
    assert kept.digest == cold.facts["input_digest"]
    answer = meio("solve", data, *SETS, "--resume")
    assert (
        f"resume   from {evaluation} evaluations in runs/{CHECKPOINT}" in answer.stderr
    )
    (run,) = (tmp_path / "runs").iterdir()  # and the checkpoint is gone
    plan = meio_jax.load(run)
    assert plan.facts["evaluations_before"] == evaluation
    assert_allclose(plan.cost, cold.cost, rtol=0.005)


def test_resuming_takes_the_newest_of_the_same_tables(data, runs, cold):
    digest = cold.facts["input_digest"]
    running = checkpoints.running(runs, "data")
    first = runs / "first" / "state.npz"
    later = time.time() + 10
    for changes, chosen in (
        ({"name": "data", "digest": digest}, running),
        ({"name": "data", "digest": "of other tables"}, first),
        ({"name": "other", "digest": digest}, first),
    ):
        checkpoints.write(some(**changes), running)
        os.utime(running, (later, later))
        found = checkpoints.newest(runs, "data", digest)
        assert found is not None
        assert found[0] == chosen
    running.unlink()
    assert checkpoints.newest(runs, "data", "none") is None


def test_resuming_with_nothing_there_says_so_and_solves(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = meio("solve", data, *SETS, "--gap", "0.9", "--resume")
    line = "resume   nothing yet of 'data' with these tables: from no prices"
    assert answer.stderr.splitlines().count(line) == 1
    assert answer.exit_code == 0


def test_resuming_from_a_damaged_checkpoint_is_one_message(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs", {CHECKPOINT: "half"})
    answer = meio("solve", data, *SETS, "--resume")
    assert answer.exit_code == 2
    assert f"ERROR R02 runs/{CHECKPOINT}: cannot be read" in answer.stderr
    assert "Delete it, or start without it" in answer.stderr
    assert names(tmp_path / "runs") == {CHECKPOINT}


def test_a_run_goes_on_where_no_checkpoint_can_be_written(data, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("meio_jax.cli._Keeper.__call__", _keeper_with(full))
        answer = meio("solve", data, *SETS, "--gap", "0.9", "--out", tmp_path / "out")
    assert answer.exit_code == 0
    assert answer.stderr.count("no checkpoints: ") == 1
    assert names(tmp_path) == {"out"}


def _keeper_with(write_checkpoint):
    from meio_jax.cli import _Keeper

    keep = _Keeper.__call__

    def call(self, checkpoint):
        self.write = write_checkpoint
        keep(self, checkpoint)

    return call

"""A process of many is killed: any number of processes goes on to the same plan."""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from tiny_folder import write

import meio_jax
from meio_jax import checkpoint

SECONDS = 600  # programs of a crew are compiled by each process
CHECKPOINT = ".data-checkpoint.npz"
SETS = "--set", "scenarios.count=8", "--set", "simulate.paths=0"


def crew(folder, count, *flags):
    """The processes of a solve of `data` beside the folder, its runs in the folder."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{found.getsockname()[1]}"
    command = [sys.executable, "-m", "meio_jax.cli", "solve", "../data", *SETS, *flags]
    return [
        subprocess.Popen(
            [*command, "--processes", str(count), "--process-id", str(k),
             "--coordinator", place],
            cwd=folder, env=os.environ | {"XLA_FLAGS": ""}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for k in range(count)
    ]  # fmt: skip


def finished(processes):
    """What the first process says, once all are done."""
    said = [process.communicate(timeout=SECONDS)[1] for process in processes]
    for process, text in zip(processes, said, strict=True):
        assert process.returncode in (0, 3), text
    return said[0]


def plan(folder):
    (run,) = (folder / "runs").glob("*/run.json")
    return meio_jax.load(run.parent)


def kill_one(folder, evaluations):
    """Starts two processes and kills the second one while they climb."""
    first, second = crew(folder, 2)
    kept, end = folder / "runs" / CHECKPOINT, time.monotonic() + SECONDS
    while time.monotonic() < end and first.poll() is None:
        if kept.exists() and checkpoint.read(kept).evaluations >= evaluations:
            break
        time.sleep(0.02)
    second.kill()
    try:
        first.communicate(timeout=SECONDS)
    finally:
        first.kill()
        second.communicate()
    assert first.returncode not in (0, 3)
    return checkpoint.read(kept)


@pytest.mark.slow
def test_a_killed_crew_is_resumed_by_one_of_another_size(tmp_path):
    write(tmp_path / "data")
    calm, broken, alone, three = (
        tmp_path / name for name in ("calm", "broken", "alone", "three")
    )
    for folder in (calm, broken):
        folder.mkdir()
    finished(crew(calm, 1))
    kept = kill_one(broken, 5)
    assert not list((broken / "runs").glob("*/run.json"))
    for folder, count in ((alone, 1), (three, 3)):
        shutil.copytree(broken, folder)
        said = finished(crew(folder, count, "--resume"))
        assert f"resume   from {kept.evaluations} evaluations" in said
        assert not (folder / "runs" / CHECKPOINT).exists()
    found, other, expected = plan(alone), plan(three), plan(calm)
    assert_frame_equal(found.targets, other.targets, rtol=1e-6)
    assert_allclose(found.cost, other.cost, rtol=1e-9)
    assert_allclose(found.bound, other.bound, rtol=1e-6)
    assert_allclose(found.cost, expected.cost, rtol=0.005)

"""Devices and processes: any number of them finds what one finds."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.cli import main
from meio_jax.mesh import Crew

SECONDS = 240


def start(what, out, devices, visible, *others):
    """A process that runs a case and saves what it found."""
    flags = f"--xla_force_host_platform_device_count={visible}"
    command = [sys.executable, "-m", "tests.mesh.crews", what, str(out), devices]
    return subprocess.Popen(
        [*command, *map(str, others)], env=os.environ | {"XLA_FLAGS": flags},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors


def same(found, expected, digits):
    for name in expected:
        scale = np.abs(expected[name]).max() + 1e-9
        assert_allclose(found[name], expected[name], atol=digits * scale, err_msg=name)


@given(
    st.integers(1, 200), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4)
)  # fmt: skip
def test_every_item_has_one_place(count, chunk, processes, devices):
    chunks, seen, placed = -(-count // chunk), [], []
    for process in range(processes):
        crew = Crew(processes, process, tuple(range(devices)))
        begin, end = crew.own(chunks)
        size = -(-chunks // processes)
        each = max(-(-size // crew.hands), 1)
        spans = crew.deal(begin, end, each)
        assert all(0 <= last - first <= each for first, last in spans)
        seen += [c for first, last in spans for c in range(first, last)]
        first, last = crew.own(count, chunk)
        placed += range(first, last)
        own = [c for a, b in spans for c in range(a, b)]
        assert {i // chunk for i in range(first, last)} == set(own)
    assert seen == list(range(chunks))
    assert placed == list(range(count))


def test_tasks_are_done_in_order_on_every_device():
    import jax

    crew = Crew(devices=tuple(jax.local_devices()))
    assert crew.each(lambda k, task: task**2, range(7)) == [k**2 for k in range(7)]


@pytest.mark.slow
def test_two_and_three_devices_find_what_one_finds(tmp_path):
    finish(start("climb", tmp_path / "a", "1,2,3", 3))
    one, two, three = (np.load(tmp_path / f"a-{k}.npz") for k in (1, 2, 3))
    assert (one["price"] > 0).any()
    same(two, one, 1e-9)
    same(three, one, 1e-9)


@pytest.mark.slow
def test_a_whole_solve_does_not_hang_on_devices(tmp_path):
    finish(start("solve", tmp_path / "a", "1,3", 3))
    one, three = (np.load(tmp_path / f"a-{k}.npz") for k in (1, 3))
    assert_array_equal(three["target"], one["target"])
    same(three, one, 1e-6)


@pytest.mark.parametrize(
    "given",
    [
        ["--processes", "2"],
        ["--processes", "two", "--process-id", "0", "--coordinator", "a:1"],
        ["--processes", "2", "--process-id", "2", "--coordinator", "a:1"],
        ["--process-id", "1"],
    ],
)
def test_a_command_that_names_no_crew_is_refused(given):
    found = CliRunner().invoke(main, ["solve", "nowhere", *given])
    assert found.exit_code == 2
    assert "--process" in found.output


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def two_processes(what, folder, devices):
    port = free_port()
    finish(
        *(
            start(what, folder / str(k), str(devices), devices, 2, k, port)
            for k in range(2)
        )
    )
    return [np.load(folder / f"{k}-{devices}.npz") for k in range(2)]


@pytest.mark.parametrize(
    "what", ["step", pytest.param("climb", marks=pytest.mark.slow)]
)
def test_two_processes_of_two_devices_find_what_one_finds(tmp_path, what):
    alone = start(what, tmp_path / "one", "1", 1)
    first, second = two_processes(what, tmp_path, 2)
    finish(alone)
    for name in first:
        assert_array_equal(first[name], second[name])  # or they would part ways
    same(first, np.load(tmp_path / "one-1.npz"), 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_whole_solve_does_not_hang_on_processes(tmp_path, devices):
    finish(start("solve", tmp_path / "one", "1", 1))
    first, second = two_processes("solve", tmp_path, devices)
    one = np.load(tmp_path / "one-1.npz")
    for name in first:
        assert_array_equal(first[name], second[name])
    assert_array_equal(first["target"], one["target"])
    same(first, one, 1e-6)

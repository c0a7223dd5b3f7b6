"""The doctor: a machine that works, and each thing that may be wrong with one."""

import time

import pytest
from click.testing import CliRunner

from meio_jax import cli, doctor
from meio_jax.doctor import Finding, attempt, cache, disk, libraries, plugin, two
from meio_jax.gloo import two_processes

NVRM = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Jan  1 00:00:00 2026\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\n"


def test_a_machine_that_works_is_ready(monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    answer = CliRunner().invoke(cli.main, ["doctor"])
    lines = answer.output.splitlines()
    assert (answer.exit_code, lines[-1]) == (0, "ready"), answer.output
    names = [line.split()[0] for line in lines[:-1]]
    assert names == [
        "versions", "libraries", "gpu", "devices", "x64", "cache", "disk", "kernel",
        "processes",
    ]  # fmt: skip
    assert "jax " in lines[0]
    assert "cpu" in lines[3]
    assert "a psum of two passes" in lines[-2]


def test_the_first_fix_is_the_last_line(monkeypatch):
    found = [Finding("a", "good"), Finding("b", "bad", "do it"), Finding("c", "x", "y")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(found))
    answer = CliRunner().invoke(cli.main, ["doctor"])
    assert answer.exit_code == 2
    assert answer.output.splitlines()[-1] == "fix       do it"
    assert "b         bad  !" in answer.output


@pytest.mark.parametrize("form", [NVRM, OPEN])
@pytest.mark.parametrize(
    ("driver", "installed", "says", "fix"),
    [
        ("590.44.01", (), "no plugin", 'pip install "meio-jax[cuda13]"'),
        ("535.10", (), "no plugin", 'pip install "meio-jax[cuda12]"'),
        ("470.3", (), "too old", "Install driver 525 or newer"),
        ("590.44.01", ("jax_cuda13_plugin",), "driver 590, plugin cuda13", ""),
    ],
)
def test_an_nvidia_device_needs_its_plugin(
    tmp_path, form, driver, installed, says, fix
):
    file = tmp_path / "version"
    file.write_text(form.format(driver))
    found = plugin(file, lambda name: name in installed)
    assert says in found.says
    assert found.fix == fix


def test_without_a_driver_the_cpu_is_a_normal_way_to_run(tmp_path):
    assert plugin(tmp_path / "none").fix == ""
    assert (
        libraries({"LD_LIBRARY_PATH": "/usr/cuda/lib64"}, tmp_path / "none").fix == ""
    )


def test_other_cuda_libraries_are_told_where_there_is_a_driver(tmp_path):
    file = tmp_path / "version"
    file.write_text(NVRM.format("590.44.01"))
    look = lambda path: libraries({"LD_LIBRARY_PATH": path}, file)
    assert look("/usr/local/cuda/lib64").fix == "unset LD_LIBRARY_PATH"
    assert look("/opt/blas").fix == look("").fix == ""


def test_a_full_disk_and_a_cache_are_seen(tmp_path):
    import jax

    assert disk(tmp_path, room=1).fix == ""
    assert "free 1,000,000,000 GB there" in disk(tmp_path, room=1e18).fix
    (tmp_path / "program").write_bytes(b"x" * 2_000_000)
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        assert "1 files, 2 MB" in cache().says
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "none"))
        assert "not there yet" in cache().says
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_an_error_is_a_finding():
    def broken():
        raise RuntimeError("no backend\nmore of it")

    found = attempt("kernel", broken)
    assert found[:2] == ("kernel", "no backend")
    assert found.fix.startswith("pip install")


@pytest.mark.parametrize(
    ("program", "says", "limit"),
    [
        ("import sys; sys.exit(3)", "the sum is wrong", 60),
        ("raise ValueError('no network')", "ValueError: no network", 60),
        ("import sys; sys.exit(5)", "a process ended with code 5", 60),
        ("import time; time.sleep(60)", "no answer within 1 s", 1),
    ],
)
def test_two_processes_that_fail_say_why_and_are_stopped(program, says, limit):
    begin = time.monotonic()
    found = two(lambda: two_processes(program, limit))
    assert time.monotonic() - begin < 50
    assert says in found.says
    assert found.fix.endswith("-m meio_jax.gloo")

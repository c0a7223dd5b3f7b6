"""The page as a file: the command, the API, bad input, what is left on disk."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from page_reader import Page
from tiny_folder import FAST, write

import meio_jax
from meio_jax.cli import main
from meio_jax.faults import InputError
from meio_jax.report import html, parts


def meio(*words):
    """Outcome of a command; what is neither an exit nor Ctrl-C is raised here."""
    answer = CliRunner().invoke(main, [str(word) for word in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


@pytest.fixture
def run(made, tmp_path):
    """A run folder of one's own."""
    return shutil.copytree(made.home, tmp_path / "run")


def test_report_writes_the_page_into_the_run(made, run):
    answer = meio("report", run)
    assert answer.exit_code == 0
    assert answer.stderr == f"next     open {run / 'report.html'}\n"
    assert answer.stdout == ""
    page = run / "report.html"
    assert page.read_text() == html([made.run])
    assert page.stat().st_mode & 0o777 == 0o644


def test_out_is_where_it_goes_and_what_is_there_is_replaced(run, tmp_path):
    out = tmp_path / "new" / "a.html"
    for _ in range(2):
        answer = meio("report", run, "--out", out)
        assert answer.exit_code == 0
        assert f"open {out}" in answer.stderr
        Page(out.read_text())
        assert [p.name for p in out.parent.iterdir()] == ["a.html"]
        out.write_text("old") if "<html" in out.read_text() else None
    assert not (run / "report.html").exists()


def test_several_runs_are_told_apart(run, tmp_path):
    twin = shutil.copytree(run, tmp_path / "else" / "run")
    assert meio("report", run, twin).exit_code == 0
    page = Page((run / "report.html").read_text())
    names = page.tables["compare-table"][0]
    assert names == ["metric", "run (1)", "run (2)"]


def test_a_run_without_simulation(run):
    shutil.rmtree(run / "simulation")
    assert meio("report", run).exit_code == 0
    assert "It was not simulated" in (run / "report.html").read_text()


def test_the_same_run_gives_the_same_bytes_in_another_process(made, run, tmp_path):
    code = (
        "import sys; from meio_jax.cli import main\n"
        f"main(['report', {str(run)!r}, '--out', sys.argv[1]], standalone_mode=False)"
    )
    out = tmp_path / "page.html"
    subprocess.run(
        [sys.executable, "-c", code, out], check=True, capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert out.read_text() == html([made.run])


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"]])
def test_asking_for_help_imports_neither_jax_nor_matplotlib(words):
    heavy = {"jax", "matplotlib", "jinja2", "pandas"}
    code = (
        "import sys; from meio_jax.cli import main; import meio_jax\n"
        f"main({words}, standalone_mode=False)\n"
        f"sys.exit(str({heavy} & sys.modules.keys() or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


def damage(run, name):
    (run / name).write_bytes(b"\xff\0{garbage")


BAD = {
    "no folder": (lambda run: shutil.rmtree(run), r"is not a run: it has no run\.json"),
    "no run": (lambda run: (run / "run.json").unlink(), r"it has no run\.json"),
    "targets": (lambda run: damage(run, "targets.parquet"), "missing or damaged"),
    "simulated": (
        lambda run: damage(run, "simulation/kpis.parquet"),
        "a file of the simulation is missing or damaged",
    ),
    "half simulated": (
        lambda run: (run / "simulation" / "use.parquet").unlink(),
        "a file of the simulation is missing or damaged",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_run_gives_one_message(case, run, tmp_path):
    spoil, text = BAD[case]
    spoil(run)
    out = tmp_path / "page.html"
    answer = meio("report", run, "--out", out)
    assert answer.exit_code == 2
    assert re.search(text, answer.stderr)
    assert answer.stderr.count("ERROR") == 1
    assert not out.exists()


def test_no_run_is_asked_for_by_name():
    answer = meio("report")
    assert answer.exit_code == 2
    assert "RUNS" in answer.stderr


def test_a_place_that_cannot_be_written_gives_one_message(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out, text in (
        (tmp_path / "file" / "a.html", "cannot be written"),
        (tmp_path, "is a folder"),
    ):
        answer = meio("report", run, "--out", out)
        assert answer.exit_code == 2
        assert answer.stderr.count("ERROR P01") == 1
        assert text in answer.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"file", "run"}
    assert (tmp_path / "file").read_text() == "mine"


def test_the_stock_of_items_that_ship_most_is_drawn(made, tmp_path):
    shipped = made.plan.targets.groupby(["item", "node"])["cycle_stock"].sum()
    item = shipped.groupby("item").sum().idxmax()
    out = tmp_path / "a.html"
    answer = meio("report", made.home, "--fans", 1, "--out", out)
    assert answer.exit_code == 0, answer.stderr
    page = Page(out.read_text())
    assert page.pictures["fans"][0].startswith(f"{item} at {shipped[item].idxmax()}: ")


def test_a_full_disk_leaves_the_old_page(made, run, monkeypatch):
    (run / "report.html").write_text("old")
    before = {p.name for p in run.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        made.plan.report(run / "report.html")
    assert (run / "report.html").read_text() == "old"
    assert {p.name for p in run.iterdir()} == before


def test_a_plan_reports_itself(made, tmp_path):
    path = made.plan.report(tmp_path / "a.html")
    page = Page(path.read_text())
    assert "It was not simulated" in page.says["kpis"]
    made.plan.report(path, outcome=made.outcome)
    assert Page(path.read_text()).says["kpis"] == made.page.says["kpis"]


@pytest.fixture
def without_jinja(monkeypatch):
    real = parts.find_spec
    lacks = lambda name: None if name == "jinja2" else real(name)
    monkeypatch.setattr(parts, "find_spec", lacks)


def test_without_the_extra_there_is_one_message(run, without_jinja):
    answer = meio("report", run)
    assert answer.exit_code == 2
    assert answer.stderr == (
        "ERROR P01 report: needs jinja2, not installed here\n"
        '    pip install "meio-jax[report]"\n'
    )
    assert not (run / "report.html").exists()


def solve(root, monkeypatch, *words):
    monkeypatch.chdir(root)
    write(root / "data")
    sets = [w for c in FAST[:-1] for w in ("--set", c)]
    return meio("solve", "data", *sets, "--gap", "0.9", "--out", "out", *words)


def test_a_solve_ends_with_the_page_to_open(tmp_path, monkeypatch):
    answer = solve(tmp_path, monkeypatch)
    assert answer.exit_code == 0
    assert answer.stderr.splitlines()[-1] == "next     open out/report.html"
    assert (tmp_path / "out" / "log.txt").read_text() == answer.stderr
    page = Page((tmp_path / "out" / "report.html").read_text())
    plan = meio_jax.load(tmp_path / "out")
    assert f"saves more than {100 * plan.gap:.2f} %" in page.text[""]
    again = meio("report", tmp_path / "out", "--out", tmp_path / "again.html")
    assert again.exit_code == 0
    written = (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "again.html").read_text() == written


def test_a_solve_without_the_extra_says_how_to_get_it(
    tmp_path, monkeypatch, without_jinja
):
    answer = solve(tmp_path, monkeypatch, "--json")
    assert answer.exit_code == 0
    last = answer.stderr.splitlines()[-1]
    assert last == (
        'next     for a page of pictures: pip install "meio-jax[report]"  (jinja2)'
    )
    assert not (tmp_path / "out" / "report.html").exists()
    assert json.loads(answer.stdout)["status"] == "optimal_within_gap"


@pytest.mark.parametrize("what", ["full disk", "Ctrl-C"])
def test_a_solve_outlives_its_page(what, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def late(*_):  # the solve is over when the page is made
        if what == "Ctrl-C":
            raise KeyboardInterrupt
        monkeypatch.setattr(Path, "write_text", full)
        return "a page"

    monkeypatch.setattr("meio_jax.report.page.html", late)
    answer = solve(tmp_path, monkeypatch)
    assert answer.exit_code == 0
    text = "no page: cannot be written: No space left on device"
    if what == "Ctrl-C":
        text = "meio report out  (the page was stopped)"
    assert text in answer.stderr.splitlines()[-1]
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert "targets.parquet" in names
    assert not any("report" in n or n.startswith(".meio") for n in names)
    assert "stopped before" not in answer.stderr


def test_a_solve_may_leave_the_page_out(tmp_path, monkeypatch):
    answer = solve(tmp_path, monkeypatch, "--set", "output.report=false")
    assert answer.exit_code == 0
    assert not (tmp_path / "out" / "report.html").exists()
    assert "report" not in answer.stderr

"""The command: its exits, its messages, and what it leaves on disk."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_folder import FAST, added, edited, write

import meio_jax
from meio_jax.cli import main
from meio_jax.dual.ascend import Newton
from meio_jax.plan import SAVED, TABLES
from meio_jax.tables import write as tables_out

SETS = [word for change in FAST for word in ("--set", change)]
EXACT = ("--gap", "1e-6")  # more than four evaluations reach
RUN = {"run.json", "metrics.jsonl", "log.txt", "state.npz"}
RUN |= {f"{table}.parquet" for table in SAVED}


def meio(*words):
    """Outcome of a command; what is neither an exit nor Ctrl-C is raised here."""
    answer = CliRunner().invoke(main, [str(word) for word in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def solve(folder, *words):
    return meio("solve", folder, *SETS, *words)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def strict_json(text: str):
    """The value of JSON text, without the NaN and Infinity that Python adds."""

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that others look at: its answer and its folder."""
    root = tmp_path_factory.mktemp("run")
    out = root / "out"
    words = ("--out", out, "--csv", "--json", *EXACT, "--seed", "3")
    return solve(write(root / "data"), *words), out


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], {"jax", "pandas", "numpy"}),
        (["solve", "--help"], {"jax", "pandas", "numpy"}),
        (["check", "DATA"], {"jax"}),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_what_a_command_does_not_need_is_not_imported(words, absent, data):
    words = [str(data) if word == "DATA" else word for word in words]
    code = (
        "import sys; from meio_jax.cli import main\n"
        f"main({words}, standalone_mode=False)\n"
        f"found = {absent} & sys.modules.keys()\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_check_of_good_tables(data):
    answer = meio("check", data)
    assert answer.exit_code == 0
    sizes, verdict = answer.stdout.splitlines()
    assert sizes == "tables   3 items, 3 nodes, 2 lanes, 18 demand rows"
    assert verdict == "check    0 errors, 0 warnings"


def test_check_lists_all_faults_of_all_tables(tmp_path):
    files = edited("items.csv", "unit_cost", "$5", 3)
    files |= {"lanes.csv": edited("lanes.csv", "lead_time", "-2", 2)["lanes.csv"]}
    files |= {"stock.txt": ""}
    answer = meio("check", write(tmp_path / "bad", files))
    assert answer.exit_code == 2
    for line in (
        "ERROR E08 items.csv:3: unit_cost = '$5': expected a number",
        "ERROR E10 lanes.csv:2: lead_time = -2: must be 0 or more",
        "ERROR E01 stock.txt: not a table: .txt",
        "check    3 errors, 0 warnings",
    ):
        assert line in answer.output.splitlines()


CLASH = ("item,node,period,quantity", "A,EAST,2026-01-12,1000")


@pytest.mark.parametrize("verb", ["check", "solve"])
def test_targets_that_do_not_fit_have_an_exit_of_their_own(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data", added("fixed_targets.csv", *CLASH))
    answer = meio(verb, "data")
    assert answer.exit_code == 4
    assert (
        "INFEASIBLE: fixed_targets at EAST need 1,000 m3 in week 2026-01-12, "
        "capacity 60"
    ) in answer.output
    assert names(tmp_path) == {"data"}


@pytest.mark.parametrize("verb", ["check", "solve"])
def test_a_folder_that_is_not_there(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = meio(verb, "nowhere")
    assert answer.exit_code == 2
    assert "nowhere: no such folder or file" in answer.output
    assert names(tmp_path) == set()


def test_solve_of_bad_tables_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data", edited("items.csv", "unit_cost", "", 3))
    answer = solve("data")
    assert answer.exit_code == 2
    assert "ERROR E09 items.csv:3: unit_cost is empty" in answer.stderr
    assert names(tmp_path) == {"data"}


@pytest.mark.parametrize(("wrong", "right"), [("chekc", "check"), ("slove", "solve")])
def test_a_misspelt_verb(wrong, right):
    answer = meio(wrong, "data")
    assert answer.exit_code == 2
    assert f"Did you mean '{right}'?" in answer.stderr
    assert answer.stderr.count("Did you mean") == 1


def test_an_unknown_option_of_the_file_names_its_line(data):
    (data / "meio.toml").write_text("[scenarios]\ncount = 8\n\n[solver]\nmax_evals = 3")
    for verb in ("check", "solve"):
        answer = meio(verb, data)
        assert answer.exit_code == 2
        assert (
            "meio.toml:5: solver.max_evals: unknown key; did you mean "
            "'max_evaluations'?"
        ) in answer.stderr


def test_an_unknown_option_of_the_command_names_itself(data):
    answer = meio("solve", data, "--set", "solver.gpa=0.1")
    assert answer.exit_code == 2
    assert (
        "--set solver.gpa=0.1: solver.gpa: unknown key; did you mean 'gap'?"
        in answer.stderr
    )


def test_a_gap_out_of_range_is_refused(data):
    answer = solve(data, "--gap", "2")
    assert answer.exit_code == 2
    assert "solver.gap = 2.0: must be a number between 0 and 1" in answer.stderr


def test_solve_writes_a_run(run):
    answer, out = run
    assert answer.exit_code == 3  # the gap is not what was asked
    assert names(out) == RUN | {f"{table}.csv" for table in SAVED}
    facts = strict_json((out / "run.json").read_text())  # nodes: those that ship
    assert facts["status"] == "gap_above_target"
    assert facts["scenarios"] == 8
    assert facts["options"]["scenarios"]["seed"] == 3
    assert facts["options"]["solver"]["gap"] == 1e-6
    assert facts["sizes"] == {
        "items": 3, "nodes": 2, "regions": 2, "speeds": 1, "periods": 3,
        "capacities": 7,
    }  # fmt: skip
    lines = [strict_json(m) for m in (out / "metrics.jsonl").read_text().splitlines()]
    assert {line["phase"] for line in lines} >= {"ascend", "bound", "repair"}
    assert lines[-1]["evaluations"] == facts["evaluations"]


def test_the_tables_of_a_run_say_the_same_in_csv(run):
    for table in TABLES:
        exact = pd.read_parquet(run[1] / f"{table}.parquet")
        text = pd.read_csv(run[1] / f"{table}.csv")
        assert list(text) == list(exact)
        assert len(text) == len(exact)
        assert len(text) or table in ("buys", "echelons")  # nobody is known to sell


def test_json_is_all_that_goes_to_stdout(run):
    answer, out = run
    assert answer.stdout == (out / "run.json").read_text()
    assert strict_json(answer.stdout)["status"]


def test_the_log_is_what_was_shown(run):
    answer, out = run
    assert (out / "log.txt").read_text() == answer.stderr
    assert "check    0 errors, 0 warnings" in answer.stderr
    assert max(map(len, answer.stderr.replace(str(out), "").splitlines())) <= 92


def test_a_run_loads(run):
    assert len(meio_jax.load(run[1]).targets) == 18


def test_a_run_within_its_gap_exits_with_0_into_a_folder_of_its_own(
    data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    answers = [solve("data", "--gap", "0.9") for _ in range(2)]
    assert [answer.exit_code for answer in answers] == [0, 0]
    assert [answer.stdout for answer in answers] == ["", ""]
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for folder in runs:
        assert "-data" in folder.name
        assert names(folder) == RUN
        status = strict_json((folder / "run.json").read_text())["status"]
        assert status == "optimal_within_gap"
    assert (runs[0] / "targets.parquet").read_bytes() == (
        runs[1] / "targets.parquet"
    ).read_bytes()


def test_a_folder_with_files_is_refused_before_any_work(data, tmp_path, monkeypatch):
    late = lambda *_: pytest.fail("it solved first")
    monkeypatch.setattr("meio_jax.planner.solve_problem", late)
    out = write(tmp_path / "out", {"mine.txt": "mine"})
    answer = solve(data, "--out", out)
    assert "is there already; choose a new folder" in answer.stderr
    assert names(out) == {"mine.txt"}
    assert (out / "mine.txt").read_text() == "mine"
    assert names(tmp_path) == {"data", "out"}
    assert answer.exit_code == 2


@pytest.mark.parametrize("full_at", [*TABLES, "run.json", "metrics.jsonl", "log.txt"])
def test_a_full_disk_gives_one_message_and_leaves_nothing(
    full_at, data, tmp_path, monkeypatch
):
    table, text = tables_out.write_table, Path.write_text

    def check(path):
        if path.name == full_at:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def write_table(frame, path, *, csv):
        check(path)
        table(frame, path, csv=csv)

    def write_text(path, *args, **kwargs):
        check(path)
        return text(path, *args, **kwargs)

    monkeypatch.setattr(tables_out, "write_table", write_table)
    monkeypatch.setattr(Path, "write_text", write_text)
    answer = solve(data, "--out", tmp_path / "out")
    assert answer.exit_code == 2
    assert "out: cannot be written: No space left on device" in answer.stderr
    assert answer.stderr.count("No space left on device") == 1
    assert names(tmp_path) == {"data", ".data-checkpoint.npz"}  # prices can be resumed


@pytest.mark.parametrize("at", [1, 2], ids=["first step", "second step"])
def test_ctrl_c_during_the_ascent_leaves_a_usable_plan(at, data, tmp_path, monkeypatch):
    step, calls = Newton.step, []

    def interrupted(self, dual, state):
        calls.append(state)
        if len(calls) == at:
            raise KeyboardInterrupt
        return step(self, dual, state)

    monkeypatch.setattr(Newton, "step", interrupted)
    answer = solve(data, "--out", tmp_path / "out", *EXACT)
    assert len(calls) == at  # and nothing climbs on after it
    assert answer.exit_code == 3
    plan = meio_jax.load(tmp_path / "out")
    assert plan.status == "stopped"
    assert plan.bound <= plan.cost
    assert (plan.prices["utilization"] <= 1 + 1e-9).all()
    assert (plan.targets["order_up_to"] % 1 == 0).all()
    assert "stopped  gap" in answer.stderr


def test_ctrl_c_before_any_price_leaves_nothing(data, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("meio_jax.dual.prices.Dual.at", interrupted)
    answer = solve(data, "--out", tmp_path / "out")
    assert names(tmp_path) == {"data"}
    assert answer.exit_code != 0
    assert "Traceback" not in answer.output


def test_the_demo_is_written_and_checked(tmp_path):
    folder = tmp_path / "new" / "mine"
    answer = meio("demo", "--write", folder)
    assert answer.exit_code == 0
    assert f"meio check {folder}" in answer.stderr
    assert names(tmp_path / "new") == {"mine"}
    assert {"meio.toml", "items.csv", "history.parquet"} <= names(folder)
    checked = meio("check", folder)
    assert checked.exit_code == 0, checked.output
    assert "300 items, 40 nodes" in checked.stdout


def test_the_demo_is_not_written_among_files(tmp_path):
    write(tmp_path / "mine", {"a.txt": "a"})
    answer = meio("demo", "--write", tmp_path / "mine")
    assert "has files in it; choose a new folder" in answer.stderr
    assert names(tmp_path) == {"mine"}
    assert names(tmp_path / "mine") == {"a.txt"}
    assert answer.exit_code == 2


def test_the_demo_is_written_into_the_empty_folder_that_one_is_in(
    tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert meio("demo", "--write", ".").exit_code == 0
    assert meio("check", tmp_path / "here").exit_code == 0


def test_the_demo_is_not_written_over_a_file(tmp_path):
    (tmp_path / "mine").write_text("mine")
    answer = meio("demo", "--write", tmp_path / "mine")
    assert answer.exit_code == 2
    assert (tmp_path / "mine").read_text() == "mine"
    assert names(tmp_path) == {"mine"}


def test_out_is_not_written_over_a_file(data, tmp_path):
    (tmp_path / "out").write_text("mine")
    answer = solve(data, "--out", tmp_path / "out")
    assert answer.exit_code == 2
    assert (tmp_path / "out").read_text() == "mine"

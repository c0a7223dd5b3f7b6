"""Simulations as users ask for them: from tables, plans and run folders."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose
from tiny_folder import FAST, edited, tiny, write

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.config import Config, with_overrides
from meio_jax.outcome import TABLES

SETS = (*FAST, "problem.horizon=3")
PATHS = 12


def options(*more) -> Config:
    return with_overrides(Config(), [*SETS, *more])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables, a plan of them, its run folder and its outcome."""
    root = tmp_path_factory.mktemp("simulate")
    folder = write(root / "data")
    plan = meio.solve(folder, config=options())
    run = plan.save(root / "run")
    tables = meio.read(folder)
    outcome = meio.simulate(tables, [plan, meio.policies.base_stock()], paths=PATHS)
    return tables, plan, run, outcome


def test_the_outcome_says_what_every_policy_does(made):
    *_, outcome = made
    assert outcome.policies == ("plan", "base_stock_lost")
    assert outcome.facts["paths"] == PATHS
    table = outcome.kpis.set_index(["policy", "metric"])
    cost = table.xs("cost per period", level=1)["value"]
    parts = [m for _, m in table.index if m.endswith(" cost per period")]
    total = table.loc["plan"].loc[list(dict.fromkeys(parts)), "value"].sum()
    assert_allclose(total, cost["plan"])
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["high"] >= table["value"] - 1e-12).all()
    mine = table.loc["plan"]
    assert mine["difference"].isna().all()
    other = table.loc["base_stock_lost"]
    assert_allclose(other["difference"], other["value"] - mine["value"], atol=1e-9)
    assert other["p"].dropna().between(0, 1).all()
    fill = table.xs("fill rate", level=1)["value"]
    assert fill.between(0, 1).all()
    use = outcome.use
    assert set(use["resource"]) == {"storage", "outbound"}
    outbound = use[use["resource"] == "outbound"]
    assert (outbound["share_above"] == 0).all()  # a limit that binds on every path
    nation = outcome.service[outcome.service["region"] == "all"]
    assert len(nation) == 2
    assert_allclose(nation["demand"].unique(), nation["demand"].iloc[0])


def test_differences_to_another_policy_change_their_sign(made):
    *_, outcome = made
    there = outcome.compare("base_stock_lost").set_index(["policy", "metric"])
    here = outcome.kpis.set_index(["policy", "metric"])
    for end, other in (("", ""), ("_low", "_high"), ("_high", "_low")):
        assert_allclose(
            there.loc["plan"]["difference" + end],
            -here.loc["base_stock_lost"]["difference" + other], atol=1e-9,
        )  # fmt: skip
    with pytest.raises(meio.InputError, match="no policy 'best' was simulated"):
        outcome.compare("best")


def test_the_same_seed_gives_the_same_paths_to_plans_and_run_folders(made):
    tables, plan, run, outcome = made
    again = meio.simulate(tables, [run, "base_stock"], paths=PATHS)
    pd.testing.assert_frame_equal(again.by_path, outcome.by_path)
    other = meio.simulate(tables, [plan], paths=PATHS, seed=9)
    mine = outcome.by_path[outcome.by_path["policy"] == "plan"]
    assert (other.by_path["value"].to_numpy() != mine["value"].to_numpy()).any()


def test_an_outcome_is_saved_whole_or_not_at_all(made, tmp_path):
    *_, outcome = made
    folder = outcome.save(tmp_path / "out", csv=True)
    for name in TABLES:
        saved = pd.read_parquet(folder / f"{name}.parquet")
        pd.testing.assert_frame_equal(saved, getattr(outcome, name))
        assert (folder / f"{name}.csv").is_file()
    assert json.loads((folder / "simulation.json").read_text()) == outcome.facts
    with pytest.raises(meio.InputError, match="is there already"):
        outcome.save(folder)


def nan_policy(name, value):
    """A baseline with one target that is no number of units."""

    class Wrong:
        def decide(self, problem, sample):
            found = meio.policies.base_stock().decide(problem, sample)
            targets = tuple(t.copy() for t in found.targets)
            targets[0][0, 0, 0] = value
            return found._replace(name=name, targets=targets)

    return Wrong()


def test_orders_that_are_no_numbers_are_refused(made):
    tables, *_ = made
    text = "policy 'odd' orders something negative or not a number"
    with pytest.raises(meio.InputError, match=text):
        meio.simulate(tables, [nan_policy("odd", np.nan)], paths=4, config=options())


def test_targets_of_other_periods_are_refused(made):
    tables, *_ = made

    class Short:
        def decide(self, problem, sample):
            found = meio.policies.base_stock().decide(problem, sample)
            return found._replace(targets=tuple(y[:, :2] for y in found.targets))

    text = r"(?s)'base_stock_lost' has targets of shape \[\(3, 2, 2\)\].*\(3, 3, 2\)"
    with pytest.raises(meio.InputError, match=text):
        meio.simulate(tables, [Short()], paths=4, config=options())


def test_replayed_weeks_are_as_many_as_are_planned(tmp_path):
    days = [f"2025-12-{day:02d}" for day in (1, 8, 15, 22, 29)]
    rows = [f"{i},{r},{d},9" for i in "ABC" for r in ("North", "South") for d in days]
    files = tiny() | {"history.csv": "\n".join(["item,region,period,quantity", *rows])}
    del files["demand.csv"]
    tables = meio.read(write(tmp_path / "data", files))
    ask = partial(meio.simulate, tables, ["base_stock"], paths=4, config=options())
    with pytest.raises(meio.InputError, match="are 2 periods, the plan has 3"):
        ask(weeks=(days[0], days[1]))
    with pytest.raises(meio.InputError, match="'2026-02-02' is not in the history"):
        ask(weeks=(days[0], "2026-02-02"))
    outcome = ask(weeks=(days[2], days[4]))
    assert outcome.facts["weeks"] == [days[2], days[4]]


@pytest.mark.parametrize(
    ("policies", "more", "text"),
    [
        (["base_stok"], {}, "'base_stok' is neither a run folder nor a policy; did"),
        ([], {}, "nothing to simulate"),
        (["base_stock"], {"weeks": ("a", "b")}, "weeks are those of a history"),
    ],
)
def test_bad_requests_get_one_clear_error(made, policies, more, text):
    tables, *_ = made
    with pytest.raises(meio.InputError, match=text):
        meio.simulate(tables, policies, paths=4, config=options(), **more)


def test_a_plan_of_other_tables_is_refused(made, tmp_path):
    _, plan, *_ = made
    other = meio.read(
        write(tmp_path / "other", edited("items.csv", "unit_cost", "6", 2))
    )
    with pytest.raises(meio.InputError, match="was made from other tables"):
        meio.simulate(other, [plan], paths=4)
    facts = {k: v for k, v in plan.facts.items() if k != "input_digest"}
    strange = plan.targets.replace({"item": {"A": "Z"}})
    with pytest.raises(meio.InputError, match="item 'Z', the tables have not"):
        meio.simulate(
            other, [replace(plan, targets=strange, facts=facts)], paths=4,
        )  # fmt: skip
    with pytest.raises(meio.InputError, match="no target for item"):
        meio.simulate(
            other, [replace(plan, targets=plan.targets.iloc[1:], facts=facts)], paths=4
        )


def meio_command(*words):
    answer = CliRunner().invoke(main, [str(word) for word in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def test_the_command_prints_policies_side_by_side(made, tmp_path):
    *_, run, outcome = made
    words = "--policy", "base_stock", "--paths", PATHS, "--out", tmp_path / "out"
    answer = meio_command("simulate", run, *words)
    assert answer.exit_code == 0, answer.output
    assert f"simulated on {PATHS} fresh paths" in answer.stderr
    cost = outcome.kpis.set_index(["metric", "policy"])["value"]["cost per period"]
    lines = answer.stderr.splitlines()
    assert all(len(line) <= 92 for line in lines[:-1])
    row = next(x for x in lines if "cost a week" in x)
    assert f"{cost['plan']:,.0f} " in row
    kpis = pd.read_parquet(tmp_path / "out" / "kpis.parquet")
    pd.testing.assert_frame_equal(kpis, outcome.kpis)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--weeks", "1"], "write FIRST:LAST"),
        (["--policy", "nothing"], "'nothing' is neither a run folder nor a policy"),
        (["--tables", "nowhere"], "the tables are no longer there; give --tables DIR"),
        (["--out", "RUN"], "is there already; choose a new folder with --out"),
        (["--paths", "0"], "Invalid value for '--paths'"),
    ],
)
def test_bad_commands_leave_nothing(made, words, text, tmp_path):
    *_, run, _ = made
    out = tmp_path / "out"
    words = [str(run) if word == "RUN" else word for word in words]
    words = words if "--out" in words else [*words, "--out", str(out)]
    answer = meio_command("simulate", run, *words)
    assert answer.exit_code == 2
    assert text in answer.output
    assert not out.exists()


def test_solving_simulates_into_the_run_folder(tmp_path):
    folder, out = write(tmp_path / "data"), tmp_path / "run"
    sets = [w for c in (*FAST, "simulate.paths=4") for w in ("--set", c)]
    answer = meio_command("solve", folder, *sets, "--gap", "0.5", "--out", out)
    assert answer.exit_code == 0, answer.output
    assert "simulated on 4 fresh paths" in (out / "log.txt").read_text()
    assert meio.load(out).facts["options"]["simulate"]["paths"] == 4
    names = {path.name for path in (out / "simulation").iterdir()}
    assert names == {*(f"{name}.parquet" for name in TABLES), "simulation.json"}


def test_nobody_pays_less_than_hindsight(made):
    _, _, _, outcome = made
    cost = outcome.by_path[outcome.by_path["metric"] == "cost per period"]
    assert 0 < outcome.facts["hindsight"] < cost.groupby("policy")["value"].mean().min()


def test_the_law_of_scenarios_bounds_the_plan(made, tmp_path):
    *_, run, _ = made
    out = tmp_path / "certified"
    words = ["simulate", str(run), "--certify", "--paths", "4", "--out", str(out)]
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 0, answer.output
    law = json.loads((out / "simulation.json").read_text())["certificate"]
    assert law["batches"] == 10
    assert law["paths"] >= 2000
    assert 0 < law["bound"] - law["bound_error"] < law["cost"] + law["cost_error"]
    # the plan keeps to capacities only in its own scenarios: what it uses more is paid
    assert law["bound"] - law["bound_error"] < law["cost"] - law["slack"]
    least = law["bound"] - law["bound_error"]
    assert f"no plan of the law of scenarios is below {least:,.0f}" in answer.output


def test_a_bound_needs_a_plan(made):
    tables, *_ = made
    with pytest.raises(meio.InputError, match="needs the prices of a plan"):
        meio.simulate(tables, ["base_stock"], paths=2, certify=True, config=options())

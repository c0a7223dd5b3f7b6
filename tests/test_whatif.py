"""Questions to a plan: the free answer against plans that are solved again."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose
from tiny_folder import TINY, WEEKS, added, edited, options, tiny, write

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.tables import normalise
from meio_jax.tables.change import with_capacities, with_changes
from meio_jax.tables.hashing import digest

NODES = TINY["nodes.csv"]
EAST, WEST, OUT = ("EAST", "storage"), ("WEST", "storage"), ("EAST", "outbound")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tiny folder, its plan and its run folder."""
    root = tmp_path_factory.mktemp("whatif")
    folder = write(root / "data")
    plan = meio.solve(folder, config=options())
    return folder, plan, plan.save(root / "run")


def random_changes(seed):
    """Factors and absolute values of one to three limits, more or less room."""
    rng = np.random.default_rng(seed)
    keys = [EAST, WEST, OUT, (*EAST, WEEKS[1]), (*WEST, WEEKS[2])]
    first = rng.choice(3, size=rng.integers(1, 4), replace=False)
    chosen = [keys[k] for k in first] if seed % 2 else [keys[3 + seed % 4 // 2]]
    way = 1 if seed % 4 < 2 else -1
    return {key: 1 + way * rng.uniform(0.1, 0.45) for key in chosen}


def solved(made, capacity):
    """The free answer, and the plan of the changed problem."""
    _, plan, _ = made
    asked = meio.what_if(plan, capacity, solve=True)
    assert asked.plan.status != "over_capacity"
    return asked, asked.plan


@pytest.mark.parametrize("seed", range(8))
def test_the_free_answer_bounds_what_solving_again_finds(made, seed):
    _, plan, _ = made
    asked, new = solved(made, random_changes(seed))
    within = 1e-9 * plan.cost
    assert asked.bound <= new.cost + within
    assert asked.saves_at_most >= plan.cost - new.cost - within
    assert asked.costs_at_least <= max(new.cost - plan.cost, 0) + within
    assert asked.holds(new.cost)


def test_room_that_binds_is_worth_something_both_ways(made):
    _, plan, _ = made
    more, wide = solved(made, {EAST: 1.2, WEST: 1.2})
    less, tight = solved(made, {EAST: 0.7, WEST: 0.7})
    assert 0 < plan.cost - wide.cost <= more.saves_at_most
    assert 0 < less.costs_at_least <= tight.cost - plan.cost
    assert more.costs_at_least == less.saves_at_most == 0
    assert more.estimate < 0 < less.estimate
    assert not less.holds(plan.cost)
    assert not more.holds(more.bound - 1)


def test_the_plan_of_a_what_if_is_simulated_with_its_changes(made):
    folder, _, _ = made
    _, tight = solved(made, {OUT: 0.3})
    rest = {k: v for k, v in tight.facts.items() if k != "what_if"}
    told = replace(tight, facts=rest)
    cut = with_changes(meio.read(folder), options(), tight.facts["what_if"])
    run = lambda tables, plan: meio.simulate(tables, [plan], paths=2, config=options())
    found, same = run(folder, tight), run(cut, told)
    pd.testing.assert_frame_equal(found.by_path, same.by_path)
    with pytest.raises(meio.InputError, match="other tables"):
        run(folder, told)


def test_regimes_of_load_count_as_often_as_they_come(tmp_path):
    row = edited("capacities.csv", "capacity", "20", 2)
    config = options("scenarios.regimes=2", "solver.gap=0.001")
    plan = meio.solve(write(tmp_path / "data", row), config=config)
    prices, place = plan.checkpoint.bound_prices, plan.checkpoint
    node, period = place.nodes.index("EAST"), place.periods.index(WEEKS[1])
    charged = prices[2:, node, period]
    assert charged.min() < charged.max()  # a price that both share would not tell
    asked = meio.what_if(plan, {OUT: "+3"}, solve=True)
    assert_allclose(asked.bound, plan.bound - (charged * 3 / 2).sum(), rtol=1e-12)
    assert asked.holds(asked.plan.cost)
    assert plan.cost - asked.plan.cost <= asked.saves_at_most


def test_one_cell_is_the_value_that_the_prices_table_gives(made):
    _, plan, _ = made
    for row in plan.prices.to_dict("records"):
        key = row["node"], row["resource"], row["period"]
        more, less = plan.what_if({key: "+10%"}), plan.what_if({key: "-10%"})
        assert_allclose(more.saves_at_most, row["value_plus_10pct"], rtol=1e-9)
        assert_allclose(less.costs_at_least, row["value_minus_10pct"], atol=1e-9)
    assert plan.prices["value_minus_10pct"].max() > 0


def test_changes_add_up(made):
    _, plan, _ = made
    parts = {EAST: 1.3, (*WEST, WEEKS[1]): "-20", (*WEST, WEEKS[2]): "=100"}
    whole = plan.what_if(parts)
    each = [plan.what_if({key: change}) for key, change in parts.items()]
    assert_allclose(whole.bound - plan.bound, sum(a.bound - plan.bound for a in each))
    assert_allclose(whole.estimate, sum(a.estimate for a in each))
    assert len(whole.changes) == sum(len(a.changes) for a in each) == 5
    assert_allclose(whole.changes["bound_change"].sum(), whole.bound - plan.bound)
    every = plan.what_if({("*", "storage"): "+7"})
    assert_allclose(every.bound, plan.what_if({EAST: "+7", WEST: "+7"}).bound)
    weeks = plan.what_if({(*EAST, week): "-7" for week in WEEKS})
    assert_allclose(weeks.bound, plan.what_if({EAST: "-7"}).bound)


@pytest.mark.parametrize("change", [1.1, "+10%", "*1.1", "=66", "+6", " +6.0 "])
def test_a_change_may_be_said_in_several_ways(made, change):
    _, plan, _ = made
    asked = plan.what_if({EAST: change})
    assert_allclose(asked.changes["new_capacity"], 66)
    assert_allclose(asked.changes["capacity"], 60)
    assert "free: saves at most" in repr(asked)


def test_without_a_bound_nothing_is_proven(made):
    _, plan, _ = made
    asked = replace(plan, bound=-math.inf).what_if({EAST: "-50%"})
    assert (asked.costs_at_least, asked.saves_at_most) == (0, math.inf)
    assert asked.estimate == plan.what_if({EAST: "-50%"}).estimate > 0


WRONG = [
    ({("EAT", "storage"): 1.1}, "no node 'EAT'; did you mean 'EAST'"),
    ({("EAST", "storge"): 1.1}, "no resource 'storge'; did you mean 'storage'"),
    ({(*EAST, "2026-01-13"): 1.1}, "no period '2026-01-13'; did you mean"),
    ({("WEST", "outbound"): 1.1}, "node 'WEST' has no limit of outbound"),
    ({(*OUT, WEEKS[0]): 1.1}, f"node 'EAST' has no limit of outbound in {WEEKS[0]}"),
    ({("*", "inbound"): 1.1}, "no node has a limit of inbound"),
    ({EAST: "10%"}, r"'10%' is not a change\n    Write \+10%"),
    ({EAST: "=10%"}, "'=10%' is not a change"),
    ({EAST: -1.0}, "-1.0 is not a change"),
    ({EAST: math.nan}, "nan is not a change"),
    ({EAST: True}, "True is not a change"),
    ({EAST: "=-5"}, "'=-5' is not a change"),
    ({EAST: "-61"}, "leaves -1 of 60: EAST storage in .* must be 0 or more"),
    ({EAST: "-101%"}, "leaves -0.6 of 60"),
    ({EAST: 1.1, ("*", "storage"): 1.1}, "EAST storage in .* is changed by another"),
    ({"EAST": 1.1}, "is not a node and a resource"),
    ({}, "no capacity is changed"),
]


@pytest.mark.parametrize(("capacity", "text"), WRONG)
def test_wrong_changes_get_one_clear_error(made, capacity, text):
    _, plan, _ = made
    with pytest.raises(meio.InputError, match=text):
        plan.what_if(capacity)


def test_runs_without_prices_of_their_bound_are_refused(made):
    _, plan, _ = made
    old = replace(plan, prices=plan.prices.drop(columns="bound_price"))
    with pytest.raises(meio.InputError, match="did not keep the prices of its bound"):
        meio.what_if(old, {EAST: 1.1})


def test_all_faults_of_a_question_are_told_at_once(made):
    _, plan, _ = made
    with pytest.raises(meio.InputError) as error:
        plan.what_if({("EST", "storge"): "10%", ("WEST", "outbound"): 1.1})
    assert len(error.value.faults) == 4
    assert {fault.code for fault in error.value.faults} == {"Q01"}
    assert "Known: EAST, WEST" in str(error.value)


def command(*words):
    answer = CliRunner().invoke(main, [str(word) for word in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def test_the_free_command_imports_no_jax_and_says_its_grade(made):
    _, plan, run = made
    words = ["whatif", str(run), "--capacity", "EAST:storage:+10%"]
    words += ["--capacity", "WEST:storage:-5", "--period", WEEKS[1]]
    code = (
        "import sys; from meio_jax.cli import main\n"
        f"main({words}, standalone_mode=False)\n"
        "sys.exit('jax was imported' if 'jax' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(len(line) <= 92 for line in lines)
    text = "free: arithmetic on the proven bound, no solving"
    assert any(line.startswith("grade") and text in line for line in lines)
    asked = plan.what_if({(*EAST, WEEKS[1]): "+10%", (*WEST, WEEKS[1]): "-5"})
    assert f"saves at most {asked.saves_at_most / 3:,.4g} USD a week" in done.stderr
    assert f"below {asked.bound / 3:,.4g} USD a week" in done.stderr
    assert f"estimate {asked.estimate / 3:+,.4g} USD a week" in lines[-1]
    assert lines[-1].endswith("an estimate, not proven")
    parts = asked.changes["bound_change"] / 3
    for part in parts:
        assert f"bound {part:+,.4g}, estimate" in done.stderr


def test_solving_again_leaves_a_run_that_others_go_on_from(made):
    _, plan, run = made
    change = "--capacity", "EAST:storage:-30%"
    answer = command("whatif", run, *change, "--solve")
    assert answer.exit_code == 0, answer.output
    folder = run.with_name("run-whatif")
    new = meio.load(folder)
    assert f"cost {new.cost / 3:,.4g} USD a week" in answer.stderr
    assert "free   held: the new plan costs" in answer.stderr
    rows = new.prices[new.prices["node"] == "EAST"].set_index(["resource", "period"])
    assert_allclose(rows.loc["storage", "capacity"], 42)
    assert rows.loc[("outbound", WEEKS[1]), "capacity"] == 50
    assert new.facts["evaluations_before"] == plan.checkpoint.evaluations > 0
    assert new.facts["input_digest"] != plan.facts["input_digest"]
    log = (folder / "log.txt").read_text()
    assert "costs at least" in log
    assert "solved again" in log
    facts = json.loads((folder / "run.json").read_text())
    assert [row["capacity"] for row in facts["what_if"]] == [42.0] * 3

    words = "--paths", "4", "--policy", "base_stock"
    answer = command("simulate", folder, *words)
    assert answer.exit_code == 0, answer.output
    answer = command("whatif", folder, "--capacity", "WEST:storage:=90", "--solve")
    assert answer.exit_code == 0, answer.output
    last = meio.load(run.with_name("run-whatif-whatif"))
    table = last.prices[last.prices["resource"] == "storage"]
    assert_allclose(table.groupby("node")["capacity"].mean(), [42, 90])


SMALL = {
    "demand": ["+5%", "-10%", "A:*1.2", "region=North:-15%"],
    "cost": [
        "ship_options.unit_cost:*1.2", "items.lost_sale_cost:-5%",
        "nodes.storage_cost:*4", "items.unit_cost:item=B:+2",
    ],
    "close": ["WEST"],
}  # fmt: skip
ONE_BY_ONE = [(kind, word) for kind, words in SMALL.items() for word in words]


def pick_changes(seed):
    """One change, or two of different kinds, and at times more or less room too."""
    rng = np.random.default_rng(seed)
    kinds = ["demand", "cost"] if seed >= len(ONE_BY_ONE) else []
    chosen = [(k, str(rng.choice(SMALL[k]))) for k in kinds] or [ONE_BY_ONE[seed]]
    room = {OUT: float(rng.uniform(0.7, 1.3))} if kinds else {}
    return {kind: [word] for kind, word in chosen}, room


@pytest.mark.parametrize("seed", range(len(ONE_BY_ONE) + 3))
def test_one_pass_bounds_and_foretells_what_solving_again_finds(made, seed):
    _, plan, _ = made
    changes, room = pick_changes(seed)
    asked = meio.what_if(plan, room, changes=changes, solve=True)
    new, rise = asked.plan, asked.plan.bound - plan.bound
    assert asked.bound <= new.bound + 1e-6 * abs(new.bound)  # other prices are better
    assert asked.bound <= new.cost
    assert asked.holds(new.cost)
    assert asked.saves_at_most >= plan.cost - new.cost - 1e-6
    assert_allclose(asked.bound - plan.bound, asked.estimate, atol=1e-4)
    assert asked.estimate <= rise + 1e-3  # prices that move can only add
    assert asked.estimate * rise > 0
    if "close" not in changes:  # which is no small change
        assert 0.75 < asked.estimate / rise < 1.35


def test_no_change_in_value_is_an_answer_of_nothing(made):
    _, plan, _ = made
    asked = meio.what_if(plan, changes={"cost": ["lanes.unit_cost:*1"]})
    assert asked.grade.startswith("one pass at the plan's prices")
    assert asked.estimate == 0
    assert_allclose(asked.bound, plan.bound, rtol=1e-6)


def test_the_quicker_kernel_bounds_too_and_foretells_the_same(made):
    _, plan, _ = made
    options_ = replace(
        options(), solver=replace(options().solver, certify=2)
    )  # not all items
    exact = meio.what_if(plan, changes={"demand": ["+5%"]})
    quick = meio.what_if(plan, changes={"demand": ["+5%"]}, config=options_)
    assert quick.bound <= exact.bound + 1e-6
    assert quick.bound > 0.9 * exact.bound
    assert_allclose(quick.estimate, exact.estimate, rtol=0.1)


def test_sensitivities_agree_with_solving_again(made):
    _, plan, _ = made
    table = plan.sensitivities()
    money = table.set_index("input")["money"]
    assert (table["money"].abs().diff().dropna() <= 0).all()  # ranked
    assert_allclose(table["share"], table["money"] * 3 / plan.cost)
    room = money["storage room"] + money["outbound room"]
    # Euler: twice the demand in twice the room costs twice as much at any prices
    assert_allclose(money["demand"] + room, 0.1 * plan.bound / 3, rtol=1e-6)
    bound = lambda **how: meio.what_if(plan, solve=True, **how).plan.bound
    again = {
        "storage room": (10, bound(capacity={("*", "storage"): "+1%"})),
        "shipping": (1, bound(changes={"cost": ["ship_options.unit_cost:+10%"]})),
        "penalty": (1, bound(changes={"cost": ["items.lost_sale_cost:+10%"]})),
    }
    for name, (times, value) in again.items():
        rise = times * (value - plan.bound) / 3
        assert money[name] <= rise + 1e-3  # prices that move can only add
        assert_allclose(money[name], rise, rtol=0.25, atol=0.1)
    assert money["demand spread"] > 0
    assert money["holding"] > 0
    assert money["lead-time spread"] == money["cut-off hour"] == 0  # there is none


def test_the_command_ranks_all_inputs(made):
    _, _, run = made
    answer = command("whatif", run, "--sensitivities")
    assert answer.exit_code == 0, answer.output
    assert "grade    one pass at the plan's prices" in answer.stderr
    lines = [x for x in answer.stderr.splitlines() if x.startswith("more ")]
    assert len(lines) == 10
    assert "demand" in lines[0]
    assert command("whatif", run, "--sensitivities", "--solve").exit_code == 2


def test_without_stock_a_price_of_the_first_receipts_proves_nothing(tmp_path):
    files = added("capacities.csv", f"WEST,inbound,{WEEKS[0]},5")
    plan = meio.solve(write(tmp_path / "data", files), config=options())
    inbound = plan.prices[plan.prices["resource"] == "inbound"]
    assert inbound["bound_price"].max() > 0
    asked = meio.what_if(plan, changes={"demand": ["+5%"]})
    assert asked.bound == -math.inf
    assert asked.estimate > 0


def test_the_one_pass_command_says_its_grade_and_others_go_on_from_it(made):
    run = made[2]
    change = "--demand", "+5%", "--close", "WEST", "--capacity", "EAST:storage:*2"
    answer = command("whatif", run, *change, "--solve", "--out", run / "../closed")
    assert answer.exit_code == 0, answer.output
    text = answer.stderr
    assert "change   demand.mean, 18 of 18 rows: mean 10 to 10.5" in text
    assert "grade    one pass at the plan's prices" in text
    assert "pass   held: the new plan costs" in text
    folder = (run / "../closed").resolve()
    new = meio.load(folder)
    west = new.targets[new.targets["node"] == "WEST"]
    assert not west["order_up_to"].any()
    assert [c.get("kind") for c in new.facts["what_if"][:2]] == ["demand", "close"]
    again = meio.what_if(new, changes={"cost": ["ship_options.unit_cost:+1"]})
    assert again.estimate > 0
    assert new.explain("A", "EAST")  # finds the tables that it was made from


def test_wrong_changes_of_tables_are_told_before_any_pass(made, tmp_path):
    _, _, run = made
    for words, text in (
        (["--demand", "D:+5%"], "no item 'D'"),
        (["--close", "EAST", "--capacity", "EAST:storage:+1"], "'EAST' is closed, and"),
        (["--cost", "items.unit_csot:+1"], "did you mean 'unit_cost'"),
        (["--close", "EAST", "--tables", str(tmp_path / "no")], "no longer there"),
    ):
        answer = command("whatif", run, *words)
        assert answer.exit_code == 2
        assert text in answer.output


FEET = [line.replace("storage_capacity", "storage_capacity_ft3") for line in NODES]
MANY = (
    "node,resource,period,capacity,overage_cost",
    f"EAST,outbound,{WEEKS[1]},50,",
    f"WEST,storage,{WEEKS[0]},33,0.25",
    "WEST,items,,2,",
)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"nodes.csv": FEET},
        {"capacities.csv": MANY},
    ],
    ids=["plain", "another unit", "dated, with overage and items"],
)
def test_tables_that_change_no_limit_keep_their_digest(files, tmp_path):
    texts = {name: "\n".join(lines) + "\n" for name, lines in files.items()}
    tables = meio.read(write(tmp_path, tiny() | texts))
    same = with_capacities(tables, options(), [])
    assert digest(normalise(same, options())) == digest(normalise(tables, options()))
    key = {"node": "EAST", "resource": "storage", "period": WEEKS[2]}
    other = with_capacities(tables, options(), [key | {"capacity": 7.0}])
    limits = normalise(other, options()).capacities
    changed = limits["capacity"] != normalise(tables, options()).capacities["capacity"]
    assert limits[changed].iloc[:, :4].to_numpy().tolist() == [[*key.values(), 7.0]]
    with pytest.raises(meio.InputError, match="DC has no limit of storage in"):
        with_capacities(tables, options(), [key | {"node": "DC", "capacity": 7.0}])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "nothing to ask: give --capacity"),
        (["--capacity", "EAST:+10%"], "is not a node, a resource and a change"),
        (["--capacity", "EAT:storage:+1"], "no node 'EAT'; did you mean 'EAST'?"),
        (["--capacity", "EAST:storage:+1", "--period", "x"], "no period 'x'"),
        (["--capacity", "EAST:storage:+1"] * 2, "EAST storage is changed twice"),
        (["--capacity", "EAST:storage:-99"], "must be 0 or more"),
        (["--capacity", "EAST:storage:+1", "--out", "x"], "go with --solve"),
        (["--capacity", "EAST:storage:+1", "--tables", "no", "--solve"], "give --tabl"),
        (["--capacity", "EAST:storage:+1", "--out", "RUN", "--solve"], "there already"),
        (["--capacity", "EAST:storage:+1", "--tables", "OTHER", "--solve"], "from oth"),
    ],
)
def test_bad_commands_leave_nothing(made, tmp_path, words, text):
    _, _, run = made
    other = write(tmp_path / "other", edited("items.csv", "unit_cost", "6", 2))
    named = {"RUN": str(run), "OTHER": str(other)}
    before = {path.name for path in run.parent.iterdir()}
    answer = command("whatif", run, *(named.get(word, word) for word in words))
    assert answer.exit_code == 2
    assert text in answer.output
    assert {path.name for path in run.parent.iterdir()} == before
    assert "solve    phase" not in answer.output


def test_fixed_targets_above_the_new_limit_are_found_before_solving(tmp_path):
    files = tiny() | {
        "fixed_targets.csv": "item,node,period,quantity\n" + f"A,EAST,{WEEKS[0]},40\n"
    }
    folder = write(tmp_path / "data", files)
    plan = meio.solve(folder, config=options())
    run = plan.save(tmp_path / "run")
    words = "--capacity", "EAST:storage:-50%", "--solve"
    answer = command("whatif", run, *words)
    assert answer.exit_code == 4
    assert "fixed_targets at EAST need 40" in answer.output

"""Options from TOML: strict, all faults at once, and back again."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meio_jax.config import (
    Config,
    Problem,
    Scenarios,
    Solver,
    Units,
    load,
    parse,
    to_toml,
    with_overrides,
)
from meio_jax.faults import InputError

TEXT = """\
# a comment
[problem]
horizon = 26

[solver]
gap = 0.01
smoothing = [
  0.5,
  0.25,
]
"""


def message(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text)
    return str(caught.value)


def test_options_are_read_and_the_rest_is_default():
    config = parse(TEXT)
    assert config.problem == Problem(horizon=26)
    assert config.solver == Solver(gap=0.01, smoothing=(0.5, 0.25))
    assert config.scenarios == Scenarios()
    assert config.given == {"problem.horizon", "solver.gap", "solver.smoothing"}


@pytest.mark.parametrize("text", ["", TEXT, '[problem]\nname = "a\\"b\\\\ \\u007f é"'])
def test_toml_out_reads_back(text):
    config = parse(text)
    assert parse(to_toml(config)) == config


def test_a_whole_number_will_do_for_a_float():
    limit = parse("[solver]\ntime_limit = 60").solver.time_limit
    assert isinstance(limit, float)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[solver]\nmax_evaluation = 3", "meio.toml:2: solver.max_evaluation: unknown "
         "key; did you mean 'max_evaluations'?\n    Known: method, gap"),
        ("[solver]\nfoo = 3", "meio.toml:2: solver.foo: unknown key\n"),
        ("solver.gpa = 3", "meio.toml:1: solver.gpa: unknown key; did you mean 'gap'?"),
        ("\n[slover]", "meio.toml:2: slover: unknown section; did you mean 'solver'?"),
        ("solver = 3", "meio.toml:1: solver: is a section"),
        ("[[solver]]\ngap = 1", "meio.toml:1: solver: is a section"),
        ("[solver]\ngap = 0", "meio.toml:2: solver.gap = 0: must be a number between"),
        ("[solver]\ngap = nan", "solver.gap = nan: must be a number between 0 and 1"),
        ('[solver]\ngap = "x"', 'solver.gap = "x": must be a number between 0 and 1'),
        ("[solver]\nsmoothing = [0.3, 1]", "solver.smoothing = [0.3, 1]: must be a list"
         " of positive numbers, each below the last"),
        ("[solver]\nsmoothing = []", "must be a list of positive numbers"),
        ("[solver]\natoms = 3", "solver.atoms = 3: must be a whole number, 4 or more"),
        ("[solver]\natoms = 8.5", "solver.atoms = 8.5: must be a whole number"),
        ("[solver]\nwhole_units = 1", "solver.whole_units = 1: must be true or false"),
        ("[solver]\nlevels = true", "solver.levels = true: must be a whole number"),
        ('[solver]\nmethod = "nwton"', "solver.method = \"nwton\": must be one of "
         "'newton', 'adam', 'sgd', 'lbfgs'; did you mean 'newton'?"),
        ("[problem]\nhorizon = 99999999", "must be a whole number, 1 or more and at "
         "most 10,000"),
        ("[problem]\nname = 3", "problem.name = 3: must be text, in quotes"),
        ('[problem]\ntables = ""', 'problem.tables = "": must not be empty'),
        ("[economics]\nlate_rate = -1", "economics.late_rate = -1: must be a number,"),
        ("[solver]\ngap = 1,5", "ERROR C04 meio.toml:2: not TOML: "),
        ("[solver]\ngap = 0.1\ngap = 0.2", "not TOML: Cannot overwrite a value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text, said):
    assert said in message(text)


def test_everything_is_said_at_once():
    text = message("[solver]\ngap = 2\natoms = 1\n[units]\nperiod = 'year'\n[x]\n")
    assert [f"meio.toml:{k}" in text for k in range(1, 7)] == [
        False, True, True, False, True, True]  # fmt: skip


def test_options_made_in_python_are_checked_too():
    with pytest.raises(InputError, match="gap = 5: must be a number between 0 and 1"):
        Solver(gap=5)


def test_overrides():
    sets = ["solver.gap=0.01", "solver.method=adam", "solver.smoothing=[2, 1]",
            "output.csv = true", 'problem.name="x=y"']  # fmt: skip
    config = with_overrides(Config(), sets)
    assert (config.solver.gap, config.solver.method) == (0.01, "adam")
    assert (config.solver.smoothing, config.output.csv) == ((2.0, 1.0), True)
    assert config.problem.name == "x=y"


def test_bad_overrides_are_said_at_once():
    with pytest.raises(InputError) as caught:
        with_overrides(
            Config(), ["gap=1", "solver.gpa=1", "solver.gap=x", "solver.gap"]
        )
    said = str(caught.value)
    assert "--set gap=1: not an option and a value" in said
    assert "--set solver.gpa=1: solver.gpa: unknown key; did you mean 'gap'?" in said
    assert '--set solver.gap=x: solver.gap = "x": must be a number between' in said
    assert "--set solver.gap: not an option and a value" in said


def test_what_the_user_set_is_known():
    assert not Config().is_set("problem.horizon")
    assert parse("[problem]\nhorizon = 13").is_set("problem.horizon")
    assert Config(problem=Problem(horizon=5)).is_set("problem.horizon")
    assert with_overrides(Config(), ["problem.horizon=13"]).is_set("problem.horizon")


def test_tables_lie_beside_the_file(tmp_path):
    path = tmp_path / "meio.toml"
    path.write_text('[problem]\ntables = "data"\n')
    assert load(path).tables_folder == tmp_path / "data"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.toml: No such file"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "x.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match=r"x\.toml: not UTF-8 text"):
        load(tmp_path / "x.toml")


LINE = st.sampled_from(["[solver]", "[units]", "gap = 0.1", 'period = "day"', "= 3",
                        "gap = 1e999", "levels = 99999999999999999999", "[[units]]",
                        "levels = 2026-01-01", "solver = {gap = 1}", "[solver.gap]"
                        ])  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.one_of(LINE, st.text(max_size=12)), max_size=6))
def test_any_text_is_read_or_refused(lines):
    try:
        config = parse("\n".join(lines))
    except InputError as error:
        said = str(error)
    else:
        said = "meio.toml" if parse(to_toml(config)) == config else ""
    assert "meio.toml" in said


def test_units_of_time_are_words():
    with pytest.raises(InputError, match=r'config\.Units: period = "year"'):
        Units(period="year")


def test_options_need_neither_pandas_nor_jax():
    code = "import sys, meio_jax.config; print({'jax', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr

"""How faults print, and what they can be asked."""

import pickle

import pytest

from meio_jax.faults import Fault, Faults, InputError

EMPTY = [
    Fault("error", "E09", f"demand.csv:{row}", "mean is empty", "5 such rows. Write 0")
    for row in range(2, 7)
]
ZERO = Fault("warning", "W11", "nodes.csv:5", "storage_capacity = 0", "Leave it out")
LOOP = Fault("error", "E30", "lanes.csv:4", "lane from 'A' to itself", "Delete the row")
CLASH = Fault("error", "I26", "fixed_targets.csv:2", "fixed_targets at FC02", "Relax")


def test_prints_where_and_what_then_what_to_do():
    assert str(Faults([LOOP])) == (
        "ERROR E30 lanes.csv:4: lane from 'A' to itself\n    Delete the row"
    )


def test_errors_come_first():
    lines = str(Faults([ZERO, LOOP])).splitlines()
    assert lines[0].startswith("ERROR E30")
    assert lines[2].startswith("WARNING W11")


def test_three_of_a_kind_and_a_count():
    assert str(Faults(EMPTY)).splitlines() == [
        "ERROR E09 demand.csv:2: mean is empty",
        "ERROR E09 demand.csv:3: mean is empty",
        "ERROR E09 demand.csv:4: mean is empty",
        "    5 such rows. Write 0",
        "    and 2 more of this kind",
    ]


def test_columns_are_kinds_of_their_own():
    kinds = ("demand.mean", "demand.std")
    faults = Faults(
        Fault("error", "E09", f"demand.csv:{k}", f"{kind} is empty", kind=kind)
        for kind in kinds
        for k in range(3)
    )
    assert "more" not in str(faults)


def test_unlisted_faults_are_counted():
    faults = Faults([Fault("error", "E09", "x.csv:2", "y", more=9), ZERO])
    assert faults.total == 11
    assert "and 9 more of this kind" in str(faults)


def test_is_a_sequence():
    faults = Faults([ZERO]) + Faults([LOOP])
    assert (len(faults), faults[1], list(faults[:1])) == (2, LOOP, [ZERO])
    assert faults.errors == Faults([LOOP])
    assert faults.warnings == Faults([ZERO])
    assert not Faults()
    assert repr(Faults()) == "no faults"


@pytest.mark.parametrize(
    ("faults", "answer"),
    [([CLASH], True), ([CLASH, ZERO], True), ([CLASH, LOOP], False), ([ZERO], False)],
)
def test_infeasible_means_that_nothing_else_is_wrong(faults, answer):
    assert Faults(faults).infeasible is answer


def test_infeasible_prints_as_such():
    assert str(CLASH) == "INFEASIBLE: fixed_targets at FC02\n    Relax"


def test_to_frame():
    frame = Faults([ZERO, LOOP]).to_frame()
    assert list(frame.columns) == ["severity", "code", "place", "text", "hint", "more"]
    assert frame["code"].tolist() == ["W11", "E30"]


def test_input_error_carries_the_faults_through_a_pickle():
    error = pickle.loads(pickle.dumps(InputError([LOOP])))
    assert error.faults == Faults([LOOP])
    assert str(error) == str(Faults([LOOP]))
    assert isinstance(error, ValueError)

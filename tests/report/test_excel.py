"""Exceptions as a table of a run folder, and as a workbook."""

import re
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.report import Run, excel
from meio_jax.report.excel import COLUMNS, write_excel
from meio_jax.report.exceptions import all_exceptions

CELL = re.compile(
    r'<c r="([A-Z]+)(\d+)"[^>]*>(?:<is><t[^>]*>(.*?)</t></is>|<v>(.*?)</v>)'
)


def cells(path) -> dict[tuple[str, int], str]:
    """Texts and numbers of the first sheet by column and row."""
    with zipfile.ZipFile(path) as book:
        text = book.read("xl/worksheets/sheet1.xml").decode()
    return {(c, int(r)): word or number for c, r, word, number in CELL.findall(text)}


@pytest.fixture
def short(made):
    """The run with a node that is over, and items that are short and in excess."""
    prices, targets = made.plan.prices.copy(), made.plan.targets.copy()
    prices.loc[0, ["use", "utilization", "price"]] = (
        prices.loc[0, "capacity"] + 5,
        1.5,
        2,
    )
    targets.loc[0, ["shortage_cost", "expected_fill_rate"]] = 70.0, 0.25
    targets.loc[1, ["days_of_supply", "holding_cost"]] = 9e3, 40.0
    targets["previous"] = targets["order_up_to"] + 1  # too little to tell
    targets.loc[3, ["order_up_to", "previous", "safety_stock"]] = 30.0, 40.0, 5.0
    targets.loc[3, "holding_cost"] = 2.0
    return Run("run", replace(made.plan, prices=prices, targets=targets), made.outcome)


def test_the_run_folder_holds_every_exception(made, short, tmp_path):
    saved = short.plan.save(tmp_path / "run", csv=True)
    table = pd.read_parquet(saved / "exceptions.parquet")
    assert tuple(table) == COLUMNS
    found = all_exceptions(replace(short, outcome=None))
    assert len(table) == len(found) >= 3
    assert {"short", "excess", "over_capacity"} <= set(table["kind"])
    assert table["money"].tolist() == sorted(table["money"], reverse=True)
    row = table[table["kind"] == "over_capacity"].iloc[0]
    assert (row["quantity"], row["money"], row["item"]) == (5, 10, "")
    (moved,) = table[table["kind"] == "moved"].to_dict("records")
    assert (moved["quantity"], moved["money"]) == (-10, 4)
    assert moved["sentence"].endswith("its target moved from 40 to 30.")
    assert table["sentence"].tolist() == found["sentence"].tolist()
    assert len(pd.read_csv(saved / "exceptions.csv")) == len(table)
    assert tuple(pd.read_parquet(made.home / "exceptions.parquet")) == COLUMNS
    again = meio.load(saved)
    pd.testing.assert_frame_equal(again.exceptions, table, check_dtype=False)


def test_a_workbook_holds_what_the_table_holds(short, tmp_path, monkeypatch):
    book = write_excel(short, tmp_path / "a.xlsx")
    table, shown = excel.exceptions_table(short), cells(book)
    assert [shown["ABCDEFGH"[k], 1] for k in range(5)] == list(COLUMNS[:5])
    assert shown["G", 1] == "USD a week"
    for row, (kind, money, sentence) in enumerate(
        zip(table["kind"], table["money"], table["sentence"], strict=True), start=2
    ):
        assert shown["A", row] == kind
        assert float(shown["G", row]) == pytest.approx(money)
        assert shown["H", row] == sentence
    same = write_excel(short, tmp_path / "b.xlsx")
    assert book.read_bytes() == same.read_bytes()
    monkeypatch.setattr(excel, "ROWS", 2)
    few = cells(write_excel(short, tmp_path / "c.xlsx"))
    assert few["H", 4] == f"{len(table) - 2} more are in exceptions.parquet"


def test_a_name_that_looks_like_a_formula_stays_a_text(short, tmp_path):
    targets = short.plan.targets.copy()
    targets.loc[0, "item"] = "=1+1"
    run = replace(short, plan=replace(short.plan, targets=targets))
    shown = cells(write_excel(run, tmp_path / "a.xlsx"))
    assert "=1+1" in shown.values()
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        assert "<f>" not in book.read("xl/worksheets/sheet1.xml").decode()


def test_the_command_writes_the_workbook_alone(made, tmp_path):
    words = ["report", str(made.home), "--excel", str(tmp_path / "a.xlsx")]
    answer = CliRunner().invoke(main, words)
    assert (answer.exit_code, answer.stderr) == (0, f"written  {tmp_path / 'a.xlsx'}\n")
    wrong = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "a.csv")])
    assert wrong.exit_code == 2
    assert "'.csv' is not a workbook" in wrong.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.xlsx"]


def test_without_the_package_one_line_says_what_to_install(
    short, tmp_path, monkeypatch
):
    monkeypatch.setattr(excel, "find_spec", lambda name: None)
    with pytest.raises(meio.InputError, match="needs xlsxwriter, not installed here"):
        write_excel(short, tmp_path / "a.xlsx")
    monkeypatch.undo()
    with pytest.raises(meio.InputError, match="cannot be written"):
        write_excel(short, tmp_path / "none" / "a.xlsx")

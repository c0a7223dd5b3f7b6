"""Exceptions as a table of a run, and as a workbook for those who work in Excel."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from meio_jax.faults import Fault, Faults, InputError
from meio_jax.report.exceptions import all_exceptions
from meio_jax.report.parts import ADVICE
from meio_jax.report.run import Frame, Run
from meio_jax.report.whole import replacing

COLUMNS = (
    "kind", "item", "node", "region", "period", "quantity", "money", "sentence",
)  # fmt: skip
ROWS = 50_000  # in a workbook at most, the dearest; all are in the table
WIDTHS = {"kind": 16, "sentence": 90}
MADE = datetime(2000, 1, 1)  # the same run gives the same bytes


def exceptions_table(run: Run) -> Frame:
    """Every exception of a run, the dearest first.

    A row: kind (short, late, excess, moved, over_capacity, over_on_paths, data), item,
    node, region, period, quantity (a target, its move, units that are late, what is
    above a capacity, or warnings of a kind), money a
    period and the sentence that says it; texts are empty where they do not apply.

    Args:
      run: the run; those on simulated paths are found if it has a simulation.
    """
    found = all_exceptions(run).assign(region="")
    found["kind"] = found["kind"].str.replace(" ", "_")
    for name in ("quantity", "money"):
        found[name] = found[name].astype(float)
    for name in ("kind", "item", "node", "region", "period", "sentence"):
        found[name] = found[name].astype(str)
    return found[list(COLUMNS)].reset_index(drop=True)


def write_excel(run: Run, path: str | Path) -> Path:
    """Writes the exceptions of a run as a workbook, whole or not at all.

    Args:
      run: the run.
      path: of the file; one that is there is replaced.

    Raises:
      InputError: it is no .xlsx, cannot be written, or xlsxwriter is not installed.
    """
    path = Path(path).resolve()
    if path.suffix.lower() != ".xlsx":
        text = f"'{path.suffix}' is not a workbook that can be written"
        raise _refuse(str(path), text, "Give a file such as exceptions.xlsx")
    if find_spec("xlsxwriter") is None:
        raise _refuse("excel", "needs xlsxwriter, not installed here", ADVICE)
    with replacing(path, "P03") as held:
        _write(exceptions_table(run), run, held)
    return path


def _write(table: Frame, run: Run, path: Path) -> None:
    import xlsxwriter

    book: Any = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "strings_to_formulas": False,
                    "strings_to_urls": False, "nan_inf_to_errors": True}
    )  # fmt: skip
    book.set_properties({"created": MADE, "title": f"Exceptions of {run.name}"})
    sheet = book.add_worksheet("exceptions")
    bold = book.add_format({"bold": True, "bottom": 1})
    units, money = (book.add_format({"num_format": f}) for f in ("#,##0", "#,##0.00"))
    forms = {"quantity": units, "money": money}
    for column, name in enumerate(COLUMNS):
        sheet.set_column(column, column, WIDTHS.get(name, 14), forms.get(name))
    titles: list[str] = [*COLUMNS]
    titles[COLUMNS.index("money")] = f"{run.currency} a {run.period}"
    sheet.write_row(0, 0, titles, bold)
    shown = table.head(ROWS)
    for row, cells in enumerate(shown.itertuples(index=False), start=1):
        sheet.write_row(row, 0, list(cells))
    if len(table) > len(shown):
        rest = f"{len(table) - len(shown):,} more are in exceptions.parquet"
        sheet.write(len(shown) + 1, COLUMNS.index("sentence"), rest)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(len(shown), 1), len(COLUMNS) - 1)
    book.close()


def _refuse(place: str, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "P03", place, text, hint)]))

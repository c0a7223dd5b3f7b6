"""One table: its headers understood, its cells converted, their faults noted."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from meio_jax.config import Units
from meio_jax.tables.bundle import Tables
from meio_jax.tables.cells import Coded, Numbers, coded, numbers, shown
from meio_jax.tables.journal import Journal, listed
from meio_jax.tables.schema import SCHEMA, Column, Table
from meio_jax.tables.units import Header, factor, read_header

HUGE = 1e15  # beyond this a number is a mistake, and sums lose whole units


@dataclass
class Sheet:
    """A table while it is examined.

    Attributes:
      table: its schema.
      tables: the bundle that it is from.
      raw: the frame as it was given.
      headers: place in `raw` of each known column, and what its header says.
      text: text and period columns; absent ones hold the default.
      number: number columns in our units; NaN where empty, bad or absent.
      blank: number columns' cells that are empty, and not just bad.
    """

    table: Table
    tables: Tables
    raw: pd.DataFrame
    headers: dict[str, tuple[int, Header]] = field(default_factory=dict)
    text: dict[str, Coded] = field(default_factory=dict)
    number: dict[str, np.ndarray] = field(default_factory=dict)
    blank: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def label(self) -> str:
        """Name of the table in messages."""
        return self.tables.label(self.name)

    def place(self, row: int) -> str:
        """Name of a row in messages."""
        return self.tables.place(self.name, int(row))

    def places(self, rows: np.ndarray, most: int = 3) -> str:
        """Names of a few rows in messages."""
        return listed([self.place(row) for row in rows[:most]], most) + (
            f" and {len(rows) - most:,} more" if len(rows) > most else ""
        )

    def has(self, column: str) -> bool:
        """Whether the user gave the column."""
        return column in self.headers

    def cell(self, column: str, row: int) -> str:
        """A cell as it was written."""
        return shown(self.raw.iat[int(row), self.headers[column][0]])

    def filled(self, column: str) -> np.ndarray:
        """A number column with its default in the place of NaN."""
        values, default = self.number[column], self.table.column(column).default
        return np.where(np.isnan(values), default, values)


def open_sheet(
    tables: Tables,
    name: str,
    units: Units,
    journal: Journal,
    needed: frozenset[str] = frozenset(),
    spared: frozenset[str] = frozenset(),
) -> Sheet:
    """A table with its columns found and converted.

    Args:
      tables: the bundle.
      name: of the table, which must be there.
      units: what numbers are converted to.
      journal: where faults are noted.
      needed: columns that must be there although the schema leaves them out.
      spared: columns that need not be there although the schema asks for them.
    """
    sheet = Sheet(SCHEMA[name], tables, getattr(tables, name))
    _find_columns(sheet, units, journal, needed, spared)
    for column in sheet.table.columns:
        if column.kind == "number":
            _convert_numbers(sheet, column, units, journal)
        else:
            _convert_text(sheet, column, journal)
    return sheet


def _find_columns(
    sheet: Sheet,
    units: Units,
    journal: Journal,
    needed: frozenset[str],
    spared: frozenset[str],
) -> None:
    columns, unknown = sheet.table.columns, []
    for place, title in enumerate(sheet.raw.columns):
        text = str(title).strip().removeprefix("\ufeff")
        header = read_header(text, columns)
        if header is None:
            unknown.append((place, text))
        elif header.column.name in sheet.headers:
            what = f"column '{header.column.name}' is there twice"
            journal.error("E15", sheet.label, what, "Drop or rename one of them")
        else:
            sheet.headers[header.column.name] = (place, header)
            _note_conversion(sheet, text, header, units, journal)
    missing = [c for c in columns if c.name not in sheet.headers]
    must = {c.name for c in missing if c.required} | needed
    must -= sheet.headers.keys() | spared
    for place, text in unknown:
        absent = [c for c in missing if c.name not in sheet.headers]
        wanted = [c.name for c in absent if c.name in must]
        others = [c.name for c in absent if c.name not in must]
        meant = _meant(text, wanted, 0.6, True) or _meant(text, others, 0.8, False)
        if meant:
            what = f"column '{meant}' is missing"
            hint = f"Column '{shown(text)}' is there and unknown: rename it?"
            kind = f"{sheet.name}.{meant}"
            journal.error("E04", sheet.label, what, hint, kind=kind)
            sheet.headers[meant] = (place, Header(sheet.table.column(meant)))
        elif text:
            hint = f"Known: {', '.join(c.name for c in columns)}"
            what = f"column '{shown(text)}' is unknown and ignored"
            journal.warning("W16", sheet.label, what, hint, kind=f"{sheet.name}.{text}")
    for name in sorted(must - sheet.headers.keys()):
        what = f"column '{name}' is missing"
        hint = f"Columns there: {listed([shown(c) for c in sheet.raw.columns], 12)}"
        journal.error("E04", sheet.label, what, hint, kind=f"{sheet.name}.{name}")


def _note_conversion(
    sheet: Sheet, text: str, header: Header, units: Units, journal: Journal
) -> None:
    column, scale = header.column, factor(header, units)
    if scale is None:
        ours = getattr(units, column.unit)
        hint = f"Set units.{column.unit} to the unit of this column, and rename it"
        what = f"column '{text}' cannot be converted to units.{column.unit} = '{ours}'"
        journal.error("E17", sheet.label, what, hint)
    elif header.unit and scale != 1 and column.unit != "time":
        ours = getattr(units, column.unit)
        what = (
            f"column '{text}' is read as '{column.name}' in {ours}: times {scale:.6g}"
        )
        hint = "Nothing to do where that is meant"
        kind = f"{sheet.name}.{column.name}"
        journal.warning("W17", sheet.label, what, hint, kind=kind)


def _meant(text: str, names: list[str], cutoff: float, loose: bool) -> str:
    """The column that an unknown header means, or ""."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not plain:
        return ""
    if plain in names:
        return plain
    tails = [name for name in names if name.split("_")[-1] == plain]
    if loose:
        words = set(plain.split("_"))
        tails += [name for name in names if words & {name, name.split("_")[-1]}]
    if len(set(tails)) == 1:
        return tails[0]
    near = difflib.get_close_matches(plain, names, n=1, cutoff=cutoff)
    return near[0] if near else ""


def _convert_text(sheet: Sheet, column: Column, journal: Journal) -> None:
    name, kind = column.name, f"{sheet.name}.{column.name}"
    if name not in sheet.headers:
        default = "" if column.kind == "period" or column.key else str(column.default)
        sheet.text[name] = Coded(np.zeros(len(sheet), np.int64), [default])
        return
    cells = coded(sheet.raw.iloc[:, sheet.headers[name][0]])
    if column.words:
        cells = cells.mapped([v.lower().replace("-", "_") for v in cells.values])
        wrong = [v != "" and v not in column.words for v in cells.values]
        rows = np.flatnonzero(np.array(wrong, bool)[cells.codes])
        journal.rows(
            "E14",
            kind,
            rows,
            sheet.place,
            lambda row: f"{name} = '{sheet.cell(name, row)}': not a known {name}",
            f"Known: {', '.join(column.words)}",
        )
    if column.required:
        _empty(sheet, column, cells.empty(), journal)
    elif column.default and isinstance(column.default, str):
        cells = cells.mapped([v or column.default for v in cells.values])
    sheet.text[name] = cells


def _convert_numbers(
    sheet: Sheet, column: Column, units: Units, journal: Journal
) -> None:
    name, kind = column.name, f"{sheet.name}.{column.name}"
    if name not in sheet.headers:
        sheet.number[name] = np.full(len(sheet), np.nan)
        sheet.blank[name] = np.ones(len(sheet), bool)
        return
    place, header = sheet.headers[name]
    cells: Numbers = numbers(sheet.raw.iloc[:, place])
    values, sheet.blank[name] = cells.values, cells.empty

    def note(code: str, wrong: np.ndarray, must: str, hint: str) -> None:
        journal.rows(
            code,
            kind,
            np.flatnonzero(wrong),
            sheet.place,
            lambda row: f"{name} = {_quoted(sheet.cell(name, row), code)}: {must}",
            hint,
        )

    note(
        "E08",
        cells.bad,
        "expected a number",
        "Remove units and thousands separators",
    )
    if column.required:
        _empty(sheet, column, cells.empty, journal)
    huge = np.abs(values) > HUGE
    low, high = column.low, column.high
    fraction = (column.rule == "whole") & (values % 1 != 0) & (values >= low)
    outside = (values < low) | (values > high) | (fraction & ~np.isnan(values))
    if column.rule == "share":
        outside = (values < 0) | (values > 1)
    elif column.rule == "hour":
        outside = (values < 0) | (values > 24)
    note("E11", huge, "too large to be true", "Is the unit right? Is it a placeholder?")
    wrong = outside & ~huge
    if column.rule == "share":
        note("E12", wrong, "a share lies between 0 and 1", "Write 0.4 for 40 %")
    elif column.rule == "hour":
        note("E13", wrong, "hour of day, 0 to 24", "15:30 is 15.5")
    elif column.rule == "whole":
        note("E14", wrong, f"must be a whole number, {low:g} or more", "Round it")
    elif np.isfinite(high):
        note("E11", wrong, f"must lie between {low:g} and {high:g}", "Degrees")
    else:
        note("E10", wrong, f"must be {low:g} or more", "")
    scale = factor(header, units)
    values = np.where(huge | outside | cells.bad, np.nan, values)
    sheet.number[name] = values if scale in (None, 1.0) else values * scale


def _empty(sheet: Sheet, column: Column, empty: np.ndarray, journal: Journal) -> None:
    journal.rows(
        "E09",
        f"{sheet.name}.{column.name}",
        np.flatnonzero(empty),
        sheet.place,
        lambda row: f"{column.name} is empty",
        "Fill it in, or delete the row" if column.key else sheet.table.absent,
    )


def _quoted(text: str, code: str) -> str:
    return f"'{text}'" if code == "E08" else text

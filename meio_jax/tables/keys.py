"""Keys: rows that are there twice, and names that no other table knows."""

from __future__ import annotations

import difflib

import numpy as np
import pandas as pd

from meio_jax.faults import Severity
from meio_jax.tables.cells import Coded, shown
from meio_jax.tables.journal import Journal, count, listed
from meio_jax.tables.sheet import Sheet

_FEW = 8  # a known set of so many is better listed than guessed from


def key_codes(sheet: Sheet, names: tuple[str, ...]) -> np.ndarray:
    """One integer a row, equal where the key is; -1 where a part of it is empty.

    Args:
      sheet: the table.
      names: of the columns; those of text or period.
    """
    combined, empty, size = (
        np.zeros(len(sheet), np.int64),
        np.zeros(len(sheet), bool),
        1,
    )
    for name in names:
        cells = sheet.text[name]
        if not sheet.table.column(name).blank:
            empty |= cells.empty()
        width = max(len(cells.values), 1)
        if size * width >= 2**62:
            combined = pd.factorize(combined)[0].astype(np.int64)
            size = int(combined.max(initial=0)) + 1
        combined, size = combined * width + cells.codes, size * width
    return np.where(empty, -1, combined)


def check_duplicates(sheet: Sheet, journal: Journal) -> None:
    """Notes keys that are there more than once."""
    names = sheet.table.keys
    if "hour" in names:  # a number as key, in a table of a few rows
        hours = sheet.number["hour"]
        codes = np.where(np.isnan(hours), -1, np.nan_to_num(hours) * 1e6)
        codes = codes.astype(np.int64)
    else:
        codes = key_codes(sheet, names)
    twice = pd.Series(codes).duplicated().to_numpy() & (codes >= 0)
    if not twice.any():
        return
    rows = np.flatnonzero(twice)
    names = tuple(name for name in names if sheet.has(name))

    def text(row: int) -> str:
        first = int(np.argmax(codes == codes[row]))
        cells = ", ".join(sheet.cell(name, row) for name in names)
        key = f"({', '.join(names)}) = ({cells})"
        return f"duplicate key {key}, first seen at {sheet.place(first)}"

    keys = len(np.unique(codes[rows]))
    hint = count(keys, "duplicated key(s)", "Drop one row, or sum the quantities")
    journal.rows(
        "E07",
        sheet.name,
        rows,
        sheet.place,
        text,
        lambda row: hint,
    )


def check_known(
    sheet: Sheet,
    column: str,
    known: list[str],
    where: str,
    journal: Journal,
    severity: Severity = "error",
) -> None:
    """Notes names that are not known.

    Args:
      sheet: the table that uses the names.
      column: that holds them.
      known: the names that there are.
      where: the file that lists them.
      journal: where faults are noted.
      severity: of the faults.
    """
    cells: Coded = sheet.text[column]
    listed_there = set(known)
    strange = np.array([v != "" and v not in listed_there for v in cells.values], bool)
    strange = strange[cells.codes] if len(strange) else np.zeros(len(sheet), bool)
    if not strange.any():
        return
    rows = np.flatnonzero(strange)
    _, first = np.unique(cells.codes[rows], return_index=True)
    journal.rows(
        "E20" if severity == "error" else "W21",
        f"{sheet.name}.{column}",
        rows[np.sort(first)],
        sheet.place,
        lambda row: f"{column} '{shown(cells[row])}' is not in {where}",
        lambda row: _suggest(
            cells[row], known, int(np.sum(cells.codes == cells.codes[row]))
        ),
        total=len(rows),
        severity=severity,
    )


def _suggest(name: str, known: list[str], rows: int) -> str:
    often = f" ({rows:,} such rows)" if rows > 1 else ""
    if len(known) <= _FEW:
        return f"Known: {', '.join(map(shown, known))}{often}"
    near = difflib.get_close_matches(name, _likely(name, known), n=1)
    if near:
        return f"Did you mean '{shown(near[0])}'?{often}"
    return f"Known: {listed([shown(k) for k in known], 3)}{often}"


def _likely(name: str, known: list[str], most: int = 20_000) -> list[str]:
    """Candidates for a typing error, few enough for a slow comparison."""
    if len(known) <= most:
        return known
    close = [k for k in known if abs(len(k) - len(name)) <= 2]
    close = [k for k in close if k[:2] == name[:2] or k[-2:] == name[-2:]]
    return close[:most]

"""Tables with other costs, demand, lead times or cut-offs, or with a closed site.

A change is written as for capacities (+5%, *1.2, +1, =3) and counts in the unit that
the column has in its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from meio_jax.changes import HINT, fault, relative, step, unknown
from meio_jax.config import Config
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.tables.bundle import Tables
from meio_jax.tables.cells import numbers
from meio_jax.tables.check import normalise
from meio_jax.tables.journal import Journal
from meio_jax.tables.schema import DEMANDS, SCHEMA
from meio_jax.tables.sheet import Sheet, open_sheet

SEEN = {"lanes": "lane_times", "vendors": "lead_times"}  # observed lead times
KINDS = {  # how each is written
    "demand": "Write +5%, ITEM:+5% or region=R:+5%",
    "cost": "Write TABLE.COLUMN:CHANGE, as in ship_options.unit_cost:*1.2",
    "lead_time": "Write lanes:+1, vendors:+1 or SOURCE>DEST:+1",
    "cutoff": "Write NODE:+1, in hours; NODE may be *",
    "close": "Write the name of a node that ships",
}
SPREAD = "std", "p10", "p50", "p90"  # of a forecast, in proportion to its mean


class Edit(NamedTuple):
    """A change of the numbers in some rows of a table, of a kind and as it was written.

    Attributes:
      kind, word: what was asked for.
      table: its name.
      columns: that change.
      where: value of text columns in the rows; all rows if empty.
      change: such as "+5%".
    """

    kind: str
    word: str
    table: str
    columns: tuple[str, ...]
    where: Mapping[str, str]
    change: str


def with_edits(
    tables: Tables, config: Config, asked: Iterable[tuple[str, str]]
) -> tuple[Tables, tuple[dict[str, str], ...]]:
    """The changed tables, and `kind`, `word` and `text` of each edit.

    Args:
      tables: as read, or made of frames.
      config: options that they are read with.
      asked: kind and word of each edit, as in `KINDS`.

    Raises:
      InputError: with everything that is wrong with the edits; or, where a node is
        closed, the tables have faults.
    """
    asked, faults, said = list(asked), [], []
    touched: dict[tuple[str, str], np.ndarray] = {}
    for kind, word in asked:
        if kind == "close":
            continue
        sheets = _Sheets(tables, config)
        edit = _read(kind, word, sheets, faults)
        if edit is None:
            continue
        tables, text = _apply(edit, sheets, touched, faults)
        said.append({"kind": kind, "word": word, "text": text})
    shut = [word for kind, word in asked if kind == "close"]
    for node in dict.fromkeys(shut):
        ships = _Sheets(tables, config)["ship_options"].text["node"].used()
        if node in ships:
            said.append({"kind": "close", "word": node, "text": f"{node} holds none"})
        else:
            faults.append(unknown(f"close:{node}", "node that ships", node, ships))
    if faults:
        raise InputError(Faults(faults))
    return (_closed(tables, config, set(shut)) if shut else tables), tuple(said)


class _Sheets:
    """The tables, opened when they are asked for."""

    def __init__(self, tables: Tables, config: Config):
        self.tables, self.config = tables, config

    def __getitem__(self, name: str) -> Sheet:
        return open_sheet(self.tables, name, self.config.units, Journal())

    @property
    def names(self) -> list[str]:
        return [name for name, frame in self.tables if len(frame)]


def _read(kind: str, word: str, sheets: _Sheets, faults: list[Fault]) -> Edit | None:
    """What an edit changes, or None and the reason."""
    place = f"{kind}:{word}"
    if kind not in KINDS:
        faults.append(unknown(place, "kind of change", kind, KINDS))
        return None
    where, _, change = word.rpartition(":")
    if step(change) is None:
        faults.append(fault(place, f"{change!r} is not a change", HINT))
        return None
    found = _READ[kind](where, change, sheets)
    if isinstance(found, Edit):
        return found._replace(kind=kind, word=word)
    if isinstance(found, Fault):
        faults.append(replace(found, place=place))
    else:
        faults.append(fault(place, found, KINDS[kind]))
    return None


def _demand(where: str, change: str, sheets: _Sheets) -> Edit | Fault | str:
    table = next((name for name in DEMANDS if name in sheets.names), None)
    if table is None:
        return "the tables have no demand"
    columns = ("mean", *SPREAD) if relative(change) else ("mean",)
    if table != "demand":
        columns = ("quantity",)
    sheet = sheets[table]
    columns = tuple(c for c in columns if sheet.has(c))
    return _rows(table, columns, where, change, "item")


def _cost(where: str, change: str, sheets: _Sheets) -> Edit | Fault | str:
    where, _, rows = where.partition(":")
    table, dot, column = where.partition(".")
    if not dot:
        return f"'{where}' is not a table and a column"
    if table not in sheets.names:
        return unknown("", "table", table, sheets.names)
    known = [c.name for c in SCHEMA[table].columns if c.kind == "number" and not c.key]
    if column not in known:
        return unknown("", f"column of {table}", column, known)
    return _rows(table, (column,), rows, change, SCHEMA[table].keys[0])


def _lead_time(where: str, change: str, sheets: _Sheets) -> Edit | Fault | str:
    source, way, destination = where.partition(">")
    table = "lanes" if way else where
    if table not in SEEN and table not in SEEN.values():
        return f"'{where}' is neither {', '.join((*SEEN, *SEEN.values()))} nor a lane"
    if table not in sheets.names:
        return f"the tables have no {table}"
    if SEEN.get(table) in sheets.names:
        return f"lead times of {table} were observed: change {SEEN[table]}"
    ends = {"source": source, "destination": destination} if way else {}
    return Edit("", "", table, ("lead_time",), ends, change)


def _cutoff(where: str, change: str, sheets: _Sheets) -> Edit | Fault | str:
    if not where:
        return "no node is named"
    return _rows(
        "ship_options", ("cutoff_hour",), "" if where == "*" else where, change, "node"
    )


_READ = {
    "demand": _demand, "cost": _cost, "lead_time": _lead_time, "cutoff": _cutoff
}  # fmt: skip


def _rows(table: str, columns, where: str, change: str, first: str) -> Edit:
    """An edit of the rows where COLUMN=VALUE, or where the first column has a value."""
    name, equal, value = where.partition("=")
    texts = {c.name for c in SCHEMA[table].columns if c.kind != "number"}
    if not equal or name not in texts:
        name, value = first, where
    return Edit("", "", table, columns, {name: value} if where else {}, change)


def _apply(edit: Edit, sheets: _Sheets, touched, faults: list[Fault]):
    """The changed tables, and what was changed in words."""
    sheet, place = sheets[edit.table], f"{edit.kind}:{edit.word}"
    rows = np.ones(len(sheet), bool)
    for column, value in edit.where.items():
        here = np.array([v == value for v in sheet.text[column].values], bool)
        here = here[sheet.text[column].codes]
        if not here.any():
            faults.append(unknown(place, column, value, sheet.text[column].used()))
            return sheets.tables, ""
        rows &= here
    if not rows.any():
        ends = " to ".join(edit.where.values())
        faults.append(fault(place, f"no row of {edit.table} is {ends}", "Look there"))
        return sheets.tables, ""
    frame, text = sheet.raw.copy(), ""
    for column in edit.columns:
        before = _numbers(sheet, column, frame)
        able = rows & ~np.isnan(before)
        after, wrong = _moved(edit, column, before, able)
        key = edit.table, column
        if not able.any():
            wrong = f"{edit.table}.{column} has no numbers there"
        elif (touched.get(key, False) & able).any():
            wrong = f"{edit.table}.{column} is changed by another change too"
        if wrong and not (column in SPREAD and not able.any()):
            faults.append(fault(place, wrong, "Change what is in the tables, once"))
            return sheets.tables, ""
        touched[key] = touched.get(key, np.zeros(len(sheet), bool)) | able
        title = frame.columns[sheet.headers[column][0]] if sheet.has(column) else column
        frame[title] = after
        span = [f"{x[able].mean():,.6g}" for x in (before, after)] if able.any() else []
        counted = f"{able.sum():,} of {len(sheet):,} rows"
        text = text or f"{key[0]}.{column}, {counted}: mean {' to '.join(span)}"
    return replace(sheets.tables, **{edit.table: frame}), text


def _numbers(sheet: Sheet, column: str, frame: pd.DataFrame) -> np.ndarray:
    """A column as in its file, its default where it is empty."""
    if sheet.has(column):
        values = numbers(frame.iloc[:, sheet.headers[column][0]]).values
    else:
        values = np.full(len(frame), np.nan)
    default = sheet.table.column(column).default
    fills = isinstance(default, float) and np.isfinite(default)
    return np.where(np.isnan(values), default, values) if fills else values


def _moved(edit: Edit, column: str, before: np.ndarray, able: np.ndarray):
    """The numbers after a change, and what is wrong with them.

    Whole quantities stay whole, and so does what they add up to: parts of a unit would
    be split over speeds and hours of the day without chance.
    """
    move, rule = step(edit.change), SCHEMA[edit.table].column(column)
    assert move is not None  # it was read
    after = np.where(able, move(before), before)
    if rule.rule == "hour":
        after = np.clip(after, 0, 24)
    high = 1.0 if rule.rule == "share" else rule.high
    low = after[able].min(initial=np.inf)
    if low < rule.low:
        return after, f"leaves {low:,.6g}: {column} must be {rule.low:g} or more"
    if after[able].max(initial=-np.inf) > high:
        return after, f"leaves more than {high:g}: {column} must be {high:g} or less"
    if rule.rule == "whole":
        after = np.where(able, np.maximum(np.rint(after), rule.low), after)
    if column == "quantity" and not (before[able] % 1).any():
        after[able] = np.diff(np.rint(np.cumsum(after[able])), prepend=0.0)
    return after, ""


def _closed(tables: Tables, config: Config, shut: set[str]) -> Tables:
    """No room, no flow and no stock of any item at some nodes."""
    clean = normalise(tables, config)
    items, limits, own = clean.items, clean.capacities, clean.item_nodes
    assert items is not None  # clean tables have all frames
    assert limits is not None
    assert own is not None
    room = limits["capacity"].where(~limits["node"].isin(list(shut)), 0.0)
    none = pd.DataFrame(
        [(item, node) for node in sorted(shut) for item in items["item"]],
        columns=["item", "node"],
    ).assign(holding_cost=np.nan, max_stock=0.0)
    kept = own[~own["node"].isin(list(shut))]
    changed = "capacities", "item_nodes"
    without = lambda names: {k: v for k, v in names.items() if k not in changed}
    return replace(
        tables,
        capacities=limits.assign(capacity=room),
        item_nodes=pd.concat([kept, none], ignore_index=True) if len(kept) else none,
        sources=without(tables.sources),
        lines=without(tables.lines),
    )

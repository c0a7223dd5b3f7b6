"""All tables opened, and what they know of each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from meio_jax.config import Config
from meio_jax.tables.bundle import Tables
from meio_jax.tables.cells import Coded
from meio_jax.tables.journal import Journal, listed
from meio_jax.tables.schema import DEMANDS, SCHEMA
from meio_jax.tables.sheet import Sheet, open_sheet

STANDARD = "standard"  # the speed where no table names one


@dataclass
class Book:
    """The sheets of a bundle.

    Attributes:
      tables: the bundle as it was given.
      config: options.
      sheets: those that are there and have rows.
      speeds: names of the speeds; None where they cannot be known.
    """

    tables: Tables
    config: Config
    sheets: dict[str, Sheet] = field(default_factory=dict)
    speeds: list[str] | None = None

    @property
    def demand(self) -> Sheet | None:
        """The one table that says what demand is, or None."""
        there = [name for name in DEMANDS if name in self.sheets]
        return self.sheets[there[0]] if len(there) == 1 else None

    def known(self, table: str) -> list[str] | None:
        """The names that a table defines, or None where they cannot be known."""
        if table == "speeds":
            return self.speeds
        key = SCHEMA[table].keys[0]
        sheet = self.sheets.get(table)
        if sheet is None and table == "regions" and table not in self.tables.unread:
            sheet = self.sheets.get("ship_options")
        return sheet.text[key].used() if sheet and sheet.has(key) else None

    def where(self, table: str) -> str:
        """The file that defines those names."""
        if table in ("regions", "speeds") and table not in self.sheets:
            table = "ship_options"
        return self.tables.label(table)


def open_book(tables: Tables, config: Config, journal: Journal) -> Book:
    """The bundle with each table opened; notes faults within one table.

    Args:
      tables: as read, or made of frames.
      config: options.
      journal: where faults are noted.
    """
    book = Book(tables, config)
    units = config.units
    for name, frame in tables:
        if len(frame) and name not in ("items", "ship_options", "speed_mix"):
            book.sheets[name] = open_sheet(tables, name, units, journal)
    one = _single_speed(book)
    spared = frozenset({"speed"} if one else ())
    for name in ("ship_options", "speed_mix"):
        frame = getattr(tables, name)
        if frame is not None and len(frame):
            sheet = open_sheet(tables, name, units, journal, spared=spared)
            book.sheets[name] = sheet
            if one and not sheet.has("speed"):
                sheet.text["speed"] = Coded(np.zeros(len(sheet), np.int64), [one])
    if tables.items is not None and len(tables.items):
        needed = _needed(book)
        sheet = open_sheet(tables, "items", units, journal, needed=needed)
        book.sheets["items"] = sheet
    book.speeds = _speeds(book, journal)
    book.sheets = {n: book.sheets[n] for n in SCHEMA if n in book.sheets}
    return book


def _single_speed(book: Book) -> str:
    """The only speed there can be where ship_options names none, or ""."""
    if "speeds" in book.tables.unread:
        return ""
    sheet = book.sheets.get("speeds")
    if sheet is None:
        return STANDARD
    names = sheet.text["speed"].used()
    return names[0] if len(names) == 1 else ""


def _speeds(book: Book, journal: Journal) -> list[str] | None:
    if "speeds" in book.tables.unread:
        return None
    if sheet := book.sheets.get("speeds"):
        return sheet.text["speed"].used() if sheet.has("speed") else None
    options = book.sheets.get("ship_options")
    names = options.text["speed"].used() if options else []
    if len(names) <= 1:
        return names or [STANDARD]
    journal.error(
        "E36",
        book.tables.label("ship_options"),
        f"several speeds ({listed(names)}) but there is no table 'speeds'",
        "Add speeds with the columns speed and promise_days",
    )
    return None


def _needed(book: Book) -> frozenset[str]:
    """Columns of items that other tables make necessary."""
    sheets, needed = book.sheets, set()
    if "nodes" in sheets and sheets["nodes"].has("storage_capacity"):
        if not np.isnan(sheets["nodes"].number["storage_capacity"]).all():
            needed.add("unit_volume")
    if "capacities" in sheets:
        if "storage" in sheets["capacities"].text["resource"].used():
            needed.add("unit_volume")
    for name in ("ship_options", "lanes"):
        if name in sheets and (sheets[name].filled("cost_per_weight") > 0).any():
            needed.add("unit_weight")
    if "lanes" in sheets and (sheets["lanes"].filled("cost_per_volume") > 0).any():
        needed.add("unit_volume")
    return frozenset(needed)

"""Every fault of a bundle of tables at once, and the clean tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from meio_jax.config import Config
from meio_jax.faults import Faults, InputError
from meio_jax.tables import clean, keys, limits, network, rules
from meio_jax.tables.book import Book, open_book
from meio_jax.tables.bundle import Tables
from meio_jax.tables.journal import Journal
from meio_jax.tables.periods import Calendar, canonical, check_periods, make_calendar
from meio_jax.tables.read import presence, scan
from meio_jax.tables.schema import DEMANDS


class Examined(NamedTuple):
    """What an examination finds.

    Attributes:
      tables: clean frames with defaults filled and units converted; where there are
        errors they are only as good as their input.
      calendar: the periods of the plan.
      faults: everything that is wrong.
    """

    tables: Tables
    calendar: Calendar
    faults: Faults


def check(tables: Tables, config: Config | None = None) -> Faults:
    """Every fault of the tables, errors first.

    Args:
      tables: as read, or made of frames.
      config: options; the defaults unless given.
    """
    return examine(tables, config).faults


def check_folder(folder: str | Path, config: Config | None = None) -> Faults:
    """Every fault of the files in a folder and of the tables in them.

    Args:
      folder: where the files lie.
      config: options; the defaults unless given.
    """
    tables, faults = scan(folder)
    if not Path(folder).is_dir():
        return faults
    faults = faults + check(tables, config)
    return faults.errors + faults.warnings


def normalise(tables: Tables, config: Config | None = None) -> Tables:
    """The clean tables.

    Args:
      tables: as read, or made of frames.
      config: options; the defaults unless given.

    Raises:
      InputError: with every fault, where one of them is an error.
    """
    examined = examine(tables, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    return examined.tables


@np.errstate(all="ignore")  # NaN is an empty cell; tiny and huge ones are noted
def examine(tables: Tables, config: Config | None = None) -> Examined:
    """The clean tables, their calendar, and every fault.

    Args:
      tables: as read, or made of frames.
      config: options; the defaults unless given.
    """
    config = config or Config()
    journal = Journal()
    book = open_book(tables, config, journal)
    for sheet in book.sheets.values():
        if "period" in sheet.text:
            canonical(sheet, journal)
        keys.check_duplicates(sheet, journal)
    _check_references(book, journal)
    _check_regions(book, journal)
    calendar = _calendar(book, journal)
    rules.check_values(book, journal)
    network.check_lanes(book, journal)
    cleaned = clean.clean(book, calendar or Calendar(), journal)
    if calendar is not None:
        limits.check_plan(book, cleaned, calendar, journal)
        network.check_reach(book, cleaned, journal)
    return Examined(
        cleaned, calendar or Calendar(), presence(tables) + journal.faults()
    )


def _check_references(book: Book, journal: Journal) -> None:
    for sheet in book.sheets.values():
        for column in sheet.table.columns:
            known = book.known(column.refers) if column.refers else None
            if known is None or not sheet.has(column.name):
                continue
            if column.refers == "regions" and "regions" not in book.sheets:
                if sheet.name in (*DEMANDS, "ship_options"):
                    continue  # ship_options names the regions; E32 covers demand
            where = book.where(column.refers)
            keys.check_known(sheet, column.name, known, where, journal)


def _check_regions(book: Book, journal: Journal) -> None:
    """Warns of regions that only ship_options knows: a typing error, or no demand."""
    options, demand = book.sheets.get("ship_options"), book.demand
    if options is None or demand is None or "regions" in book.sheets:
        return
    if options.has("region") and demand.has("region"):
        used = demand.text["region"].used()
        where = demand.label
        keys.check_known(options, "region", used, where, journal, "warning")


def _calendar(book: Book, journal: Journal) -> Calendar | None:
    sheet = book.demand
    calendar = make_calendar(sheet, book.config, journal) if sheet else None
    if calendar is not None:
        for name in ("capacities", "inventory", "fixed_targets"):
            if name in book.sheets:
                check_periods(book.sheets[name], calendar, journal)
    return calendar

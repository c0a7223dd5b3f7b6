"""The calendar: periods as whole numbers or dates, evenly spaced."""

from __future__ import annotations

import calendar
import datetime
import re
from dataclasses import dataclass, replace

import numpy as np

from meio_jax.config import Config, Units
from meio_jax.tables.cells import shown
from meio_jax.tables.journal import Journal
from meio_jax.tables.sheet import Sheet
from meio_jax.tables.units import days_per_period


@dataclass(frozen=True)
class Calendar:
    """The periods of a plan.

    Attributes:
      labels: plan periods in order, as numbers or ISO dates in text.
      history: periods of history in order; empty where there is no history.
      dated: whether the labels are dates.
    """

    labels: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    dated: bool = False


@dataclass(frozen=True)
class _Series:
    """Evenly spaced periods: `start + step * k`, in days, in months, or as numbers."""

    kind: str
    start: int
    step: int
    count: int
    day: int = 1  # of the month; 31 means its last day

    def label(self, k: int) -> str:
        value = self.start + self.step * k
        if self.kind == "number":
            return str(value)
        if self.kind == "day":
            return datetime.date.fromordinal(value).isoformat()
        year, month = divmod(value, 12)
        last = calendar.monthrange(year, month + 1)[1]
        return datetime.date(year, month + 1, min(self.day, last)).isoformat()


def canonical(sheet: Sheet, journal: Journal) -> None:
    """Rewrites the sheet's periods as plain numbers or ISO dates; notes what is none.

    Cells that are no period become empty.
    """
    cells = sheet.text["period"]
    periods = [_canonical(value) for value in cells.values]
    bad = np.array([p is None for p in periods], bool)[cells.codes]
    journal.rows(
        "E08",
        f"{sheet.name}.period",
        np.flatnonzero(bad),
        sheet.place,
        lambda row: f"period = '{shown(cells[row])}': not a period",
        "Write a whole number, or a date such as 2026-01-12",
    )
    sheet.text["period"] = cells.mapped([p or "" for p in periods])


def make_calendar(sheet: Sheet, config: Config, journal: Journal) -> Calendar | None:
    """The calendar that a demand, history or scenarios table defines.

    Args:
      sheet: the table, its periods canonical.
      config: says how many periods are planned.
      journal: where faults are noted.

    Returns:
      The calendar, or None where the table's periods make none.
    """
    labels = sheet.text["period"].used()
    dates = [label for label in labels if "-" in label[1:]]
    if not labels:
        return None
    if dates and len(dates) < len(labels):
        odd = min((dates, [x for x in labels if x not in set(dates)]), key=len)[0]
        row = _first(sheet, odd)
        other = next(x for x in labels if ("-" in x[1:]) != ("-" in odd[1:]))
        text = f"periods mix numbers and dates: '{odd}' and '{other}'"
        journal.error("E37", sheet.place(row), text, "Use one of the two everywhere")
        return None
    series = _series(sheet, labels, bool(dates), config.units, journal)
    if series is None:
        return None
    horizon = config.problem.horizon
    if sheet.name == "history":
        try:
            plan = [series.label(series.count + k) for k in range(horizon)]
        except (ValueError, OverflowError):
            text = "the plan would end after the last date that a computer knows"
            journal.error("E37", sheet.label, text, "Correct the dates")
            return None
        past = tuple(series.label(k) for k in range(series.count))
        return Calendar(tuple(plan), past, bool(dates))
    if series.count < horizon and config.is_set("problem.horizon"):
        journal.error(
            "E38",
            f"meio.toml x {sheet.name}",
            f"horizon = {horizon} periods but {sheet.name} has {series.count}",
            "Lower problem.horizon or extend the forecast",
        )
    count = min(series.count, horizon)
    return Calendar(tuple(series.label(k) for k in range(count)), (), bool(dates))


def check_periods(sheet: Sheet, calendar: Calendar, journal: Journal) -> None:
    """Notes periods that are not planned."""
    cells = sheet.text["period"]
    strange = np.array([v != "" and v not in calendar.labels for v in cells.values])
    first, last = calendar.labels[0], calendar.labels[-1]
    journal.rows(
        "E39",
        f"{sheet.name}.period",
        np.flatnonzero(strange.astype(bool)[cells.codes]),
        sheet.place,
        lambda row: f"period {cells[row]} is not a period of the plan",
        f"The plan has periods {first} to {last}",
    )


def _canonical(text: str) -> str | None:
    """A number or ISO date in one spelling, "" for none, None for anything else."""
    if text == "":
        return ""
    if re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", text):
        return str(int(text.split(".")[0]))
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        text += "-01"
    date = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ][0-9:.]*Z?)?", text)
    try:
        return datetime.date.fromisoformat(date[1]).isoformat() if date else None
    except ValueError:
        return None


def _first(sheet: Sheet, label: str) -> int:
    cells = sheet.text["period"]
    return int(np.argmax(cells.codes == cells.values.index(label)))


def _series(
    sheet: Sheet, labels: list[str], dated: bool, units: Units, journal: Journal
) -> _Series | None:
    if not dated:
        return _spaced(sheet, "number", list(map(int, labels)), journal)
    dates = sorted(map(datetime.date.fromisoformat, labels))
    ends = all(calendar.monthrange(d.year, d.month)[1] == d.day for d in dates)
    months = ends or len({d.day for d in dates}) == 1
    uneven = len(set(np.diff([d.toordinal() for d in dates]).tolist())) > 1
    if months and (uneven or units.period == "month"):
        numbers = [d.year * 12 + d.month - 1 for d in dates]
        series = _spaced(sheet, "month", numbers, journal, 31 if ends else dates[0].day)
        apart = series and f"{series.step} month{'s' * int(series.step > 1)}"
        fits = units.period == "month" and apart == "1 month"
    else:
        series = _spaced(sheet, "day", [d.toordinal() for d in dates], journal)
        days = round(days_per_period(units))
        if series and series.count == 1:  # nothing shows the spacing but the unit
            return replace(series, step=days)
        apart = series and f"{series.step} day{'s' * int(series.step > 1)}"
        fits = series and abs(series.step - days) <= (2 if days > 7 else 0)
    if series and not fits:
        text = f"periods are {apart} apart, but units.period = '{units.period}'"
        hint = "Set units.period to what a period is; costs per year depend on it"
        journal.warning("W37", sheet.label, text, hint)
    return series


def _spaced(
    sheet: Sheet, kind: str, values: list[int], journal: Journal, day: int = 1
) -> _Series | None:
    """The series through the values; notes E37 where they are not evenly spaced."""
    values = sorted(set(values))
    steps = np.diff(values)
    if len(steps) == 0:
        return _Series(kind, values[0], 1, 1, day)
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[np.argmax(counts)])
    if len(sizes) == 1:
        return _Series(kind, values[0], usual, len(values), day)
    at = int(np.argmax(steps != usual))
    before, after = (
        _Series(kind, value, 1, 1, day).label(0) for value in values[at : at + 2]
    )
    unit = "" if kind == "number" else f" {kind}{'s' * int(steps[at] > 1)}"
    odd = f"{before} to {after} is {steps[at]}{unit}"
    text = f"periods are not evenly spaced: {odd}, elsewhere {usual}"
    there = set(sheet.text["period"].used())
    rows = [sheet.place(_first(sheet, x)) for x in (before, after) if x in there]
    hint = f"Add the missing periods, or correct the odd one ({', '.join(rows)})"
    journal.error("E37", sheet.label, text, hint)
    return None

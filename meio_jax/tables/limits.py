"""Stock, fixed targets and demand against capacities, and against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meio_jax.tables.book import Book
from meio_jax.tables.bundle import Tables
from meio_jax.tables.cells import shown
from meio_jax.tables.clean import storage
from meio_jax.tables.journal import Journal
from meio_jax.tables.periods import Calendar
from meio_jax.tables.sheet import Sheet

# Sanity thresholds are wide: a warning that cries wolf is not read.
_CROWD = 30  # volume of one period's demand over all storage
_PEAK = 10  # a period's demand over the median period's

_Limits = dict[tuple[str, str], float]  # capacity of a node in a period


def check_plan(book: Book, clean: Tables, calendar: Calendar, journal: Journal) -> None:
    """Notes stock and fixed targets above storage, and demand out of proportion.

    Args:
      book: the sheets.
      clean: the clean tables, as far as they go.
      calendar: the periods of the plan.
      journal: where faults are noted.
    """
    if clean.items is None or clean.capacities is None:
        return
    limits = {r: _limit(clean.capacities, r) for r in ("storage", "items")}
    now = calendar.labels[0]
    _check_stock(book, clean.items, limits["storage"], now, journal)
    _check_fixed(book, clean.items, limits, calendar, journal)
    _check_proportions(book, clean, calendar, journal)


def _limit(capacities: pd.DataFrame, resource: str) -> _Limits:
    rows = capacities.loc[capacities["resource"] == resource]
    keys = zip(rows["node"], rows["period"], strict=True)
    return dict(zip(keys, rows["capacity"], strict=True))


def _volumes(sheet: Sheet, column: str, items: pd.DataFrame) -> np.ndarray:
    """Volume that each row's quantity takes; 0 where that is not known."""
    place = sheet.text["item"].positions(items["item"].tolist())
    unit = np.append(items["unit_volume"].to_numpy(), 0.0)[place]
    return np.nan_to_num(sheet.number[column] * unit)


def _check_stock(
    book: Book, items: pd.DataFrame, limit: _Limits, now: str, journal: Journal
) -> None:
    sheet = book.sheets.get("inventory")
    if sheet is None:
        return
    nodes, unit = sheet.text["node"], book.config.units.volume
    held = np.bincount(nodes.codes, _volumes(sheet, "on_hand", items))
    over = [
        (
            "inventory x capacities",
            f"{shown(node)} holds {used:,.6g} {unit} now, capacity "
            f"{limit[node, now]:,.6g}",
            "The plan runs it down; the first periods are reported as over",
            ("", node, now),
        )
        for node, used in zip(nodes.values, held, strict=False)
        if used > limit.get((node, now), np.inf) * (1 + 1e-9)
    ]
    journal.few("W40", "inventory", over, "warning")


def _check_fixed(
    book: Book,
    items: pd.DataFrame,
    limits: dict[str, _Limits],
    calendar: Calendar,
    journal: Journal,
) -> None:
    sheet = book.sheets.get("fixed_targets")
    if sheet is None:
        return
    nodes, periods = sheet.text["node"], len(calendar.labels)
    period = sheet.text["period"].positions(calendar.labels)
    cells = np.where(period >= 0, nodes.codes * periods + period, -1)
    groups, first, group = np.unique(cells, return_index=True, return_inverse=True)
    volumes = np.bincount(group, _volumes(sheet, "quantity", items))
    stocked = np.bincount(group, np.nan_to_num(sheet.number["quantity"]) > 0)
    rows = np.bincount(group)
    units, clashes = book.config.units, []
    for resource, need, unit in (
        ("storage", volumes, units.volume), ("items", stocked, "item(s)"),
    ):  # fmt: skip
        limit = limits[resource]
        for k in np.flatnonzero(groups >= 0):
            node = nodes.values[groups[k] // periods]
            t = calendar.labels[groups[k] % periods]
            if need[k] > limit.get((node, t), np.inf) * (1 + 1e-9):
                text = (
                    f"fixed_targets at {shown(node)} need {need[k]:,.6g} {unit} in "
                    f"{units.period} {t}, capacity {limit[node, t]:,.6g}"
                )
                hint = (
                    f"Relax one of: fixed_targets ({rows[k]:,} rows), "
                    f"capacity {shown(node)} {resource}"
                )
                clashes.append((sheet.place(int(first[k])), text, hint))
    journal.few("I26", "fixed_targets", clashes)


def _check_proportions(
    book: Book, clean: Tables, calendar: Calendar, journal: Journal
) -> None:
    sheet = book.demand
    if sheet is None or clean.items is None or clean.capacities is None:
        return
    column = "mean" if sheet.name == "demand" else "quantity"
    samples = len(sheet.text["scenario"].used()) if sheet.name == "scenarios" else 1
    amount = np.nan_to_num(sheet.number[column])
    labels = sheet.text["period"].used()
    totals = np.bincount(
        np.maximum(sheet.text["period"].positions(labels), 0), amount, len(labels)
    )
    usual = np.median(totals)
    if len(totals) >= 4 and usual > 0 and totals.max() > _PEAK * usual:
        unit, label = book.config.units.period, labels[int(totals.argmax())]
        times = f"{totals.max() / usual:,.3g} times"
        text = f"{unit} {label} is {times} the median {unit}"
        hint = "A promotion? If not, check for a monthly figure"
        journal.warning("W41", sheet.name, text, hint, about=("", "", label))
    need = _volumes(sheet, column, clean.items).sum()
    need /= max(len(labels), 1) * max(samples, 1)
    limits = clean.capacities.loc[clean.capacities["resource"] == "storage"]
    shipping = book.sheets.get("ship_options")
    nodes = set(shipping.text["node"].used()) if shipping else set()
    if not nodes or not nodes <= set(limits["node"]):
        return
    room = limits["capacity"].to_numpy().sum() / len(calendar.labels)
    if room > 0 and need > _CROWD * room:
        column = "nodes.storage_capacity" if storage(book) else "capacities.capacity"
        text = (
            f"one period of demand takes {need:,.4g} of {room:,.0f} capacity "
            f"({need / room:,.3g} times)"
        )
        hint = "Are both in the same unit? 1 m3 = 35.3 ft3 = 1e6 cm3"
        journal.warning("W36", f"items.unit_volume x {column}", text, hint)

"""Clean frames: keys as text, numbers as float64, defaults filled, units converted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from meio_jax.tables.book import Book
from meio_jax.tables.bundle import TABLES, Tables
from meio_jax.tables.journal import Journal
from meio_jax.tables.periods import Calendar
from meio_jax.tables.schema import DEMANDS, REQUIRED, RESOURCES, SCHEMA, SHORTHAND
from meio_jax.tables.service import clean_hours, clean_mix, clean_speeds
from meio_jax.tables.sheet import Sheet
from meio_jax.tables.units import PERIODS_PER_YEAR

_NORMAL_P90 = 2.563  # standard deviations between the 10 % and 90 % quantiles


def clean(book: Book, calendar: Calendar, journal: Journal) -> Tables:
    """The clean bundle: every table is there, empty where it was not given.

    Only demand, history and scenarios are None where they were not given. Periods
    are labels of the calendar. The key columns of demand, history, scenarios and
    inventory are categorical, in the order of the table that defines them; all
    others are text.

    Args:
      book: the sheets.
      calendar: the periods of the plan.
      journal: where faults are noted.
    """
    frames: dict[str, pd.DataFrame | None] = dict.fromkeys(TABLES)
    absent = {*DEMANDS, *REQUIRED, *book.tables.unread}  # nothing stands for them
    for name in SCHEMA:
        sheet = book.sheets.get(name)
        if sheet is not None and name in (*DEMANDS, "inventory"):
            frames[name] = _big(sheet, book, calendar)
        elif sheet is not None:
            frames[name] = _plain(sheet)
        elif name not in absent:
            frames[name] = _empty(name)
    items = book.sheets.get("items")
    classes: list[str] = []
    if items is not None:
        frames["items"] = _items(items, book)
        classes = list(dict.fromkeys(frames["items"]["size_class"]))
    if "nodes" in book.sheets:
        frames["nodes"] = _nodes(book.sheets["nodes"], classes)
    frames["capacities"] = _capacities(book, calendar)
    cost = frames["capacities"]["overage_cost"]
    frames["capacities"]["overage_cost"] = cost.fillna(_overage(frames, book))
    if "vendors" in book.sheets and items is not None:
        frames["vendors"] = _vendors(book.sheets["vendors"], items)
    regions = book.known("regions") or []
    if "regions" not in book.sheets:
        nothing = np.full(len(regions), np.nan)
        columns = {"region": pd.array(regions, "str"), "lat": nothing, "lon": nothing}
        frames["regions"] = pd.DataFrame(columns)
    frames["speeds"] = clean_speeds(book)
    frames["speed_mix"] = clean_mix(book, regions, classes, journal)
    frames["order_hours"] = clean_hours(book, journal)
    sources = {n: s for n, s in book.tables.sources.items() if n in book.sheets}
    return replace(book.tables, **frames, sources=sources)


def text(sheet: Sheet, column: str) -> pd.api.extensions.ExtensionArray:
    """A text column as a pandas array."""
    cells = sheet.text[column]
    return pd.array(np.array(cells.values, object)[cells.codes], "str")


def storage(book: Book) -> bool:
    """Whether any storage capacity was given as a column of nodes."""
    return "nodes" in book.sheets and book.sheets["nodes"].has("storage_capacity")


def _plain(sheet: Sheet) -> pd.DataFrame:
    return pd.DataFrame(
        {
            column.name: sheet.filled(column.name)
            if column.kind == "number"
            else text(sheet, column.name)
            for column in sheet.table.columns
        }
    )


def _empty(name: str) -> pd.DataFrame:
    kinds = {"text": "str", "number": "float64", "period": "int64"}
    columns = SCHEMA[name].columns
    return pd.DataFrame({c.name: pd.Series([], dtype=kinds[c.kind]) for c in columns})


def _items(sheet: Sheet, book: Book) -> pd.DataFrame:
    economics, period = book.config.economics, book.config.units.period
    cost, price = sheet.number["unit_cost"], sheet.number["unit_price"]
    penalty = penalties(sheet)
    rate = sheet.number["holding_rate"]
    rate = np.where(np.isnan(rate), economics.holding_rate, rate)
    worth = np.where(np.isnan(price), cost + penalty, price)
    late = sheet.number["late_cost"]
    return pd.DataFrame(
        {
            "item": text(sheet, "item"),
            "unit_cost": cost,
            "unit_volume": sheet.filled("unit_volume"),
            "unit_weight": sheet.filled("unit_weight"),
            "unit_price": price,
            "penalty": penalty,
            "waits": waits(sheet),
            "late_cost": np.where(np.isnan(late), economics.late_rate * worth, late),
            "holding_cost": cost * rate / PERIODS_PER_YEAR[period],
            "case_pack": sheet.filled("case_pack"),
            "size_class": text(sheet, "size_class"),
        }
    )


def waits(sheet) -> np.ndarray:
    """Whether customers of an item wait: it has a backorder cost, no lost sale cost."""
    number = sheet.number
    return np.isnan(number["lost_sale_cost"]) & ~np.isnan(number["backorder_cost"])


def penalties(sheet: Sheet) -> np.ndarray:
    """What a lost unit costs: lost_sale_cost, backorder_cost, or else the margin."""
    number = sheet.number
    penalty = number["lost_sale_cost"]
    penalty = np.where(np.isnan(penalty), number["backorder_cost"], penalty)
    margin = number["unit_price"] - number["unit_cost"]
    return np.where(np.isnan(penalty), margin, penalty)


def size_classes(cell: str) -> list[str]:
    """The names in a cell of nodes.size_classes."""
    return [name for part in cell.split(";") if (name := part.strip())]


def _nodes(sheet: Sheet, classes: list[str]) -> pd.DataFrame:
    frame = _plain(sheet).drop(columns=list(SHORTHAND))
    accepted = [";".join(size_classes(c) or classes) for c in frame["size_classes"]]
    frame["size_classes"] = pd.array(accepted, "str")
    return frame


def _vendors(sheet: Sheet, items: Sheet) -> pd.DataFrame:
    frame = _plain(sheet)
    names = [items.text["item"][row] for row in range(len(items))]
    place = sheet.text["item"].positions(names)
    usual = np.append(items.number["unit_cost"], np.nan)[place]
    frame["unit_cost"] = np.where(frame["unit_cost"].isna(), usual, frame["unit_cost"])
    frame["review_period"] = frame["review_period"].fillna(1.0)
    return frame


def _overage(frames, book: Book) -> float:
    """Cost of a unit of volume above storage where none is given."""
    items = frames.get("items")
    if items is None or not (items["unit_volume"] > 0).any():
        return 0.0
    bulky = items[items["unit_volume"] > 0]
    held = (bulky["holding_cost"] / bulky["unit_volume"]).median()
    return float(book.config.economics.overage_rate * held)


def _capacities(book: Book, calendar: Calendar) -> pd.DataFrame:
    """One row for each limited node, resource and period; no row, no limit."""
    parts = []
    nodes, sheet = book.sheets.get("nodes"), book.sheets.get("capacities")
    for column, resource in SHORTHAND.items():
        if nodes is not None and nodes.has(column):
            part = {
                "node": text(nodes, "node"),
                "resource": pd.array([resource] * len(nodes), "str"),
                "period": pd.array([""] * len(nodes), "str"),
                "capacity": nodes.number[column],
                "overage_cost": np.nan,
            }
            parts.append(pd.DataFrame(part))
    if sheet is not None:
        parts.append(_plain(sheet))
    if not parts:
        return _empty("capacities")
    given = pd.concat(parts, ignore_index=True).dropna(subset=["capacity"])
    always = given.loc[given["period"] == ""]
    dated = given.loc[given["period"] != ""]
    labels = np.array(calendar.labels, object)
    every = always.loc[always.index.repeat(len(labels))]
    every = every.assign(period=pd.array(np.tile(labels, len(always)), "str"))
    frame = pd.concat([every, dated], ignore_index=True)
    keys = ["node", "resource", "period"]
    frame = frame.drop_duplicates(keys, keep="last")
    rank = pd.DataFrame(
        {
            "node": pd.factorize(frame["node"])[0],
            "resource": pd.Index(RESOURCES).get_indexer(pd.Index(frame["resource"])),
            "period": pd.Index(labels).get_indexer(pd.Index(frame["period"])),
        }
    )
    order = rank.loc[rank["period"] >= 0].sort_values(keys).index
    return frame.iloc[order].reset_index(drop=True)


def _big(sheet: Sheet, book: Book, calendar: Calendar) -> pd.DataFrame:
    """Demand, history, scenarios or inventory, with categorical keys."""
    columns: dict[str, object] = {}
    for column in sheet.table.columns:
        if column.kind == "text":
            known = book.known(column.refers) if column.refers else None
            names = known or sheet.text[column.name].used()
            codes = sheet.text[column.name].positions(names)
            names = pd.Index(names, dtype="str")
            columns[column.name] = pd.Categorical.from_codes(codes, names)
    labels = calendar.history if sheet.name == "history" else calendar.labels
    period = sheet.text["period"].positions(labels)
    if sheet.name == "inventory" and labels:
        period = np.where(sheet.text["period"].empty(), 0, period)
    columns["period"] = pd.Categorical.from_codes(period, pd.Index(labels, dtype="str"))
    if sheet.name == "demand":
        columns |= {"mean": sheet.number["mean"], "std": _std(sheet)}
    elif sheet.name == "inventory":
        columns["on_hand"] = sheet.number["on_hand"]
        columns["on_order"] = sheet.filled("on_order")
    else:
        columns["quantity"] = sheet.number["quantity"]
    if sheet.name == "scenarios":
        columns["weight"] = _weights(sheet)
    frame = pd.DataFrame(columns)
    planned = period >= 0
    return frame if planned.all() else frame.loc[planned].reset_index(drop=True)


def _std(sheet: Sheet) -> np.ndarray:
    number = sheet.number
    spread = np.maximum(number["p90"] - number["p10"], 0) / _NORMAL_P90
    std = np.where(np.isnan(number["std"]), spread, number["std"])
    return np.where(np.isnan(std), np.sqrt(number["mean"]), std)


def _weights(sheet: Sheet) -> np.ndarray:
    """Weight of each row's scenario; over scenarios they sum to 1."""
    scenario, weight = sheet.text["scenario"], sheet.number["weight"]
    _, first = np.unique(scenario.codes, return_index=True)
    each = np.ones(len(scenario.values))
    if sheet.has("weight"):
        each[scenario.codes[first]] = np.nan_to_num(weight[first])
    total = each[scenario.codes[first]].sum()
    return (each / total if total > 0 else each)[scenario.codes]

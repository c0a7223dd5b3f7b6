"""Rules that need more than one cell: money, capacities, weights, spreads."""

from __future__ import annotations

import difflib

import numpy as np

from meio_jax.tables.book import Book
from meio_jax.tables.cells import shown
from meio_jax.tables.clean import penalties, size_classes
from meio_jax.tables.journal import Journal
from meio_jax.tables.schema import SHORTHAND
from meio_jax.tables.service import check_promises
from meio_jax.tables.sheet import Sheet

_SPREAD = 10  # median std / mean; wide, as a warning that cries wolf is not read


def check_values(book: Book, journal: Journal) -> None:
    """Notes faults that need several cells but no calendar."""
    if "items" in book.sheets:
        _check_penalties(book.sheets["items"], journal)
    _check_size_classes(book, journal)
    _check_capacities(book, journal)
    if "scenarios" in book.sheets:
        _check_weights(book.sheets["scenarios"], journal)
    if "demand" in book.sheets:
        _check_spread(book.sheets["demand"], journal)
    if "vendors" in book.sheets:
        _check_offers(book.sheets["vendors"], journal)
    for seen, (of, keys, said, hint) in _SEEN.items():
        if seen in book.sheets and of in book.sheets:
            pair = book.sheets[seen], book.sheets[of]
            _check_observed(*pair, keys, said, hint, journal)
    if "inventory" in book.sheets:
        _check_stock(book.sheets["inventory"], journal)
    check_promises(book, journal)


def _check_offers(sheet: Sheet, journal: Journal) -> None:
    """Notes offers of which no order can be placed."""
    least, most = sheet.filled("moq"), sheet.filled("capacity")
    multiple = sheet.filled("order_multiple")
    journal.rows(
        "E42",
        "vendors.moq",
        np.flatnonzero(least > most),
        sheet.place,
        lambda row: (
            f"moq = {sheet.cell('moq', row)} is above capacity = "
            f"{sheet.cell('capacity', row)}: no order is possible"
        ),
        "Lower moq, or raise capacity: it is the most units of one order",
    )
    journal.rows(
        "E42",
        "vendors.order_multiple",
        np.flatnonzero((np.ceil(least / multiple) * multiple > most) & (least <= most)),
        sheet.place,
        lambda row: (
            f"no multiple of order_multiple = {sheet.cell('order_multiple', row)} lies "
            "between moq and capacity: no order is possible"
        ),
        "Correct moq, order_multiple or capacity",
    )
    journal.rows(
        "E42",
        "vendors.capacity",
        np.flatnonzero((multiple > most) & (least <= most) & (least == 0)),
        sheet.place,
        lambda row: (
            f"order_multiple = {sheet.cell('order_multiple', row)} is above capacity "
            f"= {sheet.cell('capacity', row)}: no order is possible"
        ),
        "Raise capacity: it is the most units of one order",
    )


_SEEN = {  # observed lead times: of which table, its keys, what is said of others
    "lead_times": (
        "vendors", ("vendor", "item"), "vendor '{}' does not offer item '{}'",
        "It is not used; leave item empty for all items of a vendor",
    ),
    "lane_times": (
        "lanes", ("source", "destination"), "no lane leads from '{}' to '{}'",
        "It is not used; add the lane",
    ),
}  # fmt: skip


def _check_observed(
    sheet: Sheet, given: Sheet, keys, said: str, hint: str, journal: Journal
) -> None:
    """Warns of lead times of what is not there: items that their vendor does not offer,
    lanes that do not exist."""
    names = [given.text[column].used() for column in keys]

    def pairs(of: Sheet):
        at = [of.text[c].positions(n) for c, n in zip(keys, names, strict=True)]
        return at[0] * (1 + len(names[1])) + at[1], at[0] >= 0

    own, known = pairs(sheet)
    first, second = (sheet.text[key] for key in keys)
    known |= sheet.name == "lane_times"  # all its names are nodes
    strange = known & ~second.empty() & ~np.isin(own, pairs(given)[0])
    journal.rows(
        "W44",
        f"{sheet.name}.{keys[1]}",
        np.flatnonzero(strange),
        sheet.place,
        lambda row: said.format(shown(first[row]), shown(second[row])),
        lambda row: hint,
        severity="warning",
    )  # fmt: skip


def _check_stock(sheet: Sheet, journal: Journal) -> None:
    """Notes stock of an item at a node that is said to be on hand twice."""
    item, node = sheet.text["item"], sheet.text["node"]
    held = np.flatnonzero(sheet.filled("on_hand") > 0)
    cell = item.codes[held] * len(node.values) + node.codes[held]
    _, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    again = held[first[inverse] != np.arange(len(held))]
    before = dict(zip(held.tolist(), held[first[inverse]].tolist(), strict=True))
    journal.rows(
        "E43",
        "inventory.on_hand",
        again,
        sheet.place,
        lambda row: (
            f"on_hand of item '{shown(item[row])}' at '{shown(node[row])}' is also "
            f"given at {sheet.place(before[row])}"
        ),
        "on_hand is stock now: give it once; rows of later periods have on_order alone",
    )


def _check_penalties(sheet: Sheet, journal: Journal) -> None:
    ways = ("lost_sale_cost", "backorder_cost", "unit_price")
    if not any(sheet.has(way) for way in ways):
        text = (
            "one of the columns lost_sale_cost, backorder_cost, unit_price is missing"
        )
        hint = "They say what a lost sale costs; with unit_price it is the margin"
        journal.error("E04", sheet.label, text, hint, kind="items.penalty")
        return
    penalty = penalties(sheet)
    blank = np.all([sheet.blank[way] for way in ways], axis=0)
    journal.rows(
        "E09",
        "items.penalty",
        np.flatnonzero(blank),
        sheet.place,
        lambda row: "lost_sale_cost, backorder_cost and unit_price are empty",
        "Fill in one of them: what a lost sale costs",
    )
    journal.rows(
        "E10",
        "items.margin",
        np.flatnonzero(penalty < 0),
        sheet.place,
        lambda row: f"unit_price - unit_cost = {penalty[row]:.6g}: must be 0 or more",
        "Correct them, or say what a lost sale costs in lost_sale_cost",
    )


def _check_size_classes(book: Book, journal: Journal) -> None:
    items, nodes = book.sheets.get("items"), book.sheets.get("nodes")
    if items is None:
        return
    cells = items.text["size_class"]
    odd = np.array([";" in value for value in cells.values], bool)[cells.codes]
    journal.rows(
        "E14",
        "items.size_class",
        np.flatnonzero(odd),
        items.place,
        lambda row: f"size_class = '{shown(cells[row])}': must not contain ';'",
        "An item has one size class",
    )
    known = cells.used()
    users = [(nodes, "size_classes"), (book.sheets.get("speed_mix"), "size_class")]
    for sheet, column in users:
        if sheet is None or not sheet.has(column):
            continue
        named = [size_classes(value) for value in sheet.text[column].values]
        strange = [[c for c in names if c not in known] for names in named]
        odd = np.array([len(s) > 0 for s in strange], bool)[sheet.text[column].codes]

        def first(row: int, sheet=sheet, column=column, strange=strange) -> str:
            return strange[sheet.text[column].codes[row]][0]

        def hint(row: int, first=first) -> str:
            near = difflib.get_close_matches(first(row), known, n=1)
            guess = f"Did you mean '{shown(near[0])}'? " if near else ""
            return f"{guess}Known: {', '.join(map(shown, known[:8]))}"

        journal.rows(
            "W20",
            f"{sheet.name}.{column}",
            np.flatnonzero(odd),
            sheet.place,
            lambda row, first=first: f"no item has size class '{shown(first(row))}'",
            hint,
            severity="warning",
        )


def _check_capacities(book: Book, journal: Journal) -> None:
    nodes, sheet = book.sheets.get("nodes"), book.sheets.get("capacities")
    effect = {
        "storage": "nothing can be stored there",
        "inbound": "nothing can be received there",
        "outbound": "nothing can be shipped from there",
        "items": "no item can be kept there",
    }
    advice = "Leave it out for no limit; keep 0 only for a closed site"

    def note(sheet: Sheet, column: str, resources: list[str]) -> None:
        for resource in sorted(set(resources) & effect.keys()):
            zero = sheet.number[column] == 0
            zero &= np.array([r == resource for r in resources], bool)
            journal.rows(
                "W11",
                f"{sheet.name}.{column}.{resource}",
                np.flatnonzero(zero),
                sheet.place,
                lambda row, resource=resource: f"{column} = 0: {effect[resource]}",
                lambda row: advice,
                severity="warning",
                about=lambda row, sheet=sheet: ("", sheet.text["node"][row], ""),
            )

    if nodes is not None:
        for column, resource in SHORTHAND.items():
            if nodes.has(column):
                note(nodes, column, [resource] * len(nodes))
    if sheet is None:
        return
    resources = [sheet.text["resource"][row] for row in range(len(sheet))]
    note(sheet, "capacity", resources)
    if nodes is None:
        return
    first = {nodes.text["node"][row]: row for row in reversed(range(len(nodes)))}
    columns = {resource: column for column, resource in SHORTHAND.items()}
    other: dict[int, int] = {}  # row of nodes that gives the same capacity
    for row in np.flatnonzero(sheet.text["period"].empty()).tolist():
        column, at = columns.get(resources[row]), first.get(sheet.text["node"][row])
        if column and at is not None and not nodes.blank[column][at]:
            other[row] = at
    journal.rows(
        "E07",
        "capacities.nodes",
        np.array(list(other), np.int64),
        sheet.place,
        lambda row: (
            f"{resources[row]} capacity of '{shown(sheet.text['node'][row])}' is also "
            f"given at {nodes.place(other[row])}"
        ),
        "Keep one of the two",
    )


def _check_weights(sheet: Sheet, journal: Journal) -> None:
    if not sheet.has("weight"):
        return
    cells, weight = sheet.text["scenario"], sheet.number["weight"]
    _, first, inverse = np.unique(cells.codes, return_index=True, return_inverse=True)
    expected = weight[first][inverse]
    differs = np.abs(weight - expected) > 1e-9 * np.abs(expected)
    empty = sheet.blank["weight"]
    journal.rows(
        "E09",
        "scenarios.weight",
        np.flatnonzero(empty),
        sheet.place,
        lambda row: "weight is empty",
        "Give every row the weight of its scenario, or leave the column out",
    )
    journal.rows(
        "E34",
        "scenarios.weight",
        np.flatnonzero(differs),
        sheet.place,
        lambda row: (
            f"weight = {sheet.cell('weight', row)}: scenario '{shown(cells[row])}' has "
            f"{expected[row]:.6g} at {sheet.place(int(first[inverse[row]]))}"
        ),
        "A scenario has one weight",
    )
    if not empty.any() and np.nansum(weight) == 0:
        text, hint = "all weights are 0", "Give at least one scenario a weight"
        journal.error("E34", sheet.label, text, hint)


def _check_spread(sheet: Sheet, journal: Journal) -> None:
    mean, std = sheet.number["mean"], sheet.number["std"]
    low, high = sheet.number["p10"], sheet.number["p90"]
    journal.rows(
        "E16",
        "demand.p90",
        np.flatnonzero(low > high),
        sheet.place,
        lambda row: f"p10 = {low[row]:.6g} is above p90 = {high[row]:.6g}",
        "Are the columns swapped?",
    )
    good = (mean > 0) & ~np.isnan(std)
    ratio = np.median(std[good] / mean[good]) if good.any() else 0.0
    if ratio > _SPREAD:
        text = f"median std/mean is {ratio:,.3g}"
        hint = "Is std a variance, or a yearly figure next to a weekly mean?"
        journal.warning("W35", sheet.label, text, hint)

"""Rules of the network: lanes flow one way, demand can be reached and supplied."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from meio_jax.faults import SHOWN
from meio_jax.tables.book import Book
from meio_jax.tables.bundle import Tables
from meio_jax.tables.cells import shown
from meio_jax.tables.journal import Journal, count, listed
from meio_jax.tables.sheet import Sheet


def check_lanes(book: Book, journal: Journal) -> None:
    """Notes lanes to themselves, and cycles."""
    sheet = book.sheets.get("lanes")
    if sheet is None:
        return
    sources, destinations = sheet.text["source"], sheet.text["destination"]
    ends = [
        (sources[row], destinations[row], row)
        for row in range(len(sheet))
        if sources[row] and destinations[row]
    ]
    itself = np.array([row for a, b, row in ends if a == b], np.int64)
    journal.rows(
        "E30",
        "lanes",
        itself,
        sheet.place,
        lambda row: f"lane from '{shown(sources[row])}' to itself",
        "Delete the row",
    )
    arcs: dict[str, dict[str, int]] = {}
    for a, b, row in ends:
        if a != b:
            arcs.setdefault(a, {})[b] = row
    found = []
    for cycle in _cycles(arcs):
        rows = np.array([arcs[a][b] for a, b in pairwise(cycle)])
        advice = "Transfers must flow one way: remove one of these lanes"
        text = f"cycle {' -> '.join(map(shown, cycle))}"
        found.append(("lanes", text, f"{advice} ({sheet.places(rows, 8)})"))
    journal.few("E31", "lanes.cycle", found)


def _cycles(arcs: dict[str, dict[str, int]]) -> list[list[str]]:
    """Cycles, one for each arc that a depth-first search finds to lead back."""
    cycles, done = [], set()
    for start in arcs:
        if start in done:
            continue
        path, ahead = [start], [iter(arcs[start])]
        position = {start: 0}
        while path:
            node = next(ahead[-1], None)
            if node is None:
                done.add(path[-1])
                del position[path.pop()]
                ahead.pop()
            elif node in position:
                cycles.append([*path[position[node] :], node])
            elif node not in done:
                position[node] = len(path)
                path.append(node)
                ahead.append(iter(arcs.get(node, ())))
    return cycles


def check_reach(book: Book, clean: Tables, journal: Journal) -> None:
    """Notes demand that no node can ship to, or that nobody can supply, and stock that
    serves nobody.

    Args:
      book: the sheets.
      clean: the clean tables, as far as they go.
      journal: where faults are noted.
    """
    sheet = book.demand
    if sheet is None or clean.items is None:
        return
    amount = sheet.number["mean" if sheet.name == "demand" else "quantity"]
    amount = np.nan_to_num(amount)
    if sheet.name == "scenarios":
        amount = amount / max(len(sheet.text["scenario"].used()), 1)
    items = sheet.text["item"].positions(clean.items["item"].tolist())
    _check_regions(book, sheet, clean, items, amount, journal)
    if "vendors" in book.sheets and "inventory" not in book.tables.unread:
        names = clean.items["item"].tolist()
        _check_supply(book, sheet, names, items, amount, journal)
    if "inventory" in book.sheets:
        _check_stranded(book.sheets["inventory"], clean, journal)


def _check_stranded(sheet: Sheet, clean: Tables, journal: Journal) -> None:
    """Warns of stock that nothing is shipped from: its node does not take the item, or
    no lane leads on to one that does."""
    items, nodes, options = clean.items, clean.nodes, clean.ship_options
    if items is None or nodes is None or options is None or clean.lanes is None:
        return
    ships, names = set(options["node"]), sheet.text["node"].values
    takes = {
        node: set(accepted.split(";")) if node in ships else set()
        for node, accepted in zip(nodes["node"], nodes["size_classes"], strict=True)
    }
    ahead: dict[str, list[str]] = {}
    for source, end in zip(
        clean.lanes["source"], clean.lanes["destination"], strict=True
    ):
        ahead.setdefault(source, []).append(end)
    useful: dict[str, set[str]] = {}
    for node in takes:  # what can be shipped from it or from where its lanes lead
        seen, open_ = {node}, [node]
        while open_:
            fresh = [n for n in ahead.get(open_.pop(), ()) if n not in seen]
            seen.update(fresh)
            open_ += fresh
        useful[node] = set().union(*(takes.get(n, set()) for n in seen))
    classes = sorted(set(items["size_class"]))
    some = [[c in useful.get(name, classes) for c in classes] for name in names]
    fine = np.c_[np.array(some, bool), np.ones(len(names), bool)]  # items not known
    size = pd.Index(classes).get_indexer(pd.Index(items["size_class"]))
    cells = sheet.text["item"]
    own = np.append(size, -1)[cells.positions(items["item"].tolist())]
    held = np.nan_to_num(sheet.filled("on_hand")) + sheet.filled("on_order")
    bad = np.flatnonzero((held > 0) & ~fine[sheet.text["node"].codes, own])
    journal.rows(
        "W45",
        "inventory.node",
        bad,
        sheet.place,
        lambda row: (
            f"{held[row]:,.6g} units of '{shown(cells[row])}' at "
            f"'{shown(sheet.text['node'][row])}' serve nobody"
        ),
        lambda row: (
            "No lane leads on from there to a node that takes the item and "
            "ships; they are left out of the plan"
        ),
        severity="warning",
    )


def _check_regions(
    book: Book,
    sheet: Sheet,
    clean: Tables,
    items: np.ndarray,
    amount: np.ndarray,
    journal: Journal,
) -> None:
    items_table, nodes, options = clean.items, clean.nodes, clean.ship_options
    if items_table is None or nodes is None or options is None:
        return
    known = book.known("regions")
    if known is None:
        return
    regions = list(known)
    if "regions" not in book.sheets:  # then E20 has not seen them
        there = set(regions)
        regions += [r for r in sheet.text["region"].used() if r not in there]
    classes = sorted(set(items_table["size_class"]))
    of_item = pd.Index(classes).get_indexer(pd.Index(items_table["size_class"]))
    places = sheet.text["region"].positions(regions)
    good = (items >= 0) & (places >= 0)
    cells = places[good] * len(classes) + of_item[items[good]]
    wanted = np.bincount(cells, amount[good], len(regions) * len(classes))
    wanted = wanted.reshape(len(regions), len(classes))
    takes = {
        node: np.array([c in accepted.split(";") for c in classes], bool)
        for node, accepted in zip(nodes["node"], nodes["size_classes"], strict=True)
    }
    reached = np.zeros((len(regions), len(classes)), bool)
    pairs = set(zip(options["node"], options["region"], strict=True))
    index = {region: place for place, region in enumerate(regions)}
    for node, region in pairs:
        if node in takes and region in index:
            reached[index[region]] |= takes[node]
        elif region in index and node == "":
            reached[index[region]] = True  # an empty cell is noted already
    lost = (wanted > 0) & ~reached
    bad = [r for r in range(len(regions)) if lost[r].any()]
    names = listed([shown(regions[r]) for r in bad], 3)
    advice = f"{names}. Add rows to ship_options or drop the demand"
    found = []
    for r in bad:
        whole = lost[r].all() or not reached[r].any()
        which = [shown(c) for c, gone in zip(classes, lost[r], strict=True) if gone]
        of = "" if whole else f" of size class {listed(which, 3)}"
        units = f"{wanted[r][lost[r]].sum():,.6g} units{of}"
        ship = "can ship to it" if whole else "that takes it can ship to it"
        text = f"region '{shown(regions[r])}' has demand ({units}) but no node {ship}"
        first = sheet.place(int(np.argmax(places == r)))
        hint = f"{count(len(bad), 'such region')}: {advice} (first at {first})"
        found.append((f"{sheet.name} x ship_options", text, hint))
    journal.few("E32", sheet.name, found)


def _check_supply(
    book: Book,
    sheet: Sheet,
    names: list[str],
    items: np.ndarray,
    amount: np.ndarray,
    journal: Journal,
) -> None:
    wanted = np.bincount(items[items >= 0], amount[items >= 0], len(names)) > 0
    supplied = set(book.sheets["vendors"].text["item"].used())
    stock = book.sheets.get("inventory")
    if stock is not None:
        held = (stock.filled("on_hand") > 0) | (stock.filled("on_order") > 0)
        held_items = stock.text["item"]
        supplied |= {held_items.values[k] for k in np.unique(held_items.codes[held])}
    bad = [i for i, name in enumerate(names) if wanted[i] and name not in supplied]
    found = []
    for i in bad:
        text = f"item '{shown(names[i])}' has demand but no vendor and no stock"
        first = sheet.place(int(np.argmax(items == i))) if len(found) < SHOWN else ""
        hint = count(len(bad), "such item", f"First at {first}")
        found.append((f"{sheet.name} x vendors", text, hint))
    journal.few("E33", sheet.name, found)

"""Speeds, their mix, and the hours of orders: checked and made complete."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meio_jax.tables.book import Book
from meio_jax.tables.cells import shown
from meio_jax.tables.journal import Journal
from meio_jax.tables.schema import HOURLY_ORDERS
from meio_jax.tables.sheet import Sheet

_TOLERANCE = 1e-3  # of a sum of shares; within it they are scaled to 1


def clean_speeds(book: Book) -> pd.DataFrame | None:
    """Every speed with its promise (0 days where no table says) and lost share."""
    if book.speeds is None:
        return None
    sheet = book.sheets.get("speeds")
    if sheet is None:
        zeros = np.zeros(len(book.speeds))
        columns = {"promise_days": zeros, "lost_sale_share": zeros.copy()}
        return pd.DataFrame({"speed": pd.array(book.speeds, "str"), **columns})
    return pd.DataFrame(
        {
            "speed": pd.array(
                [sheet.text["speed"][r] for r in range(len(sheet))], "str"
            ),
            "promise_days": sheet.number["promise_days"],
            "lost_sale_share": sheet.filled("lost_sale_share"),
        }
    )


def clean_mix(
    book: Book, regions: list[str], classes: list[str], journal: Journal
) -> pd.DataFrame | None:
    """Share of each speed for each region and size class, complete and summing to 1.

    Rows of a size class of its own replace those with an empty size class.

    Args:
      book: the sheets.
      regions: that demand may come from.
      classes: size classes of the items.
      journal: where faults are noted.
    """
    speeds = book.speeds
    sheet = book.sheets.get("speed_mix")
    if speeds is None or "speed_mix" in book.tables.unread:
        return None
    if sheet is None and len(speeds) > 1:
        journal.error(
            "E36",
            book.tables.label("speed_mix"),
            f"table is needed: there are {len(speeds)} speeds",
            "Add speed_mix with the columns region, speed and share",
        )
        return None
    shares = np.zeros((len(regions), len(classes), len(speeds)))
    if sheet is None:
        shares[:] = 1.0
    else:
        _fill(sheet, regions, classes, speeds, shares, journal)
        _check_cover(sheet, book, regions, classes, journal)
    sums = shares.sum(axis=2, keepdims=True)
    shares = shares / np.where(sums > 0, sums, 1.0)
    index = np.indices(shares.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "region": pd.array(np.array(regions, object)[index[0]], "str"),
            "size_class": pd.array(np.array(classes, object)[index[1]], "str"),
            "speed": pd.array(np.array(speeds, object)[index[2]], "str"),
            "share": shares.ravel(),
        }
    )


def _fill(
    sheet: Sheet,
    regions: list[str],
    classes: list[str],
    speeds: list[str],
    shares: np.ndarray,
    journal: Journal,
) -> None:
    """Puts the table's shares in their places; notes sums that are not 1."""
    region = sheet.text["region"].positions(regions)
    speed = sheet.text["speed"].positions(speeds)
    size = sheet.text["size_class"].positions(classes)
    every = sheet.text["size_class"].empty()
    share = sheet.number["share"]
    groups: dict[tuple[int, int], list[int]] = {}
    for row in range(len(sheet)):
        if region[row] >= 0 and (every[row] or size[row] >= 0):
            key = (region[row], -1 if every[row] else size[row])
            groups.setdefault(key, []).append(row)
    wrong = []
    for (r, c), rows in sorted(groups.items()):
        total = share[rows].sum()
        if abs(total - 1) > _TOLERANCE:  # false where a share is noted already
            of = f"region '{shown(regions[r])}'"
            of += f", size class '{shown(classes[c])}'" if c >= 0 else ""
            text = f"{of}: share sums to {total:.6g}, must be 1"
            hint = f"Correct the shares in {sheet.places(np.array(rows), 4)}"
            wrong.append((sheet.label, text, hint))
        places = slice(None) if c < 0 else c  # sorted: all classes come first
        shares[r, places] = 0.0
        for row in rows:
            if speed[row] >= 0:
                shares[r, places, speed[row]] = np.nan_to_num(share[row])
    journal.few("E34", "speed_mix.sum", wrong)


def _check_cover(
    sheet: Sheet,
    book: Book,
    regions: list[str],
    classes: list[str],
    journal: Journal,
) -> None:
    """Notes regions with demand, or size classes in them, that have no speed mix."""
    wanted = set(book.demand.text["region"].used()) if book.demand else set()
    named = set(sheet.text["region"].used())
    hint = "Add its rows: one for each speed, with shares that sum to 1"
    absent = []
    for region in regions:
        if region not in wanted:
            continue
        text = f"region '{shown(region)}'"
        if region not in named:
            absent.append((sheet.label, f"{text} has no speed mix", hint))
            continue
        every = sheet.text["region"].codes == sheet.text["region"].values.index(region)
        if (every & sheet.text["size_class"].empty()).any():
            continue
        there = {
            sheet.text["size_class"][row] for row in np.flatnonzero(every).tolist()
        }
        for name in classes:
            if name not in there:
                of = f"{text}, size class '{shown(name)}' has no speed mix"
                absent.append((sheet.label, of, hint))
    journal.few("E34", "speed_mix.absent", absent)


def clean_hours(book: Book, journal: Journal) -> pd.DataFrame:
    """Share of a day's orders before each hour, from 0 at 0 to 1 at 24."""
    sheet = book.sheets.get("order_hours")
    if sheet is None:
        orders = np.cumsum([0.0, *HOURLY_ORDERS])
        share = orders / orders[-1]
        return pd.DataFrame({"hour": np.arange(25.0), "share": share})
    hour, share = sheet.number["hour"], sheet.number["share"]
    good = np.flatnonzero(~np.isnan(hour) & ~np.isnan(share))
    order = good[np.argsort(hour[good], kind="stable")]
    hour, share = hour[order], share[order]
    falls = np.flatnonzero(np.diff(share) < 0)
    journal.rows(
        "E34",
        "order_hours.falls",
        order[falls + 1],
        sheet.place,
        lambda row: f"share = {sheet.cell('share', row)}: less than the hour before",
        "Shares are cumulative: orders before that hour, whole day = 1",
    )
    if len(share) == len(sheet) and abs(share[-1] - 1) > _TOLERANCE:
        at = f"{hour[-1]:g}"
        text = f"share ends at {share[-1]:.6g} (hour {at}), must be 1 at hour 24"
        hint = "Shares are cumulative: orders before that hour, whole day = 1"
        journal.error("E34", sheet.place(order[-1]), text, hint)
    if len(hour) and hour[0] == 0 and share[0] > 0:
        text = f"share = {share[0]:.6g} at hour 0: nothing is ordered before the day"
        hint = "Shares are cumulative: orders before that hour"
        journal.error("E34", sheet.place(order[0]), text, hint)
    if not len(hour) or hour[0] > 0:
        hour, share = np.insert(hour, 0, 0.0), np.insert(share, 0, 0.0)
    if hour[-1] < 24:
        hour, share = np.append(hour, 24.0), np.append(share, 1.0)
    share[-1] = 1.0
    return pd.DataFrame({"hour": hour, "share": np.minimum(share, 1.0)})


def check_promises(book: Book, journal: Journal) -> None:
    """Notes ship options whose transit takes longer than the promise."""
    options, speeds = book.sheets.get("ship_options"), book.sheets.get("speeds")
    if options is None or speeds is None:
        return
    names = [speeds.text["speed"][row] for row in range(len(speeds))]
    place = options.text["speed"].positions(names)
    promise = np.append(speeds.number["promise_days"], np.nan)[place]
    transit = options.filled("transit_days")
    rows = np.flatnonzero(transit > promise)

    def text(row: int) -> str:
        node, region, speed = (
            shown(options.text[name][row]) for name in ("node", "region", "speed")
        )
        return (
            f"{node} -> {region} at {speed} has transit_days = {transit[row]:g}"
            f" > promise_days = {promise[row]:g}"
        )

    journal.rows(
        "W39",
        "ship_options.transit_days",
        rows,
        options.place,
        text,
        "Drop the row, or correct transit_days",
        severity="warning",
        about=lambda row: ("", options.text["node"][row], ""),
    )

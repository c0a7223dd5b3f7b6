"""Units: the factors between them, and units named in a column's header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

from meio_jax.config import Units
from meio_jax.tables.schema import Column

_FACTORS = MappingProxyType({
    "volume": {  # cubic metres
        "m3": 1.0, "dm3": 1e-3, "l": 1e-3, "litres": 1e-3, "liters": 1e-3,
        "litre": 1e-3, "liter": 1e-3, "ml": 1e-6, "cm3": 1e-6, "cc": 1e-6, "mm3": 1e-9,
        "ft3": 0.028316846592, "cuft": 0.028316846592, "in3": 1.6387064e-5,
        "yd3": 0.764554857984,
    },
    "weight": {  # kilograms
        "kg": 1.0, "g": 1e-3, "t": 1e3, "tonnes": 1e3, "lb": 0.45359237,
        "lbs": 0.45359237, "pounds": 0.45359237, "oz": 0.028349523125,
    },
    "time": {  # days
        "hours": 1 / 24, "hour": 1 / 24, "days": 1.0, "day": 1.0, "weeks": 7.0,
        "week": 7.0, "months": 30.4375, "month": 30.4375,
    },
})  # fmt: skip

PERIODS_PER_YEAR = MappingProxyType({"day": 365.25, "week": 52.1775, "month": 12.0})


def days_per_period(units: Units) -> float:
    """Length of one period in days."""
    return _FACTORS["time"][units.period]


@dataclass(frozen=True)
class Header:
    """A header that was understood as a known column.

    Attributes:
      column: which one.
      unit: the unit that the header names, or "".
    """

    column: Column
    unit: str = ""


def read_header(text: str, columns: tuple[Column, ...]) -> Header | None:
    """The known column that a header means, with its unit, or None.

    Understood are `unit_volume`, `unit_volume_litres`, `unit_volume [litres]` and, for
    money per unit, `storage_cost [per ft3]`.
    """
    for column in columns:
        if text == column.name:
            return Header(column)
        if not column.unit or not text.startswith(column.name):
            continue
        rest = text[len(column.name) :]
        between = re.fullmatch(r"\s*[\[(]\s*(.+?)\s*[\])]", rest)
        unit = between[1].lower() if between else rest.removeprefix("_").lower()
        if column.per:
            if not unit.startswith("per "):
                continue
            unit = unit.removeprefix("per ").strip()
        known = unit in _FACTORS[column.unit]
        if known or (column.unit == "time" and unit in ("period", "periods")):
            return Header(column, unit.removesuffix("s") if "period" in unit else unit)
    return None


def factor(header: Header, units: Units) -> float | None:
    """What the column's numbers are multiplied with, or None where nobody can say."""
    column = header.column
    if column.unit == "time":
        table = {**_FACTORS["time"], "period": days_per_period(units)}
        return table[header.unit or units.lead_time] / table["period"]
    if not column.unit or not header.unit:
        return 1.0
    table = _FACTORS[column.unit]
    ours = table.get(getattr(units, column.unit).lower())
    if ours is None:
        return None
    scale = table[header.unit] / ours
    return 1 / scale if column.per else scale

"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"


def amount(value: float, like: float = 0.0) -> str:
    """A quantity or money: whole from a hundred on or if it is, else three figures.

    Args:
      value: the number.
      like: a number as large or larger that it is shown beside: as many decimals.
    """
    value = float(value)
    size = max(abs(value), abs(like))
    if not math.isfinite(value):
        return NOTHING
    if size >= 99.5 or (value.is_integer() and not like):
        return _signed(f"{value:,.0f}")
    digits = max(0, 2 - math.floor(math.log10(size)))
    return _signed(f"{value:.{min(digits, 6)}f}")


def points(value: float) -> str:
    """A difference of shares in percentage points."""
    return _signed(f"{100 * value:.1f}") if math.isfinite(value) else NOTHING


def whole(value: float) -> str:
    """A number without decimals."""
    return _signed(f"{value:,.0f}") if math.isfinite(value) else NOTHING


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent."""
    if not math.isfinite(value):
        return NOTHING
    return _signed(f"{100 * value:,.{digits}f}") + " %"


def change(text: str) -> str:
    """The same with its sign written, a plus too."""
    return text if text.startswith((MINUS, NOTHING)) else f"+{text}"


def count(number: int, word: str) -> str:
    """So many of a thing."""
    if number == 1:
        return f"1 {word}"
    word = word[:-1] + "ie" if word.endswith("y") else word
    return f"{number:,} {word}s"


def several(unit: str) -> str:
    """The plural of a unit: of words, not of symbols such as m3."""
    return f"{unit}s" if unit.isalpha() and len(unit) > 3 else unit


def short(name: object, width: int = 24) -> str:
    """A name that fits a picture: its middle left out where it is long."""
    name = re.sub(r"\s+", " ", str(name))
    if len(name) <= width:
        return name
    return f"{name[: width - width // 3 - 1]}…{name[-(width // 3) :]}"


def spans(periods: Sequence[str], chosen: Sequence[str]) -> str:
    """Some of the periods in words: "all 8", or "2 to 4 and 7".

    Args:
      periods: all of them, in their order.
      chosen: those to name.
    """
    if len(chosen) == len(periods) > 1:
        return f"all {len(periods)}"
    places = sorted(periods.index(period) for period in chosen)
    starts = [k for k in places if k - 1 not in places]
    ends = [k for k in places if k + 1 not in places]
    words = [
        periods[a] if a == b else f"{periods[a]} to {periods[b]}"
        for a, b in zip(starts, ends, strict=True)
    ]
    if len(words) > 3:
        words = [*words[:2], f"{len(words) - 2} more spells"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def ticks(periods: Sequence[str]) -> list[str]:
    """Periods as short labels: dates without a year that all share."""
    dates = [re.fullmatch(r"(\d{4})-(\d\d-\d\d)", period) for period in periods]
    if all(dates):
        return [d[2] for d in dates if d]
    return [short(period, 10) for period in periods]


def _signed(text: str) -> str:
    if not text.startswith("-"):
        return text
    return text[1:] if not text.strip("-0.,") else MINUS + text[1:]

"""What a change written as +10%, -5, *1.2 or =40 makes of numbers, and its faults."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable

from meio_jax.faults import Fault

LISTED = 8  # names that a message lists
HINT = "Write +10%, -10%, +50, -50, *1.2 or =1200"
_CHANGE = re.compile(r"(?P<sign>[=*+-])(?P<number>\d+\.?\d*|\.\d+)(?P<percent>%?)")


def step(change: float | str) -> Callable | None:
    """What a change makes of a number or an array; None if it is no change.

    Args:
      change: a factor, or one of "+10%", "-10%", "+50", "-50", "*1.2", "=1200".
    """
    if isinstance(change, bool):
        return None
    if isinstance(change, float | int):
        able = math.isfinite(change) and change >= 0
        return (lambda x: x * change) if able else None
    match = _CHANGE.fullmatch(str(change).strip())
    if match is None or not math.isfinite(float(match["number"])):
        return None
    sign, number = match["sign"], float(match["number"])
    if match["percent"]:
        by = 1 + number / 100 if sign == "+" else 1 - number / 100
        return (lambda x: x * by) if sign in "+-" else None
    return {
        "=": lambda x: 0 * x + number,
        "*": lambda x: x * number,
        "+": lambda x: x + number,
        "-": lambda x: x - number,
    }[sign]


def relative(change: str) -> bool:
    """Whether a text that is a change is a factor."""
    return change.strip().startswith("*") or change.strip().endswith("%")


def unknown(place: str, kind: str, name: str, names: Iterable[str]) -> Fault:
    """A name that nothing has, with the one that is probably meant."""
    names = list(map(str, names))
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    return fault(place, f"no {kind} '{name}'{guess}", f"Known: {few(names)}")


def few(names: Iterable[str]) -> str:
    """Some of the names, each once, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def fault(place: str, text: str, hint: str) -> Fault:
    """What is wrong with a question."""
    return Fault("error", "Q01", place, text, hint, kind=text)

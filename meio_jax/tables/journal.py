"""The faults found so far, a few of each kind and a count of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from meio_jax.faults import NOTHING, SHOWN, Fault, Faults, Severity


class Journal:
    """Collects faults; the checks write into one, and it ends as `Faults`."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def error(self, code: str, place: str, text: str, hint: str, **more) -> None:
        """Notes one error; `more` may hold its `kind` and how many `more` there are."""
        self._faults.append(Fault("error", code, place, text, hint, **more))

    def warning(self, code: str, place: str, text: str, hint: str, **more) -> None:
        """Notes one warning, as `error` does."""
        self._faults.append(Fault("warning", code, place, text, hint, **more))

    def rows(
        self,
        code: str,
        kind: str,
        rows: np.ndarray,
        place: Callable[[int], str],
        text: Callable[[int], str],
        hint: str | Callable[[int], str],
        *,
        total: int | None = None,
        severity: Severity = "error",
        about: Callable[[int], tuple[str, str, str]] = lambda row: NOTHING,
    ) -> None:
        """Notes rows with one kind of fault: the first ones, and how many there are.

        Args:
          code: of the fault.
          kind: table and column.
          rows: which rows, or one row for each thing that is wrong.
          place: of a row.
          text: what is wrong in a row.
          hint: what to do; where it is text, the count is put before it.
          total: how many rows are affected; `len(rows)` unless given.
          severity: of the fault.
          about: item, node and period of a row, where they are known.
        """
        total = len(rows) if total is None else total
        shown = [int(row) for row in rows[:SHOWN]]
        for row in shown:
            advice = hint(row) if callable(hint) else count(total, "such row", hint)
            more = total - len(shown) if row == shown[-1] else 0
            fault = Fault(
                severity, code, place(row), text(row), advice, kind, more, about(row)
            )
            self._faults.append(fault)

    def few(
        self,
        code: str,
        kind: str,
        things: Sequence[tuple[Any, ...]],
        severity: Severity = "error",
    ) -> None:
        """Notes things of one kind: the first ones, and how many there are.

        Args:
          code: of the fault.
          kind: what they have in common.
          things: place, text and hint of each, and what it is about if that is known.
          severity: of the fault.
        """
        for k, thing in enumerate(things[:SHOWN]):
            more = len(things) - SHOWN if k == SHOWN - 1 else 0
            place, text, hint, *known = thing
            about = known[0] if known else NOTHING
            fault = Fault(severity, code, place, text, hint, kind, more, about)
            self._faults.append(fault)

    def faults(self) -> Faults:
        """Everything found, errors first."""
        faults = Faults(self._faults)
        return faults.errors + faults.warnings


def count(n: int, what: str, advice: str = "") -> str:
    """How many, and what to do about them: "2 such rows. Drop them"."""
    noun = what if n == 1 or what.endswith(")") else f"{what}s"
    return f"{n:,} {noun}. {advice}".removesuffix(". ")


def listed(names: list[str], most: int = 8) -> str:
    """Names in a row, cut off after a few."""
    tail = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + tail

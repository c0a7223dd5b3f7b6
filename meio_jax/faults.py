"""Faults in what the user gave us: where, what is wrong, what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning"]

SHOWN = 3  # faults of one kind that are printed before a count stands for the rest
INFEASIBLE = "I26"  # the input is well formed, but no plan can satisfy it
NOTHING = "", "", ""  # item, node and period of a fault that is about none


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the input.

    Attributes:
      severity: an "error" stops the run, a "warning" does not.
      code: short and stable, such as "E07".
      place: file and row, such as "items.csv:5", or the tables that disagree.
      text: what is wrong there.
      hint: what to do about it; may be empty.
      kind: table and column, such as "items.unit_cost"; faults with the same code
        and kind are printed together. Empty means the place without its row.
      more: how many further faults of this kind are not listed.
      about: item, node and period that it is about, each "" where there is none.
    """

    severity: Severity
    code: str
    place: str
    text: str
    hint: str = ""
    kind: str = ""
    more: int = 0
    about: tuple[str, str, str] = NOTHING

    @property
    def line(self) -> str:
        """The line that says where and what."""
        if self.code == INFEASIBLE:
            return f"INFEASIBLE: {self.text}"
        return f"{self.severity.upper()} {self.code} {self.place}: {self.text}"

    @property
    def group(self) -> tuple[str, str]:
        """What makes two faults of one kind."""
        return self.code, self.kind or re.sub(r"(:| row )\d+$", "", self.place)

    def __str__(self) -> str:
        return f"{self.line}\n    {self.hint}" if self.hint else self.line


class Faults(Sequence[Fault]):
    """An immutable list of faults that prints as one: errors first, few of a kind."""

    __slots__ = ("_faults",)

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = tuple(faults)

    @property
    def errors(self) -> Faults:
        """The faults that stop a run."""
        return Faults(f for f in self._faults if f.severity == "error")

    @property
    def warnings(self) -> Faults:
        """The faults that do not stop a run."""
        return Faults(f for f in self._faults if f.severity == "warning")

    @property
    def infeasible(self) -> bool:
        """Whether the only errors are hard limits that clash: no plan exists."""
        errors = self.errors
        return len(errors) > 0 and all(f.code == INFEASIBLE for f in errors)

    @property
    def total(self) -> int:
        """How many faults there are, those that are not listed included."""
        return sum(1 + f.more for f in self._faults)

    def to_frame(self) -> pd.DataFrame:
        """The listed faults as a table: severity, code, place, text, hint, more."""
        # Late, as options have faults too and are read where no table is.
        import pandas as pd

        columns = ["severity", "code", "place", "text", "hint", "more"]
        cells = [[getattr(f, column) for column in columns] for f in self._faults]
        return pd.DataFrame(cells, columns=pd.Index(columns))

    @overload
    def __getitem__(self, index: int) -> Fault: ...
    @overload
    def __getitem__(self, index: slice) -> Faults: ...
    def __getitem__(self, index: int | slice) -> Fault | Faults:
        if isinstance(index, slice):
            return Faults(self._faults[index])
        return self._faults[index]

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __add__(self, other: Iterable[Fault]) -> Faults:
        return Faults(chain(self._faults, other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Faults) and self._faults == other._faults

    def __hash__(self) -> int:
        return hash(self._faults)

    def __repr__(self) -> str:
        return str(self) or "no faults"

    def __str__(self) -> str:
        groups: dict[tuple[str, str], list[Fault]] = {}
        for fault in chain(self.errors, self.warnings):
            groups.setdefault(fault.group, []).append(fault)
        return "\n".join(chain.from_iterable(map(_lines, groups.values())))


class InputError(ValueError):
    """Tables or options that cannot be used; `faults` lists everything found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = Faults(faults)
        super().__init__(str(self.faults))

    def __reduce__(self) -> tuple[type[InputError], tuple[Faults]]:
        return InputError, (self.faults,)


def _lines(group: list[Fault]) -> list[str]:
    """A printed group: a hint that several share is printed once, after them."""
    shown, lines = group[:SHOWN], []
    for fault, after in zip(shown, [*shown[1:], None], strict=True):
        lines.append(fault.line)
        if fault.hint and (after is None or after.hint != fault.hint):
            lines.append(f"    {fault.hint}")
    hidden = len(group) - len(shown) + sum(f.more for f in group)
    return [*lines, f"    and {hidden:,} more of this kind"] if hidden else lines

"""An explanation as a value: steps that add up, and what a planner reads."""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas  # noqa: TID251

WIDTH = 60  # of a step's words
ORDER = (
    "Steps are in this fixed order: demand, economics, prices, order mix, sharing, "
    "whole units, limits, capacity. Each adds one influence, with the other nodes at "
    "the plan's targets; in another order the parts would differ and the sum would not."
)


@dataclass(frozen=True)
class Influence:
    """One step to a target.

    Attributes:
      name: short and the same for every target, such as "storage price".
      says: what it is, with its numbers.
      level: best level with the influences so far, units; the last one is the plan's.
      change: what this influence adds, units; of the first the level itself.
      ratio: chance that the node's own demand is covered by the level, which the
        critical ratio becomes where a node stands alone; nan without demand.
    """

    name: str
    says: str
    level: float
    change: float
    ratio: float


@dataclass(frozen=True)
class Reason:
    """Why one target is what it is.

    Attributes:
      period: of the target.
      target: the plan's order-up-to level, units.
      demand: expected in the protection interval, units.
      spread: its standard deviation, units.
      interval: mean periods that an order protects.
      steps: their changes add up to the target.
      last_unit: share of what the last unit saves that own orders and those of each
        wider pool make up; zeros where it saves nothing on the plan's scenarios.
      per_price: change of the level, whole units, for `price_step` more on storage.
      price_step: money per unit of volume and period.
      since: the earlier plan's target and the level that its prices would give, whole
        units; nan where there is none.
      held_by: what holds the target, as in the table of targets.
      notes: more lines.
    """

    period: str
    target: float
    demand: float
    spread: float
    interval: float
    steps: tuple[Influence, ...]
    last_unit: dict[str, float]
    per_price: float
    price_step: float
    since: tuple[float, float]
    held_by: str
    notes: tuple[str, ...]

    def lines(self, item: str, node: str, period: str) -> list[str]:
        """The lines that are printed, 92 columns.

        Args:
          item: name.
          node: name.
          period: what a period is called.
        """
        head = f"{item} at {node}, {self.period}: order up to {number(self.target)}"
        interval = f"protection interval {self.interval:.3g} {period}s"
        lines = [
            head,
            f"  {interval}: {number(self.demand)} expected, sd {number(self.spread)}",
            f"  {'step':<{WIDTH}}{'ratio':>8}{'target':>10}{'change':>10}",
        ]
        for k, step in enumerate(self.steps):
            words = textwrap.wrap(step.says, WIDTH - 2)
            ratio = "" if math.isnan(step.ratio) or k == 0 else f"{step.ratio:.3f}"
            change = "" if k == 0 else signed(step.change)
            first = f"  {words[0]:<{WIDTH}}{ratio:>8}{number(step.level):>10}"
            lines.append(f"{first}{change:>10}".rstrip())
            lines += [f"    {word}" for word in words[1:]]
        for note in self.notes:
            lines += textwrap.wrap(
                note, 90, initial_indent="  ", subsequent_indent="    "
            )
        return lines


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the targets of an item at a node are what they are; prints as a page.

    Attributes:
      item: name.
      node: name.
      reasons: one for each period that was asked for.
      unit: what a period is called.
    """

    item: str
    node: str
    reasons: tuple[Reason, ...]
    unit: str = "period"

    def __str__(self) -> str:
        first, *others = self.reasons
        lines = first.lines(self.item, self.node, self.unit)
        if others:
            words = ", ".join(f"{r.period} {number(r.target)}" for r in others)
            lines += textwrap.wrap(
                f"other {self.unit}s: {words}", 90, initial_indent="  ",
                subsequent_indent="    ",
            )  # fmt: skip
        lines += textwrap.wrap(ORDER, 90, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    __repr__ = __str__

    def to_frame(self) -> pandas.DataFrame:
        """A row for each period and step: item, node, period, step, level, change,
        ratio and the words."""
        from meio_jax.tables.explained import steps_frame

        return steps_frame(self)

    def _repr_html_(self) -> str:
        table: Any = self.to_frame()
        first = table[table["period"] == self.reasons[0].period]
        shown = first[["says", "ratio", "level", "change"]]
        head = html.escape(f"{self.item} at {self.node}, {self.reasons[0].period}")
        notes = "".join(f"<p>{html.escape(n)}</p>" for n in self.reasons[0].notes)
        body = shown.to_html(index=False, float_format="{:,.3g}".format, border=0)
        return f"<h4>{head}</h4>{body}{notes}<p>{html.escape(ORDER)}</p>"


def number(value: float) -> str:
    """Units: whole, or with one decimal where they are not."""
    if math.isnan(value):
        return "-"
    near = abs(value - round(value)) < 1e-6
    return f"{value + 0.0:,.0f}" if near else f"{value:,.1f}"


def signed(value: float) -> str:
    """A change with its sign; 0 without."""
    text = number(value)
    if text.strip("-0.,") == "":
        return "0"
    return text if value < 0 else f"+{text}"


def money(value: float) -> str:
    """Money or a price, three digits of what is little."""
    value = float(value)
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"

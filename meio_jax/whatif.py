"""What if capacities were others: an answer from the proven bound, without solving.

For capacities b and prices L the dual bound is D(b), and linear in b: D(b + d) =
D(b) - L d bounds the cost of every plan of the changed problem, whatever the prices.
So what is added saves at most the gap and L d, and what is lost costs at least L d less
the gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meio_jax.changes import HINT, fault, few, step, unknown
from meio_jax.faults import Fault, Faults, InputError

if TYPE_CHECKING:
    import pandas  # noqa: TID251

FREE = "free: arithmetic on the proven bound, no solving"
ONE_PASS = "one pass at the plan's prices: every item again, prices as they were"
SOLVED = "solved: a plan of its own, and the answer without solving beside it"
RESOURCES = ("storage", "inbound", "outbound", "items")
KEYS = ["node", "resource", "period"]
ALL = "*"


@dataclass(frozen=True, eq=False)
class WhatIf:
    """What other capacities would save or cost; money over the horizon.

    Attributes:
      grade: how the answer was found.
      changes: a row for each changed capacity: node, resource, period, `capacity` and
        `new_capacity`, `bound_change` (what it adds to the bound; below 0 where room is
        added) and `estimate` (what it would add to the cost at the plan's prices).
      cost: of the plan as it is.
      bound: no plan of the changed problem costs less, in the sense in which the plan's
        bound is proven; -inf if none is.
      saves_at_most: no plan of the changed problem is cheaper than the plan as it is by
        more; 0 where all are dearer.
      costs_at_least: every plan of the changed problem is dearer by this much or more;
        0 where that is not proven, and then it may be cheaper.
      estimate: what the plan's own prices say that the cost changes by: no bound, and
        good for small changes alone. After one pass it is no more than what the bound
        changes by, as new prices only add: the loss of a site costs more.
      plan: of the changed problem, where it was solved again; else None.
      edits: other changes than of capacities: `kind` and `word` as they were asked
        for, `text` what of the tables they change.
    """

    grade: str
    changes: pandas.DataFrame
    cost: float
    bound: float
    estimate: float
    plan: Any = None
    edits: tuple[dict[str, str], ...] = ()

    @property
    def saves_at_most(self) -> float:
        return max(self.cost - self.bound, 0.0)

    @property
    def costs_at_least(self) -> float:
        return max(self.bound - self.cost, 0.0)

    @property
    def limits(self) -> list[dict[str, Any]]:
        """The changed capacities: node, resource, period and new capacity of each."""
        names = *KEYS, "capacity"
        rows = zip(*(self.changes[c] for c in (*KEYS, "new_capacity")), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def holds(self, cost: float) -> bool:
        """Whether a plan of the changed problem may cost this much.

        Args:
          cost: of a plan within all capacities.
        """
        return cost >= self.bound - 1e-9 * abs(cost)

    def __repr__(self) -> str:
        solved = f", plan={self.plan!r}" if self.plan is not None else ""
        return (
            f"WhatIf({self.grade.partition(':')[0]}: saves at most "
            f"{self.saves_at_most:,.4g}, costs at least {self.costs_at_least:,.4g}, "
            f"estimate {self.estimate:+,.4g}, bound {self.bound:,.4g}{solved})"
        )


def parse(words: Iterable[str], periods: Iterable[str] = ()) -> dict[tuple, str]:
    """Changes by node, resource and period, of words such as FC02:storage:+10%.

    Args:
      words: of the changes.
      periods: in which they hold; all if there are none.

    Raises:
      InputError: with every word that is none, or is there twice.
    """
    found, faults = {}, []
    periods = tuple(dict.fromkeys(periods))
    for word in words:
        node, *more = word.rsplit(":", 2)
        if len(more) != 2 or not all((node, *more)):
            hint = "Write NODE:RESOURCE:CHANGE, as in FC02:storage:+10%"
            faults.append(fault(word, "is not a node, a resource and a change", hint))
            continue
        resource, change = more
        keys = [(node, resource, p) for p in periods] or [(node, resource)]
        if keys[0] in found:
            text = f"{node} {resource} is changed twice"
            faults.append(fault(word, text, "Give one change of each capacity"))
        found |= dict.fromkeys(keys, change)
    if faults:
        raise InputError(Faults(faults))
    return found


def ask(
    prices: pandas.DataFrame,
    capacity: Mapping[tuple, float | str],
    *,
    cost: float,
    bound: float,
    known: Callable[[str], Iterable[str]],
) -> WhatIf:
    """The free answer.

    Args:
      prices: table of a plan.
      capacity: changes by (node, resource) or (node, resource, period); node "*" is
        every node with such a limit. A number is a factor, a text one of "+10%",
        "-10%", "+50", "-50", "*1.2", "=1200".
      cost: of the plan.
      bound: of the plan. It does not see how many items a node may hold (resource
        items): such a change adds nothing to it.
      known: names of the plan's nodes or periods; called for messages.

    Raises:
      InputError: with everything that is wrong with the changes.
    """
    if "bound_price" not in prices:
        text = "the run is of a version that did not keep the prices of its bound"
        raise InputError(Faults([fault("what-if", text, "Solve again")]))
    faults: list[Fault] = []
    new = prices["capacity"].astype(float)
    touched = new != new  # none yet
    for key, change in capacity.items():
        place = _place(key, change)
        move = step(change)
        if move is None:
            faults.append(fault(place, f"{change!r} is not a change", HINT))
        rows = _rows(prices, key, place, known, faults)
        if move is None or rows is None:
            continue
        after = move(prices["capacity"][rows])
        if (after < 0).any():
            worst = after.idxmin()
            node, resource, period = prices.loc[worst, KEYS]
            text = f"leaves {after[worst]:,.6g} of {prices['capacity'][worst]:,.6g}: "
            text += f"{node} {resource} in {period} must be 0 or more"
            faults.append(fault(place, text, "Write =0 for no room at all"))
        if (touched & rows).any():
            node, resource, period = prices.loc[(touched & rows).idxmax(), KEYS]
            text = f"{node} {resource} in {period} is changed by another change too"
            faults.append(fault(place, text, "Give one change of each capacity"))
        touched |= rows
        new[rows] = after
    if not capacity:
        faults.append(fault("what-if", "no capacity is changed", HINT))
    if faults:
        raise InputError(Faults(faults))
    changed = prices.loc[touched]
    room = new[touched] - changed["capacity"]
    changes = changed.loc[:, [*KEYS, "capacity"]].assign(
        new_capacity=new[touched],
        bound_change=0.0 - changed["bound_price"] * room,
        estimate=0.0 - changed["price"] * room,
    )
    return WhatIf(
        FREE,
        changes.reset_index(drop=True),
        cost,
        bound + math.fsum(changes["bound_change"]),
        math.fsum(changes["estimate"]),
    )


def _rows(prices, key, place: str, known, faults: list[Fault]):
    """The rows of a change, or None and the reasons why there are none."""
    if not isinstance(key, tuple) or len(key) not in (2, 3):
        hint = 'Write ("FC02", "storage"), or a period as the third'
        faults.append(fault(place, "is not a node and a resource", hint))
        return None
    node, resource, *period = map(str, key)
    before = len(faults)
    if node != ALL and node not in set(prices["node"]):
        names = list(map(str, known("node")))
        if node not in names:
            faults.append(unknown(place, "node", node, names))
    if resource not in RESOURCES:
        faults.append(unknown(place, "resource", resource, RESOURCES))
    labels = prices["period"].astype(str)
    if period and period[0] not in set(labels):
        names = list(map(str, known("period")))
        if period[0] not in names:
            faults.append(unknown(place, "period", period[0], names))
    if len(faults) > before:
        return None
    rows = prices["resource"] == resource
    if node != ALL:
        rows &= prices["node"] == node
    if period:
        rows &= labels == period[0]
    if rows.any():
        return rows
    where = "no node" if node == ALL else f"node '{node}'"
    text = f"{where} has {'a' if node == ALL else 'no'} limit of {resource}"
    text += f" in {period[0]}" if period else ""
    able = [f"{n} {r}" for n, r in zip(prices["node"], prices["resource"], strict=True)]
    hint = f"Limited: {few(able)}" if able else "The plan has no limits"
    faults.append(fault(place, text, hint))
    return None


def _place(key, change) -> str:
    return ":".join(map(str, (*(key if isinstance(key, tuple) else (key,)), change)))

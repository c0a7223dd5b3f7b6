"""From a plan and the names of an item, a node and a period to an explanation."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meio_jax.explain import notes
from meio_jax.explain.says import Cell
from meio_jax.explain.steps import ItemSteps, explain_item
from meio_jax.explain.words import Explanation, Influence, Reason
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.rebuild import Rebuilt, rebuild

if TYPE_CHECKING:
    from meio_jax.tables import Tables

LISTED = 8  # names that a message lists


def explain(
    plan: Any,
    item: str,
    node: str,
    period: str | None = None,
    *,
    since: Any = None,
    tables: Tables | str | Path | None = None,
) -> Explanation:
    """Why a plan's targets of an item at a node are what they are.

    Args:
      plan: the plan.
      item: name.
      node: name.
      period: its name; all periods if not given.
      since: an earlier plan, to say what changed.
      tables: those that the plan was made from, or their folder; where they were then
        unless given.

    Raises:
      InputError: there is no such item, node or period, or the tables are not those
        that the plan was made from.
    """
    check_names(plan, item, node, period)
    made = prepared(plan, tables)
    group, row = find_item(made, item)
    place = made.problem.groups[group].network.node
    n = int(np.flatnonzero(place == made.labels.nodes.index(node))[0])
    found = explain_item(made, group, row)
    periods = list(map(str, made.labels.periods))
    chosen = [periods.index(period)] if period is not None else range(len(periods))
    reasons = tuple(_reason(plan, made, found, node, n, t, since) for t in chosen)
    return Explanation(item, node, reasons, made.config.units.period)


@lru_cache(maxsize=1)
def prepared(plan: Any, tables: Tables | str | Path | None = None) -> Rebuilt:
    """What a plan was made from, kept for the next question to it.

    Args:
      plan: the plan.
      tables: as for `explain`.
    """
    return rebuild(plan, tables)


def check_names(plan: Any, item: str, node: str, period: str | None) -> None:
    """Raises where a plan has no target of these names.

    Args:
      plan: the plan.
      item: name.
      node: name.
      period: its name, or None.

    Raises:
      InputError: with every name that is not known.
    """
    table, faults = plan.targets, []
    asked = {"item": item, "node": node, "period": period}
    for kind, name in asked.items():
        names = list(map(str, table[kind].unique()))
        if name is not None and name not in names:
            faults.append(_unknown(kind, name, names))
    if not faults:
        own = table[table["item"].astype(str) == item]
        able = list(map(str, own["node"].unique()))
        if node not in able:
            text = f"node '{node}' may not hold item '{item}'"
            faults.append(_fault(text, f"Nodes that may: {_few(able)}"))
    if faults:
        raise InputError(Faults(faults))


def find_item(made: Rebuilt, item: str) -> tuple[int, int]:
    """The group of an item, and its place in the group."""
    position = made.labels.items.index(item)
    for k, group in enumerate(made.problem.groups):
        here = np.flatnonzero(group.items.position == position)
        if here.size:
            return k, int(here[0])
    raise AssertionError(f"{item} is in no group")


def _reason(plan, made: Rebuilt, found: ItemSteps, node: str, n: int, t: int, since):
    """Everything that is said of one target."""
    cell = Cell(plan, made, found, node, n, t)
    levels = [float(step.level[t, n]) for step in found.steps]
    changes = np.diff(levels, prepend=0.0)
    steps = tuple(
        Influence(step.name, cell.of(step.name), level, float(change), ratio)
        for step, level, change, ratio in zip(
            found.steps, levels, changes, (s.ratio[t, n] for s in found.steps),
            strict=True,
        )
    )  # fmt: skip
    own, chance = found.cost.own[t, n], found.cost.chance
    mean = float(own @ chance)
    before = notes.before(cell, since) if since is not None else (np.nan, np.nan)
    lines = [notes.last_unit(cell), notes.sensitivity(cell)]
    if since is not None:
        lines.append(notes.change(cell, since, before))
    return Reason(
        period=str(made.labels.periods[t]), target=levels[-1], demand=mean,
        spread=float(np.sqrt(np.maximum(own**2 @ chance - mean**2, 0))),
        interval=float(found.cost.rows.window[n]), steps=steps,
        last_unit=notes.shares(cell), per_price=notes.per_price(cell),
        price_step=float(found.bump[t, n]), since=before, held_by=cell.held_by,
        notes=tuple(line for line in lines if line),
    )  # fmt: skip


def _unknown(kind: str, name: str, names: list[str]) -> Fault:
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    return _fault(f"no {kind} '{name}' in the plan{guess}", f"Known: {_few(names)}")


def _few(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _fault(text: str, hint: str) -> Fault:
    return Fault("error", "X02", "explain", text, hint, kind=text)

"""Tables with other capacities, and all changes of a plan's tables in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from meio_jax.config import Config
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.tables.bundle import Tables
from meio_jax.tables.check import normalise
from meio_jax.tables.edit import with_edits


def with_changes(
    tables: Tables, config: Config, changes: Iterable[Mapping[str, Any]]
) -> Tables:
    """The tables with changes made in their order.

    Args:
      tables: as read, or made of frames.
      config: options that they are read with.
      changes: of capacities, as for `with_capacities`, or `kind` and `word` of edits.

    Raises:
      InputError: the tables have faults, or lack what is changed.
    """
    for edits, run in groupby(changes, lambda change: "kind" in change):
        if edits:
            asked = [(change["kind"], change["word"]) for change in run]
            tables, _ = with_edits(tables, config, asked)
        else:
            tables = with_capacities(tables, config, run)
    return tables


def with_capacities(
    tables: Tables, config: Config, changes: Iterable[Mapping[str, Any]]
) -> Tables:
    """The tables with some limits replaced, those of every period in a row of its own.

    Args:
      tables: as read, or made of frames.
      config: options that they are read with.
      changes: node, resource, period and capacity of each; of limits that there are.

    Raises:
      InputError: the tables have faults, or there is no such limit.
    """
    keys = ["node", "resource", "period"]
    frame = normalise(tables, config).capacities
    assert frame is not None  # clean tables have all frames
    row = {key: k for k, key in enumerate(zip(*(frame[c] for c in keys), strict=True))}
    capacity = frame["capacity"].to_numpy(float, copy=True)
    for change in changes:
        key = tuple(change[c] for c in keys)
        if key not in row:
            text = "{} has no limit of {} in {}".format(*key)
            hint = "Give the tables that the plan was made from"
            place = tables.label("capacities")
            raise InputError(Faults([Fault("error", "Q02", place, text, hint)]))
        capacity[row[key]] = change["capacity"]
    without = lambda names: {k: v for k, v in names.items() if k != "capacities"}
    return replace(
        tables,
        capacities=frame.assign(capacity=capacity),
        sources=without(tables.sources),
        lines=without(tables.lines),
    )

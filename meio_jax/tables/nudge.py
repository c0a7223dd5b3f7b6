"""Clean tables with a little more of one kind of input: what sensitivities compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from meio_jax.tables.bundle import Tables

MORE = 1.1  # times as much, of what is not counted in hours


def _times(table: str, *columns: str) -> Callable[[Tables], Tables]:
    def nudged(clean: Tables) -> Tables:
        frame = getattr(clean, table)
        more = {column: frame[column] * MORE for column in columns}
        return replace(clean, **{table: frame.assign(**more)})

    return nudged


def _each(*parts: Callable[[Tables], Tables]) -> Callable[[Tables], Tables]:
    def nudged(clean: Tables) -> Tables:
        for part in parts:
            clean = part(clean)
        return clean

    return nudged


def _later(clean: Tables) -> Tables:
    """Cut-offs an hour later, midnight at most: more orders leave the same day."""
    assert clean.ship_options is not None  # clean tables have it
    hour = np.minimum(clean.ship_options["cutoff_hour"] + 1, 24.0)
    return replace(clean, ship_options=clean.ship_options.assign(cutoff_hour=hour))


NUDGES = MappingProxyType({  # by name: what is said of it, and the tables with it
    "lead-time mean": (
        "+10%",
        _each(*(_times(t, "lead_time")
                for t in ("lanes", "vendors", "lead_times", "lane_times"))),
    ),
    "lead-time spread": (
        "+10%",
        _each(_times("lanes", "lead_time_std"), _times("vendors", "lead_time_std")),
    ),
    "cut-off hour": ("+1 h", _later),
    "penalty": ("+10%", _times("items", "penalty")),
    "holding": (
        "+10%",
        _each(
            _times("items", "holding_cost"), _times("nodes", "storage_cost"),
            _times("item_nodes", "holding_cost"),
        ),
    ),
    "shipping": ("+10%", _times("ship_options", "unit_cost", "cost_per_weight")),
})  # fmt: skip


def frame_of(columns: Mapping[str, list]) -> pd.DataFrame:
    """A frame of columns, for rooms that have no pandas."""
    return pd.DataFrame(columns)

"""The frames of a planning problem, together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Tables:
    """A frozen bundle of pandas frames, one per table; None where there is none.

    Columns are as in the schema. Frames that were read hold text as it was written;
    `examine` finds what is wrong with it and converts it.

    Attributes:
      items, nodes, capacities, lanes, vendors, lead_times, lane_times, regions,
        speeds, speed_mix, ship_options, order_hours, demand, history, scenarios,
        inventory, fixed_targets, item_nodes: the frames.
      sources: file of each table that came from one, such as "items.csv".
      lines: line in its file of each row, where these are not 2, 3, 4, ...
      folder: where the files lie, or "".
      unread: tables whose file is there but could not be read.
    """

    items: pd.DataFrame | None = None
    nodes: pd.DataFrame | None = None
    capacities: pd.DataFrame | None = None
    lanes: pd.DataFrame | None = None
    vendors: pd.DataFrame | None = None
    lead_times: pd.DataFrame | None = None
    lane_times: pd.DataFrame | None = None
    regions: pd.DataFrame | None = None
    speeds: pd.DataFrame | None = None
    speed_mix: pd.DataFrame | None = None
    ship_options: pd.DataFrame | None = None
    order_hours: pd.DataFrame | None = None
    demand: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    scenarios: pd.DataFrame | None = None
    inventory: pd.DataFrame | None = None
    fixed_targets: pd.DataFrame | None = None
    item_nodes: pd.DataFrame | None = None
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    lines: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    folder: str = ""
    unread: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in TABLES:
            frame = getattr(self, name)
            if frame is not None and not isinstance(frame, pd.DataFrame):
                kind = type(frame).__name__
                raise TypeError(f"{name}: expected a pandas DataFrame, got {kind}")

    def __iter__(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """The names and frames of the tables that are there."""
        for name in TABLES:
            frame = getattr(self, name)
            if frame is not None:
                yield name, frame

    def __repr__(self) -> str:
        return f"Tables({', '.join(f'{name}: {len(f):,} rows' for name, f in self)})"

    def label(self, table: str) -> str:
        """The table's name in messages: its file, or just its name."""
        return self.sources.get(table, table)

    def place(self, table: str, row: int) -> str:
        """A row's name in messages.

        In a CSV file rows are lines, with the header as line 1; elsewhere they count
        from 0, as in `frame.iloc[row]`.
        """
        label = self.label(table)
        if ".csv" not in label:
            return f"{label} row {row}"
        lines = self.lines.get(table)
        return f"{label}:{row + 2 if lines is None else lines[row]}"


_OTHER = ("sources", "lines", "folder", "unread")
TABLES = tuple(f.name for f in fields(Tables) if f.name not in _OTHER)

"""The tables of a planning problem: their columns, keys, units, ranges, defaults."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["text", "number", "period"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
      name: its header.
      kind: of its cells.
      key: whether it is part of the table's key.
      required: whether the column must be there and no cell empty.
      blank: whether a key cell may be empty, which then stands for all.
      default: what an empty cell or an absent column means (NaN: nothing).
      low, high: the range of a number, both included.
      rule: "share", "hour" or "whole" where the range has a name of its own.
      unit: "volume", "weight" or "time" where the header may name a unit.
      per: whether the column is money per that unit and not a number of them.
      refers: table whose key this column holds.
      words: the only values allowed; empty means any.
    """

    name: str
    kind: Kind = "number"
    key: bool = False
    required: bool = False
    blank: bool = False
    default: float | str = float("nan")
    low: float = 0.0
    high: float = float("inf")
    rule: str = ""
    unit: str = ""
    per: bool = False
    refers: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: its name and columns, and what an absent row means.

    Attributes:
      name: file name without extension, and field of `Tables`.
      columns: in the order in which clean frames have them.
      absent: advice where a cell is empty, such as what leaving the row out means.
    """

    name: str
    columns: tuple[Column, ...]
    absent: str = "Fill it in, or delete the row"

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(column.name for column in self.columns if column.key)

    def column(self, name: str) -> Column:
        """The column of that name, which must exist."""
        return next(column for column in self.columns if column.name == name)


def _id(name: str, refers: str = "", required: bool = True) -> Column:
    return Column(name, "text", key=True, required=required, refers=refers)


def _must(name: str, **kwargs) -> Column:
    return Column(name, required=True, **kwargs)


def _may(name: str, default: float = float("nan"), **kwargs) -> Column:
    return Column(name, default=default, **kwargs)


def _words(name: str, *words: str, key: bool = False, default: str = "") -> Column:
    return Column(name, "text", key, required=key, default=default, words=words)


_ITEM, _NODE = _id("item", "items"), _id("node", "nodes")
_REGION, _SPEED = _id("region", "regions"), _id("speed", "speeds")
_PERIOD = Column("period", "period", key=True, required=True)
_ANY_PERIOD = Column("period", "period", key=True, blank=True)
_PLACE = (_may("lat", low=-90, high=90), _may("lon", low=-180, high=180))
_INF = float("inf")

RESOURCES = ("storage", "inbound", "outbound", "items")
NODE_TYPES = ("dc", "fc", "same_day", "cross_dock", "store")
SHORTHAND = MappingProxyType(  # columns of nodes that stand for rows of capacities
    {f"{resource}_capacity": resource for resource in RESOURCES[:3]}
)
DEMANDS = ("demand", "history", "scenarios")  # exactly one of them is given
REQUIRED = ("items", "nodes", "ship_options")

SCHEMA = MappingProxyType({
    table.name: table
    for table in (
        Table("items", (
            _id("item"),
            _must("unit_cost"),
            _may("unit_volume", 0.0, unit="volume"),
            _may("unit_weight", 0.0, unit="weight"),
            _may("unit_price"),
            _may("lost_sale_cost"),
            _may("backorder_cost"),
            _may("holding_rate"),
            _may("late_cost"),
            _may("case_pack", 1.0, low=1, rule="whole"),
            Column("size_class", "text", default="all"),
        )),
        Table("nodes", (
            _id("node"),
            _words("type", *NODE_TYPES, default="fc"),
            Column("size_classes", "text", default=""),
            _may("storage_cost", 0.0, unit="volume", per=True),
            _may("storage_capacity", unit="volume"),
            _may("inbound_capacity"),
            _may("outbound_capacity"),
            *_PLACE,
        )),
        Table("capacities", (
            _NODE,
            _words("resource", *RESOURCES, key=True),
            _ANY_PERIOD,
            _must("capacity"),
            _may("overage_cost"),
        ), absent="Leave the row out for no limit"),
        Table("lanes", (
            _id("source", "nodes"),
            _id("destination", "nodes"),
            _must("lead_time", unit="time"),
            _may("lead_time_std", 0.0, unit="time"),
            _may("unit_cost", 0.0),
            _may("cost_per_volume", 0.0, unit="volume", per=True),
            _may("cost_per_weight", 0.0, unit="weight", per=True),
            _may("capacity", _INF),
            _may("case_multiple", 1.0, low=1, rule="whole"),
        )),
        Table("vendors", (
            _id("vendor"),
            _ITEM,
            _NODE,
            _must("lead_time", unit="time"),
            _may("lead_time_std", 0.0, unit="time"),
            _may("unit_cost"),
            _may("moq", 0.0),
            _may("order_multiple", 1.0, low=1, rule="whole"),
            _may("capacity", _INF),
            _may("review_period", unit="time"),
        )),
        Table("lead_times", (
            _id("vendor", "vendors"),
            Column("item", "text", key=True, blank=True, refers="items"),
            _id("order"),
            _must("lead_time", unit="time"),
        )),
        Table("lane_times", (
            _id("source", "nodes"),
            _id("destination", "nodes"),
            _id("shipment"),
            _must("lead_time", unit="time"),
        )),
        Table("regions", (_id("region"), *_PLACE)),
        Table("speeds", (
            _id("speed"),
            _must("promise_days"),
            _may("lost_sale_share", 0.0, rule="share"),
        )),
        Table("speed_mix", (
            _REGION,
            _SPEED,
            Column("size_class", "text", key=True, blank=True),
            _must("share", rule="share"),
        ), absent="Write 0, or leave the row out (it means 0)"),
        Table("ship_options", (
            _NODE,
            _REGION,
            _SPEED,
            _must("unit_cost"),
            _may("cutoff_hour", 24.0, rule="hour"),
            _may("transit_days", 0.0),
            _may("cost_per_weight", 0.0, unit="weight", per=True),
        )),
        Table("order_hours", (
            Column("hour", key=True, required=True, rule="hour"),
            _must("share", rule="share"),
        )),
        Table("demand", (
            _ITEM,
            _REGION,
            _PERIOD,
            _must("mean"),
            _may("std"),
            _may("p10"),
            _may("p50"),
            _may("p90"),
        ), absent="Write 0, or leave the row out (it means 0)"),
        Table("history", (_ITEM, _REGION, _PERIOD, _must("quantity")),
            absent="Write 0, or leave the row out (it means 0)"),
        Table("scenarios", (
            _id("scenario"),
            _ITEM,
            _REGION,
            _PERIOD,
            _must("quantity"),
            _may("weight"),
        ), absent="Write 0, or leave the row out (it means 0)"),
        Table("inventory", (
            _ITEM,
            _NODE,
            _ANY_PERIOD,
            _must("on_hand"),
            _may("on_order", 0.0),
        ), absent="Write 0, or leave the row out (it means 0)"),
        Table("fixed_targets", (
            _ITEM,
            _NODE,
            _PERIOD,
            _must("quantity"),
            Column("reason", "text", default=""),
        ), absent="Leave the row out where the target is free"),
        Table("item_nodes", (
            _ITEM,
            _NODE,
            _may("holding_cost"),
            _may("max_stock", _INF),
        )),
    )
})  # fmt: skip

# Orders of a retail web shop by hour of the day, from midnight: few at night, a
# plateau over the working day, a peak in the evening. Made up, not measured.
HOURLY_ORDERS = (
    1.5, 1.0, 0.6, 0.5, 0.5, 0.8, 1.6, 2.8, 4.2, 5.4, 6.2, 6.4,
    6.2, 6.0, 5.8, 5.7, 5.6, 5.6, 5.8, 6.3, 6.8, 6.4, 4.9, 3.4,
)  # fmt: skip

"""Clean tables to `(Problem, Labels)`: the way into arrays, and names to come back."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from meio_jax.network import build_network, cutoff_parts
from meio_jax.problem import Demand, Group, Items, Network, Problem
from meio_jax.tables.hashing import hash_names
from meio_jax.tables.observed import observed_lanes, seen_by
from meio_jax.tables.schema import RESOURCES


@dataclass(frozen=True)
class Labels:
    """Names of what the arrays count, in their order.

    Attributes:
      items: item names, in the order of the item table.
      nodes: nodes of the fulfilment layer, those with ship options.
      regions: region names.
      speeds: speed names, the quickest first.
      periods: labels of the planned periods.
      size_classes: names of the groups.
      depots: nodes without ship options that supply others or are bought for.
      vendors: names of vendors.
    """

    items: tuple[str, ...]
    nodes: tuple[str, ...]
    regions: tuple[str, ...]
    speeds: tuple[str, ...]
    periods: tuple[str, ...]
    size_classes: tuple[str, ...]
    depots: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()


def build(clean, calendar) -> tuple[Problem, Labels]:
    """The problem and its labels from clean tables (see `check.examine`).

    Args:
      clean: normalised tables without faults.
      calendar: the planned periods and those of the history.
    """
    items, ship = clean.items.reset_index(drop=True), clean.ship_options
    stocking = set(ship["node"])
    nodes = [n for n in clean.nodes["node"] if n in stocking]
    above = {*clean.lanes["source"], *clean.vendors["node"]} - stocking
    speeds = clean.speeds.sort_values("promise_days", kind="stable")
    labels = Labels(
        items=tuple(items["item"]),
        nodes=tuple(nodes),
        regions=tuple(clean.regions["region"]),
        speeds=tuple(speeds["speed"]),
        periods=tuple(calendar.labels),
        size_classes=tuple(size for size, _ in _kinds(items)),
        depots=tuple(n for n in clean.nodes["node"] if n in above),
        vendors=tuple(dict.fromkeys(clean.vendors["vendor"])),
    )
    kind, cells, slots, weight = _demand_cells(clean, calendar, labels)
    limits = _limits(clean, labels)
    groups = []
    for size_class, waits in _kinds(items):
        here = (items["size_class"] == size_class) & (items["waits"] == waits)
        rows = np.flatnonzero(here)
        demand = _group_demand(cells, rows, len(items))
        network = _network(clean, labels, size_class, items.iloc[rows], demand)
        stock, due = _stock(clean, labels, rows, network)
        groups.append(
            Group(
                network=network,
                items=_items(clean, labels, rows, network),
                demand=demand,
                stock=stock,
                waits=waits,
                due=due,
            )
        )
    problem = Problem(
        groups=tuple(groups),
        storage=limits["storage"],
        inbound=limits["inbound"],
        outbound=limits["outbound"],
        item_limit=limits["items"],
        weight=weight,
        kind=kind,
        slots=slots,
        overage=_overage(clean, labels),
        via=ways(clean, labels),
    )
    return problem, labels


def ways(clean, labels: Labels) -> np.ndarray | None:
    """The node through which each node is supplied, -1 for none; None for none at all.

    A node that lanes lead to from other nodes alone, and not from a depot, gets what it
    gets through one of those that a depot supplies, the cheapest way of all; where
    there are no depots, through one that no lane leads to.

    Args:
      clean: normalised tables without faults.
      labels: names.
    """
    frame, count = clean.lanes, len(labels.nodes)
    source, node = (codes(frame[k], labels.nodes) for k in ("source", "destination"))
    cost = frame["unit_cost"].to_numpy(float)
    first = np.full(count, np.inf)
    above = np.flatnonzero((codes(frame["source"], labels.depots) >= 0) & (node >= 0))
    np.minimum.at(first, node[above], cost[above])
    if not labels.depots:
        first[np.setdiff1d(np.arange(count), node)] = 0
    via, least = np.full(count, -1), np.where(first < np.inf, -np.inf, np.inf)
    for row in np.flatnonzero(np.minimum(source, node) >= 0).tolist():
        total = first[source[row]] + cost[row]
        if total < least[node[row]]:
            via[node[row]], least[node[row]] = source[row], total
    return via if (via >= 0).any() else None


def _kinds(items) -> list[tuple[str, bool]]:
    """Size class, and whether customers wait, of each group."""
    return list(dict.fromkeys(zip(items["size_class"], items["waits"], strict=True)))


def codes(values: pd.Series, names: tuple[str, ...]) -> np.ndarray:
    """Position of each value among the names; -1 where it is none of them."""
    return pd.Index(names).get_indexer(pd.Index(values))


def _demand_cells(clean, calendar, labels):
    """Sparse demand of all items: kind, (item, slot, region, quantity, std), slots."""
    weight = np.zeros(0)
    if clean.history is not None:
        kind, frame, value = "history", clean.history, "quantity"
        slot = codes(frame["period"], calendar.history)
        slots = len(calendar.history)
    elif clean.scenarios is not None:
        kind, frame, value = "scenarios", clean.scenarios, "quantity"
        names = tuple(dict.fromkeys(frame["scenario"]))
        code = codes(frame["scenario"], names)
        period = codes(frame["period"], calendar.labels)
        keep = period >= 0
        frame, code, period = frame[keep], code[keep], period[keep]
        slots = len(names) * len(labels.periods)
        slot = code * len(labels.periods) + period
        weight = np.full(len(names), 1 / len(names))
        if "weight" in clean.scenarios:
            each = clean.scenarios.drop_duplicates("scenario")
            weight[codes(each["scenario"], names)] = each["weight"].to_numpy(float)
            weight = weight / weight.sum()
    else:
        kind, frame, value = "forecast", clean.demand, "mean"
        slot = codes(frame["period"], calendar.labels)
        keep = slot >= 0
        frame, slot = frame[keep], slot[keep]
        slots = len(labels.periods)
    columns = dict(
        item=codes(frame["item"], labels.items),
        slot=slot,
        region=codes(frame["region"], labels.regions),
        quantity=frame[value].to_numpy(float),
        std=frame["std"].to_numpy(float)
        if kind == "forecast"
        else np.zeros(len(frame)),
    )
    keep = columns["quantity"] > 0
    order = np.flatnonzero(keep)[np.argsort(columns["item"][keep], kind="stable")]
    return kind, {k: v[order] for k, v in columns.items()}, slots, weight


def _group_demand(cells, rows, count) -> Demand:
    group = np.full(count, -1)
    group[rows] = np.arange(len(rows))
    item = group[cells["item"]]
    keep = np.flatnonzero(item >= 0)
    keep = keep[np.argsort(item[keep], kind="stable")]
    start = np.searchsorted(item[keep], np.arange(len(rows) + 1))
    part = {k: v[keep] for k, v in cells.items() if k != "item"}
    return Demand(start=start, **part)


def _limits(clean, labels):
    """Capacities as arrays of nodes by periods; inf for no limit."""
    shape = len(labels.nodes), len(labels.periods)
    limits = {r: np.full(shape, np.inf) for r in RESOURCES}
    frame = clean.capacities
    node = codes(frame["node"], labels.nodes)
    period = codes(frame["period"], labels.periods)
    value = frame["capacity"].to_numpy(float)
    for name, limit in limits.items():
        keep = (frame["resource"] == name).to_numpy(bool) & (node >= 0)
        limit[node[keep], period[keep]] = value[keep]
    return limits


def _overage(clean, labels):
    """Money per unit of volume above storage and period."""
    cost = np.zeros((len(labels.nodes), len(labels.periods)))
    frame = clean.capacities
    node = codes(frame["node"], labels.nodes)
    keep = (frame["resource"] == "storage").to_numpy(bool) & (node >= 0)
    period = codes(frame["period"], labels.periods)
    cost[node[keep], period[keep]] = frame["overage_cost"].to_numpy(float)[keep]
    return cost


def _admitted(clean, labels, size_class) -> np.ndarray:
    """Nodes of the fulfilment layer that may hold a size class."""
    frame = clean.nodes.set_index("node").loc[list(labels.nodes)]
    kept = [size_class in classes.split(";") for classes in frame["size_classes"]]
    return np.flatnonzero(kept)


def _network(clean, labels, size_class, items, demand) -> Network:
    node = _admitted(clean, labels, size_class)
    offers = _offers(clean, labels, node)
    node = node[np.isfinite(offers["unit_cost"]).any(axis=(1, 2))]
    offers = _offers(clean, labels, node)
    mix = _mix(clean, labels, size_class)
    regional = np.bincount(demand.region, demand.quantity, len(labels.regions))
    parts = _parts(clean, labels, offers, mix)
    arrays = {k: np.stack([p[k] for p in parts], axis=1) for k in _SERVICE}
    region = np.array([p["region"] for p in parts])
    share = np.array([p["share"] for p in parts])
    lead_mean, lead_std, lead_seen = _leads(clean, labels, node, items)
    spread = 1.0 if items["waits"].all() else float(1 + lead_mean.mean())
    arrays["unit_cost"] /= spread
    arrays["cost_per_weight"] /= spread
    return build_network(
        node=node,
        **arrays,
        spread=spread,
        region=region,
        speed=np.array([p["speed"] for p in parts]),
        share=share,
        volume=share * regional[region],
        weight=float(items["unit_weight"].median()),
        late_cost=float(items["late_cost"].median()) / spread,
        lead_mean=lead_mean,
        lead_std=lead_std,
        lead_seen=lead_seen,
    )


_SERVICE = ("unit_cost", "cost_per_weight", "days_late")


def _offers(clean, labels, node):
    """Ship options as arrays of nodes, regions and speeds; inf or -inf where none."""
    shape = len(node), len(labels.regions), len(labels.speeds)
    out = {
        "unit_cost": np.full(shape, np.inf),
        "cost_per_weight": np.zeros(shape),
        "cutoff": np.full(shape, -np.inf),
    }
    ship = clean.ship_options
    place = np.full(len(labels.nodes), -1)
    place[node] = np.arange(len(node))
    at = place[codes(ship["node"], labels.nodes)]
    keep = at >= 0
    index = (
        at[keep],
        codes(ship["region"], labels.regions)[keep],
        codes(ship["speed"], labels.speeds)[keep],
    )
    out["unit_cost"][index] = ship["unit_cost"].to_numpy(float)[keep]
    out["cost_per_weight"][index] = ship["cost_per_weight"].to_numpy(float)[keep]
    out["cutoff"][index] = ship["cutoff_hour"].to_numpy(float)[keep]
    return out


def _mix(clean, labels, size_class):
    """Share of each speed in each region's orders."""
    shape = len(labels.regions), len(labels.speeds)
    mix = clean.speed_mix
    mix = mix[(mix["size_class"] == size_class).to_numpy(bool)]
    out = np.zeros(shape)
    index = codes(mix["region"], labels.regions), codes(mix["speed"], labels.speeds)
    out[index] = mix["share"].to_numpy(float)
    return out


def _parts(clean, labels, offers, mix):
    """Region, speed, part of the day and patience, and what each node asks for them.

    A node that is too late for the promise delivers a day after it, or at its next
    slower speed, whichever is sooner. Customers who would not wait are parts of their
    own that only nodes in time can serve.
    """
    speeds = clean.speeds.set_index("speed").loc[list(labels.speeds)]
    promise = speeds["promise_days"].to_numpy(float)
    lost = speeds["lost_sale_share"].to_numpy(float)
    hours = clean.order_hours
    before = partial(
        np.interp, xp=hours["hour"].to_numpy(float), fp=hours["share"].to_numpy(float),
        left=0.0,
    )  # fmt: skip
    parts = []
    for r, j in zip(*np.nonzero(mix), strict=True):
        own = {k: offers[k][:, r, j] for k in _SERVICE[:2]}
        late = {k: v.copy() for k, v in own.items()}
        days = np.where(np.isfinite(own["unit_cost"]), 1.0, np.inf)
        for k in range(j + 1, len(promise)):
            delay = promise[k] - promise[j]
            sooner = np.isfinite(offers["unit_cost"][:, r, k]) & (delay < days)
            for name in late:
                late[name] = np.where(sooner, offers[name][:, r, k], late[name])
            days = np.where(sooner, delay, days)
        for share, in_time in cutoff_parts(offers["cutoff"][:, r, j], before):
            for waits in (True, False):
                weight = mix[r, j] * share * (1 - lost[j] if waits else lost[j])
                if weight <= 0:
                    continue
                blocked = np.inf if not waits else late["unit_cost"]
                unit = np.where(in_time, own["unit_cost"], blocked)
                parts.append(
                    dict(
                        region=r,
                        speed=j,
                        share=weight,
                        unit_cost=unit,
                        cost_per_weight=np.where(
                            in_time, own["cost_per_weight"], late["cost_per_weight"]
                        ),
                        days_late=np.where(in_time | ~np.isfinite(unit), 0.0, days),
                    )
                )
    return parts


def _leads(clean, labels, node, items):
    """Lead time into each node: that of its quickest lane; where none leads there that
    of vendors who deliver to it, the median of the items' quickest; else 0. With the
    lead times that were seen on that lane, if any were. What passes through another
    node takes the time to there as well; to what was seen its mean is added."""
    mean, std = np.zeros(len(node)), np.zeros(len(node))
    known, seen = seen_by(clean.lane_times, "source", "destination"), []
    lanes = observed_lanes(clean).sort_values("lead_time", kind="stable")
    every = lanes.set_index(["source", "destination"])
    lanes = lanes.drop_duplicates("destination").set_index("destination")
    offers = clean.vendors[clean.vendors["item"].isin(set(items["item"]))]
    offers = offers.sort_values("lead_time", kind="stable")
    offers = offers.drop_duplicates(["item", "node"])
    direct = offers.groupby("node")[["lead_time", "lead_time_std"]].median()

    def lead(name):
        for table in (lanes, direct):
            if name in table.index:
                row = table.loc[name]
                return float(row["lead_time"]), float(row["lead_time_std"])
        return 0.0, 0.0

    via = ways(clean, labels)
    for k, n in enumerate(node):
        name = labels.nodes[n]
        mean[k], std[k] = lead(name)
        source = lanes.loc[name, "source"] if name in lanes.index else ""
        before = 0.0
        if via is not None and via[n] >= 0:
            source = labels.nodes[via[n]]
            before, spread = lead(source)
            last = every.loc[(source, name)]
            mean[k] = before + last["lead_time"]
            std[k] = np.hypot(spread, last["lead_time_std"])
        seen.append(known.get((str(source), name), np.zeros(0)) + before)
    return mean, std, tuple(seen)


def _items(clean, labels, rows, network) -> Items:
    items = clean.items.reset_index(drop=True).iloc[rows]
    names = items["item"].to_numpy(object)
    column = lambda name: items[name].to_numpy(float)
    nodes = clean.nodes.set_index("node").loc[[labels.nodes[n] for n in network.node]]
    storage = nodes["storage_cost"].to_numpy(float)
    holding = column("holding_cost")[:, None] + column("unit_volume")[:, None] * storage
    shape = len(rows), len(labels.periods), len(network.node)
    lower, upper = np.zeros(shape), np.full(shape, np.inf)
    at = partial(place_in, labels, rows, network)
    i, n, keep = at(clean.item_nodes)
    own = clean.item_nodes[keep]
    value = own["holding_cost"].to_numpy(float)
    given = np.isfinite(value)
    holding[i[given], n[given]] = value[given]
    upper[i, :, n] = own["max_stock"].to_numpy(float)[:, None]
    i, n, keep = at(clean.fixed_targets)
    fixed = clean.fixed_targets[keep]
    period = codes(fixed["period"], labels.periods)
    value = fixed["quantity"].to_numpy(float)
    lower[i, period, n] = upper[i, period, n] = value
    return Items(
        position=rows,
        key=(hash_names(names) >> np.uint64(1)).astype(np.int64),
        volume=column("unit_volume"),
        weight=column("unit_weight"),
        penalty=column("penalty") / network.spread,
        late_cost=column("late_cost") / network.spread,
        holding=holding,
        lower=lower,
        upper=upper,
    )


def place_in(labels, rows, network, frame):
    """Item and node of each row of a table in a group, and which rows are in it."""
    item = np.full(len(labels.items), -1)
    item[rows] = np.arange(len(rows))
    node = np.full(len(labels.nodes) + 1, -1)
    node[network.node] = np.arange(len(network.node))
    i = item[codes(frame["item"], labels.items)]
    n = node[codes(frame["node"], labels.nodes)]
    keep = (i >= 0) & (n >= 0)
    return i[keep], n[keep], keep


def _stock(clean, labels, rows, network):
    """Inventory position of each node, and what of it is on its way."""
    if clean.inventory.empty:
        return None, None
    i, n, keep = place_in(labels, rows, network, clean.inventory)
    own = clean.inventory[keep]
    period = codes(own["period"], labels.periods)
    on_order = own["on_order"].to_numpy(float)
    due = np.zeros((len(rows), len(labels.periods), len(network.node)))
    np.add.at(due, (i, period, n), on_order)
    stock = due.sum(axis=1)
    np.add.at(stock, (i, n), own["on_hand"].to_numpy(float))
    return stock, due if on_order.any() else None

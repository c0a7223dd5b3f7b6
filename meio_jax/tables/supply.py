"""Layers above fulfilment: tables in, orders and transfers out."""

from __future__ import annotations

import numpy as np

from meio_jax.problem import Group
from meio_jax.supply.chain import (
    Lanes,
    Limits,
    Offers,
    Supply,
    observed_quantiles,
    quantiles,
)
from meio_jax.tables.build import Labels, codes, place_in
from meio_jax.tables.observed import observed_lanes, seen_by

LANE = ("unit_cost", "cost_per_volume", "cost_per_weight", "lead")
TERMS = ("unit_cost", "lead_time", "lead_time_std", "moq", "order_multiple", "capacity",
         "review_period")  # fmt: skip


def build_supply(
    clean, labels: Labels, groups: tuple[Group, ...], budget: float
) -> tuple[tuple[Supply, ...], Limits]:
    """What lies above the nodes of each group, and the capacities there.

    Args:
      clean: normalised tables without faults.
      labels: names.
      groups: of the problem.
      budget: money that the orders of a period may cost; 0 for no limit.
    """
    lanes = _lanes(clean, labels)
    supplies = tuple(_supply(clean, labels, group, lanes) for group in groups)
    periods = len(labels.periods)
    limits = np.full((2, len(labels.depots), periods), np.inf)
    frame = clean.capacities
    node, period = (
        codes(frame["node"], labels.depots),
        codes(frame["period"], labels.periods),
    )
    for name, limit in zip(("storage", "inbound"), limits, strict=True):
        keep = (frame["resource"] == name).to_numpy(bool) & (node >= 0)
        limit[node[keep], period[keep]] = frame["capacity"].to_numpy(float)[keep]
    return supplies, Limits(limits[0], limits[1], np.full(periods, budget or np.inf))


def _lanes(clean, labels: Labels) -> dict[str, np.ndarray]:
    """Ways from depots to all nodes: direct lanes, else through one other node."""
    frame, shape = observed_lanes(clean), (len(labels.depots), len(labels.nodes))
    source = codes(frame["source"], labels.depots)
    middle = codes(frame["source"], labels.nodes)
    node = codes(frame["destination"], labels.nodes)
    columns = *LANE, "capacity", "multiple"
    names = {"lead": "lead_time", "multiple": "case_multiple"}
    given = {k: frame[names.get(k, k)].to_numpy(float) for k in columns}
    out = {k: np.full(shape, np.inf) for k in columns}
    out["multiple"][:] = 1
    keep = np.flatnonzero(np.minimum(source, node) >= 0)
    for name in columns:
        out[name][source[keep], node[keep]] = given[name][keep]
    via = np.full(shape, -1)
    direct = out["unit_cost"].min(axis=0, initial=np.inf) < np.inf
    for row in np.flatnonzero(np.minimum(middle, node) >= 0).tolist():
        f, n = int(middle[row]), int(node[row])
        if direct[n] or not direct[f]:
            continue
        total = out["unit_cost"][:, f] + given["unit_cost"][row]
        better = np.flatnonzero(np.less(total, out["unit_cost"][:, n]))
        for name in LANE:
            out[name][better, n] = out[name][better, f] + given[name][row]
        via[better, n] = f
    return out | {"via": via}


def _supply(clean, labels: Labels, group: Group, lanes) -> Supply:
    nodes, rows = group.network.node, group.items.position
    names = [labels.items[i] for i in rows]
    here = {k: v[:, nodes] for k, v in lanes.items()}
    place = np.full(len(labels.nodes) + 1, -1)
    place[nodes] = np.arange(len(nodes))
    here["via"] = place[here["via"]]
    items = clean.items.reset_index(drop=True).iloc[rows]
    rent = clean.nodes.set_index("node").loc[list(labels.depots), "storage_cost"]
    holding = items["holding_cost"].to_numpy(float)[:, None]
    volume = items["unit_volume"].to_numpy(float)[:, None]
    holding = holding + volume * rent.to_numpy(float)
    periods = len(labels.periods)
    stock, due = None, np.zeros((len(rows), len(labels.depots), periods))
    if not clean.inventory.empty:
        own = clean.inventory
        item, at = codes(own["item"], tuple(names)), codes(own["node"], labels.depots)
        keep = (item >= 0) & (at >= 0)
        stock = np.zeros(due.shape[:2])
        np.add.at(stock, (item[keep], at[keep]), own["on_hand"].to_numpy(float)[keep])
        when = codes(own["period"], labels.periods)
        coming = own["on_order"].to_numpy(float)
        np.add.at(due, (item[keep], at[keep], when[keep]), coming[keep])
    return Supply(
        np.arange(len(labels.depots)), Lanes(**here),
        _offers(clean, labels, tuple(names)), holding, stock, due,
        *_direct(clean, labels, rows, group),
    )  # fmt: skip


def _offers(clean, labels: Labels, names) -> Offers:
    """Offers to depots: a vendor's terms for an item that differ are several offers."""
    frame = clean.vendors
    item, depot = codes(frame["item"], names), codes(frame["node"], labels.depots)
    frame = frame.assign(i=item, d=depot, v=codes(frame["vendor"], labels.vendors))
    frame = frame[(item >= 0) & (depot >= 0)]
    keys = ["i", "v", *TERMS]
    number = frame.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    count = int(number.max(initial=-1)) + 1
    serves = np.zeros((count, len(labels.depots)), bool)
    serves[number, frame["d"]] = True
    one = frame.iloc[np.unique(number, return_index=True)[1]]
    column = lambda name: one[name].to_numpy(float)
    lead = quantiles(column("lead_time"), column("lead_time_std"))
    known = seen_by(clean.lead_times, "vendor", "item")
    for k, pair in enumerate(zip(one["vendor"], one["item"], strict=True)):
        seen = known.get(pair, known.get((pair[0], "")))
        if seen is not None:
            lead[k] = observed_quantiles(seen, lead.shape[1])
    return Offers(
        one["i"].to_numpy(int), one["v"].to_numpy(int), serves, column("unit_cost"),
        lead, column("moq"),
        column("order_multiple"), column("capacity"),
        np.maximum(np.rint(column("review_period")), 1).astype(int),
        np.full(count, -1), np.zeros(count),
    )  # fmt: skip


def _direct(clean, labels: Labels, rows, group: Group):
    """Vendor that delivers to each node at least cost, and what it asks for."""
    shape = len(rows), len(group.network.node)
    usual = clean.items["unit_cost"].to_numpy(float)[rows]
    vendor, cost = np.full(shape, -1), np.repeat(usual[:, None], shape[1], axis=1)
    offers = clean.vendors.sort_values("unit_cost", ascending=False, kind="stable")
    i, n, keep = place_in(labels, rows, group.network, offers)
    vendor[i, n] = codes(offers["vendor"], labels.vendors)[keep]
    cost[i, n] = offers["unit_cost"].to_numpy(float)[keep]
    return vendor, cost

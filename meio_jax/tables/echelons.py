"""Echelon levels and rationing curves as tables, and a plan's back to arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from meio_jax.problem import Problem
from meio_jax.supply.chain import Supply
from meio_jax.supply.plan import SupplyPlan
from meio_jax.tables.build import Labels, codes

ECHELONS = ("item", "node", "period", "vendor", "unit_cost", "lead_time", "share",
            "echelon_level", "kept", "base_vendor", "base_units")  # fmt: skip
RATIONS = ("item", "node", "period", "source", "price", "order_up_to")


def echelons_table(plan: SupplyPlan, labels: Labels) -> pd.DataFrame:
    """From whom items are bought, and up to which level, in every period.

    A row is an item, a depot that it is delivered to and a period. `echelon_level` is
    the order-up-to level of all that is on hand and on order under all depots, of which
    `share` is this one's; `kept` is what is expected to stay here when nodes got what
    they ask for; `lead_time` is the vendor's mean, in periods. `base_vendor` sends
    `base_units` of the item in every period beside it, where two vendors cost less than
    one.

    Args:
      plan: of the layers above fulfilment.
      labels: names.
    """
    parts = []
    for made in plan.groups:
        choice, offers, share = made.choice, made.supply.offers, made.ways.share
        has = (choice.offer >= 0)[:, None] & (share > 0)
        i, d, t = np.nonzero(has[:, :, None] & np.ones(len(labels.periods), bool))
        offer = choice.offer[i]
        base = offers.base[offer]
        parts.append(
            {
                "item": _named(labels.items, made.group.items.position[i]),
                "node": _named(labels.depots, made.supply.depot[d]),
                "period": _named(labels.periods, t),
                "vendor": _named(labels.vendors, offers.vendor[offer]),
                "unit_cost": offers.unit_cost[offer],
                "lead_time": offers.lead[offer].mean(axis=1),
                "share": share[i, d],
                "echelon_level": choice.level[i, t],
                "kept": share[i, d] * choice.kept[i, t],
                "base_vendor": np.where(
                    base < 0, "", _named(labels.vendors, offers.vendor[base])
                ),
                "base_units": offers.rate[offer],
            }
        )
    return _joined(parts, ECHELONS)


def rations_table(plan: SupplyPlan, labels: Labels) -> pd.DataFrame:
    """Targets along the price of rationing: how a depot divides what is scarce.

    A row is an item, a node, a period and a price, money per unit and period: the
    target there when a unit of stock at its source is worth so much; the source is
    empty where no depot leads to the node. The
    depot finds the price at which targets add up to what there is, and sends what nodes
    are short of them. At no price they are the plan's; at one above all these nothing
    is sent.

    Args:
      plan: of the layers above fulfilment.
      labels: names.
    """
    parts = []
    for made in plan.groups:
        depots, curve = (*labels.depots, ""), made.curve
        source = np.append(made.supply.depot, len(depots) - 1)[made.ways.source]
        inner = curve.target[1:-1].transpose(1, 3, 2, 0)  # items nodes periods points
        inner = inner if len(labels.depots) else inner[:0]
        i, n, t, k = np.indices(inner.shape).reshape(4, -1)
        node = made.group.network.node[n]
        parts.append(
            {
                "item": _named(labels.items, made.group.items.position[i]),
                "node": _named(labels.nodes, node),
                "period": _named(labels.periods, t),
                "source": _named(depots, source[i, n]),
                "price": curve.price[i, 1 + k],
                "order_up_to": inner[i, n, t, k],
            }
        )
    return _joined(parts, RATIONS)


class Bought(NamedTuple):
    """What a plan decides above the nodes of a group, as `sim.buying.Buying`."""

    offer: np.ndarray
    level: np.ndarray
    source: np.ndarray
    share: np.ndarray
    along: np.ndarray


def bought_arrays(
    plan, problem: Problem, labels: Labels, supplies: tuple[Supply, ...], targets
) -> tuple[Bought, ...]:
    """A plan's offers, levels, sources and rationing curves, by group.

    Args:
      plan: the plan; its tables are those of the problem.
      problem: the problem.
      labels: its names.
      supplies: what lies above its groups.
      targets: of the plan, "items periods nodes" of each group.
    """
    level, ration = _coded(plan.echelons, labels), _coded(plan.rations, labels)
    place = np.full(len(labels.items), -1)
    out = []
    for group, supply, y in zip(problem.groups, supplies, targets, strict=True):
        items, nodes = group.items.position, group.network.node
        place[:] = -1
        place[items] = np.arange(len(items))
        out.append(_group(level, ration, place, supply, nodes, len(labels.nodes), y))
    return tuple(out)


def _group(level, ration, place, supply: Supply, nodes, count: int, y) -> Bought:
    here = level[place[level["item"]] >= 0]
    i, d, t = place[here["item"]], here["depot"].to_numpy(), here["period"].to_numpy()
    offer = np.full(len(y), -1)
    share, levels = np.zeros((len(y), len(supply.depot))), np.zeros(y.shape[:2])
    share[i, d], levels[i, t] = here["share"], here["echelon_level"]
    offer[i] = _offers(supply.offers, i, here)
    at = np.full(count, -1)
    at[nodes] = np.arange(len(nodes))
    here = ration[(place[ration["item"]] >= 0) & (at[ration["node"]] >= 0)]
    i, n, t = place[here["item"]], at[here["node"]], here["period"].to_numpy()
    source = np.full((len(y), len(nodes)), -1)
    source[i, n] = here["source"]
    rank = here.groupby(["item", "node", "period"], sort=False).cumcount().to_numpy()
    points = int(rank.max(initial=-1)) + 1
    along = np.zeros((points + 2, *y.shape))
    along[1 + rank, i, t, n] = here["order_up_to"]
    along[-1] = y
    return Bought(offer, levels, source, share, along)


def _offers(offers, item, rows: pd.DataFrame) -> np.ndarray:
    """The offer of each row: of its item and vendor, the nearest in cost and time."""
    key = lambda i, v: np.asarray(i) * (1 + int(offers.vendor.max(initial=0))) + v
    own = key(offers.item, offers.vendor)
    order = np.argsort(own, kind="stable")
    want = key(item, rows["vendor"].to_numpy())
    first, last = (
        np.searchsorted(own[order], want, side) for side in ("left", "right")
    )
    best, least = np.full(len(want), -1), np.full(len(want), np.inf)
    cost, lead = rows["unit_cost"].to_numpy(), rows["lead_time"].to_numpy()
    wait, rate = offers.lead.mean(axis=1), np.zeros(len(want))
    if "base_units" in rows:
        rate = rows["base_units"].to_numpy(float)
    for k in range(int((last - first).max(initial=0))):
        there = first + k < last
        tried = order[np.where(there, first + k, 0)]
        far = np.abs(offers.unit_cost[tried] - cost)
        far = far + np.abs(wait[tried] - lead) + np.abs(offers.rate[tried] - rate)
        nearer = there & (far < least)
        best, least = np.where(nearer, tried, best), np.where(nearer, far, least)
    return best


def _coded(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """A table with positions for its names; rows of other names are left out."""
    names = {
        "item": labels.items, "period": labels.periods, "vendor": labels.vendors,
        "source": labels.depots,
    }  # fmt: skip
    code = lambda name, known: codes(pd.Series(table[name]).astype(str), known)
    columns = {
        name: code(name, known) for name, known in names.items() if name in table
    }
    columns["depot"] = code("node", labels.depots)
    columns["node"] = code("node", labels.nodes)
    found = table.assign(**columns)
    return found.loc[(found["item"] >= 0) & (found["period"] >= 0)]


def _named(names, code) -> np.ndarray:
    return np.array(names, object)[code]


def _joined(parts, columns) -> pd.DataFrame:
    frames = [pd.DataFrame(part) for part in parts]
    if not frames:
        return pd.DataFrame(columns=pd.Index(columns))
    return pd.concat(frames, ignore_index=True).loc[:, list(columns)]

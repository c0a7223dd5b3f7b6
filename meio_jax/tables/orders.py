"""Orders and transfers as tables, and what balances them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meio_jax.supply.chain import Limits
from meio_jax.supply.plan import Below, SupplyPlan
from meio_jax.supply.schedule import WHY, whole_flow
from meio_jax.tables.build import Labels

BUYS = ("vendor", "item", "node", "order_period", "arrival_period", "quantity", "cost",
        "reason", "pack_cost", "echelon_level")  # fmt: skip
TRANSFERS = ("source", "destination", "item", "ship_period", "arrival_period",
             "quantity", "cost", "reason")  # fmt: skip


def buys_table(plan: SupplyPlan, labels: Labels) -> pd.DataFrame:
    """What to order from vendors in every period, whole units.

    The first period's rows are orders to place; later ones are what follows if demand
    is as expected. `arrival_period` past the last one planned is written "+k", k
    periods after it. `echelon_level` is the order-up-to level of the item over all
    buildings, on hand and on order; `pack_cost` is what packs and minimum orders cost
    more than the best amount, in the first row of an item and period. Nodes that no
    depot supplies order for themselves, from a vendor or, unnamed, from outside.

    Args:
      plan: of the layers above fulfilment.
      labels: names.
    """
    names, when = np.array(labels.items, object), _when(labels)
    vendor, depot = _with_none(labels.vendors), _with_none(labels.depots)
    node, parts = _with_none(labels.nodes), []
    for made in plan.groups:
        ledger, offers, items = made.ledger, made.supply.offers, made.group.items
        i, t, d = np.nonzero(ledger.bought)
        offer, amount = made.choice.offer[i], ledger.bought[i, t, d]
        first = np.r_[True, (np.diff(i) != 0) | (np.diff(t) != 0)][: len(i)]
        parts.append(
            {
                "vendor": vendor[offers.vendor[offer]],
                "item": names[items.position[i]],
                "node": depot[d],
                "order": t,
                "arrival": t + made.ways.wait[i],
                "quantity": amount,
                "cost": amount * offers.unit_cost[offer],
                "reason": np.array(WHY, object)[ledger.reason[i, t]],
                "pack_cost": np.where(first, ledger.pack[i, t], 0.0),
                "echelon_level": made.choice.level[i, t],
            }
        )
        i, t, d = np.nonzero(ledger.base)
        offer, amount = offers.base[made.choice.offer[i]], ledger.base[i, t, d]
        parts.append(
            {
                "vendor": vendor[offers.vendor[offer]],
                "item": names[items.position[i]],
                "node": depot[d],
                "order": t,
                "arrival": t + made.ways.base_wait[i],
                "quantity": amount,
                "cost": amount * offers.unit_cost[offer],
                "reason": np.full(len(i), "the same in every period", object),
                "pack_cost": np.zeros(len(i)),
                "echelon_level": made.choice.level[i, t],
            }
        )
        i, t, n = np.nonzero(ledger.direct)
        amount = ledger.direct[i, t, n]
        parts.append(
            {
                "vendor": vendor[made.supply.vendor[i, n]],
                "item": names[items.position[i]],
                "node": node[made.group.network.node[n]],
                "order": t,
                "arrival": t + made.ways.lead[i, n],
                "quantity": amount,
                "cost": amount * made.supply.unit_cost[i, n],
                "reason": np.full(len(i), WHY[0], object),
                "pack_cost": np.zeros(len(i)),
                "echelon_level": np.full(len(i), np.nan),
            }
        )
    rows = _sorted(parts, ["order", "vendor", "item", "node"])
    rows["order_period"] = when(rows["order"])
    rows["arrival_period"] = when(rows["arrival"])
    return pd.DataFrame({name: rows[name] for name in BUYS})


def transfers_table(plan: SupplyPlan, labels: Labels) -> pd.DataFrame:
    """What depots send to nodes in every period, whole units.

    `reason` says whether the node gets what its target asks for, or less because the
    depot is short or the lane full, and through which other node the way leads.

    Args:
      plan: of the layers above fulfilment.
      labels: names.
    """
    names, when = np.array(labels.items, object), _when(labels)
    depot, parts = _with_none(labels.depots), []
    for made in plan.groups:
        ledger, ways, lanes = made.ledger, made.ways, made.supply.lanes
        node = _with_none(np.array(labels.nodes, object)[made.group.network.node])
        i, t, n = np.nonzero(ledger.sent)
        d, amount = ways.source[i, n], ledger.sent[i, t, n]
        less = amount < ledger.wanted[i, t, n]
        via = lanes.via[d, n]
        through = np.where(via >= 0, " via " + node[via], "")
        parts.append(
            {
                "source": depot[d],
                "destination": node[n],
                "item": names[made.group.items.position[i]],
                "ship": t,
                "arrival": t + ways.lead[i, n],
                "quantity": amount,
                "cost": amount * made.lane_cost[i, n],
                "reason": np.where(less, "less than asked for", WHY[0]) + through,
            }
        )
    rows = _sorted(parts, ["ship", "source", "destination", "item"])
    rows["ship_period"] = when(rows["ship"])
    rows["arrival_period"] = when(rows["arrival"])
    return pd.DataFrame({name: rows[name] for name in TRANSFERS})


def with_late(
    targets: pd.DataFrame, plan: SupplyPlan, below: tuple[Below, ...]
) -> pd.DataFrame:
    """Targets with what their stock comes too late for.

    `late`: units that a node is expected to ship in a period and that are not there, if
    demand is as expected and orders and transfers are the plan's: the first ones wait
    for a pipeline that nothing can hasten, later ones for depots that are short.
    `late_cost`: what these sales would cost, money, if no other node shipped them.

    Args:
      targets: as from `write.targets_table`.
      plan: of the layers above fulfilment.
      below: what fulfilment plans.
    """
    late = [
        whole_flow(want.shipped) - made.ledger.shipped
        for want, made in zip(below, plan.groups, strict=True)
    ]
    cost = [
        x * (g.items.penalty * g.network.spread)[:, None, None]
        for x, g in zip(late, (made.group for made in plan.groups), strict=True)
    ]
    flat = lambda parts: np.concatenate([x.ravel() for x in parts]) + 0.0
    return targets.assign(late=flat(late), late_cost=flat(cost))


def depots_table(plan: SupplyPlan, labels: Labels) -> pd.DataFrame:
    """Limits above fulfilment, their prices and uses, and stock that is kept there.

    A row is a depot, a resource and a period; the budget has no node. `use` is what
    levels use in expectation: of storage, what is kept after nodes got what they ask
    for; of inbound and budget, expected orders. Prices are those at which levels keep
    within limits; use may be above a limit where orders placed before, or stock that is
    there already, cannot be undone. `projected` is the use by the orders of the plan if
    demand is as expected.

    Args:
      plan: of the layers above fulfilment.
      labels: names.
    """
    projected = _projected(plan)
    periods = np.array(labels.periods, object)
    parts = []
    for name in Limits._fields:
        owners = ("",) if name == "budget" else labels.depots
        shape = len(owners), len(periods)
        spread = lambda x, name=name, shape=shape: np.reshape(getattr(x, name), shape)
        parts.append(
            {
                "node": np.repeat(np.array(owners, object), len(periods)),
                "resource": np.full(len(owners) * len(periods), name, object),
                "period": np.tile(periods, len(owners)),
                "price": spread(plan.prices.price).ravel(),
                "use": spread(plan.prices.use).ravel(),
                "projected": spread(projected).ravel(),
                "capacity": spread(plan.limits).ravel(),
            }
        )
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def depot_prices(depots: pd.DataFrame, labels: Labels) -> Limits:
    """Prices in a plan's table of depots, as arrays.

    Args:
      depots: as from `depots_table`.
      labels: names, the same as then.
    """
    shape = len(labels.depots), len(labels.periods)
    price = lambda name: depots.loc[depots["resource"] == name, "price"].to_numpy(float)
    return Limits(
        price("storage").reshape(shape),
        price("inbound").reshape(shape),
        price("budget"),
    )


def item_targets(labels: Labels, item, node, period, targets, before) -> pd.DataFrame:
    """Targets of one item beside those of a plan.

    Args:
      labels: names.
      item: the item's name.
      node: position of each cell's node.
      period: position of each cell's period.
      targets: units.
      before: the plan's, units.
    """
    return pd.DataFrame(
        {
            "item": item,
            "node": np.array(labels.nodes, object)[node],
            "period": np.array(labels.periods, object)[period],
            "order_up_to": np.ravel(targets),
            "previous": np.ravel(before),
        }
    )


def _projected(plan: SupplyPlan) -> Limits:
    """What the plan's orders use, period by period."""
    storage = np.zeros(plan.limits.storage.shape)
    inbound = np.zeros(plan.limits.inbound.shape)
    budget = np.zeros(plan.limits.budget.shape)
    for made in plan.groups:
        ledger, volume = made.ledger, made.group.items.volume
        storage[made.supply.depot] += np.einsum("i,itd->dt", volume, ledger.store)
        inbound[made.supply.depot] += ledger.landed.sum(axis=0).T
        if made.supply.offers.size:
            cost = made.supply.offers.unit_cost[made.choice.offer]
            budget += np.einsum("i,itd->t", cost, ledger.bought)
            base = made.supply.offers.base[made.choice.offer]
            cost = made.supply.offers.unit_cost[base]
            budget += np.einsum("i,itd->t", cost, ledger.base)
        budget += np.einsum("in,itn->t", made.supply.unit_cost, ledger.direct)
    return Limits(storage, inbound, budget)


def supply_kpis(plan: SupplyPlan) -> dict[str, float]:
    """Totals of orders and transfers, by metric."""
    periods, used = len(plan.limits.budget), _projected(plan)
    ledgers = [made.ledger for made in plan.groups]
    total = lambda name: sum(float(getattr(x, name).sum()) for x in ledgers)
    moved = sum(
        float(np.einsum("itn,in->", g.ledger.sent, g.lane_cost)) for g in plan.groups
    )
    return {
        "buying cost per period": float(used.budget.sum()) / periods,
        "transfer cost per period": moved / periods,
        "bought units per period": sum(map(total, ("bought", "base", "direct")))
        / periods,
        "transferred units per period": total("sent") / periods,
        "depot stock units": total("store") / periods,
        "pack cost per period": total("pack") / periods,
    }


def _with_none(names) -> np.ndarray:
    """Names, and no name at the end, where -1 looks."""
    return np.array([*names, ""], object)


def _when(labels: Labels):
    """Labels of periods; "+k" is k periods after the last one."""
    known = np.array(labels.periods, object)

    def of(period) -> np.ndarray:
        period = np.asarray(period, int)
        later = period - len(known) + 1
        inside = known[np.minimum(period, len(known) - 1)]
        return np.where(later > 0, "+" + later.astype(str).astype(object), inside)

    return of


def _sorted(parts, by) -> dict[str, np.ndarray]:
    """Columns of the parts that have rows, sorted by periods and names."""
    some = [p for p in parts if len(p["item"])] or parts[:1]
    whole = {k: np.concatenate([p[k] for p in some]) for k in some[0]}
    keys = [np.asarray(whole[k], int if k in ("order", "ship") else str) for k in by]
    rank = np.lexsort(keys[::-1])
    return {k: v[rank] for k, v in whole.items()}

"""A solution back to tables: what encoded the way in decodes the way out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from meio_jax.tables.build import Labels

RESOURCES = ("storage", "inbound", "outbound")


def targets_table(
    problem, solution, labels: Labels, period_days: float, reserves=None
) -> pd.DataFrame:
    """Order-up-to levels by item, node and period, with what they consist of.

    `order_up_to = safety_stock + cycle_stock + pipeline_stock`: what is expected to be
    left at the end of a period, what a period ships, and what is on its way.
    `expected_order` is what raises the stock that the period before leaves to this
    level; below 0 it is stock that would have to be taken out. It is empty in the first
    period where no inventory is given. `holding_cost` is money a period for what is
    left; `shortage_cost` is what the node's own demand above the target would cost if
    no other node shipped it: more than it will. `spill_limit` is what the node keeps
    from customers who are not its own: 0 unless the plan was refined. `override_cost`:
    what fixed targets of the item and period cost more than free ones would at the
    prices, money, divided among them. `correction`: money per unit and period that
    greedy fulfilment charges above what the pools see, in planning.

    Args:
      problem: the problem.
      solution: its plan.
      labels: names.
      period_days: length of a period.
      reserves: spill limits of each group, "kept nodes items", the same in all
        periods where kept is 1; None for none.
    """
    parts = []
    kept = reserves or [np.zeros((1, 1, 1))] * len(problem.groups)
    for group, target, outcome, keep, more, tilt in zip(
        problem.groups, solution.targets, solution.outcomes, kept, solution.overrides,
        solution.tilts, strict=True,
    ):  # fmt: skip
        items, nodes = group.items, group.network.node
        shape = target.shape
        window = target - outcome.left
        own = np.maximum(outcome.own, 1e-12)
        fixed = (items.lower == items.upper) & (items.upper > 0)
        capped = target >= items.upper
        each = more / np.maximum(fixed.sum(axis=2), 1)
        frame = pd.DataFrame(
            {
                "item": _repeat(np.array(labels.items)[items.position], shape, 0),
                "node": _repeat(np.array(labels.nodes)[nodes], shape, 2),
                "period": _repeat(np.array(labels.periods), shape, 1),
                "order_up_to": target.ravel() + 0.0,
                "safety_stock": outcome.left.ravel(),
                "cycle_stock": outcome.shipped.ravel(),
                "pipeline_stock": (window - outcome.shipped).ravel(),
                "expected_on_hand": (outcome.left + outcome.shipped).ravel(),
                "expected_order": _orders(group, target, outcome).ravel(),
                "expected_fill_rate": (1 - outcome.short / own).ravel().clip(0, 1),
                "critical_ratio": (1 - outcome.empty.sum(axis=2)).ravel(),
                "days_of_supply": np.where(
                    outcome.shipped > 1e-9,
                    target / np.maximum(outcome.shipped, 1e-9) * period_days,
                    np.nan,
                ).ravel(),
                "holding_cost": (items.holding[:, None] * outcome.left).ravel(),
                "shortage_cost": (items.penalty[:, None, None] * outcome.short).ravel(),
                "spill_limit": _spread(np.moveaxis(keep, 2, 0), shape),
                "correction": tilt.ravel(),
                "override_cost": np.where(fixed, each[:, :, None], 0.0).ravel(),
                "held_by": np.select(
                    [fixed.ravel(), capped.ravel()], ["fixed", "max_stock"], "economics"
                ),
                "previous": np.nan,
            }
        )
        parts.append(frame)
    table = pd.concat(parts, ignore_index=True)
    numbers = table.select_dtypes("number").columns
    table[numbers] = table[numbers] + 0.0  # no minus zero
    return table


def compared(
    targets: pd.DataFrame, before: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Targets with those of an earlier plan beside them, and how far they moved.

    Args:
      targets: of a plan.
      before: of the earlier one; cells that it does not have stay empty.

    Returns:
      The table, and metrics over the cells that both have: mean move of a target as a
      share of the mean target, and the share of targets that moved.
    """
    keys = ["item", "node", "period"]
    old = before.loc[:, keys].astype({"period": str})
    old = old.assign(old=before["order_up_to"].to_numpy(float))
    here = targets[keys].assign(period=targets["period"].astype(str))
    found = here.merge(old, how="left", on=keys)["old"].to_numpy(float)
    known = np.isfinite(found)
    now = targets["order_up_to"].to_numpy(float)[known]
    move = np.abs(now - found[known])
    metrics = {
        "moved since previous": float(move.sum() / max(now.sum(), 1e-12)),
        "targets moved": float((move > 1e-9).mean()) if len(move) else 0.0,
    }
    return targets.assign(previous=found), metrics


def _orders(group, target, outcome):
    """Orders z_t = y_t - y_(t-1) + E s_(t-1), units; nan where the start is unknown."""
    left = np.roll(target - outcome.shipped, 1, axis=1)
    left[:, 0] = np.nan if group.stock is None else group.stock
    return target - left


def _repeat(values, shape, axis):
    view = [1] * len(shape)
    view[axis] = -1
    return _spread(values.reshape(view), shape)


def _spread(values, shape):
    return np.broadcast_to(values, shape).ravel()


def prices_table(problem, solution, labels: Labels) -> pd.DataFrame:
    """Price, use and value of every limited capacity.

    Adding a tenth to a capacity saves at most `value_plus_10pct`, losing a tenth costs
    at least `value_minus_10pct`: both follow from the bound, whatever the prices.

    Where outbound holds by regime of load, its price is that of the capacity in all
    regimes, `utilization` is that of the fullest regime, and `price_regime_1` (quiet)
    to `price_regime_K` (busy) are money per unit shipped while the regime holds.

    `kept_free` is storage that the plan does not use, for what single paths hold above
    the mean: worth more than its price there, as overage costs more.

    The bound is proven at prices of its own, `bound_price` and `bound_price_regime_k`.

    The use of resource "items" is the number of items with a target above 0. It has no
    price: the bound does not see this limit, and holds for any.
    """
    capacity, regimes = problem.limits, problem.regimes
    resource, node, period = np.nonzero(np.isfinite(capacity))
    whole = lambda x: np.concatenate([x[:2], x[2:].sum(axis=0, keepdims=True)])
    share = np.ones((2 + regimes, 1, 1))
    share[2:] /= regimes
    price = whole(share * solution.prices)[resource, node, period]
    proven = whole(share * solution.bound_prices)[resource, node, period]
    limit = capacity[resource, node, period]
    use = whole(solution.use)[resource, node, period]
    fullest = np.concatenate(
        [solution.use[:2], regimes * solution.use[2:].max(axis=0, keepdims=True)]
    )[resource, node, period]
    slack = max(solution.cost - solution.bound, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        utilization = np.where(
            limit > 0, fullest / limit, np.where(fullest > 0, np.inf, 0.0)
        )
    by_regime = {
        f"{name}_regime_{k + 1}": np.where(
            resource == 2, prices[2 + k, node, period], np.nan
        )
        for name, prices in (
            ("price", solution.prices), ("bound_price", solution.bound_prices)
        )
        for k in range(regimes if regimes > 1 else 0)
    }  # fmt: skip
    table = pd.DataFrame(
        {
            "node": np.array(labels.nodes)[node],
            "resource": np.array(RESOURCES)[resource],
            "period": np.array(labels.periods)[period],
            "price": price,
            "use": use,
            "capacity": limit,
            "kept_free": np.where(resource == 0, solution.kept[node, period], 0.0),
            "utilization": utilization,
            "value_plus_10pct": slack + 0.1 * proven * limit,
            "value_minus_10pct": np.maximum(0.1 * proven * limit - slack, 0),
            "bound_price": proven,
            **by_regime,
        }
    )
    if not np.isfinite(problem.item_limit).any():
        return table
    return pd.concat([table, _held(problem, solution, labels)], ignore_index=True)


def _held(problem, solution, labels) -> pd.DataFrame:
    """Rows of the prices table for the number of items that a node may hold."""
    held = np.zeros(problem.item_limit.shape)
    for group, target in zip(problem.groups, solution.targets, strict=True):
        held[group.network.node] += (target > 1e-9).sum(axis=0).T
    node, period = np.nonzero(np.isfinite(problem.item_limit))
    limit, use = problem.item_limit[node, period], held[node, period]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(limit > 0, use / limit, np.where(use > 0, np.inf, 0.0))
    return pd.DataFrame(
        {
            "node": np.array(labels.nodes)[node],
            "resource": "items",
            "period": np.array(labels.periods)[period],
            "price": 0.0,
            "use": use,
            "capacity": limit,
            "utilization": share,
            "value_plus_10pct": max(solution.cost - solution.bound, 0.0),
            "value_minus_10pct": 0.0,
            "bound_price": 0.0,
        }
    )


def service_table(problem, solution, labels: Labels) -> pd.DataFrame:
    """Demand, units on promise and fill rate by region, speed and size class."""
    parts = []
    for k, (group, outcome) in enumerate(
        zip(problem.groups, solution.outcomes, strict=True)
    ):
        network = group.network
        demand = outcome.demand.sum(axis=0)
        late = network.days_late > 0
        flow = outcome.flow.sum(axis=0)
        on_time = np.where(late.T, 0, flow).sum(axis=1)
        served = flow.sum(axis=1)
        regional = np.bincount(
            group.demand.region, group.demand.quantity, len(labels.regions)
        )
        weight = network.part_share * regional[network.part_region]
        total = np.bincount(network.part_class, weight, len(demand))
        share = weight / np.maximum(total[network.part_class], 1e-300)
        of = lambda x, share=share, network=network: x[network.part_class] * share
        frame = pd.DataFrame(
            {
                "region": np.array(labels.regions)[network.part_region],
                "speed": np.array(labels.speeds)[network.part_speed],
                "size_class": labels.size_classes[k],
                "demand": of(demand),
                "on_promise": of(on_time),
                "served": of(served),
            }
        )
        parts.append(frame)
    table = pd.concat(parts, ignore_index=True)
    keys = ["region", "speed", "size_class"]
    grouped = table.groupby(keys, sort=True, as_index=False, observed=True)
    table = pd.DataFrame(grouped.sum())
    demand = table["demand"].clip(lower=1e-12)
    table["fill_rate"] = (table["served"] / demand).clip(0, 1)
    table["on_promise_rate"] = table["on_promise"] / demand
    sold = pd.DataFrame(table[table["demand"] > 0])
    return sold.drop(columns="served").reset_index(drop=True)


def places_of(nodes: pd.DataFrame, labels: Labels) -> dict[str, list[float]]:
    """Latitude and longitude of the nodes that ship, where they are known."""
    table = nodes.set_index("node")[["lat", "lon"]]
    found = table.loc[list(labels.nodes)].to_numpy(float)
    known = np.isfinite(found).all(axis=1)
    return {
        str(node): place
        for node, place, there in zip(labels.nodes, found.tolist(), known, strict=True)
        if there
    }


def kpis_table(problem, solution, more: dict[str, float]) -> pd.DataFrame:
    """Totals of the plan on its scenarios, per period where they are money or units.

    A removal is an item, node and period in which more than half a unit would have to
    be taken out, because targets fall faster than stock is sold.

    Args:
      problem: the problem.
      solution: its plan.
      more: metrics of the layers above.
    """
    periods = problem.periods
    outcomes = solution.outcomes
    total = lambda name: sum(float(getattr(o, name).sum()) for o in outcomes)
    demand, unmet = total("demand"), total("unmet")
    flow = sum(float(o.flow.sum()) for o in outcomes)
    on_time = sum(
        float(np.where(g.network.days_late.T[None] > 0, 0, o.flow).sum())
        for g, o in zip(problem.groups, outcomes, strict=True)
    )
    local = sum(
        float(np.where(g.network.ring.T[None] == 0, o.flow, 0).sum())
        for g, o in zip(problem.groups, outcomes, strict=True)
    )
    orders = [
        _orders(g, y, o).ravel()
        for g, y, o in zip(problem.groups, solution.targets, outcomes, strict=True)
    ]
    removed = -np.concatenate(orders)
    removed = removed[removed > 0.5]  # nan is not
    limited = np.isfinite(problem.capacities) & (problem.capacities > 0)
    fullest = np.max(solution.use[limited] / problem.capacities[limited], initial=0.0)
    rows = {
        "cost per period": solution.cost / periods,
        "bound per period": solution.bound / periods,
        "holding cost per period": total("holding") / periods,
        "shipping cost per period": total("shipping") / periods,
        "lost sales cost per period": total("lost") / periods,
        "fill rate": 1 - unmet / max(demand, 1e-12),
        "on promise rate": on_time / max(demand, 1e-12),
        "local share": local / max(flow, 1e-12),
        "stock units": (total("left") + total("shipped")) / periods,
        "fullest capacity": float(fullest),
        "removals": float(len(removed)),
        "removed units per period": float(removed.sum()) / periods,
        "override cost per period": sum(map(np.sum, solution.overrides)) / periods,
        **more,
    }
    return pd.DataFrame(
        {"policy": "plan", "metric": list(rows), "value": list(rows.values())}
    )


def write_table(table: pd.DataFrame, path: Path, *, csv: bool) -> None:
    """Writes a table as Parquet, and beside it as CSV if asked."""
    table.to_parquet(path.with_suffix(".parquet"), index=False, compression="zstd")
    if csv:
        table.to_csv(path.with_suffix(".csv"), index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of a run folder."""
    return pd.read_parquet(path.with_suffix(".parquet"))

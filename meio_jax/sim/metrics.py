"""What planners look at, path by path: cost and its parts, service, stock, capacities.

The path of the whole system is the unit of every statistic: items of one path share its
demand shocks and its buildings, so that they are no independent observations.
"""

import numpy as np
from jaxtyping import Float

from meio_jax.problem import Problem
from meio_jax.sim.lab import Record
from meio_jax.sim.period import COSTS

ByPath = Float[np.ndarray, " paths"]
Rates = tuple[ByPath, ...]
TINY = 1e-12
OVER = 1e-6  # share of a capacity that counts as above it


def metrics(problem: Problem, record: Record, days: float) -> dict[str, ByPath]:
    """Every metric of a record on each path.

    Money is per period. Rates are shares of the units asked for; shares "from" are of
    the units shipped. Stock is in units at the end of a period. Capacities are storage
    after receipts, by node and period; docks and shipping are limits that the
    simulation keeps, so that they show as stock outside and shipments put off.
    Bullwhip is the variance of what all nodes order, or are sent by depots, over that
    of demand; the target change rate is how far targets move from one period to the
    next, as a share of them: small for a stable plan.

    Args:
      problem: what was simulated.
      record: what a decision did.
      days: length of a period.
    """
    money = record.money.mean(axis=1)
    total = lambda values: np.sum([v.sum(axis=0) for v in values], axis=0)
    demand, served = total(record.demand), total(record.served)
    asked, shipped = np.maximum(demand, TINY), np.maximum(served, TINY)
    stock = record.on_hand.mean(axis=0)
    daily = record.sold.mean(axis=0) / days
    parts = {_label(part): money[k] for k, part in enumerate(COSTS) if money[k].any()}
    shipping = money[COSTS.index("shipping")] * record.money.shape[1]
    return {
        "cost per period": money.sum(axis=0),
        **parts,
        "fill rate": served / asked,
        "on promise rate": total(record.on_time) / asked,
        "late share": (served - total(record.on_time)) / asked,
        "unserved share": 1 - served / asked,
        "shipping cost per unit": shipping / shipped,
        "local share": total(record.local) / shipped,
        "in-region share": total(record.near) / shipped,
        "stock units": stock,
        **_depots(record),
        "days of cover": stock / np.maximum(daily, TINY),
        "turns per year": 365 * daily / np.maximum(stock, TINY),
        **_capacity(problem, record),
        "bullwhip": record.ordered.var(axis=0)
        / np.maximum(record.sold.var(axis=0), TINY),
        "target change rate": record.moved,
    }


def _depots(record: Record) -> dict[str, ByPath]:
    """What is on hand at depots, and what is ordered from vendors."""
    if not record.depots.shape[1]:
        return {}
    return {
        "depot stock units": record.depots[2].sum(axis=0).mean(axis=0),
        "bought units per period": record.bought.mean(axis=0),
    }


def _label(part: str) -> str:
    return {"lost": "lost sales"}.get(part, part) + " cost per period"


def _capacity(problem: Problem, record: Record) -> dict[str, ByPath]:
    """How far and how often stock is above storage."""
    limit = problem.storage
    able = np.isfinite(limit)
    if not able.any():
        return {}
    use, room = record.use[0][able], np.maximum(limit[able], 1e-9)[:, None]
    over = np.maximum(use / room - 1, 0)
    over = np.where(over > OVER, over, 0)
    return {
        "storage above capacity, most": over.max(axis=0),
        "storage above capacity, mean": over.mean(axis=0),
        "storage above capacity, share of node-periods": (over > 0).mean(axis=0),
    }


def service_rates(problem: Problem, record: Record) -> dict[tuple[int, int], Rates]:
    """Units asked for, served and on promise by region and speed; region -1 is the
    nation. Classes that several of them share are divided by their share of demand.

    Args:
      problem: what was simulated.
      record: what a decision did.
    """
    found: dict[tuple[int, int], Rates] = {}
    for k, group in enumerate(problem.groups):
        network, share = group.network, part_shares(group)
        words = record.demand[k], record.served[k], record.on_time[k]
        by_part = [share[:, None] * units[network.part_class] for units in words]
        for region in (network.part_region, np.full(len(share), -1)):
            keys, code = np.unique(
                np.stack([region, network.part_speed]), axis=1, return_inverse=True
            )
            rows = [_sums(units, code.ravel(), keys.shape[1]) for units in by_part]
            for row, (r, j) in enumerate(keys.T):
                units = tuple(word[row] for word in rows)
                known = found.get((int(r), int(j)), (0, 0, 0))
                found[int(r), int(j)] = tuple(map(np.add, units, known))
    return found


def _sums(values, code, count):
    out = np.zeros((count, values.shape[1]))
    np.add.at(out, code, values)
    return out


def part_shares(group) -> Float[np.ndarray, " parts"]:
    """Share of each part in the demand of its class."""
    network = group.network
    regions = int(network.part_region.max()) + 1
    regional = np.bincount(group.demand.region, group.demand.quantity, regions)
    weight = network.part_share * regional[network.part_region]
    total = np.bincount(network.part_class, weight, len(network.home))
    return weight / np.maximum(total[network.part_class], 1e-300)

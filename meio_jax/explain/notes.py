"""What else is said of a target: its last unit, its price, and what changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from meio_jax.explain.says import RESOURCES, Cell
from meio_jax.explain.steps import pool_names
from meio_jax.explain.words import money, number, signed


def shares(cell: Cell) -> dict[str, float]:
    """Share of what the last unit saves, by whose orders it is for.

    Args:
      cell: the target.
    """
    gain = cell.found.gain[:, cell.t, cell.n]
    names = ("own", *pool_names(len(gain)))
    total = gain.sum()
    part = gain / total if total > 1e-12 else np.zeros_like(gain)
    return dict(zip(names, map(float, part), strict=True))


def last_unit(cell: Cell) -> str:
    """A line about whose orders the last unit is for; empty where there is no unit.

    Args:
      cell: the target.
    """
    gain = float(cell.found.gain[:, cell.t, cell.n].sum())
    cost = float(cell.found.charge[cell.t, cell.n])
    if cell.level["fitted"] < 1:
        return ""
    if gain <= 1e-12:
        return "last unit: no order in the plan's scenarios needs it"
    whose = ", ".join(f"{s:.0%} {k}" for k, s in shares(cell).items() if s >= 0.005)
    period = cell.units.period
    return (
        f"last unit: for orders of {whose}; it saves {money(gain)} and costs "
        f"{money(cost)} a {period}"
    )


def per_price(cell: Cell) -> float:
    """Whole units that the level changes by when the storage price rises by `bump`.

    Args:
      cell: the target.
    """
    return float(cell.found.down[cell.t, cell.n]) - cell.level["whole units"]


def sensitivity(cell: Cell) -> str:
    """A line about the price of storage; empty where a unit takes no room.

    Args:
      cell: the target.
    """
    if not cell.items.volume[cell.found.row] > 0:
        return ""
    bump = float(cell.found.bump[cell.t, cell.n])
    return (
        f"sensitivity: storage price +{money(bump)} per {cell.units.volume} -> "
        f"{signed(per_price(cell))} units, the other nodes as they are"
    )


def before(cell: Cell, since: Any) -> tuple[float, float]:
    """The target of an earlier plan, and the whole level that its prices would give
    now; nan where it has none.

    Args:
      cell: the target.
      since: the earlier plan.
    """
    row = cell.row_of(since)
    if not len(row):
        return np.nan, np.nan
    made = cell.made
    prices = made.problem.paid(made.price_array(since))[:, cell.network.node]
    level = cell.found.at_prices(prices)[cell.t, cell.n]
    return float(row["order_up_to"].iloc[0]), float(level)


def change(cell: Cell, since: Any, earlier: tuple[float, float]) -> str:
    """A line about what changed since an earlier plan, and the price that moved most.

    Args:
      cell: the target.
      since: the earlier plan.
      earlier: from `before`.
    """
    target, level = earlier
    if np.isnan(target):
        return "since then: the earlier plan has no such target"
    words = f"earlier plan {number(target)} ({signed(cell.level['fitted'] - target)})"
    old = cell.made.price_array(since)[:, cell.place, cell.t]
    size = np.array([cell.items.volume[cell.found.row], *[1.0] * (len(old) - 1)])
    moved = np.abs(cell.price - old) * size
    k = int(np.argmax(moved))
    if moved[k] <= 1e-9:
        return f"{words}: no price at {cell.node} moved; demand, costs or others did"
    way = "rose" if cell.price[k] > old[k] else "fell"
    part = signed(cell.level["whole units"] - level)
    return (
        f"{words}: {RESOURCES[min(k, 2)]} price {way} from {money(old[k])} to "
        f"{money(cell.price[k])}; the prices make {part} of it"
    )

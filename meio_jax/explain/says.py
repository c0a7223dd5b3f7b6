"""What every step of one target says, in words and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from meio_jax.explain.steps import ItemSteps, pool_names
from meio_jax.explain.words import money, number
from meio_jax.rebuild import Rebuilt

NAMED = 3  # nodes of a pool that are named
RESOURCES = ("storage", "inbound", "outbound")


class Cell:
    """One target of an item: node and period.

    Attributes:
      held_by: as in the table of targets, or "items".
    """

    def __init__(
        self, plan: Any, made: Rebuilt, found: ItemSteps, node: str, n: int, t: int
    ):
        self.plan, self.made, self.found = plan, made, found
        self.node, self.n, self.t = node, n, t
        group = made.problem.groups[found.group]
        self.network, self.items = group.network, group.items
        self.waits = group.waits
        self.place = int(self.network.node[n])
        self.units = made.config.units
        self.prices = made.problem.paid(made.prices)[:, self.place]
        self.price = self.prices[:, t]
        self.level = {s.name: float(s.level[t, n]) for s in found.steps}
        self.held_by = self._held()

    def of(self, step: str) -> str:
        """The words of a step.

        Args:
          step: its name.
        """
        own = {
            "expected demand": lambda: "expected demand of the interval",
            "economics": self._economics,
            "storage price": self._storage,
            "inbound price": self._inbound,
            "outbound price": self._outbound,
            "order mix": lambda: "orders differ in what it costs to miss them",
            "calibration": self._calibration,
            "whole units": lambda: "whole units",
            "limits": self._limits,
            "fitted": self._fitted,
        }
        return own[step]() if step in own else self._pool(step)

    def _economics(self) -> str:
        lost, ship = self.found.lost, float(self.found.ship[self.n])
        hold = self.items.holding[self.found.row, self.n]
        if self.level["expected demand"] <= 0:
            return f"economics: no demand is nearest to {self.node}"
        spread = self.network.spread
        margin = max(float(lost - ship), 0.0) / spread
        ratio = margin / (margin + hold) if margin + hold > 0 else 0.0
        what = "a unit waited for" if self.waits else "a lost sale"
        words = f"economics: {what} {money(lost)} less shipping {money(ship)}"
        if spread != 1:
            words += f", over {spread:.3g} {self.units.period}s"
        words += f", against holding {money(hold)}"
        return f"{words}: critical ratio {ratio:.3f}"

    def _limit(self, resource: str) -> bool:
        limit = self.made.problem.limits[RESOURCES.index(resource), self.place, self.t]
        return bool(np.isfinite(limit))

    def _storage(self) -> str:
        volume = self.items.volume[self.found.row]
        if not self._limit("storage"):
            return f"storage at {self.node} has no limit"
        if self.price[0] <= 0:
            return f"storage at {self.node} has no price: there is room"
        return (
            f"storage at {self.node} is full: {money(self.price[0])} per "
            f"{self.units.volume} x {money(volume)} {self.units.volume}"
        )

    def _inbound(self) -> str:
        later = self.prices[1]
        after = float(later[self.t + 1]) if self.t + 1 < len(later) else 0.0
        if not (self._limit("inbound") or after > 0):
            return "inbound has no limit"
        if max(self.price[1], after) <= 0:
            return "inbound has no price"
        return (
            f"inbound {money(self.price[1])} now, {money(after)} a {self._period} later"
        )

    def _outbound(self) -> str:
        prices = self.price[2:]
        if not self._limit("outbound"):
            return "outbound has no limit"
        if prices.max() <= 0:
            return "outbound has no price"
        words = ", ".join(money(p) for p in prices)
        more = " by load, quiet to busy" if len(prices) > 1 else ""
        return f"outbound {words} per unit shipped{more}"

    def _pool(self, name: str) -> str:
        levels = len(self.found.cost.pool_of)
        level = 1 + pool_names(levels).index(name)
        pools = self.found.cost.pool_of[level]
        same = np.flatnonzero(pools == pools[self.n])
        others = [
            self.made.labels.nodes[self.network.node[k]] for k in same if k != self.n
        ]
        if not others:
            return f"shared in the {name}: no other node in it"
        held = number(float(self.found.others[level, self.t, self.n]))
        if len(others) > NAMED:
            who = f"{len(others)} other nodes"
        else:
            who = ", ".join(others)
        return f"shared in the {name}: {who}, with {held} units"

    def _calibration(self) -> str:
        group = self.found.group
        lift, more = self.made.lifts[group], self.made.tilts[group]
        tilt = float(more[self.found.row, self.t, self.n])
        told = f"a shortage costs {lift:.4g} times what the pools see"
        if tilt:
            less = "less" if tilt > 0 else "more"
            told += (
                f", and a unit here saves {money(abs(tilt))} a {self._period} {less}"
            )
        return f"{told}, as shipping from stock showed"

    def row_of(self, plan: Any) -> Any:
        """The rows of this target in a plan's table: one or none.

        Args:
          plan: this one or another.
        """
        table, period = plan.targets, str(self.made.labels.periods[self.t])
        return table[
            (table["item"].astype(str) == self.name)
            & (table["node"].astype(str) == self.node)
            & (table["period"].astype(str) == period)
        ]

    def _held(self) -> str:
        return "items" if self._shut else str(self.row_of(self.plan)["held_by"].iloc[0])

    @property
    def name(self) -> str:
        """Of the item."""
        return str(self.made.labels.items[self.items.position[self.found.row]])

    @property
    def _period(self) -> str:
        return self.units.period

    @property
    def _shut(self) -> bool:
        return bool(self.found.shut[self.n])

    def _limits(self) -> str:
        row, t, n = self.found.row, self.t, self.n
        lower, upper = self.items.lower[row, t, n], self.items.upper[row, t, n]
        if self._shut:
            most = np.floor(self.made.problem.item_limit[self.place].min() + 1e-9)
            return f"{self.node} holds {most:,.0f} items at most: not this one"
        if lower == upper:
            return f"fixed at {number(upper)} by you"
        if np.isfinite(upper):
            return f"max_stock {number(upper)}"
        return "no limit of its own"

    def _fitted(self) -> str:
        also = []
        if any(m.get("phase") == "exact" for m in self.plan.metrics):
            also.append("exact fulfilment")
        if self.plan.facts.get("refinement"):
            also.append("refinement by simulation")
        words = "fitted to capacity, and to what other steps do not see"
        return f"{words} ({', '.join(also)})" if also else words

"""What a page is made from: a plan, its simulation, and the units of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Frame = Any  # a pandas table or column: pyright takes most uses of either for wrong
FULL = 0.99  # use that counts as full, share of the capacity
OVER = 1 + 1e-6  # use that counts as above the capacity


@dataclass(frozen=True, eq=False)
class Run:
    """A plan and, if there is one, its simulation; a value, never changed.

    Attributes:
      name: shown in the page.
      plan: the plan.
      outcome: the simulation, the plan its first policy; or None.
      fans: of some items, as from `explain.simulate_fans`.
    """

    name: str
    plan: Any
    outcome: Any = None
    fans: tuple[Any, ...] = ()

    @property
    def units(self) -> dict[str, str]:
        """Words of units: volume, currency, period."""
        given = self.plan.facts.get("options", {}).get("units", {})
        return {"volume": "m3", "currency": "USD", "period": "week"} | given

    @property
    def currency(self) -> str:
        """Of all money."""
        return self.units["currency"]

    @property
    def period(self) -> str:
        """One bucket of time."""
        return self.units["period"]

    @property
    def periods(self) -> list[str]:
        """Labels of the planned periods, in their order."""
        return sorted(map(str, self.plan.targets["period"].unique()))

    @property
    def slack(self) -> float:
        """Money between plan and bound, over the horizon; inf without a bound."""
        return max(self.plan.cost - self.plan.bound, 0.0)

    @property
    def kpis(self) -> Frame:
        """The plan's totals by metric."""
        return self.plan.kpis.set_index("metric")["value"]

    @property
    def prices(self) -> Frame:
        """Rows of capacities; `money` is what a whole capacity is worth at its price,
        `proven` the same at the prices of the bound."""
        table = self.plan.prices.copy()
        table["money"] = table["price"] * table["capacity"]
        table["proven"] = table["bound_price"] * table["capacity"]
        return table

    def unit(self, resource: str) -> str:
        """What one more of a resource is."""
        return {"storage": self.units["volume"], "items": "item"}.get(resource, "unit")

    def dearest(self, count: int) -> Frame:
        """Node and resource of the capacities that are worth most at their prices.

        Args:
          count: at most so many.
        """
        table = self.prices
        table = table[table["price"] > 1e-9]
        found = table.groupby(["node", "resource"], as_index=False)[
            ["money", "proven"]
        ].sum()
        order = ["money", "node", "resource"]
        return found.sort_values(order, ascending=[False, True, True]).head(count)

    @property
    def simulated(self) -> Frame:
        """Metrics of all policies by policy and metric; None without a simulation."""
        if self.outcome is None:
            return None
        return self.outcome.kpis.set_index(["policy", "metric"])

    @property
    def policies(self) -> tuple[str, ...]:
        """Simulated policies, the plan first; none without a simulation."""
        return () if self.outcome is None else self.outcome.policies

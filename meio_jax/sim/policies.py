"""Policies to compare plans with: the same forecasts, what practice does with them.

Every recipe gets the problem and the scenarios that a planner gets and decides targets.
Those that know nothing of capacities are cut to storage afterwards by one rule, `clip`;
all keep to the number of items that a node may hold. Nobody here but `static_prices`,
`fluid` and `fluid_lp` looks at capacities of flows.
"""

from typing import Literal

import numpy as np

from meio_jax.config import Solver
from meio_jax.sim.nodewise import NodeRule, national, place, quantile
from meio_jax.sim.planned import Fluid, FluidProgram, StaticPrices, Unpriced
from meio_jax.sim.recipe import AbstractRecipe as AbstractRecipe
from meio_jax.sim.recipe import clip as clip
from meio_jax.sim.windows import Windows

Shortage = Literal["lost", "next_best"]


def base_stock(*, shortage: Shortage = "lost") -> AbstractRecipe:
    """Node-wise newsvendors: every item-node alone on the demand at home there.

    The smallest S with P(D <= S) >= u / (h + u), D the demand of lead time + 1 periods,
    h holding (Snyder & Shen 2019, ch. 4): kernel K0. Blind to pooling.

    Args:
      shortage: what a unit short costs, u: "lost", its penalty less its service from
        home, as if no other node could serve; "next_best", the cheapest other service,
        or the penalty if that is less, less that from home, as if the next node always
        had stock.
    """
    _check(shortage)

    def rule(windows, share):
        u = _underage(windows, shortage)
        ratio = u / np.maximum(windows.holding + u, 1e-30)
        ratio = np.broadcast_to(ratio[:, None], windows.demand.shape[:3])
        return quantile(windows.demand, windows.weight, ratio)

    return NodeRule(f"base_stock_{shortage}", rule)


def proportional() -> AbstractRecipe:
    """One national newsvendor an item, split by the volume of all items at home.

    S of the item's demand at all homes together, each over its own lead time + 1
    periods, at the ratio of a unit lost; node n gets S w_n, w_n the same for all items
    that may be at the same nodes.
    """

    def rule(windows, share):
        allowed = share * (windows.upper > 0)
        part = allowed / np.maximum(allowed.sum(axis=2, keepdims=True), 1e-30)
        return national(windows)[:, :, None] * part

    return NodeRule("proportional", rule)


def days_of_cover() -> AbstractRecipe:
    """One national newsvendor an item, split so that nodes have equal days of cover.

    S as for `proportional`; node n gets S r_n / sum r, r_n the item's mean demand at
    home there, before it is cut to storage.
    """

    def rule(windows, share):
        total = np.maximum(windows.rate.sum(axis=2, keepdims=True), 1e-30)
        return national(windows)[:, :, None] * windows.rate / total

    return NodeRule("days_of_cover", rule)


def buy_then_place(*, shortage: Shortage = "next_best") -> AbstractRecipe:
    """Bought nationally, regardless of where, then placed where a unit is worth most.

    S as for `proportional`; then min sum_n h_n E(y_n - D_n)^+ + u_n E(D_n - y_n)^+ with
    sum_n y_n = S, node-wise newsvendors at one multiplier an item and period (Eppen &
    Schrage 1981 buy before they allocate). The marginal value u_n - (h_n + u_n) P(D_n <
    y) falls in y, so the units of most value are taken first, and this is exact.

    Args:
      shortage: what a unit short costs at a node once the total is bought, u, as for
        `base_stock`.
    """
    _check(shortage)

    def rule(windows, share):
        return place(windows, _underage(windows, shortage), national(windows))

    return NodeRule("buy_then_place", rule)


def unpriced(options: Solver) -> AbstractRecipe:
    """The planner without capacities, then clipped: what prices are worth.

    Args:
      options: of the planner.
    """
    return Unpriced(options=options)


def static_prices(options: Solver) -> AbstractRecipe:
    """The planner at prices that do not move: what it is worth that they do.

    Its prices averaged over the periods of each capacity; targets are best at these
    under the tree kernel, then clipped. They steer fulfilment as the planner's do.

    Args:
      options: of the planner.
    """
    return StaticPrices(options=options)


def fluid(options: Solver) -> AbstractRecipe:
    """Certainty equivalence: the planner on mean demand and mean lead times, clipped.

    Args:
      options: of the planner.
    """
    return Fluid(options=options)


def fluid_lp() -> AbstractRecipe:
    """Certainty equivalence as a linear program over items, nodes and demand classes.

    Mean demand and mean lead times are known for certain; storage and flows bind as
    planned. Solved by HiGHS, with no code of the planner's but its demand classes;
    refuses what would take more than minutes (`fluid` has no limit).
    """
    return FluidProgram()


def _check(shortage: str) -> None:
    if shortage not in ("lost", "next_best"):
        raise ValueError(f"shortage is '{shortage}'; it must be 'lost' or 'next_best'")


def _underage(windows: Windows, shortage: Shortage):
    return windows.lost if shortage == "lost" else windows.next_best

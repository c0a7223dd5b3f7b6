"""Load regimes: the scenarios of each period, from quiet to busy.

A capacity of flow that holds in expectation over all scenarios says nothing of the busy
ones, where it is needed. So it is asked to hold in expectation within each of K regimes
of equal size, by the demand of all items together: what all items share cannot be
averaged out over items, what they do not share can.
"""

import numpy as np
from jaxtyping import Float, Int

from meio_jax.faults import Fault, InputError
from meio_jax.problem import Problem


def load_order(
    problem: Problem,
    slot: Int[np.ndarray, "scenarios path"],
    factor: Float[np.ndarray, "scenarios path"],
) -> Int[np.ndarray, "periods scenarios"]:
    """The scenarios of each period in the order of their load, the least first.

    The load is the demand of all items, in units, over the periods that a mean order of
    the period protects. Of forecasts it is the expected demand times the common factor.
    Equal loads keep the order of the scenarios.

    Args:
      problem: the problem.
      slot: the slot of demand of each period of each scenario's path.
      factor: common factor of each scenario and period.
    """
    total, interval, units = np.zeros(problem.slots), 0.0, 0.0
    for group in problem.groups:
        quantity = group.demand.quantity
        total += np.bincount(group.demand.slot, quantity, problem.slots)
        protected = 1 + float(group.network.lead_mean.mean())
        interval += protected * (quantity.sum() + 1e-9)
        units += quantity.sum() + 1e-9
    periods = problem.periods
    most = slot.shape[1] - periods + 1
    cover = min(max(int(interval / units + 0.5), 1), most)
    by_period = total[slot] * factor
    load = sum(by_period[:, k : k + periods] for k in range(cover))
    return np.argsort(np.asarray(load).T, axis=1, kind="stable")


def period_load(
    problem: Problem,
    slot: Int[np.ndarray, "scenarios path"],
    factor: Float[np.ndarray, "scenarios path"],
) -> Float[np.ndarray, "path scenarios"]:
    """Demand of all items together in each period, units: what is observed of the load
    on the day.

    Args:
      problem: the problem.
      slot: the slot of demand of each period of each scenario's path.
      factor: common factor of each scenario and period.
    """
    total = np.zeros(problem.slots)
    for group in problem.groups:
        total += np.bincount(group.demand.slot, group.demand.quantity, problem.slots)
    return (total[slot] * factor).T


def regime_of(
    order: Int[np.ndarray, "periods scenarios"], regimes: int
) -> Int[np.ndarray, "periods scenarios"]:
    """The regime of each scenario in each period, 0 for the quietest."""
    return np.argsort(order, axis=1) * regimes // order.shape[1]


def check_regimes(regimes: int, weight: Float[np.ndarray, " scenarios"]) -> None:
    """Raises where the scenarios cannot be cut into so many regimes of equal size.

    Args:
      regimes: number of regimes.
      weight: weights of the scenarios.

    Raises:
      InputError: the scenarios differ in weight, or their number is no multiple.
    """
    if regimes == 1:
        return
    count, text, hint = len(weight), "", ""
    if not np.allclose(weight, 1 / count):
        text = "must be 1 where scenarios have different weights"
        hint = "Give every scenario the same weight, or drop scenarios.regimes"
    elif count % regimes:
        text = f"must divide the number of scenarios, {count:,}"
        whole = [k for k in range(1, count + 1) if count % k == 0]
        below = [k for k in whole if k < regimes][-1:]
        near = below + [k for k in whole if k > regimes][:1]
        hint = "Nearest that do: " + " and ".join(str(k) for k in near)
    if text:
        text = f"scenarios.regimes = {regimes}: {text}"
        place = "config.Scenarios"
        fault = Fault("error", "C02", place, text, hint, kind=f"{place} {text}")
        raise InputError([fault])

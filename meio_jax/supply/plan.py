"""The plan of the layers above fulfilment: levels, offers, orders and transfers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.config import Scenarios
from meio_jax.problem import Group, Problem
from meio_jax.supply.chain import Limits, Offers, Supply, lane_costs, sources
from meio_jax.supply.draws import LeadOrders, demand_on_order, lead_orders
from meio_jax.supply.levels import (
    Case,
    Choice,
    Curve,
    Prices,
    choose,
    curve_of,
    level_costs,
    make_case,
)
from meio_jax.supply.schedule import Ledger, Ways, project


class GroupSupply(NamedTuple):
    """What a group buys and sends.

    Attributes:
      group: the group.
      supply: what lies above it.
      curve: how scarce stock is divided: the DC -> FC allocation rule.
      choice: offers and echelon levels.
      case: the buying problem of each offer.
      ways: sources and lead times.
      ledger: units of every period.
      lane_cost: money per unit on the way from its source to each node.
    """

    group: Group
    supply: Supply
    curve: Curve
    choice: Choice
    case: Case
    ways: Ways
    ledger: Ledger
    lane_cost: Float[np.ndarray, "items nodes"]


class SupplyPlan(NamedTuple):
    """The layers above fulfilment.

    Attributes:
      groups: of the problem.
      prices: of depots and the budget, and what is used of them.
      limits: capacities.
    """

    groups: tuple[GroupSupply, ...]
    prices: Prices
    limits: Limits


class Below(NamedTuple):
    """What fulfilment plans for a group.

    Attributes:
      targets: order-up-to levels of nodes, units.
      rations: the same at rising charges, as from `levels.charges_of`.
      charges: these.
      shipped: expected shipments of a period, units.
    """

    targets: Float[np.ndarray, "items periods nodes"]
    rations: Float[np.ndarray, "points items periods nodes"]
    charges: Float[np.ndarray, "points items"]
    shipped: Float[np.ndarray, "items periods nodes"]


def plan_supply(
    problem: Problem,
    supplies: tuple[Supply, ...],
    limits: Limits,
    below: tuple[Below, ...],
    options: Scenarios,
    *,
    crossing: bool = True,
    frozen: Limits | None = None,
    orders: tuple[LeadOrders, ...] = (),
) -> SupplyPlan:
    """Buys and transfers on top of a plan of the fulfilment layer.

    The prices of the nodes' capacities are those of the plan; what a node may hold at
    most is its target there. Depots get what targets ask for and ration by the price of
    stock; the echelon is bought for by what that leaves short.

    Args:
      problem: the problem.
      supplies: what lies above each group.
      limits: of depots and budget.
      below: of each group, what fulfilment plans.
      options: of the scenarios that the plan was made on.
      crossing: whether each order to a vendor has a lead time of its own.
      frozen: prices of depots and budget to plan at, instead of seeking them.
      orders: draws of which orders of each group's offers are on their way, made
        before; else they are made here.
    """
    orders = orders or tuple(
        lead_orders(
            problem, s.offers, seed=options.seed, block=options.block,
            recent=options.recent, crossing=crossing,
        )
        for s in supplies
    )  # fmt: skip
    made = [
        _prepare(problem, *each, options.common)
        for each in zip(problem.groups, supplies, below, orders, strict=True)
    ]
    cases, curves, ways = zip(*made, strict=True)
    lost = tuple(w.unreached for w in ways)
    items = tuple(s.offers.item for s in supplies)
    counts = tuple(len(g.items) for g in problem.groups)
    choices, prices = choose(cases, items, counts, limits, lost, frozen)
    groups = []
    for k, group in enumerate(problem.groups):
        groups.append(
            _scheduled(
                group,
                supplies[k],
                below[k],
                cases[k],
                curves[k],
                ways[k],
                choices[k],
            )
        )
    return SupplyPlan(tuple(groups), prices, limits)


def _prepare(problem, group: Group, supply: Supply, below: Below, orders, common):
    """The buying problems of a group: case, curve, and where offers can bring units."""
    lead = demand_on_order(problem, group, supply.offers, orders, common)
    curve = curve_of(below.targets, below.rations, below.charges)
    ways = reach(group, supply, below.shipped.mean(axis=1))
    return make_case(group, supply, lead, curve, ways.share), curve, ways


class Reach(NamedTuple):
    """Where what offers deliver can go.

    Attributes:
      cost: of a unit on its way from each depot, money; inf where no way leads.
      landed: the same and its holding on the way: nodes take the depot where it is
        least.
      source: that depot, of those that an offer serves; -1 for none.
      share: of an order that goes to each depot.
      unreached: units a period that are asked for where an offer cannot bring them.
    """

    cost: Float[np.ndarray, "items depots nodes"]
    landed: Float[np.ndarray, "items depots nodes"]
    source: Int[np.ndarray, "offers nodes"]
    share: Float[np.ndarray, "offers depots"]
    unreached: Float[np.ndarray, " offers"]


def reach(group: Group, supply: Supply, flow: Float[np.ndarray, "items nodes"]):
    """Ways of all offers of a group to its nodes.

    Args:
      group: the group.
      supply: what lies above it.
      flow: what each node ships of an item, units a period.
    """
    items, offers = group.items, supply.offers
    cost = lane_costs(supply.lanes, items.volume, items.weight)
    waiting = np.where(np.isfinite(supply.lanes.lead), supply.lanes.lead, 0)
    landed = cost + items.holding.min(axis=1)[:, None, None] * waiting
    own = offers.item
    source = sources(landed[own], offers.serves)
    share = np.zeros((offers.size, len(supply.depot)))
    for d in range(len(supply.depot)):
        share[:, d] = (flow[own] * (source == d)).sum(axis=1)
    total = share.sum(axis=1, keepdims=True)
    even = offers.serves / np.maximum(offers.serves.sum(axis=1, keepdims=True), 1)
    share = np.where(total > 0, share / np.maximum(total, 1e-12), even)
    lost = flow[own].sum(axis=1) - total[:, 0]
    return Reach(cost, landed, source, share, lost)


def source_of(
    ways: Reach, offer: Int[np.ndarray, " items"]
) -> Int[np.ndarray, "items nodes"]:
    """The depot of each node at the offers of the items; where an item has none, the
    one that it is sent from at least cost; -1 where no way leads."""
    everywhere = np.ones((len(offer), ways.cost.shape[1]), bool)
    free = sources(ways.landed, everywhere)
    if not len(ways.source):
        return free
    return np.where((offer >= 0)[:, None], ways.source[np.maximum(offer, 0)], free)


def _scheduled(
    group, supply, below, case: Case, curve, routes: Reach, choice: Choice
) -> GroupSupply:
    """The group's orders and transfers at what was chosen for its items."""
    offers, cost = supply.offers, routes.cost
    chosen, has = np.maximum(choice.offer, 0), choice.offer >= 0
    of = lambda x, none: (
        np.where(has.reshape(-1, *[1] * (x.ndim - 1)), x[chosen], none)
        if len(x)
        else np.broadcast_to(none, (len(has), *x.shape[1:]))
    )
    source = source_of(routes, choice.offer)
    reached = source >= 0
    lane = np.zeros(source.shape)
    mean = np.broadcast_to(group.network.lead_mean, source.shape).copy()
    i, n = np.nonzero(reached)
    lane[i, n] = cost[i, source[i, n], n]
    mean[i, n] = supply.lanes.lead[source[i, n], n]
    ways = Ways(
        source,
        np.rint(mean).astype(int),
        np.rint(of(offers.lead.mean(axis=1), 0)).astype(int),
        np.rint(of(_base_wait(offers), 0)).astype(int),
        of(case.share, 0.0),
    )
    hold = lambda period, level: _level_cost(case, choice, period, level)
    due = np.zeros(below.shipped.shape) if group.due is None else group.due
    ledger = project(
        supply, ways, choice, curve, below.shipped, group.stock, due, hold
    )  # fmt: skip
    return GroupSupply(group, supply, curve, choice, case, ways, ledger, lane)


def _base_wait(offers: Offers) -> Float[np.ndarray, " offers"]:
    """Mean lead time of each offer's base, periods; 0 where it has none."""
    wait = offers.lead.mean(axis=1)
    return np.where(offers.base < 0, 0, wait[offers.base]) if offers.size else wait


def _level_cost(case: Case, choice: Choice, period: int, level):
    """C of levels of the items' offers; 0 where there is none."""
    has = choice.offer >= 0
    out = np.zeros(len(has))
    out[has] = level_costs(case.take(choice.offer[has]), period, level[has])
    return out

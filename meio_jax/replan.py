"""One item at a time at frozen prices: what a service calls when something happens.

Prices of capacities hang on all items together and move slowly; what one item should
do at given prices hangs on nothing else. So an event (stock counted, a forecast
changed, a shipment lost) is answered by planning its item alone at the prices of the
last plan; the full plan runs on a timer (`solve(..., start=plan)`).
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import equinox as eqx
import numpy as np
from jaxtyping import Float

from meio_jax.config import Config
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.horizon import alike, first_period
from meio_jax.plan import Plan, load
from meio_jax.planner import softness_of, stages_of
from meio_jax.problem import take_items
from meio_jax.rebuild import rebuild
from meio_jax.recover.single import Search, Single
from meio_jax.supply.chain import take_supply
from meio_jax.supply.draws import lead_orders
from meio_jax.supply.levels import charges_of
from meio_jax.supply.plan import Below, SupplyPlan, plan_supply
from meio_jax.supply.split import with_splits
from meio_jax.tables import Tables
from meio_jax.tables.build import Labels
from meio_jax.tables.echelons import bought_arrays
from meio_jax.tables.hashing import place_of
from meio_jax.tables.orders import (
    buys_table,
    depot_prices,
    item_targets,
    transfers_table,
)
from meio_jax.tables.outcome import targets_array
from meio_jax.tables.supply import build_supply

if TYPE_CHECKING:
    import pandas  # noqa: TID251


@dataclass(frozen=True, eq=False)
class ItemPlan:
    """What one item does at the prices of a plan.

    Attributes:
      item: its name.
      supply: its orders and transfers, and what they hang on, as arrays.
      labels: names, its own the only item.
      before: the plan's targets, units.
      seconds: that it took; its tables are made when they are asked for.
    """

    item: str
    supply: SupplyPlan
    labels: Labels
    before: Float[np.ndarray, "periods nodes"]
    seconds: float

    @cached_property
    def targets(self) -> pandas.DataFrame:
        """Item, node, period, order_up_to, and `previous`, the plan's."""
        made = self.supply.groups[0]
        period, place = (x.ravel() for x in np.indices(self.before.shape))
        return item_targets(
            self.labels, self.item, made.group.network.node[place], period,
            made.curve.target[-1, 0], self.before,
        )  # fmt: skip

    @cached_property
    def buys(self) -> pandas.DataFrame:
        """As in a plan."""
        return buys_table(self.supply, self.labels)

    @cached_property
    def transfers(self) -> pandas.DataFrame:
        """As in a plan."""
        return transfers_table(self.supply, self.labels)


class Replanner:
    """Plans single items at the prices of a plan, in milliseconds once compiled."""

    def __init__(
        self,
        plan: Plan | str | Path,
        tables: Tables | str | Path | None = None,
        *,
        config: Config | None = None,
    ):
        """Reads the tables and compiles; takes seconds.

        Args:
          plan: the plan, or its run folder.
          tables: those that it was made from, or their folder; where they were then
            unless given.
          config: all options; those of the plan unless given.

        Raises:
          InputError: the tables have faults, or the plan was made from others.
        """
        self.plan = plan = plan if isinstance(plan, Plan) else load(plan)
        made = rebuild(plan, tables, config=config)
        self.config = config = made.config
        self.problem = problem = made.problem
        self.labels, self.coarse = made.labels, made.coarse
        self.sample, self.before, self.prices = made.sample, made.targets, made.prices
        supplies, self.limits = build_supply(
            made.examined.tables, self.labels, problem.groups, config.problem.budget
        )
        self.supplies = with_splits(problem, supplies, self.limits)
        self.depot_prices = depot_prices(plan.depots, self.labels)
        self.tilts = made.tilts
        self.place = {
            self.labels.items[position]: (k, i)
            for k, group in enumerate(problem.groups)
            for i, position in enumerate(group.items.position.tolist())
        }
        self.singles = self._prepared(made.lifts)
        options, crossing = config.scenarios, config.problem.orders_cross
        self.orders = tuple(
            lead_orders(
                problem, s.offers, seed=options.seed, block=options.block,
                recent=options.recent, crossing=crossing,
            )
            for s in self.supplies
        )  # fmt: skip
        self._planned = (
            self._saved(plan, place_of(plan.facts)) if len(plan.rations) else None
        )
        self.curves: dict[str, tuple[float, Below]] = {}
        self.best: dict[str, np.ndarray] = {}
        for group in problem.groups:
            if len(group.items):  # compiles
                self(self.labels.items[group.items.position[0]], demand=1.001)

    def _prepared(self, lifts) -> tuple[Single, ...]:
        """What plans one item of each group; of a single period where all are alike."""
        problem = eqx.tree_at(lambda p: p.groups, self.problem, self.coarse)
        sample, prices = self.sample, self.prices
        of_periods = [*self.before, *self.tilts, np.swapaxes(prices, 1, 2)]
        same = all((x == x[:, :1]).all() for x in of_periods) and not prices[1].any()
        if same and alike(problem, sample):
            problem, sample = first_period(problem, sample)
        limits = np.isfinite(self.problem.capacities)
        moving = any(sample.window(k).max() > 1 for k in range(len(self.coarse)))
        flows = bool(limits[1:].any() or (moving and limits.any()))
        solver = self.config.solver
        search = Search(
            solver.levels, solver.atoms, stages_of(self.problem, solver)[-1],
            softness_of(self.problem), flows, solver.whole_units,
        )  # fmt: skip
        return tuple(
            Single(problem, k, sample, prices[:, :, : problem.periods], lift, search)
            for k, lift in enumerate(lifts)
        )

    def __call__(
        self,
        item: str,
        *,
        demand: float = 1.0,
        on_hand: Mapping[str, float] | None = None,
    ) -> ItemPlan:
        """The item's targets, orders and transfers at the frozen prices.

        Args:
          item: its name.
          demand: factor on all of its demand.
          on_hand: units now at some nodes or depots, instead of those in the tables.

        Raises:
          InputError: the item or a node is not known, or a number is below 0.
        """
        begin = time.perf_counter()
        k, i = self._known(item, demand, on_hand or {})
        group, supply = self._one(k, i, demand, on_hand or {})
        below = self._below(item, k, i, demand, group)
        own = np.flatnonzero(self.supplies[k].offers.item == i)
        made = plan_supply(
            replace(self.problem, groups=(group,)), (supply,), self.limits, (below,),
            self.config.scenarios, crossing=self.config.problem.orders_cross,
            frozen=self.depot_prices, orders=(self.orders[k].take(own),),
        )  # fmt: skip
        labels = replace(self.labels, items=(item,))
        seconds = time.perf_counter() - begin
        return ItemPlan(item, made, labels, self.before[k][i], seconds)

    def _saved(self, plan: Plan, place: str) -> tuple[Below, ...]:
        """What fulfilment wants of all items, as the plan's tables say."""
        labels, problem = self.labels, self.problem
        bought = bought_arrays(plan, problem, labels, self.supplies, self.before)
        sent = targets_array(plan, problem, labels, place, "cycle_stock")
        return tuple(
            Below(y, np.concatenate([b.along[-2:0:-1], b.along[:1]]), charges_of(g), s)
            for y, b, g, s in zip(self.before, bought, self.coarse, sent, strict=True)
        )

    def targets(self, item: str, *, demand: float = 1.0) -> Float[np.ndarray, "t n"]:
        """The item's whole targets by period and node of its group, and no more.

        Args:
          item: its name.
          demand: factor on all of its demand.

        Raises:
          InputError: the item is not known, or the factor is below 0.
        """
        k, i = self._known(item, demand, {})
        return self._moved(item, k, i, demand, self._best(k, i, demand))

    def _best(self, k: int, i: int, demand: float):
        """The item's best whole targets at the prices."""
        group, _ = self._one(k, i, demand, {})
        return self._wide(self.singles[k].best(group, *self._near(k, i)))

    def _near(self, k: int, i: int):
        """Targets of the plan to search from, and what is added to their charges."""
        periods = self.singles[k].periods
        return self.before[k][i][:periods], self.tilts[k][i][:periods]

    def _wide(self, x):
        """Of all periods what is of one where all are alike."""
        times = self.problem.periods // x.shape[-2]
        return np.repeat(x, times, axis=-2) if times > 1 else x

    def _moved(self, item: str, k: int, i: int, demand: float, best):
        """The plan's targets, moved as far as the best ones at the prices have moved.

        Plans are whole and within capacities, which takes them off the best response by
        a few units: without a cause a target stays what it was.
        """
        if demand == 1:
            self.best[item] = best
        if item not in self.best:
            self.best[item] = self._best(k, i, 1.0)
        items = self.coarse[k].items
        lower, upper = items.lower[i], items.upper[i]
        return np.clip(self.before[k][i] + best - self.best[item], lower, upper)

    def _known(self, item: str, demand: float, on_hand: Mapping[str, float]):
        """Group and place of an item, or a message."""
        nodes = self.labels.nodes + self.labels.depots
        faults = []
        if item not in self.place:
            faults.append(_unknown("item", item, self.place))
        for node, units in on_hand.items():
            if node not in nodes:
                faults.append(_unknown("node", node, nodes))
            elif not 0 <= units < np.inf:
                text = f"on_hand of '{node}' is {units}: must be 0 or more"
                faults.append(_fault("on_hand", text, "Write what is there, in units"))
        if not 0 <= demand < np.inf:
            text = f"demand = {demand}: must be 0 or more"
            faults.append(_fault("demand", text, "1.1 is a tenth more than planned"))
        if faults:
            raise InputError(Faults(faults))
        return self.place[item]

    def _one(self, k: int, i: int, demand: float, on_hand: Mapping[str, float]):
        """The item alone: its group and what lies above it."""
        group = take_items(self.coarse[k], np.array([i]))
        if demand != 1:
            units = replace(
                group.demand, quantity=group.demand.quantity * demand,
                std=group.demand.std * demand,
            )  # fmt: skip
            group = replace(group, demand=units)
        group = eqx.tree_at(lambda g: g.items.position, group, np.zeros(1, int))
        supply = take_supply(self.supplies[k], i)
        if not on_hand:
            return group, supply
        labels, node = self.labels, group.network.node
        stock = np.zeros((1, len(node))) if group.stock is None else group.stock.copy()
        due = 0 if group.due is None else group.due.sum(axis=1)
        above = supply.stock
        above = np.zeros((1, len(labels.depots))) if above is None else above.copy()
        shelf = stock - due
        for name, units in on_hand.items():
            if name in labels.depots:
                above[0, labels.depots.index(name)] = units
            else:
                shelf[0, node == labels.nodes.index(name)] = units
        return replace(group, stock=shelf + due), supply._replace(stock=above)

    def _below(self, item: str, k: int, i: int, demand: float, group) -> Below:
        """What fulfilment wants of the item, at no charge and at rising ones."""
        if demand == 1 and self._planned is not None:
            return take_below(self._planned[k], i)
        known = self.curves.get(item)
        if known is None or known[0] != demand:
            if item not in self.best:
                self.best[item] = self._best(k, i, 1.0)
            charges, single = charges_of(group), self.singles[k]
            shift = (self.before[k][i] - self.best[item])[: single.periods]
            found = single.wanted(group, *self._near(k, i), shift, charges[:, 0])
            targets, rations, shipped = map(self._wide, found)
            below = Below(targets[None], rations[:, None], charges, shipped[None])
            self.curves[item] = known = demand, below
        return known[1]


def take_below(below: Below, item: int) -> Below:
    """What fulfilment plans for one item."""
    one = slice(item, item + 1)
    return Below(
        below.targets[one], below.rations[:, one], below.charges[:, one],
        below.shipped[one],
    )  # fmt: skip


def _unknown(what: str, name: str, known) -> Fault:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = (
        f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(list(known)[:5])}"
    )
    return _fault(what, f"'{name}' is not in the plan", hint)


def _fault(place: str, text: str, hint: str) -> Fault:
    return Fault("error", "P01", place, text, hint)

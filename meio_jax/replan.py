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
from pathlib import Path
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.config import Config
from meio_jax.dual.lagrangian import evaluate
from meio_jax.dual.prices import PASSES, TOLERANCE
from meio_jax.dual.rows import build_rows
from meio_jax.dual.use import window_tolls
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.plan import Plan, load
from meio_jax.planner import softness_of, stages_of
from meio_jax.problem import take_items
from meio_jax.rebuild import rebuild
from meio_jax.recover.evaluate import Evaluator
from meio_jax.recover.round import round_targets
from meio_jax.recover.units import whole_optimum
from meio_jax.supply.chain import take_supply
from meio_jax.supply.levels import charges_of
from meio_jax.supply.plan import Below, SupplyPlan, plan_supply
from meio_jax.tables import Tables
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

STEPS = 12  # single units from the rounded targets


@dataclass(frozen=True, eq=False)
class ItemPlan:
    """What one item does at the prices of a plan.

    Attributes:
      item: its name.
      targets: item, node, period, order_up_to, and `previous`, the plan's.
      buys: as in a plan.
      transfers: as in a plan.
      seconds: that it took.
    """

    item: str
    targets: pandas.DataFrame
    buys: pandas.DataFrame
    transfers: pandas.DataFrame
    seconds: float


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
        self.supplies, self.limits = build_supply(
            made.examined.tables, self.labels, problem.groups, config.problem.budget
        )
        self.depot_prices = depot_prices(plan.depots, self.labels)
        self.lifts, self.tilts = made.lifts, made.tilts
        self.softness = softness_of(problem)
        self.stage = stages_of(problem, config.solver)[-1]
        limits = np.isfinite(problem.capacities)
        moving = any(self.sample.window(k).max() > 1 for k in range(len(self.coarse)))
        self.flows = bool(limits[1:].any() or (moving and limits.any()))
        self.tolls = tuple(
            window_tolls(self.prices[:, g.network.node], self.sample.window(k))
            for k, g in enumerate(problem.groups)
        )
        self.place = {
            self.labels.items[position]: (k, i)
            for k, group in enumerate(problem.groups)
            for i, position in enumerate(group.items.position.tolist())
        }
        coarse = eqx.tree_at(lambda p: p.groups, problem, self.coarse)
        self._evaluators = [
            Evaluator(coarse, k, self.sample) for k in range(len(self.coarse))
        ]
        self._planned = (
            self._saved(plan, place_of(plan.facts)) if len(plan.rations) else None
        )
        self.curves: dict[tuple[str, float], Below] = {}
        self.best: dict[str, np.ndarray] = {}
        for group in problem.groups:
            if len(group.items):  # compiles
                self(self.labels.items[group.items.position[0]], demand=1.001)

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
        if demand == 1 and self._planned is not None:
            below = take_below(self._planned[k], i)
            made = self._supplied(group, supply, below)
            return self._frames(item, k, i, below.targets, made, begin)
        if (item, demand) not in self.curves:
            self.curves[item, demand] = self._below(item, k, i, demand, group)
        below = self.curves[item, demand]
        made = self._supplied(group, supply, below)
        return self._frames(item, k, i, below.targets, made, begin)

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
        rows = self._rows(k, i, group)
        with jax.enable_x64(True):
            return self._whole(k, group, rows, self._search(k, i, rows, 1)[0])

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

    def _rows(self, k: int, i: int, group):
        """The item's sampled demand, as the plan saw it."""
        solver = self.config.solver
        with jax.enable_x64(True):
            rows = build_rows(
                self.problem, group, k, self.sample, count=solver.levels,
                atoms=solver.atoms, chunk=1,
            )  # fmt: skip
            tilt = jnp.asarray(self.tilts[k][i][None], rows.tilt.dtype)
            lift = jnp.asarray(self.lifts[k], rows.lift.dtype)
            return replace(rows, lift=lift, tilt=tilt)

    def _search(self, k: int, i: int, rows, copies: int):
        """Real targets at the prices, from the plan's own; copies at each charge."""
        node = self.coarse[k].network.node
        start = jnp.asarray(np.tile(self.before[k][i], (copies, 1))[None], jnp.float32)
        found = evaluate(
            rows, jnp.asarray(self.prices[:, node]), start,
            jnp.asarray(self.stage, jnp.float32),
            jnp.asarray(self.stage * self.softness, jnp.float32),
            flows=self.flows, curved=False, passes=PASSES,
            tolerance=TOLERANCE["float32"],
        )  # fmt: skip
        shape = copies, self.problem.periods, len(node)
        return np.asarray(found.target, float).reshape(shape)

    def _whole(self, k: int, group, rows, y):
        """Whole targets near real ones, best for the item at the prices."""
        if not self.config.solver.whole_units:
            return y
        items = group.items
        y = round_targets(
            y[None], group.network.tree.walk, items.key, items.lower, items.upper
        )
        prices = jnp.asarray(self.prices[:, group.network.node])
        best = whole_optimum(rows, jnp.asarray(y, jnp.float32), prices, steps=STEPS)
        return np.asarray(best, float)[0]

    def _below(self, item: str, k: int, i: int, demand: float, group) -> Below:
        """What fulfilment wants of the item, at no charge and at rising ones."""
        charges, rows = charges_of(group), self._rows(k, i, group)
        dear = np.r_[0.0, charges[:, 0]]
        with jax.enable_x64(True):
            y = self._search(k, i, copied(rows, dear), len(dear))
            best = self._whole(k, group, rows, y[0])
            targets = self._moved(item, k, i, demand, best)
            rations = np.minimum.accumulate(np.concatenate([targets[None], y[1:]]))[1:]
            sent = self._evaluators[k].of_items(self.problem, group)
            shipped = sent(targets[None], self.tolls[k]).shipped
        return Below(targets[None], rations[:, None], charges, shipped)

    def _supplied(self, group, supply, below: Below) -> SupplyPlan:
        alone = replace(self.problem, groups=(group,))
        return plan_supply(
            alone, (supply,), self.limits, (below,), self.config.scenarios,
            crossing=self.config.problem.orders_cross, frozen=self.depot_prices,
        )  # fmt: skip

    def _frames(self, item: str, k: int, i: int, targets, made, begin) -> ItemPlan:
        labels, node = self.labels, self.coarse[k].network.node
        period, place = (x.ravel() for x in np.indices(targets.shape[1:]))
        frame = item_targets(
            labels, item, node[place], period, targets, self.before[k][i]
        )
        return ItemPlan(
            item, frame, buys_table(made, labels), transfers_table(made, labels),
            time.perf_counter() - begin,
        )  # fmt: skip


def take_below(below: Below, item: int) -> Below:
    """What fulfilment plans for one item."""
    one = slice(item, item + 1)
    return Below(
        below.targets[one], below.rations[:, one], below.charges[:, one],
        below.shipped[one],
    )  # fmt: skip


def copied(rows, charges: Float[np.ndarray, " copies"]):
    """An item's rows once for each charge, money per unit of stock, added to it."""
    return _copied(rows, jnp.asarray(charges, rows.tilt.dtype))


@jax.jit
def _copied(rows, charges):
    count, cells = len(charges), rows.lower.shape[1]
    more = jnp.repeat(charges, cells)[None, :, None]
    item = {k: jnp.repeat(v, count, axis=1) for k, v in rows.by_item.items()}
    cell = {
        k: jnp.tile(v, (1, 1, count, *[1] * (v.ndim - 3)) if k == "atoms" else
                    (1, count, *[1] * (v.ndim - 2)))
        for k, v in rows.by_cell.items()
    }  # fmt: skip
    cell["tilt"] = cell["tilt"] + more
    return replace(rows, **item, **cell)


def _unknown(what: str, name: str, known) -> Fault:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = (
        f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(list(known)[:5])}"
    )
    return _fault(what, f"'{name}' is not in the plan", hint)


def _fault(place: str, text: str, hint: str) -> Fault:
    return Fault("error", "P01", place, text, hint)

"""What if costs, demand, lead times or sites were others: one pass over the items.

At the prices of the plan's bound the dual is a sum over items of their least
Lagrangian, less the prices of the capacities. Whatever the tables are changed to, its
value at the same prices is a bound of the changed problem; and less its value before it
is, to first order, what the optimal cost changes by (envelope theorem: prices need not
move).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.changes import fault
from meio_jax.config import Config, from_facts
from meio_jax.dual.bound import group_bound
from meio_jax.dual.exact import solve_items
from meio_jax.faults import Faults, InputError
from meio_jax.planner import is_small, stages_of
from meio_jax.problem import Problem
from meio_jax.rebuild import made_from, posed
from meio_jax.scenarios.sample import Sample
from meio_jax.tables import Examined, Tables, examine
from meio_jax.tables.build import Labels
from meio_jax.tables.change import with_changes
from meio_jax.tables.edit import with_edits
from meio_jax.tables.hashing import place_of
from meio_jax.tables.nudge import MORE, NUDGES, frame_of
from meio_jax.tables.outcome import kept_free, targets_array
from meio_jax.whatif import ONE_PASS, WhatIf

if TYPE_CHECKING:
    import pandas  # noqa: TID251

Changes = Mapping[str, Sequence[str]]


class Asked(NamedTuple):
    """A question with its answer, and the tables that it is about.

    Attributes:
      answer: without solving.
      tables: the changed ones, without faults.
    """

    answer: WhatIf
    tables: Tables


class Pass:
    """The plan's frozen prices and scenarios, ready for one pass over any tables.

    Attributes:
      value: dual value of the tables as they were, money.
      exact: whether every item is solved exactly (K2), as by the plan's certificate;
        else by the tree kernel (K1), which is quicker, and lower.
    """

    def __init__(self, plan: Any, examined: Examined, config: Config):
        """Draws the scenarios, and evaluates the tables as they were.

        Args:
          plan: the plan.
          examined: the tables that it was made from: see `made_from`.
          config: its options.
        """
        self.plan, self.config = plan, config
        self.place = place_of(plan.facts)
        items = plan.facts["sizes"]["items"]
        self.exact = items <= config.solver.certify
        self.value, _ = self(examined)

    def __call__(
        self, examined: Examined, *, scale: float = 1.0, spread: float = 1.0
    ) -> tuple[float, bool]:
        """The dual value of some tables at the prices, money, and whether it bounds
        them: not where inbound is priced in the first period and no stock is given to
        start from, as nobody knows then what the first receipts build on.

        Args:
          examined: the tables, without faults.
          scale: factor on all demand of the scenarios.
          spread: factor on its distance from its mean.
        """
        problem, labels, sample = posed(examined, self.config)
        sample = replace(sample, scale=scale, spread=spread)
        prices = self._prices(problem, labels)
        targets = targets_array(self.plan, problem, labels, self.place)
        room = np.where(np.isfinite(problem.capacities), problem.capacities, 0)
        room[0] -= kept_free(self.plan, labels)
        own, start, unknown = problem.paid(prices), 0.0, False
        for group in problem.groups:
            first = own[1, group.network.node, 0]
            if group.stock is not None:
                start += float(group.stock.sum(axis=0) @ first)
            unknown |= group.stock is None and bool(first.any())
        with jax.enable_x64(True):
            paid = [
                self._items(problem, k, sample, own, y) for k, y in enumerate(targets)
            ]
        return sum(paid) - float(np.sum(prices * room)) - start, not unknown

    def _prices(self, problem: Problem, labels: Labels):
        """The prices of the plan's bound; 0 where there is no limit."""
        place = self.plan.checkpoint
        _, found = place.at(problem.regimes, labels.nodes, labels.periods)
        return np.where(np.isfinite(problem.capacities), found, 0.0)

    def _items(
        self, problem: Problem, k: int, sample: Sample, prices,
        targets: Float[np.ndarray, "items periods nodes"],
    ) -> float:  # fmt: skip
        """The least Lagrangian of a group's items, money, from below."""
        group, solver = problem.groups[k], self.config.solver
        own = prices[:, group.network.node]
        start = np.clip(targets, group.items.lower, group.items.upper)
        dtype = jnp.float64 if is_small(problem) else jnp.float32
        if self.exact:
            every = np.arange(len(group.items))
            found = solve_items(problem, k, sample, every, own, start, dtype=dtype)
            return float(found.bound.sum())
        return group_bound(
            problem, group, k, sample, own, start, buckets=solver.levels,
            atoms=solver.atoms, stage=stages_of(problem, solver)[-1], dtype=dtype,
        )  # fmt: skip


def ask(
    plan: Any,
    capacity: Mapping[tuple, float | str],
    changes: Changes,
    *,
    tables: Tables | str | Path | None = None,
    config: Config | None = None,
) -> Asked:
    """What changes of the tables cost or save, at the plan's prices.

    Args:
      plan: the plan.
      capacity: changes of capacities, as for `Plan.what_if`.
      changes: words of each kind, as in `tables.edit.KINDS`.
      tables: those that the plan was made from, or their folder; where they were then
        unless given.
      config: all options; those of the plan unless given.

    Raises:
      InputError: something is wrong with the changes, or with the tables that they
        make, or the plan was made from other tables.
    """
    config = config or from_facts(plan.facts)
    before, old = made_from(plan, tables, config)
    after, edits = with_edits(before, config, list(_pairs(changes)))
    free = _capacities(plan, capacity)
    shut = set(changes.get("close", ()))
    if both := sorted(shut & set(free.changes["node"])):
        text = f"node '{both[0]}' is closed, and given room by another change"
        raise InputError(Faults([fault("what-if", text, "Give one of the two")]))
    after = with_changes(after, config, free.limits)
    new = examine(after, config)
    if new.faults.errors:
        raise InputError(new.faults)
    look = Pass(plan, old, config)
    value, sure = look(new)
    bound = value if sure else -np.inf
    answer = replace(
        free, grade=ONE_PASS, bound=bound, estimate=value - look.value, edits=edits
    )
    return Asked(answer, after)


def sensitivities(
    plan: Any,
    *,
    tables: Tables | str | Path | None = None,
    config: Config | None = None,
) -> pandas.DataFrame:
    """What 10 % or an hour more of every kind of input adds to the cost, ranked.

    At the plan's prices, so to first order: capacities by what their prices times a
    tenth of them save, all others by one pass each, on the same scenarios: more demand
    is every scenario's in proportion, more spread the same mean. Columns: `input`,
    `change`, `money` (a period; below 0 where it saves) and `share` of the plan's cost.

    Args:
      plan: the plan.
      tables: as for `ask`.
      config: all options; those of the plan unless given.

    Raises:
      InputError: the tables have faults, or the plan was made from others.
    """
    config = config or from_facts(plan.facts)
    _, examined = made_from(plan, tables, config)
    look, periods = Pass(plan, examined, config), plan.facts["sizes"]["periods"]
    worth = plan.prices["bound_price"] * plan.prices["capacity"]
    found = [
        (f"{resource} room", "+10%", -0.1 * float(worth[rows].sum()))
        for resource, rows in plan.prices.groupby("resource", sort=False).groups.items()
    ]
    for name, more in (
        ("demand", {"scale": MORE}),
        ("demand spread", {"spread": MORE}),
    ):
        value, _ = look(examined, **more)
        found.append((name, "+10%", value - look.value))
    for name, (change, nudged) in NUDGES.items():
        value, _ = look(examined._replace(tables=nudged(examined.tables)))
        found.append((name, change, value - look.value))
    found.sort(key=lambda row: -abs(row[2]))
    names, changes, money = (list(x) for x in zip(*found, strict=True))
    return frame_of({
        "input": names, "change": changes, "money": [m / periods for m in money],
        "share": [m / max(abs(plan.cost), 1e-12) for m in money],
    })  # fmt: skip


def _pairs(changes: Changes) -> Iterator[tuple[str, str]]:
    return ((kind, word) for kind, words in changes.items() for word in words)


def _capacities(plan: Any, capacity) -> WhatIf:
    """The free answer; no change where no capacity is changed."""
    if capacity:
        return plan.what_if(capacity)
    none = plan.prices.loc[[], ["node", "resource", "period", "capacity"]]
    none = none.assign(new_capacity=0.0, bound_change=0.0, estimate=0.0)
    return WhatIf(ONE_PASS, none, plan.cost, plan.bound, 0.0)

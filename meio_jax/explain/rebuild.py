"""The problem that a plan was made from, again, from its tables and options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from meio_jax.config import Config, from_facts
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.planner import coarse_group
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample, draw_sample

if TYPE_CHECKING:
    from meio_jax.tables import Tables
    from meio_jax.tables.build import Labels


class Rebuilt(NamedTuple):
    """What a plan was made from, and its targets and prices as arrays.

    Attributes:
      config: its options.
      problem: with the demand classes that fulfilment knows.
      coarse: its groups with the classes that targets are planned on.
      labels: names.
      sample: the scenarios that it was made on.
      targets: of each group, units.
      prices: money per unit of capacity; 0 where there is no limit.
      lifts: of each group: what greedy fulfilment showed a shortage to cost, as a
        multiple of what the pools see.
    """

    config: Config
    problem: Problem
    coarse: tuple[Group, ...]
    labels: Labels
    sample: Sample
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...]
    prices: Float[np.ndarray, "resources nodes periods"]
    lifts: tuple[float, ...]

    def price_array(self, plan: Any) -> Float[np.ndarray, "resources nodes periods"]:
        """The prices of a plan at the names of this one; 0 where it knows none."""
        labels = self.labels
        return plan.checkpoint.at(self.problem.regimes, labels.nodes, labels.periods)[0]


def rebuild(plan: Any, tables: Tables | str | Path | None = None) -> Rebuilt:
    """What a plan was made from.

    Args:
      plan: the plan.
      tables: those that it was made from, or their folder; where they were then unless
        given.

    Raises:
      InputError: the tables are no longer there, have faults, or are others.
    """
    from meio_jax.tables import Tables, examine, read
    from meio_jax.tables.build import build
    from meio_jax.tables.change import with_changes
    from meio_jax.tables.hashing import check_made_from, digest
    from meio_jax.tables.outcome import targets_array

    config = from_facts(plan.facts)
    if not isinstance(tables, Tables):
        tables = _read(tables or plan.facts.get("tables", ""), read)
    if made := plan.facts.get("what_if"):
        tables = with_changes(tables, config, made)
    examined = examine(tables, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    place = check_made_from(plan.facts, digest(examined.tables))
    problem, labels = build(examined.tables, examined.calendar)
    options = config.scenarios
    problem = replace(problem, regimes=options.regimes)
    sample = draw_sample(
        problem, count=options.count, seed=options.seed, block=options.block,
        recent=options.recent, common=options.common, balanced=True,
    )  # fmt: skip
    found = Rebuilt(
        config, problem, tuple(coarse_group(g) for g in problem.groups), labels, sample,
        targets_array(plan, problem, labels, place), np.zeros(0),
        tuple(plan.facts.get("lifts") or (1.0,) * len(problem.groups)),
    )  # fmt: skip
    return found._replace(prices=found.price_array(plan))


def _read(folder, read):
    """The tables of a folder, which may have moved since."""
    folder = Path(folder)
    if folder.is_dir():
        return read(folder)
    text, hint = "the tables are no longer there", "Say where they are: --tables DIR"
    raise InputError(Faults([Fault("error", "X01", str(folder), text, hint)]))

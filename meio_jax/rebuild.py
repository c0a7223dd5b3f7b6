"""The problem that tables and options pose; and the one that a plan was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from meio_jax.config import Config, Scenarios, from_facts
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.planner import coarse_group
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample, draw_sample
from meio_jax.tables import Examined, Tables, examine, read
from meio_jax.tables.build import Labels, build
from meio_jax.tables.change import with_changes
from meio_jax.tables.hashing import check_made_from, digest, place_of
from meio_jax.tables.outcome import targets_array


class Posed(NamedTuple):
    """What some tables and options ask for.

    Attributes:
      problem: items, network, capacities.
      labels: their names.
      sample: the scenarios that plans are made on.
    """

    problem: Problem
    labels: Labels
    sample: Sample


def posed(examined: Examined, config: Config) -> Posed:
    """The problem of some tables, and the scenarios that plans are made on.

    Args:
      examined: the tables, without faults.
      config: all options.
    """
    problem, labels = build(examined.tables, examined.calendar)
    options = config.scenarios
    problem = replace(problem, regimes=options.regimes)
    draw = drawer(problem, options)
    sample = draw(count=options.count, seed=options.seed, balanced=True)
    return Posed(problem, labels, sample)


def drawer(problem: Problem, options: Scenarios) -> Callable[..., Sample]:
    """`draw(count=..., seed=...)`: scenarios by the options.

    Args:
      problem: what they are scenarios of.
      options: of scenarios; their count and seed are the caller's.
    """
    return partial(
        draw_sample, problem, block=options.block, recent=options.recent,
        common=options.common,
    )  # fmt: skip


def made_from(
    plan: Any, tables: Tables | str | Path | None, config: Config
) -> tuple[Tables, Examined]:
    """The tables that a plan was made from, and what examining them found.

    Args:
      plan: the plan.
      tables: those in its folder of tables, or that folder; where they were then unless
        given. What-ifs that the plan is the answer to are made of them.
      config: its options.

    Raises:
      InputError: the tables are no longer there, have faults, or are others.
    """
    if not isinstance(tables, Tables):
        tables = _read(tables or plan.facts.get("tables", ""))
    tables = with_changes(tables, config, plan.facts.get("what_if", ()))
    examined = examine(tables, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    check_made_from(plan.facts, digest(examined.tables))
    return tables, examined


class Rebuilt(NamedTuple):
    """What a plan was made from, and its targets and prices as arrays.

    Attributes:
      config: its options.
      examined: its tables.
      problem: with the demand classes that fulfilment knows.
      coarse: its groups with the classes that targets are planned on.
      labels: names.
      sample: the scenarios that it was made on.
      targets: of each group, units.
      prices: money per unit of capacity; 0 where there is no limit.
      lifts: of each group: what greedy fulfilment showed a shortage to cost, as a
        multiple of what the pools see.
      tilts: of each group: what it charges a unit of a target on top of that, money.
    """

    config: Config
    examined: Examined
    problem: Problem
    coarse: tuple[Group, ...]
    labels: Labels
    sample: Sample
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...]
    prices: Float[np.ndarray, "resources nodes periods"]
    lifts: tuple[float, ...]
    tilts: tuple[Float[np.ndarray, "items periods nodes"], ...]

    def price_array(self, plan: Any) -> Float[np.ndarray, "resources nodes periods"]:
        """The prices of a plan at the names of this one; 0 where it knows none."""
        return _prices(plan, self.problem, self.labels)


def rebuild(
    plan: Any,
    tables: Tables | str | Path | None = None,
    *,
    config: Config | None = None,
) -> Rebuilt:
    """What a plan was made from.

    Args:
      plan: the plan.
      tables: as for `made_from`.
      config: all options; those of the plan unless given.

    Raises:
      InputError: the tables are no longer there, have faults, or are others.
    """
    config = config or from_facts(plan.facts)
    _, examined = made_from(plan, tables, config)
    problem, labels, sample = posed(examined, config)
    of = partial(targets_array, plan, problem, labels, place_of(plan.facts))
    return Rebuilt(
        config, examined, problem, tuple(map(coarse_group, problem.groups)), labels,
        sample, of(), _prices(plan, problem, labels),
        tuple(plan.facts.get("lifts") or (1.0,) * len(problem.groups)),
        of(column="correction"),
    )  # fmt: skip


def _prices(plan: Any, problem: Problem, labels: Labels):
    place = plan.checkpoint
    return place.at(problem.regimes, labels.nodes, labels.periods)[0]


def _read(folder: str | Path) -> Tables:
    """The tables of a folder, which may have moved since."""
    folder = Path(folder)
    if folder.is_dir():
        return read(folder)
    text, hint = "the tables are no longer there", "Say where they are: --tables DIR"
    raise InputError(Faults([Fault("error", "X01", str(folder), text, hint)]))

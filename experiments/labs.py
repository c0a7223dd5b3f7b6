"""What the labs share: the demo as a problem, plans, fresh paths, comparisons."""

from argparse import Namespace
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import equinox as eqx
import numpy as np

import meio_jax as meio
from experiments import record
from meio_jax.config import Config, Solver, load
from meio_jax.instances.demo import demo_folder
from meio_jax.planner import solve_problem
from meio_jax.problem import Problem, take_items
from meio_jax.scenarios.sample import Sample, draw_sample, seeds_of
from meio_jax.sim.lab import Decision, path_samples, simulate_decisions
from meio_jax.sim.metrics import metrics
from meio_jax.solution import Solution
from meio_jax.stats import holm, interval, paired
from meio_jax.tables import Tables, examine
from meio_jax.tables.build import Labels, build

DAYS = 7.0  # of a period
SEED = 0
CHOOSE, JUDGE = 1, 2  # families of seeds
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")  # Okabe and Ito 2008
BLACK = "#222222"


def arguments(
    text: str, script: str, words: list[str] | None, **sizes: tuple[int, int]
) -> Namespace:
    """The command line of a lab.

    Args:
      text: as for `record.parser`.
      script: as for `record.parser`.
      words: of the command line; those of the process if None.
      **sizes: an option each, and how much it is unless given, and with `--quick`.
    """
    parser = record.parser(text, script)
    for name, (usual, _) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args(words)
    if args.quick:
        vars(args).update({name: quick for name, (_, quick) in sizes.items()})
    return args


class Lab(NamedTuple):
    """The demo, as it is planned and simulated.

    Attributes:
      problem: items, network, capacities.
      labels: their names.
      sample: the scenarios that plans are made on.
      solver: options of plans.
      block: weeks of history in a block of a scenario.
    """

    problem: Problem
    labels: Labels
    sample: Sample
    solver: Solver
    block: int


def demo_tables() -> Tables:
    """The shipped tables."""
    return meio.read(demo_folder())


def demo_lab(quick: bool, tables: Tables | None = None) -> Lab:
    """The demo with its own options; quick: four weeks of a few bulky items.

    Args:
      quick: whether to make it tiny.
      tables: other tables in the place of the shipped ones.
    """
    config = load(demo_folder() / "meio.toml")
    solver, count = config.solver, config.scenarios.count
    if quick:
        config, count = _short(config, 4), 8
        solver = replace(solver, max_evaluations=2, calibrate=False, certify=2)
    examined = examine(demo_tables() if tables is None else tables, config)
    assert not examined.faults.errors, examined.faults
    problem, labels = build(examined.tables, examined.calendar)
    if quick:
        problem = few_items(problem, 6)
    block = config.scenarios.block
    sample = draw_sample(problem, count=count, seed=SEED, block=block, balanced=True)
    return Lab(problem, labels, sample, solver, block)


def _short(config: Config, periods: int) -> Config:
    given = config.given | {"problem.horizon"}
    part = replace(config.problem, horizon=periods)
    return replace(config, problem=part, given=given)


def few_items(problem: Problem, count: int) -> Problem:
    """The first items of the last group, with their share of every capacity."""
    group = problem.groups[-1]
    part = take_items(group, np.arange(count))
    total = [_units_and_volume(g) for g in problem.groups]
    units, volume = _units_and_volume(part) / np.sum(total, axis=0)
    alone = replace(
        problem, storage=problem.storage * volume, inbound=problem.inbound * units,
        outbound=problem.outbound * units,
    )  # fmt: skip
    return eqx.tree_at(lambda p: p.groups, alone, (part,))


def _units_and_volume(group):
    units = np.diff(np.r_[0, np.cumsum(group.demand.quantity)][group.demand.start])
    return np.array([units.sum(), units @ group.items.volume])


def decision(name: str, problem: Problem, found: Solution) -> Decision:
    """The targets and tolls of a solution."""
    none = tuple(
        np.zeros((1, len(g.network.node), len(g.items))) for g in problem.groups
    )
    return Decision(name, found.targets, found.tolls, none)


def plan(lab: Lab, name: str = "plan") -> Decision:
    """The priced plan of a lab's problem on its scenarios."""
    found = solve_problem(lab.problem, lab.sample, lab.solver)
    return decision(name, lab.problem, found)


def drawer(lab: Lab):
    """`draw(count=..., seed=...)`: scenarios that are independent of each other."""
    return partial(draw_sample, lab.problem, block=lab.block)


def fresh_paths(lab: Lab, paths: int, family: int = JUDGE) -> list[Sample]:
    """Paths that no plan was made on.

    Args:
      lab: what they are paths of.
      paths: how many.
      family: `CHOOSE` or `JUDGE`; they share no seed.
    """
    seeds = seeds_of(SEED, family, 4096)
    return path_samples(lab.problem, drawer(lab), paths=paths, seeds=seeds)


def simulate(lab: Lab, decisions, samples) -> dict[str, dict[str, np.ndarray]]:
    """Every metric of every decision, path by path.

    Args:
      lab: the truth, whatever the decisions were made for.
      decisions: with names that differ.
      samples: from `fresh_paths`, or changed ones.
    """
    records = simulate_decisions(
        lab.problem, list(decisions), lab.sample, samples, days=DAYS
    )
    assert not any(record.wrong.any() for record in records)
    return {r.name: metrics(lab.problem, r, DAYS) for r in records}


def compare(found, reference: str, words: list[str]) -> dict:
    """Means with intervals, and differences to a reference with Holm's correction over
    all policies and metrics of the table.

    Args:
      found: from `simulate`.
      reference: name of a policy in it; differences are the others less this one.
      words: metrics.
    """
    table = {
        name: {w: _row(found, name, w, reference) for w in words} for name in found
    }
    cells = [table[n][w] for n in table if n != reference for w in words]
    for cell, p in zip(cells, holm(np.array([c["p"] for c in cells])), strict=True):
        cell["p"] = float(p)
    return table


def _row(found, name, word, reference):
    values = found[name].get(word, 0 * found[name]["cost per period"])
    row = rounded(interval(values)._asdict())
    if name == reference:
        return row
    there = found[reference].get(word, np.zeros(len(values)))
    gap = paired(values, there)
    return {**row, "difference": rounded(gap.difference._asdict()), "p": gap.p}


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Values to six digits."""
    return {k: float(f"{v:.6g}") for k, v in values.items()}


def pyplot():
    """matplotlib without a screen, in the labs' style."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
         "axes.spines.top": False, "axes.spines.right": False}
    )  # fmt: skip
    return plt

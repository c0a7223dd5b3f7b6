"""Tables in, plan out: the functions behind the package's public names."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from meio_jax.checkpoint import Checkpoint, resource_names
from meio_jax.checkpoint import read as read_checkpoint
from meio_jax.config import Config, from_facts
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.plan import Plan, load, versions
from meio_jax.tables import Tables, examine
from meio_jax.tables import check as check
from meio_jax.tables import read as read
from meio_jax.tables.change import with_changes
from meio_jax.tables.hashing import digest
from meio_jax.tables.units import days_per_period
from meio_jax.whatif import SOLVED, WhatIf

BATCHES = 24  # of paths that refinement goes through in turn

if TYPE_CHECKING:
    from meio_jax.outcome import Outcome
    from meio_jax.sim.recipe import AbstractRecipe
    from meio_jax.solution import Progress


def solve(
    tables: Tables | str | Path,
    *,
    gap: float | None = None,
    seed: int | None = None,
    horizon: int | None = None,
    config: Config | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
    start: Plan | str | Path | None = None,
) -> Plan:
    """Plans: targets, capacity prices and a bound.

    Args:
      tables: the tables, or the folder that holds them.
      gap: relative gap between plan and bound to ask for.
      seed: seed of the scenarios.
      horizon: periods to plan.
      config: all options; the three above go before it.
      callback: called with a `Progress` after every evaluation of the dual; returning
        True stops the search, and the plan is made from the prices reached.
      start: an earlier plan, or its run folder: the search begins at its prices, those
        of capacities that it does not know at 0, and keeps its calibration; where more
        than a little has changed, plan anew. Its targets are `previous` in the new
        ones.

    Raises:
      InputError: the tables or options have faults, it lists them all; or `start` is
        damaged or knows none of the capacities.
    """
    config = config or Config()
    if gap is not None:
        config = replace(config, solver=replace(config.solver, gap=gap))
    if seed is not None:
        config = replace(config, scenarios=replace(config.scenarios, seed=seed))
    if horizon is not None:
        config = replace(
            config,
            problem=replace(config.problem, horizon=horizon),
            given=config.given | {"problem.horizon"},
        )
    if not isinstance(tables, Tables):
        tables = read(tables)
    examined = examine(tables, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    begin, previous = _begin(start)
    return plan_examined(examined, config, callback, start=begin, previous=previous)


def plan_examined(
    examined,
    config: Config,
    callback=None,
    *,
    start: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
    input_digest: str | None = None,
    previous: Plan | None = None,
) -> Plan:
    """The plan of tables that have been examined and have no errors.

    Args:
      examined: the tables and their calendar.
      config: all options.
      callback: as for `solve`.
      start: prices to begin at.
      keep: called during the search with the prices so far.
      input_digest: of the tables, where it is known.
      previous: a plan to compare with.
    """
    import jax

    from meio_jax.planner import solve_problem
    from meio_jax.rebuild import posed
    from meio_jax.supply.levels import charges_of
    from meio_jax.supply.plan import Below, plan_supply
    from meio_jax.supply.split import with_splits
    from meio_jax.tables import echelons, orders, write
    from meio_jax.tables.supply import build_supply

    begin = time.perf_counter()
    problem, labels, sample = posed(examined, config)
    budget = config.problem.budget
    supplies, limits = build_supply(examined.tables, labels, problem.groups, budget)
    supplies = with_splits(problem, supplies, limits)
    charges = tuple(map(charges_of, problem.groups))
    names = resource_names(problem.regimes), labels.nodes, labels.periods
    mark = input_digest or digest(examined.tables)
    reached: list[Checkpoint] = []

    def hold(place) -> None:
        resources, nodes, periods = (tuple(map(str, axis)) for axis in names)
        reached[:] = [
            Checkpoint(config.problem.name, mark, resources, nodes, periods, *place[:5])
        ]
        if keep is not None:
            keep(reached[0])

    refiner = _Refiner(problem, sample, config) if config.refine.steps else None
    solution = solve_problem(
        problem, sample, config.solver, callback,
        start=_place(start, problem, labels, previous), keep=hold, refine=refiner,
        charges=charges, joint=jax.process_count() > 1,
    )  # fmt: skip
    rows = solution.targets, solution.rations, charges, solution.outcomes
    below = tuple(Below(y, r, c, o.shipped) for y, r, c, o in zip(*rows, strict=True))
    supply = plan_supply(
        problem, supplies, limits, below, config.scenarios,
        crossing=config.problem.orders_cross,
    )  # fmt: skip
    device = jax.devices()[0]
    facts = {
        "name": config.problem.name,
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "evaluations": solution.evaluations,
        "evaluations_before": start.evaluations if start else 0,
        "stage": reached[0].stage,
        "lifts": list(solution.lifts),
        "cost_without_capacities": solution.free_value,
        "certificate": solution.certificate._asdict(),
        "refinement": refiner.facts if refiner else None,
        "seconds": time.perf_counter() - begin,
        "scenarios": len(sample.weight),
        "sizes": {
            "items": len(labels.items),
            "nodes": len(labels.nodes),
            "regions": len(labels.regions),
            "speeds": len(labels.speeds),
            "periods": len(labels.periods),
            "capacities": sum(
                int((c < float("inf")).sum())
                for c in (problem.limits, problem.item_limit)
            ),
        },
        "places": write.places_of(examined.tables.nodes, labels),
        "versions": versions(),
        "device": f"{device.platform} ({device.device_kind})",
        "input_digest": mark,
        "warnings": [asdict(f) for f in examined.faults.warnings],
        "tables": str(Path(examined.tables.folder).resolve()),
        "options": config.to_dict(),
        "given": sorted(config.given),
    }
    days = days_per_period(config.units)
    targets = write.targets_table(
        problem, solution, labels, days, refiner.reserves if refiner else None
    )
    targets = orders.with_late(targets, supply, below)
    more = orders.supply_kpis(supply)
    if previous is not None:
        targets, moved = write.compared(targets, previous.targets)
        more |= moved
    return Plan(
        status=solution.status,
        cost=solution.cost,
        bound=solution.bound,
        targets=targets,
        buys=orders.buys_table(supply, labels),
        transfers=orders.transfers_table(supply, labels),
        echelons=echelons.echelons_table(supply, labels),
        rations=echelons.rations_table(supply, labels),
        prices=write.prices_table(problem, solution, labels),
        depots=orders.depots_table(supply, labels),
        service=write.service_table(problem, solution, labels),
        kpis=write.kpis_table(problem, solution, more),
        facts=facts,
        metrics=tuple(p._asdict() for p in solution.history),
    )


class _Refiner:
    """Refines a plan by simulation, on paths that it was not made on.

    Attributes:
      reserves: spill limits that were found, of each group; None before.
      facts: simulated cost of a period before and after, on the paths that the
        refined plan was chosen on, and at every check.
    """

    def __init__(self, problem, sample, config: Config):
        self.problem, self.sample, self.config = problem, sample, config
        self.reserves, self.facts = None, None

    def __call__(self, targets, tolls, say):
        import jax

        with jax.enable_x64(False):
            return self._refine(targets, tolls, say)

    def _refine(self, targets, tolls, say):
        import numpy as np

        from meio_jax.rebuild import drawer
        from meio_jax.scenarios.sample import seeds_of
        from meio_jax.sim.lab import Decision, path_samples
        from meio_jax.sim.refine import refine

        problem, chance, options = (
            self.problem, self.config.scenarios, self.config.refine,
        )  # fmt: skip
        draw = drawer(problem, chance)
        none = [np.zeros((1, y.shape[2], len(y))) for y in targets]
        family = lambda k, count: seeds_of(chance.seed, k, count)
        found = refine(
            problem,
            Decision("plan", targets, tolls, tuple(none)),
            self.sample,
            [draw(count=options.paths, seed=s) for s in family(3, BATCHES)],
            path_samples(problem, draw, paths=options.selection, seeds=family(1, 4096)),
            days=days_per_period(self.config.units),
            steps=options.steps,
            rate=options.rate,
            callback=lambda cost: say(cost * problem.periods),
        )
        self.reserves = found.decision.reserves
        self.facts = {
            "before": found.before, "after": found.after, "checks": found.scores
        }  # fmt: skip
        return found.decision.targets


def simulate(
    tables: Tables | str | Path,
    policies: Sequence[Plan | str | Path | AbstractRecipe],
    *,
    paths: int | None = None,
    seed: int | None = None,
    weeks: tuple[str, str] | None = None,
    certify: bool = False,
    config: Config | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Simulates plans and policies side by side, on paths that no plan was made on.

    Period by period: orders up to targets, receipts after random lead times, demand by
    slots, greedy fulfilment, lost sales or backorders, docks and shipping room that
    bind on every path. Baselines decide on the scenarios that the plan was made on.

    Args:
      tables: the tables, or the folder that holds them. What-ifs that the first plan is
        the answer to are made of them.
      policies: plans, their run folders, or baselines from `meio.policies`, the
        reference of all differences first.
      paths: fresh paths of demand and lead times.
      seed: of the paths.
      weeks: first and last period of history to replay instead, as many as are planned:
        then paths differ in lead times alone.
      certify: whether to bound what any plan costs under the law that scenarios come
        from, by the prices of the first plan: `facts["certificate"]`, in minutes.
      config: all options; those of the first plan unless given.
      callback: called with the paths done and all of them, as they are done.

    Raises:
      InputError: the tables have faults, a plan was made from other tables, the weeks
        are not in the history, or a policy's orders are no numbers.
    """
    from meio_jax.runs import read_policies, simulate_examined

    policies = [_loaded(p) for p in policies]
    plans = [p.facts for p in policies if isinstance(p, Plan)]
    if config is None:
        config = from_facts(plans[0]) if plans else Config()
    given = {"paths": paths, "seed": seed}
    config = replace(
        config,
        simulate=replace(
            config.simulate, **{k: v for k, v in given.items() if v is not None}
        ),
    )
    if not isinstance(tables, Tables):
        tables = read(tables)
    made = plans[0].get("what_if", ()) if plans else ()
    examined = examine(with_changes(tables, config, made), config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    chosen = read_policies(policies, config.solver)
    return simulate_examined(
        examined, config, chosen, weeks=weeks, callback=callback, certify=certify
    )


def what_if(
    plan: Plan | str | Path,
    capacity: Mapping[tuple, float | str] | None = None,
    *,
    changes: Mapping[str, Sequence[str]] | None = None,
    solve: bool = False,
    tables: Tables | str | Path | None = None,
    config: Config | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
) -> WhatIf:
    """What other capacities or tables would save or cost, and a plan of them.

    Of capacities alone the answer is free: `Plan.what_if`. Of other changes it takes
    one pass over the items at the plan's prices: a bound of the changed problem, and
    an estimate of what its cost changes by.

    Args:
      plan: the plan, or its run folder.
      capacity: the changes, as for `Plan.what_if`.
      changes: others, written as on the command line, by kind: "demand" ("+5%",
        "A:+5%", "region=North:*1.1"), "cost" ("ship_options.unit_cost:*1.2"),
        "lead_time" ("lanes:+1", "DC>EAST:+1"), "cutoff" ("EAST:-2", hours) and "close"
        ("EAST").
      solve: whether to plan again from the plan's prices: `WhatIf.plan`, beside the
        answer without.
      tables: those that the plan was made from, or their folder; where they were then
        unless given.
      config: all options; those of the plan unless given.
      callback: as for `solve`.

    Raises:
      InputError: something is wrong with the changes or the tables, or the plan was
        made from other tables.
    """
    plan = plan if isinstance(plan, Plan) else load(plan)
    config = config or from_facts(plan.facts)
    if changes:
        from meio_jax.onepass import ask

        asked, changed = ask(
            plan, capacity or {}, changes, tables=tables, config=config
        )
    else:
        asked, changed = plan.what_if(capacity or {}), None
    if not solve:
        return asked
    if changed is None:
        changed = changed_tables(plan, asked, tables, config)
    examined = examine(changed, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    found = plan_examined(examined, config, callback, start=plan.checkpoint)
    found.facts["what_if"] = changes_of(plan, asked)
    return replace(asked, grade=SOLVED, plan=found)


def changes_of(plan: Plan, asked: WhatIf) -> list[dict]:
    """In what the answer's tables differ from those in the plan's folder, in turn.

    Args:
      plan: the plan.
      asked: a question to it.
    """
    return [*plan.facts.get("what_if", ()), *asked.edits, *asked.limits]


def changed_tables(
    plan: Plan, asked: WhatIf, tables: Tables | str | Path | None, config: Config
) -> Tables:
    """The tables of a question to a plan about its capacities.

    Args:
      plan: the plan.
      asked: the question.
      tables: as for `what_if`.
      config: options that they are read with.

    Raises:
      InputError: the tables have faults, or the plan was made from others.
    """
    from meio_jax.rebuild import made_from

    before, _ = made_from(plan, tables, config)
    return with_changes(before, config, asked.limits)


def _loaded(policy):
    """A plan where a run folder was given."""
    folder = isinstance(policy, Path) or (
        isinstance(policy, str) and Path(policy).is_dir()
    )
    return load(policy) if folder else policy


def _begin(start: Plan | str | Path | None):
    """Prices to start from, and the plan that they are of where it is whole."""
    if start is None or isinstance(start, Plan):
        return start and start.checkpoint, start
    folder = Path(start)
    begin = read_checkpoint(folder / "state.npz")
    return begin, load(folder) if (folder / "run.json").is_file() else None


def _place(start: Checkpoint | None, problem, labels, previous: Plan | None):
    """Where the ascent begins: the prices of a checkpoint, and the corrections of the
    plan that it is of, at the problem's names."""
    from meio_jax.solution import Place
    from meio_jax.tables.outcome import corrections, kept_free

    if start is None:
        return None
    names = resource_names(problem.regimes), labels.nodes, labels.periods
    found = start.matched(*names)
    if found is None:
        text = f"knows {_few(start.nodes)} in {_few(start.periods)}, the tables"
        text += f" {_few(names[1])} in {_few(names[2])}: no capacity is in both"
        hint = "Start from a plan of these nodes and periods, or without one"
        raise InputError(Faults([Fault("error", "R02", "start", text, hint)]))
    place = Place(*found, start.stage, start.evaluations, start.lifts)
    if previous is None or "correction" not in previous.targets:
        return place
    tilts = corrections(previous, problem, labels)
    return place._replace(tilts=tilts, kept=kept_free(previous, labels))


def _few(words) -> str:
    return ", ".join(map(str, words[:3])) + (", ..." if len(words) > 3 else "")


def demo(*, callback=None) -> Plan:
    """Solves the real demo that the package ships: see `meio_jax.instances`."""
    from meio_jax.config import load
    from meio_jax.instances.demo import demo_folder

    folder = demo_folder()
    return solve(folder, config=load(folder / "meio.toml"), callback=callback)

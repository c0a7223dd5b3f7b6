"""Tables in, plan out: the functions behind the package's public names."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from meio_jax.config import Config
from meio_jax.faults import InputError
from meio_jax.plan import Plan
from meio_jax.tables import Tables, examine
from meio_jax.tables import check as check
from meio_jax.tables import read as read

if TYPE_CHECKING:
    from meio_jax.planner import Progress

DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375}


def solve(
    tables: Tables | str | Path,
    *,
    gap: float | None = None,
    seed: int | None = None,
    horizon: int | None = None,
    config: Config | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
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

    Raises:
      InputError: the tables or options have faults; it lists them all.
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
    return plan_examined(examined, config, callback)


def plan_examined(examined, config: Config, callback=None) -> Plan:
    """The plan of tables that have been examined and have no errors."""
    import jax

    from meio_jax.planner import solve_problem
    from meio_jax.scenarios.sample import draw_sample
    from meio_jax.tables import write
    from meio_jax.tables.build import build

    begin = time.perf_counter()
    options = config.scenarios
    problem, labels = build(examined.tables, examined.calendar)
    problem = replace(problem, regimes=options.regimes)
    sample = draw_sample(
        problem, count=options.count, seed=options.seed, block=options.block,
        recent=options.recent, common=options.common,
    )  # fmt: skip
    solution = solve_problem(problem, sample, config.solver, callback)
    device = jax.devices()[0]
    facts = {
        "evaluations": solution.evaluations,
        "cost_without_capacities": solution.free_value,
        "seconds": time.perf_counter() - begin,
        "scenarios": len(sample.weight),
        "sizes": {
            "items": len(labels.items),
            "nodes": len(labels.nodes),
            "regions": len(labels.regions),
            "speeds": len(labels.speeds),
            "periods": len(labels.periods),
            "capacities": int((problem.limits < float("inf")).sum()),
        },
        "versions": versions(),
        "device": f"{device.platform} ({device.device_kind})",
        "input_digest": digest(examined.tables),
        "options": config.to_dict(),
    }
    days = DAYS[config.units.period]
    return Plan(
        status=solution.status,
        cost=solution.cost,
        bound=solution.bound,
        targets=write.targets_table(problem, solution, labels, days),
        prices=write.prices_table(problem, solution, labels),
        service=write.service_table(problem, solution, labels),
        kpis=write.kpis_table(problem, solution),
        facts=facts,
        metrics=tuple(p._asdict() for p in solution.history),
    )


def demo(*, callback=None) -> Plan:
    """Solves the real demo that the package ships: see `meio_jax.instances`."""
    from meio_jax.config import load
    from meio_jax.instances.demo import demo_folder

    folder = demo_folder()
    return solve(folder, config=load(folder / "meio.toml"), callback=callback)


def versions() -> dict[str, str]:
    """Versions of what computes."""
    from importlib.metadata import version

    names = "meio-jax", "jax", "jaxlib", "equinox", "optax", "numpy", "pandas"
    return {name: version(name) for name in names}


def digest(tables: Tables) -> str:
    """SHA-256 of the clean tables: the same input has the same digest."""
    from meio_jax.tables.hashing import hash_rows

    total = hashlib.sha256()
    for name, frame in tables:
        total.update(name.encode())
        text = frame.astype(str) if len(frame) else frame
        total.update(hash_rows(text).tobytes())
    return total.hexdigest()[:16]

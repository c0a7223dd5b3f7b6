"""Plans and policies on fresh paths: from tables and run folders to an outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meio_jax.config import Config, Solver
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.outcome import Outcome
from meio_jax.plan import Plan, load, versions

if TYPE_CHECKING:
    from meio_jax.sim.lab import Decision
    from meio_jax.sim.recipe import AbstractRecipe


BASELINES = (
    "base_stock", "proportional", "days_of_cover", "buy_then_place", "fluid_lp",
)  # fmt: skip
CERTIFIED_PATHS = 2_000
PLANNED = ("unpriced", "static_prices", "fluid")  # baselines that the planner makes


def read_policies(
    policies: Sequence[Plan | str | Path | AbstractRecipe], solver: Solver
) -> list[Plan | AbstractRecipe]:
    """Plans and recipes; folders are read, words are names of baselines.

    Args:
      policies: plans, run folders, recipes or names of baselines.
      solver: options of baselines that the planner makes.

    Raises:
      InputError: a word is neither a run folder nor a baseline.
    """
    return [_read(p, solver) if isinstance(p, str | Path) else p for p in policies]


def _read(word: str | Path, solver: Solver):
    from meio_jax.sim import policies

    if isinstance(word, Path) or Path(word).is_dir():
        return load(word)
    if word in BASELINES:
        return getattr(policies, word)()
    if word in PLANNED:
        return getattr(policies, word)(solver)
    import difflib

    known = BASELINES + PLANNED
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    text = f"'{word}' is neither a run folder nor a policy{guess}"
    raise _refuse("policies", text, f"Policies: {', '.join(known)}")


def simulate_examined(
    examined, config: Config, policies, *, weeks=None, callback=None,
    input_digest: str | None = None, certify: bool = False,
) -> Outcome:  # fmt: skip
    """The outcome of policies on tables that have been examined and have no errors.

    Args:
      examined: the tables and their calendar.
      config: all options.
      policies: plans and recipes, the reference first.
      weeks: first and last period of history to replay.
      callback: as for `simulate`.
      input_digest: of the tables, where it is known.
      certify: whether to bound what any plan costs under the law of the scenarios, by
        the prices of the first plan.
    """
    import jax

    from meio_jax.rebuild import drawer, posed
    from meio_jax.scenarios.sample import given_sample, seeds_of
    from meio_jax.sim.hindsight import hindsight_cost
    from meio_jax.sim.lab import path_samples, simulate_decisions
    from meio_jax.sim.metrics import metrics, service_rates
    from meio_jax.supply.split import with_splits
    from meio_jax.tables import outcome as tables_out
    from meio_jax.tables.hashing import digest
    from meio_jax.tables.supply import build_supply
    from meio_jax.tables.units import days_per_period

    begin = time.perf_counter()
    plan = next((p for p in policies if isinstance(p, Plan)), None)
    if certify and plan is None:
        text = "a bound needs the prices of a plan, and there is none"
        raise _refuse("policies", text, "Give a plan or a run folder")
    asked = config.simulate
    problem, labels, planned = posed(examined, config)
    draw = drawer(problem, config.scenarios)
    mark = input_digest or digest(examined.tables)
    decisions = decide_all(problem, labels, planned, policies, mark)
    supplies, limits = build_supply(
        examined.tables, labels, problem.groups, config.problem.budget
    )
    supplies = with_splits(problem, supplies, limits)
    layered = asked.depots and any(s.offers.size for s in supplies)
    if layered:
        decisions = _with_depots(
            problem, labels, supplies, limits, decisions, policies, config
        )
    if weeks is None:
        seeds = seeds_of(asked.seed, 2, 4096)
        samples = path_samples(problem, draw, paths=asked.paths, seeds=seeds)
    else:
        slots = _slots(problem, examined.calendar, weeks)
        seed = seeds_of(asked.seed, 2, 1)[0]
        samples = [given_sample(problem, slots, count=asked.paths, seed=seed)]
    days = days_per_period(config.units)
    records = simulate_decisions(
        problem, decisions, planned, samples, days=days, slots=asked.slots,
        callback=callback, supplies=supplies, depot_limits=limits if layered else None,
    )  # fmt: skip
    for record in records:
        _check_orders(record)
    found = {r.name: metrics(problem, r, days) for r in records}
    by_path = tables_out.by_path_table(found)
    rates = {r.name: service_rates(problem, r) for r in records}
    known = np.concatenate([hindsight_cost(problem, s).mean(axis=0) for s in samples])
    law = None
    if certify:
        first = decisions[policies.index(plan)]
        law = _certificate(problem, labels, planned, draw, plan, first, config)
    device = jax.devices()[0]
    facts = {
        "policies": [d.name for d in decisions],
        "paths": len(known),
        "hindsight": float(known.mean()),
        "certificate": law,
        "weeks": list(weeks) if weeks else None,
        "depots": layered,
        "periods": problem.periods,
        "period": config.units.period,
        "currency": config.units.currency,
        "input_digest": mark,
        "options": config.to_dict(),
        "seconds": time.perf_counter() - begin,
        "device": f"{device.platform} ({device.device_kind})",
        "versions": versions(),
    }
    return Outcome(
        kpis=tables_out.kpis_of(by_path, decisions[0].name),
        service=tables_out.service_of(rates, labels, problem.periods),
        use=tables_out.use_of(records, problem, labels, limits if layered else None),
        by_path=by_path,
        facts=facts,
    )


def _certificate(problem, labels, planned, draw, plan, decision, config) -> dict:
    """Certificate B from a plan and what it decides: money of a period."""
    from meio_jax.recover.evaluate import Evaluator
    from meio_jax.recover.statistical import carried_stock, statistical

    _, prices = plan.checkpoint.at(problem.regimes, labels.nodes, labels.periods)
    outcomes = tuple(
        Evaluator(problem, k, planned)(y, toll)
        for k, (y, toll) in enumerate(
            zip(decision.targets, decision.tolls, strict=True)
        )
    )
    use = np.zeros(prices.shape)  # of no account where inbound has no limit
    rows = plan.prices[
        (plan.prices["resource"] == "inbound")
        & (plan.prices["period"] == labels.periods[0])
    ]
    node = np.array([labels.nodes.index(n) for n in rows["node"]], int)
    use[1, node, 0] = rows["use"]
    carried = carried_stock(problem, outcomes, decision.targets, use)
    found = statistical(
        problem, draw, prices, decision.targets, decision.tolls, carried,
        seed=config.scenarios.seed, scenarios=config.scenarios.count,
        paths=CERTIFIED_PATHS, count=config.solver.certify,
    )  # fmt: skip
    money = "bound", "bound_error", "cost", "cost_error", "slack"
    facts = found._asdict() | {"gap": found.gap}
    return {k: v / problem.periods if k in money else v for k, v in facts.items()}


def decide_all(problem, labels, planned, policies, mark: str) -> list[Decision]:
    """What every policy decides, under names that differ.

    Args:
      problem: the problem.
      labels: its names.
      planned: the scenarios that plans are made on.
      policies: plans and recipes.
      mark: digest of the tables.

    Raises:
      InputError: a plan was made from other tables, or a recipe decided targets of
        other items, periods or nodes than the problem has.
    """
    if not len(policies):
        raise _refuse("policies", "nothing to simulate", "Give a plan, or a baseline")
    decisions, names = [], {}
    for policy in policies:
        if isinstance(policy, Plan):
            decision = _plan_decision(policy, problem, labels, planned, mark)
        else:
            decision = policy.decide(problem, planned)
            _check_shape(problem, decision)
        count = names[decision.name] = names.get(decision.name, 0) + 1
        if count > 1:
            decision = decision._replace(name=f"{decision.name} {count}")
        decisions.append(decision)
    return decisions


def _with_depots(problem, labels, supplies, limits, decisions, policies, config):
    """Decisions with what they buy: a plan its own levels, all others the levels of
    practice above their targets."""
    from meio_jax.sim.buying import Buying, depots_of, pooled
    from meio_jax.tables.echelons import bought_arrays

    found = []
    for decision, policy in zip(decisions, policies, strict=True):
        if isinstance(policy, Plan):
            arrays = bought_arrays(policy, problem, labels, supplies, decision.targets)
            bought = tuple(Buying(*x) for x in arrays)
        else:
            bought = pooled(
                problem, supplies, limits, decision.targets, config.scenarios,
                crossing=config.problem.orders_cross,
            )  # fmt: skip
        rows = zip(supplies, bought, strict=True)
        depots = tuple(depots_of(s, b, len(labels.nodes)) for s, b in rows)
        found.append(decision._replace(depots=depots))
    return found


def _plan_decision(plan: Plan, problem, labels, planned, mark: str):
    from meio_jax.dual.use import window_tolls
    from meio_jax.sim.lab import Decision
    from meio_jax.tables.hashing import check_made_from
    from meio_jax.tables.outcome import reserves_array, targets_array

    place = check_made_from(plan.facts, mark)
    targets = targets_array(plan, problem, labels, place)
    prices, _ = plan.checkpoint.at(problem.regimes, labels.nodes, labels.periods)
    prices = problem.paid(prices)
    tolls = tuple(
        window_tolls(prices[:, group.network.node], planned.window(k))
        for k, group in enumerate(problem.groups)
    )
    return Decision("plan", targets, tolls, reserves_array(plan, problem, labels))


def _slots(problem, calendar, weeks):
    """Slots of history from the first to the last of the weeks."""
    if problem.kind != "history":
        text = "weeks are those of a history, and the tables have none"
        raise _refuse("weeks", text, "Leave them out to draw fresh paths")
    known = list(calendar.history)
    for week in map(str, weeks):
        if week not in known:
            text = f"'{week}' is not in the history"
            hint = f"It has {known[0]} to {known[-1]}, {len(known)} periods"
            raise _refuse("weeks", text, hint)
    first, last = (known.index(str(w)) for w in weeks)
    count = last - first + 1
    if count != problem.periods:
        text = f"{weeks[0]} to {weeks[1]} are {count} periods, the plan has "
        hint = "Give as many periods as are planned"
        raise _refuse("weeks", text + str(problem.periods), hint)
    return np.arange(first, last + 1)


def _check_shape(problem, decision) -> None:
    wanted = [
        (len(g.items), problem.periods, len(g.network.node)) for g in problem.groups
    ]
    found = [np.shape(y) for y in decision.targets]
    if found != wanted:
        text = f"policy '{decision.name}' has targets of shape {found}"
        hint = f"They must be items x periods x nodes, by size class: {wanted}"
        raise _refuse("policies", text, hint)


def _check_orders(record) -> None:
    if record.wrong.any():
        text = f"policy '{record.name}' orders something negative or not a number"
        text += f" on {int(record.wrong.sum())} of {len(record.wrong)} paths"
        raise _refuse("policies", text, "Orders must be units, 0 or more")


def _refuse(place: str, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "S01", place, text, hint)]))

"""What the kernels see of a plan's cost, and what planning on each of them gives.

    python -m experiments.kernel_ladder.run DATA/flagship [--items 100] [--quick]

Without DATA the shipped demo is planned. Writes `result.json` beside this file.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

import meio_jax as meio
from experiments import record
from experiments.flagship.reader import read_flagship
from meio_jax.config import Config
from meio_jax.dual.exact import solve_items
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.instances.demo import demo_folder
from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.node_dual import node_dual
from meio_jax.planner import coarse_group, solve_problem
from meio_jax.problem import Problem, take_items
from meio_jax.recover.evaluate import Evaluator
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import Sample, draw_sample, window_demand
from meio_jax.solution import Solution
from meio_jax.tables import examine
from meio_jax.tables.build import build


def instance(args) -> tuple[Problem, Config]:
    """The problem, and the options that the plans share."""
    config = Config()
    horizon = 2 if args.quick else args.periods
    given = config.given | {"problem.horizon"}
    config = replace(
        config, problem=replace(config.problem, horizon=horizon), given=given
    )
    if args.data:
        config = replace(config, units=replace(config.units, volume="litre"))
        frames = read_flagship(
            args.data, items=args.items, tightness=args.tightness, shipping_charge=1.0
        )
        tables = meio.Tables(**frames)
    else:
        tables = meio.read(demo_folder())
    examined = examine(tables, config)
    assert not examined.faults.errors, examined.faults
    problem = build(examined.tables, examined.calendar)[0]
    if args.quick:
        few = tuple(
            take_items(g, np.arange(min(4, len(g.items)))) for g in problem.groups
        )
        problem = eqx.tree_at(lambda p: p.groups, problem, few)
    return problem, config


def plan_options(config: Config, args) -> dict:
    """Options of each way to plan."""
    rounds = 1 if args.quick else args.rounds
    base = replace(
        config.solver, levels=6, smoothing=(1.0,), gap=0.02,
        max_evaluations=2 if args.quick else 15, certify=args.certify,
    )  # fmt: skip
    if args.quick:
        return {"K1": replace(base, calibrate=False)}
    return {
        "K1": replace(base, calibrate=False),
        "K1 calibrated": base,
        "exact": replace(base, polish=1.0, rounds=rounds),
    }


def ladder(problem: Problem, sample: Sample, solution: Solution, chosen) -> dict:
    """Cost of the plan's targets of some items under K1, K2 and K3, no prices."""
    totals = {"K1": 0.0, "K2": 0.0, "K3": 0.0, "free": 0.0}
    for k, group in enumerate(problem.groups):
        items, node = chosen[k], group.network.node
        y, outcome = solution.targets[k], solution.outcomes[k]
        none = np.zeros((2 + problem.regimes, len(node), problem.periods))
        totals["K2"] += solve_items(
            problem, k, sample, items, none, y[items], pinned=True
        ).bound.sum()
        paid = outcome.holding + outcome.shipping + outcome.lost
        totals["K3"] += paid[items].sum()
        totals["free"] += outcome.holding[items].sum() + outcome.shipping[items].sum()
        totals["K1"] += tree_cost(problem, k, sample, y, items)
    return totals


def tree_cost(problem, k, sample, targets, items) -> float:
    """Cost of targets under the tree kernel, buckets at their mean, hardly smoothed."""
    part = take_items(problem.groups[k], items)
    one = replace(problem, groups=(*problem.groups[:k], part, *problem.groups[k + 1 :]))
    rows = build_rows(one, part, k, sample, count=16, atoms=64)
    y = np.zeros((rows.volume.size, *targets.shape[1:]))
    y[: len(items)] = targets[items]
    y = jnp.asarray(y.reshape(rows.lower.shape), rows.atoms.dtype)
    dual = Dual(one, (rows,))
    prices = np.zeros((2 + problem.regimes, y.shape[-1], problem.periods))
    pinned = replace(rows, lower=y, upper=y)
    return float(dual.look(pinned, prices, y, 1e-3, 1e-6).value)


def against_highs(problem, sample, solution, chosen, rng, count) -> dict:
    """K2 of single scenarios against HiGHS' linear programme."""
    worst, above, total = 0.0, 0.0, 0.0
    solve = jax.jit(node_dual)
    for _ in range(count):
        k = int(rng.integers(len(problem.groups)))
        if not len(chosen[k]):
            continue
        group = problem.groups[k]
        i = int(rng.choice(chosen[k]))
        t, w = int(rng.integers(problem.periods)), int(rng.integers(len(sample.weight)))
        source = SlotSource(problem, group, sample)
        window = window_demand(
            source(i, i + 1)[0], jnp.asarray(source.slot), jnp.asarray(sample.lead[k]),
            jnp.asarray(group.network.home), sample.longest,
        )  # fmt: skip
        demand = np.asarray(window, float)[:, t, w]
        net, items = group.network, group.items
        services = net.unit_cost, net.cost_per_weight, net.days_late
        cost = serve_cost(services, items.weight[i], items.late_cost[i])
        cost = cost - items.holding[i][:, None]
        stock, penalty = solution.targets[k][i, t], float(items.penalty[i])
        lower = float(solve(demand, stock, cost, penalty)[0])
        exact = transport(demand, stock, cost, penalty)
        worst = max(worst, (exact - lower) / max(abs(exact), 1.0))
        above = min(above, (exact - lower) / max(abs(exact), 1.0))
        total += exact
    return {"scenarios": count, "largest_below": worst, "largest_above": -above}


def transport(demand, stock, cost, penalty) -> float:
    """The recourse of one scenario by HiGHS."""
    klass = np.flatnonzero(demand > 0)
    if not klass.size:
        return 0.0
    node, at = np.nonzero(cost[:, klass] < penalty)
    flows, lost = len(node), len(klass)
    column = np.arange(flows)
    ship = coo_array((np.ones(flows), (node, column)), (len(stock), flows + lost))
    row, col = np.r_[at, np.arange(lost)], np.arange(flows + lost)
    serve = coo_array((np.ones(flows + lost), (row, col)))
    found = linprog(
        np.r_[cost[node, klass[at]], np.full(lost, penalty)], A_ub=ship.tocsr(),
        b_ub=stock, A_eq=serve.tocsr(), b_eq=demand[klass], method="highs",
    )  # fmt: skip
    return float(found.fun)


def fresh_cost(problem, solution, seed, count) -> tuple[float, float]:
    """Cost of a plan per fresh batch of scenarios: mean and standard error."""
    costs = []
    for batch in range(4):
        sample = draw_sample(problem, count=count, seed=seed + batch)
        costs.append(
            sum(
                Evaluator(problem, k, sample)(y, toll).cost
                for k, (y, toll) in enumerate(
                    zip(solution.targets, solution.tolls, strict=True)
                )
            )
        )
    return float(np.mean(costs)), float(np.std(costs, ddof=1) / np.sqrt(len(costs)))


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--periods", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--certify", type=int, default=100)
    parser.add_argument("--tightness", type=float, default=1.3)
    args = parser.parse_args(arguments)
    if args.quick:
        args.items, args.certify = min(args.items, 20), 2
    run = record.Record(args)
    problem, config = instance(args)
    count = 8 if args.quick else 64
    sample = draw_sample(problem, count=count, seed=config.scenarios.seed)
    plans: dict = {}
    facts = {
        "items": [len(g.items) for g in problem.groups],
        "nodes": [len(g.network.node) for g in problem.groups],
        "classes": [g.network.unit_cost.shape[1] for g in problem.groups],
        "planned_classes": [
            coarse_group(g).network.unit_cost.shape[1] for g in problem.groups
        ],
        "periods": problem.periods, "scenarios": count,
        "capacities": int(np.isfinite(problem.capacities).sum()),
        "seed": config.scenarios.seed,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    chosen = [
        np.sort(rng.choice(len(g.items), min(12, len(g.items)), replace=False))
        for g in problem.groups
    ]
    for name, options in plan_options(config, args).items():
        begin = time.perf_counter()
        solution = solve_problem(problem, sample, options)
        seconds = time.perf_counter() - begin
        proof = solution.certificate
        mean, error = fresh_cost(problem, solution, 1000, count)
        plans[name] = {
            "seconds": round(seconds, 1), "evaluations": solution.evaluations,
            "exact_rounds": sum(p.phase == "exact" for p in solution.history),
            "priced": int((solution.prices > 1e-9).sum()),
            "cost": solution.cost, "fresh_cost": mean, "fresh_error": error,
            "bound": proof.bound, "bound_low": proof.low, "gap": solution.gap,
            "model_gap": proof.model / solution.cost,
            "fulfilment_gap": proof.fulfilment / (solution.cost - proof.fulfilment),
            "certified_items": proof.items,
            "violation_before_repair": next(
                p.violation for p in solution.history if p.phase == "repair"
            ),
            "units": float(sum(y.sum() for y in solution.targets)),
            "ladder": ladder(problem, sample, solution, chosen),
            "node_dual_against_highs": against_highs(
                problem, sample, solution, chosen, rng, 4 if args.quick else 60
            ),
        }  # fmt: skip
        print(name, json.dumps(plans[name], indent=2), flush=True)
    run.write(**facts, plans=plans)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()

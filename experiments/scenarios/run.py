"""How both certificates and the plan's cost move with the number of scenarios.

    python -m experiments.scenarios.run [--quick]

Prints a line per number of scenarios and draw; writes `result.json` and `result.png`
beside this file.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from experiments.dual_methods.instance import problem
from meio_jax.config import Solver
from meio_jax.planner import solve_problem
from meio_jax.problem import Problem
from meio_jax.recover.statistical import carried_stock, statistical
from meio_jax.scenarios.sample import draw_sample

ROOM = 0.8  # of the storage of the instance of `dual_methods`
BATCHES = 20


def instance(items: int) -> Problem:
    """One period of the network of `dual_methods` with storage alone, and less of it:
    so small that every item is solved exactly."""
    made = problem(items, 1)
    free = np.full_like(made.storage, np.inf)
    return replace(made, storage=ROOM * made.storage, inbound=free, outbound=free)


def measure(made: Problem, scenarios: int, seed: int, paths: int) -> dict:
    """Plan and both certificates of one draw of the scenarios."""
    draw = partial(draw_sample, made)
    begin = time.perf_counter()
    options = Solver(whole_units=False, gap=1e-3)
    plan = solve_problem(made, draw(count=scenarios, seed=seed), options)
    planned = time.perf_counter()
    carried = carried_stock(made, plan.outcomes, plan.targets, plan.use)
    found = statistical(
        made, draw, plan.prices, plan.targets, plan.tolls, carried, seed=seed,
        scenarios=scenarios, batches=BATCHES, paths=paths, dtype=jnp.float64,
    )  # fmt: skip
    certified = time.perf_counter()
    row = {
        "scenarios": scenarios,
        "seed": seed,
        "status": plan.status,
        "bound_a": plan.bound,
        "cost_in_sample": plan.cost,
        "gap_a": plan.gap,
        **{f"fresh_{k}": v for k, v in found._asdict().items()},
        "gap_b": found.gap,
        "seconds_plan": round(planned - begin, 1),
        "seconds_fresh": round(certified - planned, 1),
    }
    print(
        f"{scenarios:>4} seed {seed}  A {plan.bound:8.2f} in-sample {plan.cost:8.2f}  "
        f"fresh {found.cost:8.2f} +- {found.cost_error:.2f}  "
        f"B {found.bound:8.2f} - {found.bound_error:.2f}  "
        f"over {found.violation:.2%}  {row['seconds_plan']} + {row['seconds_fresh']} s",
        flush=True,
    )
    return row


def draw_figure(rows: list[dict], path: Path) -> None:
    """Means over the draws, and single draws as points."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5.4), layout="constrained")
    low = [
        {
            **r,
            "low": r["fresh_bound"] - r["fresh_bound_error"],
            "priced": r["fresh_cost"] - r["fresh_slack"],
        }
        for r in rows
    ]
    sizes = sorted({r["scenarios"] for r in rows})
    lines = {
        "priced": "plan on fresh paths, use above capacity paid at the prices",
        "fresh_cost": "plan on fresh paths", "cost_in_sample": "plan on its scenarios",
        "bound_a": "certificate A: bound on its scenarios",
        "fresh_bound": "certificate B: mean of the batches",
        "low": "certificate B: less its error",
    }  # fmt: skip
    for place, (name, label) in enumerate(lines.items()):
        beside = 1.03 ** (place - 2.5)  # so that points do not hide each other
        means = [np.mean([r[name] for r in low if r["scenarios"] == s]) for s in sizes]
        line = axes.plot(sizes, means, "-", label=label)[0]
        axes.plot(
            [beside * r["scenarios"] for r in low], [r[name] for r in low], ".",
            color=line.get_color(), alpha=0.6,
        )  # fmt: skip
    axes.set(
        xscale="log",
        xlabel="scenarios",
        ylabel="cost of the horizon, money",
        xticks=sizes,
    )
    axes.set_xticks(sizes, [str(s) for s in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = record.parser(__doc__, __file__).parse_args(arguments)
    run = record.Record(args)
    items, sizes, seeds = 20, (8, 16, 32, 64, 128, 256), tuple(range(8))
    paths = 100_000
    if args.quick:
        items, sizes, seeds, paths = 3, (8,), (0,), 2_000
    made = instance(items)
    with jax.enable_x64(True):
        rows = [measure(made, s, seed, paths) for s in sizes for seed in seeds]
    run.write(
        items=items, room=ROOM, batches=BATCHES, paths=paths, seeds=seeds, rows=rows
    )
    if not args.quick:
        draw_figure(rows, args.out / "result.png")


if __name__ == "__main__":
    main()

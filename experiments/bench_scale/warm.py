"""Counts what a plan saves that starts from another, demand having changed by 1 %.

    python -m experiments.bench_scale.warm [--quick]

Three solves in one process, each after one that compiles it: from nothing, from the
prices of the plan before, and from its prices and corrections. Prints a table; writes
`warm.json` beside this file, `--quick` `quick.json`.
"""

import os
import time
from collections import Counter

import numpy as np

from experiments import record

GROWTH = 1.01


def grown(problem):
    """The problem when every demand is 1 % larger, in whole units by chance."""
    import equinox as eqx

    rng = np.random.default_rng(1)
    more = lambda x: np.floor(GROWTH * x + rng.random(x.shape)).astype(x.dtype)
    change = lambda tree: [group.demand.quantity for group in tree.groups]
    return eqx.tree_at(change, problem, [more(x) for x in change(problem)])


def main(arguments: list[str] | None = None) -> None:
    """Solves, changes demand, and solves again in three ways, from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--items", type=int, default=250)
    args = parser.parse_args(arguments)
    from experiments.bench_scale.instance import problem
    from meio_jax.config import Solver
    from meio_jax.planner import solve_problem
    from meio_jax.scenarios.sample import draw_sample
    from meio_jax.solution import Place

    run = record.Record(args)
    items, nodes, count = (24, 8, 8) if args.quick else (args.items, 40, 64)
    made = problem(items, nodes=nodes, periods=2)
    later = grown(made)
    draw = lambda case: draw_sample(case, count=count, seed=0, balanced=True)
    options = Solver(certify=8)
    first = solve_problem(made, draw(made), options)
    prices = first.prices, first.bound_prices
    known = {"lifts": first.lifts, "tilts": first.tilts, "kept": first.kept}
    starts = {
        "nothing": None,
        "prices": Place(*prices, lifts=first.lifts),
        "prices and corrections": Place(*prices, **known),
    }
    rows = []
    for name, start in starts.items():
        for _ in range(2):  # the first one compiles
            seen: list[str] = []
            listen = lambda line, to=seen: to.append(line.phase)
            begin = time.process_time()
            found = solve_problem(later, draw(later), options, listen, start=start)
            cpu = time.process_time() - begin
        rows.append({
            "start": name, "evaluations": found.evaluations, "cpu": round(cpu, 2),
            "rounds": Counter(seen)["correct"], "cost": found.cost,
            "bound": found.bound,
        })  # fmt: skip
        print("|", " | ".join(map(str, rows[-1].values())), "|", flush=True)
    run.write(name="warm", rows=rows, pairs=items * nodes, load_average=os.getloadavg())


if __name__ == "__main__":
    main()

"""Times one pass of the dual over the items, rows held or drawn again block by block.

    python -m experiments.bench_scale.passes [--quick] [--items 2500 10000]

Every case runs in a process of its own. Prints a table; writes `passes.json` beside
this file, `--quick` `quick.json`.
"""

import json
import os
import subprocess
import sys

import numpy as np

from experiments import record
from experiments.bench_scale.run import Clock, peak

BUDGET = 0.05  # GB, where rows are drawn again
PRICED = 0.02  # of `Dual.worth`, the move between two passes
COLUMNS = (
    "pairs", "memory_gb", "devices", "rows_mb", "draw_cpu", "cold_cpu", "cold_wall",
    "moved_cpu", "moved_wall", "compile", "peak_mb",
)  # fmt: skip


def measure(items: int, memory_gb: float, devices: int) -> dict:
    """Draws rows, then two passes: from nothing, and after prices have moved.

    Args:
      items: number of items, on 40 nodes, 13 periods, 64 scenarios.
      memory_gb: as of `Solver`.
      devices: as of `Solver`.
    """
    import jax

    from experiments.bench_scale.instance import problem
    from meio_jax.config import Solver
    from meio_jax.dual.prices import Dual
    from meio_jax.planner import rows_for
    from meio_jax.scenarios.sample import draw_sample

    made = problem(items)
    sample = draw_sample(made, count=64, seed=0, balanced=True)
    held, clock = peak(), Clock()
    options = Solver(memory_gb=memory_gb, devices=devices)
    with jax.enable_x64(True):
        rows, crew = rows_for(made, sample, options)
        jax.block_until_ready([x for x in rows if isinstance(x, jax.Array)])
        clock.mark("draw")
        dual = Dual(made, rows, crew)
        size = sum(x.nbytes for x in jax.tree.leaves(rows) if hasattr(x, "nbytes"))
        at = lambda price, start: dual.at(
            price, start, stage=1.0, softness=0.1, curved=True
        )
        point = at(np.zeros(dual.limited.size), dual.start())
        clock.mark("cold")
        compiled = clock.compiled
        point = at(PRICED * dual.worth, point.targets)
        clock.mark("moved")
    marks = {k: tuple(round(x, 2) for x in v) for k, v in clock.marks.items()}
    return {
        "pairs": items * 40, "memory_gb": memory_gb, "devices": crew.hands,
        "rows_mb": round(size / 2**20), "draw_cpu": marks["draw"][0],
        "cold_cpu": marks["cold"][0], "cold_wall": marks["cold"][1],
        "moved_cpu": marks["moved"][0], "moved_wall": marks["moved"][1],
        "compile": round(compiled, 2), "peak_mb": round(peak()),
        "before_mb": round(held), "value": point.value,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Runs all cases, or one of them, from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--items", type=int, nargs="+", default=[625, 2_500, 10_000])
    parser.add_argument("--one", help="items, GB and devices of one case, in JSON")
    args = parser.parse_args(arguments)
    if args.one:
        print(json.dumps(measure(*json.loads(args.one))))
        return
    rows = []
    for items in [24] if args.quick else args.items:
        for case in ((items, 0.0, 1), (items, BUDGET, 1)):
            module = "experiments.bench_scale.passes"
            command = [sys.executable, "-m", module, "--one", json.dumps(case)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(rows[-1]), flush=True)
    lines = [COLUMNS, ["---"] * len(COLUMNS), *([r[c] for c in COLUMNS] for r in rows)]
    for line in lines:
        print("|", " | ".join(map(str, line)), "|")
    name = "quick.json" if args.quick else "passes.json"
    facts = {"rows": rows, "cores": os.cpu_count(), "load_average": os.getloadavg()}
    (args.out / name).write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()

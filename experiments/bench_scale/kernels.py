"""Times every kernel beside the least that has to be done: bytes read, scenarios drawn.

    python -m experiments.bench_scale.kernels [--quick] [--items 250] [--device gpu]

One process, compiled before it is timed. Prints a table; writes `kernels.json` beside
this file (`kernels-gpu` on a GPU), `--quick` `quick.json`.
"""

import os
import time
from functools import partial

import numpy as np

from experiments import record
from experiments.bench_scale.run import draw_rows, floor

NODES, SCENARIOS = 40, 64
FEW, MANY = 5, 25  # passes over the atoms, to tell one pass from the rest


def seconds(call, repeats: int) -> dict:
    """CPU seconds of all threads: median, least and most of the repeats; and wall."""
    import jax

    jax.block_until_ready(call())
    cpus, walls = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"cpu": float(np.median(cpus)), "low": min(cpus), "high": max(cpus),
            "wall": float(np.median(walls))}  # fmt: skip


def planning(items: int, nodes: int, repeats: int):
    """What the planner is made of, a period for all: name, its seconds, floor's.

    Args:
      items: number of items.
      nodes: buildings.
      repeats: of each.
    """
    import jax
    import jax.numpy as jnp

    from experiments.bench_scale.instance import problem
    from meio_jax.config import Solver
    from meio_jax.dual.lagrangian import evaluate
    from meio_jax.horizon import first_period
    from meio_jax.planner import rows_for
    from meio_jax.recover.evaluate import Evaluator
    from meio_jax.recover.slopes import greedy_slopes
    from meio_jax.recover.units import unit_values
    from meio_jax.scenarios.sample import draw_sample

    made = problem(items, nodes=nodes, periods=2)
    made, sample = first_period(
        made, draw_sample(made, count=SCENARIOS, seed=0, balanced=True)
    )
    timed = partial(seconds, repeats=repeats)
    drawn = timed(lambda: floor(made, sample))
    yield "rows", "drawing and sorting", timed(lambda: draw_rows(made, sample)), drawn
    (rows,), _ = rows_for(made, sample, Solver())
    price = np.zeros((3, nodes, 1))
    price[0], price[2] = 0.01, 0.05
    wide, narrow = jnp.asarray(price), rows.atoms.dtype.type

    def look(passes: int, curved: bool = False):
        return evaluate(
            rows, wide, rows.anchor, jnp.asarray(narrow(0.3)), jnp.asarray(narrow(0.1)),
            flows=True, curved=curved, passes=passes, tolerance=0.0,
        )  # fmt: skip

    few, many = (timed(lambda n=n: look(n)) for n in (FEW, MANY))
    one = {k: max(many[k] - few[k], 0.0) / (MANY - FEW) for k in few}
    read = jax.jit(lambda x: x.sum())
    atoms = timed(lambda: read(rows.atoms))
    yield "one pass of the search", "reading the atoms", one, atoms
    curved = timed(lambda: look(FEW, True))
    rest = {k: max(curved[k] - FEW * one[k], 0.0) for k in few}
    yield "value, use, Jacobian after it", "one pass", rest, one
    targets = np.asarray(look(MANY).target, float).reshape(-1, 1, nodes)[:items]
    greedy = Evaluator(made, 0, sample)
    toll = np.zeros((made.regimes, nodes, 1))
    forward = timed(lambda: greedy(np.round(targets), toll).left)
    yield "greedy fulfilment", "drawing and sorting", forward, drawn
    worth = np.zeros((items, 1, made.regimes, nodes))
    slopes = timed(lambda: greedy_slopes(greedy, targets, toll, worth))
    yield "its slopes in all targets", "fulfilment itself", slopes, forward
    whole = jnp.round(look(MANY).target)
    units = timed(lambda: unit_values(rows, whole, less=False))
    yield "worth of single units", "reading the atoms", units, atoms


def others(items: int, repeats: int, quick: bool):
    """Kernels beside the planner: name, floor, its seconds, the floor's.

    Args:
      items: that share one capacity.
      repeats: of each.
      quick: a small simulator.
    """
    import jax
    import jax.numpy as jnp

    from experiments.bench_simulator.run import build, program
    from experiments.newsvendor_benchmark.run import instance
    from meio_jax.kernels.capacity import capacitated_newsvendor

    data = [jnp.asarray(x) for x in instance(items)]
    solve, read = jax.jit(capacitated_newsvendor), jax.jit(lambda x: x.sum())
    yield (
        f"{items:,} newsvendors, one capacity", "reading the samples",
        seconds(lambda: solve(*data).cost, repeats),
        seconds(lambda: read(data[0]), repeats),
    )  # fmt: skip
    size = (5, 2, 3, 6) if quick else (100, 16, 64, 52)
    system, target, path, state = build(*size, random_leads=False)
    run = program(system, size[-1], False)
    look = jax.jit(lambda p: [x.sum() for x in jax.tree.leaves(p)])
    once = seconds(lambda: look(path), repeats)
    plain = seconds(lambda: run(target, path, state), repeats)
    yield "simulator, 16 items", "reading demand and lead times", plain, once
    real = type(system)(**{**vars(system), "whole": False})
    slope = program(real, size[-1], True)
    both = seconds(lambda: slope(target, path, state), repeats)
    yield "simulator with gradient", "without", both, plain


def main(arguments: list[str] | None = None) -> None:
    """Times all kernels, from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--items", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu", "any"])
    args = parser.parse_args(arguments)
    import jax

    if args.device != "any":
        named = record.PLATFORMS.get(args.device, args.device)
        jax.config.update("jax_platforms", named)
    run = record.Record(args)
    items, nodes, repeats = args.items, NODES, args.repeats
    if args.quick:
        items, nodes, repeats = 16, 8, 1
    rows = []
    with jax.enable_x64(True):
        found = [*planning(items, nodes, repeats)]
        found += others(50 if args.quick else 100_000, repeats, args.quick)
    print("| kernel | floor | ms (range) | floor's ms | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, least, took, base in found:
        ratio = took["cpu"] / max(base["cpu"], 1e-9)
        ms = [f"{1e3 * took[k]:.3g}" for k in ("cpu", "low", "high")]
        print(f"| {name} | {least} | {ms[0]} ({ms[1]}-{ms[2]}) |", end=" ")
        print(f"{1e3 * base['cpu']:.3g} | {ratio:.3g} |", flush=True)
        rows.append({"kernel": name, "floor": least, "seconds": took,
                     "floor_seconds": base, "ratio": round(ratio, 2)})  # fmt: skip
    run.write(
        name="kernels-gpu" if args.device == "gpu" else "kernels", rows=rows,
        pairs=items * nodes, load_average=os.getloadavg(), cores=os.cpu_count(),
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Times the simulator: one warehouse, 100 stores, a year of weeks.

    python -m experiments.bench_simulator.run [--quick]

Writes `result.json` beside this file; `--quick` writes `quick.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from meio_jax.sim.policy import OrderUpTo
from meio_jax.sim.run import empty_state, no_limits, run
from meio_jax.sim.system import Paths, System

HERE = Path(__file__).parent
MEAN, LEADS = 5.0, (2, 1)  # a store's demand a week; weeks to the warehouse, a store


def build(stores: int, items: int, paths: int, periods: int, *, random_leads: bool):
    """A warehouse that supplies stores with lost sales; whole Poisson demand."""
    nodes, rng = stores + 1, np.random.default_rng(0)
    each = lambda x: jnp.full(items, x, jnp.float32)
    wide = lambda x: jnp.full((nodes, items), x, jnp.float32)
    free = jnp.zeros((nodes, nodes), jnp.float32)
    system = System(
        place=jnp.arange(nodes), home=jnp.arange(nodes), holding=wide(1.0),
        transit=wide(0.5), unit_cost=free, cost_per_weight=free, days_late=free,
        volume=each(1.0), weight=each(1.0), lost_cost=each(9.0), late_cost=each(0.0),
        wait_cost=each(0.0), parent=(-1, *[0] * stores),
    )  # fmt: skip
    demand = rng.poisson(MEAN, (periods, nodes, items, paths)).astype(np.float32)
    demand[:, 0] = 0
    most = np.array([LEADS[0]] + [LEADS[1]] * stores)
    lead = np.broadcast_to(most[:, None], (periods, nodes, paths))
    if random_leads:
        lead = lead + rng.integers(0, 2, lead.shape)
    regime = jnp.zeros((periods, paths), jnp.int32)
    path = Paths(jnp.asarray(demand), jnp.asarray(lead.astype(np.int32)), regime)
    target = np.full((1, nodes, items), MEAN * 2 + 4, np.float32)
    target[:, 0] = stores * MEAN * 3 + 3 * np.sqrt(stores * MEAN * 3)
    shelf = jnp.asarray(np.repeat(target[0, :, :, None], paths, 2))
    state = empty_state(system, shelf, int(lead.max()))
    return system, jnp.asarray(target), path, state


def program(system: System, periods: int, gradient: bool):
    """Mean cost of a path and period, or its slope in every target."""
    nodes, items = system.holding.shape
    limits = jax.tree.map(lambda x: x.astype(jnp.float32), no_limits(nodes, periods))
    toll = jnp.zeros((1, periods, nodes), jnp.float32)

    def cost(target, path, state):
        policy = OrderUpTo(target, toll, jnp.zeros((nodes, items), jnp.float32))
        trace = run((system,), (policy,), limits, (path,), (state,), (None,))
        return trace.ledgers[0].money.sum(axis=1).mean()

    return jax.jit(jax.value_and_grad(cost) if gradient else cost)


def memory(field: str) -> float:
    """VmRSS or VmHWM of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) / 2**10


def measure(args) -> dict:
    """Compiles and runs one case in this process."""
    stores, items, paths, periods = args.stores, args.items, args.paths, args.periods
    case = build(stores, items, paths, periods, random_leads=args.random_leads)
    system, target, path, state = jax.block_until_ready(case)
    if args.gradient:
        system = System(**{**vars(system), "whole": False})
    begin = time.perf_counter()
    call = program(system, periods, args.gradient).lower(target, path, state).compile()
    compile_seconds = time.perf_counter() - begin
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    held = memory("VmRSS")
    walls, cpus, out = [], [], None
    for _ in range(args.repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        out = jax.block_until_ready(call(target, path, state))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = memory("VmHWM") - held
    count = (stores + 1) * items * paths * periods
    cpu = float(np.median(cpus))
    cost = out[0] if args.gradient else out
    return {
        "stores": stores, "items": items, "paths": paths, "periods": periods,
        "random_leads": args.random_leads, "gradient": args.gradient,
        "node_periods": count, "compile_seconds": round(compile_seconds, 2),
        "wall_seconds": [round(x, 4) for x in walls],
        "cpu_seconds": [round(x, 4) for x in cpus],
        "million_node_periods_per_cpu_second": round(count / cpu / 1e6, 2),
        "cpu_ms_per_path_and_item": round(1e3 * cpu / paths / items, 4),
        "data_mb": round(sum(x.nbytes for x in jax.tree.leaves(path)) / 2**20),
        "peak_mb_above_data": round(peak),
        "cost": float(cost),
    }  # fmt: skip


CASES = [
    # items, paths, random leads, gradient
    (1, 64, False, False),
    (16, 64, False, False),
    (64, 64, False, False),
    (64, 256, False, False),
    (64, 64, True, False),
    (16, 64, False, True),
    (64, 64, False, True),
]


def apart(case, args) -> dict:
    """Measures one case in a process of its own, so that its peak memory is its own."""
    items, paths, random_leads, gradient = case
    command = [
        sys.executable, "-m", "experiments.bench_simulator.run", "--items", str(items),
        "--paths", str(paths), "--stores", str(args.stores),
        "--periods", str(args.periods), "--repeats", str(args.repeats),
    ]  # fmt: skip
    command += ["--random-leads"] * random_leads + ["--gradient"] * gradient
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def parse(argv):
    """Options, of the whole and of one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stores", type=int, default=100)
    parser.add_argument("--periods", type=int, default=52)
    parser.add_argument("--items", type=int, default=0, help="one case alone")
    parser.add_argument("--paths", type=int, default=64)
    parser.add_argument("--random-leads", action="store_true")
    parser.add_argument("--gradient", action="store_true")
    return parser.parse_args(argv)


def main(argv=None) -> None:
    """Runs the experiment, or one case of it, from the command line."""
    args = parse(argv)
    if args.items:
        print(json.dumps(measure(args)))
        return
    if args.quick:
        args.stores, args.periods, args.repeats = 5, 6, 1
        rows = []
        for gradient in (False, True):
            args.items, args.paths, args.gradient = 2, 3, gradient
            rows.append(measure(args))
    else:
        rows = [apart(case, args) for case in CASES]
    for row in rows:
        print(json.dumps(row), flush=True)
    document = {
        "rows": rows,
        "device": str(jax.devices()[0].device_kind),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy")},
    }
    name = "quick.json" if args.quick else "result.json"
    (args.out / name).write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

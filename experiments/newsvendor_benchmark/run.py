"""Times one capacity shared by 1e4 to 1e6 items: ours, NumPy and HiGHS.

    python -m experiments.newsvendor_benchmark.run [--quick]

All in one process, on the same samples. Writes `result.json` and `result.png` beside
this file; `--quick` writes `quick.json` and no picture.
"""

import json
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from experiments.newsvendor_benchmark.rivals import highs, numpy_bisection
from meio_jax.kernels.capacity import capacitated_newsvendor

HERE = Path(__file__).parent
SCENARIOS = 64
NAMES = {"ours": "meio_jax", "numpy": "NumPy bisection", "highs": "HiGHS"}


def instance(items: int, seed: int = 0) -> tuple:
    """Samples (items, 64), h, p, v, and 80% of the capacity that would be used."""
    rng = np.random.default_rng(seed)
    ranges = [(10, 100), (0.2, 0.6), (0.5, 2), (4, 20), (0.5, 2)]
    mean, cv, h, p, v = (rng.uniform(*ends, items) for ends in ranges)
    demand = rng.standard_normal((items, SCENARIOS))
    demand *= cv[:, None]
    demand += 1
    demand *= mean[:, None]
    np.maximum(demand, 0, out=demand)
    rank = np.ceil(p / (h + p) * SCENARIOS).astype(int) - 1
    used = 0.0
    for part in np.array_split(np.arange(items), max(items // 10_000, 1)):
        ordered = np.sort(demand[part], axis=1)
        used += v[part] @ ordered[np.arange(len(part)), rank[part]]
    return demand, h, p, v, 0.8 * used


def memory(field: str) -> float:
    """VmRSS or VmHWM of this process, GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) / 2**20


def measure(solve, repeats: int) -> dict:
    """Wall and CPU seconds (all threads) of each repeat, memory above what was held."""
    runs, level = [], None
    for _ in range(repeats):
        level = None
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
        held, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
        level, price, cost = solve()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        runs.append((wall, cpu, memory("VmHWM") - held))
    walls, cpus, peaks = zip(*runs, strict=True)
    return {
        "wall_seconds": [round(x, 5) for x in walls],
        "cpu_seconds": [round(x, 5) for x in cpus],
        "cpu_median": round(float(np.median(cpus)), 5),
        "memory_above_data_gb": round(max(peaks), 3),
        "objective": float(cost),
        "price": float(price),
        "use": float(level.sum()),
    }


def compare(items: int, repeats: int, with_highs: bool) -> dict:
    """All methods on one instance, and by how much they differ."""
    *arrays, capacity = instance(items)
    held = [jnp.asarray(x) for x in arrays]
    del arrays
    data = jax.block_until_ready((*held, jnp.asarray(capacity)))
    views = [np.asarray(x) for x in data[:-1]]  # of the same memory
    begin = time.perf_counter()
    compiled = jax.jit(capacitated_newsvendor).lower(*data).compile()
    compile_seconds = time.perf_counter() - begin
    last = {}

    def ours():
        last["ours"] = jax.block_until_ready(compiled(*data))
        found = last["ours"]
        return views[3] * np.asarray(found.level), found.price, found.cost

    def rival(solve):
        level, price, cost = solve(*views, capacity)
        return views[3] * level, price, cost

    methods = {"ours": ours, "numpy": lambda: rival(numpy_bisection)}
    if with_highs:
        methods["highs"] = lambda: rival(highs)
    rows = {name: measure(solve, repeats) for name, solve in methods.items()}
    found, mine = last["ours"], rows["ours"]
    for row in rows.values():
        row["objective_relative_to_ours"] = row["objective"] / mine["objective"] - 1
        row["price_relative_to_ours"] = row["price"] / mine["price"] - 1
        row["use_relative_to_capacity"] = row.pop("use") / capacity - 1
        row["cpu_relative_to_ours"] = round(row["cpu_median"] / mine["cpu_median"], 2)
    mine["compile_seconds"] = round(compile_seconds, 2)
    mine["looks"] = int(found.looks)
    mine["gap"] = float((found.cost - found.bound) / found.cost)
    gb = sum(x.nbytes for x in views) / 2**30
    return {"items": items, "data_gb": round(gb, 3), "methods": rows}


def draw(results: list[dict], path: Path) -> None:
    """CPU seconds against items, both on log scales; bars are the repeats' range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for name, label in NAMES.items():
        rows = [r for r in results if name in r["methods"]]
        items = [r["items"] for r in rows]
        cpu = np.array([r["methods"][name]["cpu_seconds"] for r in rows])
        middle = np.median(cpu, axis=1)
        spread = [middle - cpu.min(axis=1), cpu.max(axis=1) - middle]
        axes.errorbar(items, middle, spread, marker="o", capsize=3, label=label)
    axes.set(
        xscale="log", yscale="log", xlabel=f"items ({SCENARIOS} scenarios)",
        ylabel="CPU seconds, all threads",
        title="Newsvendors that share one capacity, solved exactly",
    )  # fmt: skip
    axes.grid(which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def processor() -> str:
    """The processor's name where Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def main() -> None:
    """Runs the experiment from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--items", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--highs-up-to", type=float, default=1e5)
    args = parser.parse_args()
    run = record.Record(args)
    jax.config.update("jax_enable_x64", True)
    sizes = [50, 200] if args.quick else [int(x) for x in args.items]
    repeats = 1 if args.quick else args.repeats
    results = []
    for items in sizes:
        results.append(compare(items, repeats, items <= args.highs_up_to))
        print(json.dumps(results[-1], indent=2), flush=True)
    run.write(
        scenarios=SCENARIOS, repeats=repeats, results=results, seed=0,
        machine=processor(), python=platform.python_version(),
    )  # fmt: skip
    if not args.quick:
        draw(results, args.out / "result.png")


if __name__ == "__main__":
    main()

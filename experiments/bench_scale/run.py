"""Times the planner on catalogues made in code, by items, nodes, scenarios, periods.

    python -m experiments.bench_scale.run [--quick] [--device gpu]

Every case runs in a process of its own. Prints a table; writes `result.json` and
`result.png` beside this file, `--quick` `quick.json` and no picture.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from experiments import record

CASE = {"items": 250, "nodes": 40, "periods": 13, "scenarios": 64}
CERTIFY = 8  # items that bounds are taken from: a cost that hangs on nothing else
CURVES = {
    "items": [25, 75, 250, 750, 2_500],
    "nodes": [10, 20],
    "scenarios": [16, 32],
    "periods": [1, 4],
}
COLUMNS = {
    "pairs": "pairs", "nodes": "nodes", "periods": "periods", "scenarios": "scen.",
    "floor_cpu": "floor CPU s", "rows_cpu": "rows CPU s", "prices_cpu": "prices CPU s",
    "plan_cpu": "plan CPU s", "bound_cpu": "bound CPU s",
    "wall": "wall s", "compile": "compile s", "evaluations": "evals",
    "ratio": "/floor", "rows_mb": "rows MB", "peak_mb": "peak MB", "gap": "gap",
}  # fmt: skip


class Clock:
    """CPU seconds of all threads, wall seconds, and seconds of compiling in them."""

    def __init__(self):
        import jax

        self.compiled, self.marks = 0.0, {}
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        self._last = self._now()

    def _hear(self, event: str, seconds: float, **_) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.compiled += seconds

    def _now(self):
        return time.process_time(), time.perf_counter(), self.compiled

    def mark(self, name: str) -> None:
        """Books what has passed since the last mark under a name."""
        now = self._now()
        spent = [a - b for a, b in zip(now, self._last, strict=True)]
        old = self.marks.get(name, (0.0,) * 3)
        self.marks[name] = tuple(a + b for a, b in zip(old, spent, strict=True))
        self._last = now


def floor(problem, sample, chunk: int = 8) -> None:
    """Draws every item's scenarios and sorts the sums of its tree once, keeps none."""
    import jax
    import jax.numpy as jnp

    from meio_jax.kernels.cost import cumulate
    from meio_jax.planner import coarse_group
    from meio_jax.scenarios.load import SlotSource
    from meio_jax.scenarios.sample import window_demand

    for k, group in enumerate(problem.groups):
        group = coarse_group(group)
        network = group.network
        source = SlotSource(problem, group, sample)
        pool = jnp.asarray(network.tree.pool_of[:, network.home])
        pools = len(network.tree.member)
        fixed = [jnp.asarray(x) for x in (source.slot, sample.lead[k], network.home)]
        draw = partial(window_demand, longest=sample.longest)

        @jax.jit
        def sums(slots, fixed, pool, draw=draw, pools=pools):
            def one(slots):
                demand = draw(slots, *fixed)
                total = cumulate(demand.reshape(demand.shape[0], -1), pool, pools, 1)
                return jnp.sort(total.reshape(pools, *demand.shape[1:]), axis=-1).sum()

            return jax.lax.map(one, slots)

        size = len(group.items)
        for first in range(0, size, chunk):
            slots = source(first, min(first + chunk, size))
            short = chunk - len(slots)
            jax.block_until_ready(
                sums(jnp.pad(slots, ((0, short), (0, 0), (0, 0))), fixed, pool)
            )


def draw_rows(problem, sample) -> int:
    """Builds what the planner reads of the scenarios, and gives its size in bytes."""
    import jax

    from meio_jax.config import Solver
    from meio_jax.dual.rows import build_rows
    from meio_jax.planner import coarse_group

    options, size = Solver(), 0
    for k, group in enumerate(problem.groups):
        rows = build_rows(
            problem, coarse_group(group), k, sample, count=options.levels,
            atoms=options.atoms,
        )  # fmt: skip
        size += sum(x.nbytes for x in jax.tree.leaves(jax.block_until_ready(rows)))
    return size


def peak() -> float:
    """Most memory that this process has held, MB; NaN where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def measure(items: int, nodes: int, periods: int, scenarios: int) -> dict:
    """One case in this process: the floor, the rows alone, then all of a solve.

    Args:
      items: number of items.
      nodes: buildings.
      periods: planned.
      scenarios: drawn.
    """
    import jax

    from experiments.bench_scale.instance import problem
    from meio_jax.config import Solver
    from meio_jax.planner import solve_problem
    from meio_jax.scenarios.sample import draw_sample

    case = problem(items, nodes=nodes, periods=periods)
    sample = draw_sample(case, count=scenarios, seed=0, balanced=True)
    clock = Clock()
    with jax.enable_x64(True):
        floor(case, sample)
    clock.mark("floor")
    held = draw_rows(case, sample)
    clock.mark("rows")
    part = {"ascend": "prices", "certify": "prices", "bound": "bound"}
    found = solve_problem(
        case,
        sample,
        Solver(certify=CERTIFY),
        lambda line: clock.mark(part.get(line.phase, "plan")),
    )
    clock.mark("plan")
    cpu = {name: spent[0] for name, spent in clock.marks.items()}
    own = [clock.marks[name] for name in ("prices", "plan", "bound")]
    busy = sum(spent[0] for spent in own)
    return {
        "pairs": items * nodes, "items": items, "nodes": nodes, "periods": periods,
        "scenarios": scenarios, **{f"{k}_cpu": round(v, 2) for k, v in cpu.items()},
        "wall": round(sum(spent[1] for spent in own), 2),
        "compile": round(sum(spent[2] for spent in own), 2),
        "ratio": round(busy / cpu["floor"], 1), "evaluations": found.evaluations,
        "priced": int((found.prices > 1e-9).sum()), "rows_mb": round(held / 2**20),
        "peak_mb": round(peak()),
        "cost": found.cost, "bound": found.bound, "gap": round(found.gap, 5),
        "status": found.status,
    }  # fmt: skip


def apart(case: dict, device: str) -> dict:
    """Measures one case in a process of its own."""
    flags = [f"--{name}={value}" for name, value in case.items()]
    command = [sys.executable, "-m", "experiments.bench_scale.run", "--one", *flags]
    platform = {} if device == "any" else {"JAX_PLATFORMS": device}
    done = subprocess.run(
        command, env=os.environ | platform, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict]) -> str:
    """The rows as a table of Markdown."""
    lines = [" | ".join(COLUMNS.values()), " | ".join("---" for _ in COLUMNS)]
    shown = lambda x: f"{x:,}" if isinstance(x, int) else str(x)
    lines += [" | ".join(shown(r.get(c, "")) for c in COLUMNS) for r in rows]
    return "\n".join(f"| {line} |" for line in lines)


def draw(rows: list[dict], path: Path) -> None:
    """CPU seconds by items, nodes, scenarios and periods, others as in `CASE`."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
    for axes, name in zip(panels, CURVES, strict=True):
        rest = {k: v for k, v in CASE.items() if k != name}
        here = [r for r in rows if all(r[k] == v for k, v in rest.items())]
        if not here:  # not run yet: no scale to draw on
            continue
        here.sort(key=lambda r: r[name])
        for part in ("floor", "rows", "prices", "plan", "bound"):
            seconds = [max(r.get(f"{part}_cpu", 0), 1e-2) for r in here]
            axes.plot([r[name] for r in here], seconds, "o-", label=part)
        axes.set(xscale="log", yscale="log", xlabel=name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("CPU seconds, compiling included")
    panels[0].legend()
    figure.savefig(path, dpi=120)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the whole and of one case."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu", "any"])
    parser.add_argument("--most", type=int, default=2_500, help="items at most")
    parser.add_argument("--one", action="store_true", help="one case, here")
    for name, value in CASE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs the suite, or one case of it, from the command line."""
    args = parse(arguments)
    if args.one:
        case = {name: getattr(args, name) for name in CASE}
        print(json.dumps(measure(**case)))
        return
    run = record.Record(args)
    facts = {"cores": os.cpu_count(), "certified_items": CERTIFY}
    cases = [CASE | {k: v} for k, values in CURVES.items() for v in values]
    rows = [measure(24, 8, 3, 8)] if args.quick else []
    for case in [] if args.quick else cases:
        if case["items"] <= args.most:
            rows.append(apart(case, args.device))
            print(json.dumps(rows[-1]), flush=True)
            run.write(rows=rows, load_average=os.getloadavg(), **facts)
            draw(rows, args.out / "result.png")
    print(table(rows))
    run.write(rows=rows, load_average=os.getloadavg(), **facts)


if __name__ == "__main__":
    main()

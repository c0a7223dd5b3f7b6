"""Times the planner on catalogues made in code, by items, nodes, scenarios, periods.

    python -m experiments.bench_scale.run [--quick] [--add] [--most 25000]
    python -m experiments.bench_scale.run --device gpu --most 250000 --twice 250000

Every case runs in a process of its own. Prints a table; writes `result.json` and
`result.png` beside this file (`result-gpu` on a GPU), `--quick` `quick.json` and no
picture.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import cache, partial
from pathlib import Path

import numpy as np

from experiments import record

CASE = {"items": 250, "nodes": 40, "periods": 13, "scenarios": 64, "season": 0}
SWING = 10  # percent by which capacities change where periods are counted
CERTIFY = 8  # items that bounds are taken from: a cost that hangs on nothing else
CURVES = {
    "items": [75, 250, 750, 2_500, 6_250, 25_000, 250_000],
    "nodes": [10, 20, 40],
    "scenarios": [16, 32, 64],
    "periods": [1, 4, 13],
}
COLUMNS = {
    "pairs": "pairs", "nodes": "nodes", "periods": "periods", "season": "swing %",
    "scenarios": "scen.", "floor_cpu": "floor CPU s", "rows_cpu": "rows CPU s",
    "prices_cpu": "prices", "corrections_cpu": "corrections", "plan_cpu": "plan",
    "bound_cpu": "bound", "solve_cpu": "all CPU s", "ratio": "/floor",
    "ratio_own": "/own floor", "first_cpu": "first time CPU s", "compile": "compile s",
    "wall": "wall s", "evaluations": "evals", "peak_mb": "peak MB", "gap": "gap",
}  # fmt: skip
PARTS = "solve", "corrections", "prices", "plan", "bound", "floor", "own"
STYLES = dict(
    solve="k-", floor="k--", own="k:", prices="o-", corrections="s-", plan="^-",
    bound="v-",
)  # fmt: skip
SAYS = {name: name for name in PARTS} | {
    "solve": "all of a solve", "floor": "floor", "own": "floor of what is solved",
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


def floor(problem, sample) -> None:
    """Draws every item's scenarios and sorts the sums of its tree once, keeps none."""
    import jax
    import jax.numpy as jnp

    from meio_jax.mesh import chunk_items
    from meio_jax.planner import coarse_group
    from meio_jax.scenarios.load import SlotSource

    for k, group in enumerate(problem.groups):
        group = coarse_group(group)
        network = group.network
        source = SlotSource(problem, group, sample)
        pool = jnp.asarray(network.tree.pool_of[:, network.home])
        fixed = [jnp.asarray(x) for x in (source.slot, sample.lead[k], network.home)]
        sums = _sums(len(network.tree.member), sample.longest)
        size = len(group.items)
        chunk = min(chunk_items(), size)
        for first in range(0, size, chunk):
            slots = source(first, min(first + chunk, size))
            short = chunk - len(slots)
            jax.block_until_ready(
                sums(jnp.pad(slots, ((0, short), (0, 0), (0, 0))), fixed, pool)
            )


@cache
def _sums(pools: int, longest: int):
    """Sums over the pools of a tree, sorted, of the scenarios of some items."""
    import jax
    import jax.numpy as jnp

    from meio_jax.kernels.cost import cumulate
    from meio_jax.scenarios.sample import window_demand

    @jax.jit
    def sums(slots, fixed, pool):
        def one(slots):
            demand = window_demand(slots, *fixed, longest=longest)
            total = cumulate(demand.reshape(demand.shape[0], -1), pool, pools, 1)
            return jnp.sort(total.reshape(pools, *demand.shape[1:]), axis=-1).sum()

        return jax.lax.map(one, slots)

    return sums


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


def measure(
    items: int, nodes: int, periods: int, scenarios: int, season: int, twice: int = 0
) -> dict:
    """One case in this process: the floor, the rows alone, then a solve, twice: the
    first one compiles, the second is booked.

    Args:
      items: number of items.
      nodes: buildings.
      periods: planned.
      scenarios: drawn.
      season: percent by which capacities swing.
      twice: items up to which it is solved twice; of more, compiling is booked too.
    """
    import jax

    from experiments.bench_scale.instance import problem
    from meio_jax.config import Solver
    from meio_jax.horizon import alike, first_period
    from meio_jax.mesh import chunk_items
    from meio_jax.planner import solve_problem
    from meio_jax.problem import take_items
    from meio_jax.scenarios.sample import draw_sample

    made = partial(problem, nodes=nodes, periods=periods, season=season / 100)
    case = made(items)
    sample = draw_sample(case, count=scenarios, seed=0, balanced=True)
    same = alike(case, sample)
    own = first_period(case, sample) if same else (case, sample)
    few = np.arange(min(chunk_items(), items))
    few = with_groups(case, tuple(take_items(g, few) for g in case.groups))
    clock = Clock()
    with jax.enable_x64(True):
        floor(few, sample)
        clock.mark("compile")
        floor(case, sample)
        clock.mark("floor")
        if same:
            floor(with_groups(own[0], few.groups), own[1])
            clock.mark("compile")
        floor(*own)
        clock.mark("own")
    draw_rows(case if items <= twice else few, sample)
    clock.mark("compile")
    held = draw_rows(case, sample)
    clock.mark("rows")
    part = dict.fromkeys(("sample", "ascend", "certify"), "prices")
    part |= {"bound": "bound", "correct": "corrections"}
    solve = partial(solve_problem, case, sample, Solver(certify=CERTIFY))
    before = clock.compiled
    if items <= twice:
        solve()
        clock.mark("first")
    found = solve(lambda line: clock.mark(part.get(line.phase, "plan")))
    clock.mark("plan")
    cpu = {name: spent[0] for name, spent in clock.marks.items()}
    every = [clock.marks[name] for name in PARTS[1:5] if name in clock.marks]
    busy = sum(spent[0] for spent in every)
    return {
        "pairs": items * nodes, "items": items, "nodes": nodes, "periods": periods,
        "scenarios": scenarios, "season": season,
        **{f"{k}_cpu": round(v, 2) for k, v in cpu.items()},
        "solve_cpu": round(busy, 2), "wall": round(sum(x[1] for x in every), 2),
        "compile": round(clock.compiled - before, 2), "once": items > twice,
        "floor_wall": round(clock.marks["floor"][1], 2),
        "ratio": round(busy / cpu["floor"], 1),
        "ratio_own": round(busy / cpu["own"], 1), "evaluations": found.evaluations,
        "priced": int((found.prices > 1e-9).sum()), "rows_mb": round(held / 2**20),
        "peak_mb": round(peak()),
        "cost": found.cost, "bound": found.bound, "gap": round(found.gap, 5),
        "status": found.status, "device": record.device(),
    }  # fmt: skip


def with_groups(problem, groups):
    """The problem of other groups."""
    import equinox as eqx

    return eqx.tree_at(lambda p: p.groups, problem, groups)


def apart(case: dict, device: str, twice: int) -> dict:
    """Measures one case in a process of its own."""
    flags = [f"--{name}={value}" for name, value in (case | {"twice": twice}).items()]
    command = [sys.executable, "-m", "experiments.bench_scale.run", "--one", *flags]
    named = record.PLATFORMS.get(device, device)
    platform = {} if device == "any" else {"JAX_PLATFORMS": named}
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


def case_of(curve: str) -> dict:
    """The case that a curve varies: periods are counted where they are not alike."""
    return CASE | ({"season": SWING} if curve == "periods" else {})


def draw(rows: list[dict], path: Path) -> None:
    """CPU seconds by items, nodes, scenarios and periods, others as in `CASE`."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter, NullLocator

    shown = {}
    for name in CURVES:
        rest = {k: v for k, v in case_of(name).items() if k != name}
        here = [r for r in rows if all(r[k] == v for k, v in rest.items())]
        if here:  # else not run yet: no scale to draw on
            shown[name] = sorted(here, key=lambda r: r[name])
    figure, panels = plt.subplots(
        1, len(shown), figsize=(3.3 * len(shown), 3.8), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axes, (name, here) in zip(panels[0], shown.items(), strict=True):
        at = [r[name] for r in here]
        for part in PARTS:
            seconds = [max(r.get(f"{part}_cpu", 0), 1e-2) for r in here]
            axes.plot(at, seconds, STYLES[part], label=SAYS[part])
        axes.set(xscale="log", yscale="log", xlabel=name, title=_title(name))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(at, [f"{x:,}" for x in at], fontsize=8)
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.10g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("CPU seconds, compiling apart")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside lower center",
        ncols=len(PARTS), frameon=False,
    )  # fmt: skip
    figure.savefig(path, dpi=120)


def _title(curve: str) -> str:
    case = case_of(curve)
    units = {"items": "items", "nodes": "nodes", "periods": "weeks"}
    parts = [f"{case[k]} {said}" for k, said in units.items() if k != curve]
    title = ", ".join(parts) + (", 64 scenarios" if curve != "scenarios" else "")
    return title + (f"\ncapacities swing by {SWING} %" if case["season"] else "\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the whole and of one case."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu", "any"])
    parser.add_argument("--most", type=int, default=2_500, help="items at most")
    parser.add_argument(
        "--twice", type=int, default=2_500, help="items up to which compiling is apart"
    )
    parser.add_argument("--add", action="store_true", help="only what is not measured")
    parser.add_argument("--one", action="store_true", help="one case, here")
    for name, value in CASE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs the suite, or one case of it, from the command line."""
    args = parse(arguments)
    if args.one:
        case = {name: getattr(args, name) for name in CASE}
        print(json.dumps(measure(**case, twice=args.twice)))
        return
    run = record.Record(args)
    name = "result-gpu" if args.device == "gpu" else "result"
    cases = [case_of(k) | {k: v} for k, values in CURVES.items() for v in values]
    rows = [measure(24, 8, 3, 8, 0, twice=24)] if args.quick else []
    if args.add:
        rows = json.loads((args.out / f"{name}.json").read_text())["rows"]

    def keep() -> None:
        run.write(
            name=name, rows=rows, load_average=os.getloadavg(), cores=os.cpu_count(),
            certified_items=CERTIFY, device=rows[-1]["device"],
        )  # fmt: skip

    for case in [] if args.quick else cases:
        if case["items"] <= args.most and not any(
            case.items() <= r.items() for r in rows
        ):
            rows.append(apart(case, args.device, args.twice))
            print(json.dumps(rows[-1]), flush=True)
            keep()
            draw(rows, args.out / f"{name}.png")
    print(table(rows))
    keep()


if __name__ == "__main__":
    main()

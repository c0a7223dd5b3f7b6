"""How far regimes of load close the gap that shared shocks open.

    python -m experiments.regimes.run [--quick]

Prints a line per case and writes `result.json` and `result.png` beside this file.
"""

import time
from pathlib import Path

import jax
import numpy as np

from experiments import record
from experiments.regimes.newsvendors import STAGES, Instance, real, solve, synthetic

REGIMES = 1, 2, 4, 8, 0  # 0: as many as there are scenarios
SCENARIOS = 64
WEEKS = 48  # of the demo, the last ones
CASES = {"independent items": 0.0, "common shock, CV 0.2": 0.2}
HISTORY = "real weeks, outbound {:g} x mean demand"


def instances(quick: bool) -> list[tuple[str, int, tuple[Instance, ...]]]:
    """Name, number of items and draws of every case."""
    sizes = (25,) if quick else (25, 100, 400, 1600)
    seeds = range(1 if quick else 5)
    scenarios = 16 if quick else SCENARIOS
    cases = [
        (name, n, tuple(synthetic(n, scenarios, common, seed) for seed in seeds))
        for name, common in CASES.items()
        for n in sizes
    ]
    for outbound in (1.0,) if quick else (0.9, 1.0, 1.2):
        weeks = real(16 if quick else WEEKS, outbound)
        cases.append((HISTORY.format(outbound), len(weeks.demand), (weeks,)))
    return cases


def measure(
    name: str, items: int, draws: tuple[Instance, ...], tried: tuple[int, ...]
) -> list[dict]:
    """Mean gap over the draws at every number of regimes tried; 0 is one a scenario."""
    rows = []
    scenarios = draws[0].demand.shape[1]
    for regimes in (k or scenarios for k in tried):
        begin = time.perf_counter()
        solve(draws[0], regimes)
        first = time.perf_counter() - begin
        begin = time.perf_counter()
        results = [solve(draw, regimes) for draw in draws]
        seconds = (time.perf_counter() - begin) / len(draws)
        gaps = [r.gap for r in results]
        rows.append(
            {
                "case": name,
                "items": items,
                "regimes": regimes,
                "scenarios": scenarios,
                "gap": float(np.mean(gaps)),
                "gap_least": float(np.min(gaps)),
                "gap_most": float(np.max(gaps)),
                "cost": float(np.mean([r.cost for r in results])),
                "bound": float(np.mean([r.bound for r in results])),
                "evaluations": float(np.mean([r.evaluations for r in results])),
                "seconds": round(seconds, 3),
                "seconds_compiling": round(max(first - seconds, 0), 2),
            }
        )
        print(
            f"{name:<42}{items:>6}{regimes:>4}{rows[-1]['gap']:>10.3%}{seconds:>8.2f} s"
        )
    return rows


def draw(rows: list[dict], path: Path) -> None:
    """Gap by regimes, and gap by items, on double logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 4.8), sharey=True, layout="constrained"
    )
    largest = max(r["items"] for r in rows if r["case"] in CASES)
    for name in dict.fromkeys(r["case"] for r in rows):
        size = largest if name in CASES else None
        line = [r for r in rows if r["case"] == name and size in (None, r["items"])]
        left.plot(
            [r["regimes"] for r in line], [100 * r["gap"] for r in line], "o-",
            label=f"{name}, {line[0]['items']:,} items",
        )  # fmt: skip
    for case, name in enumerate(CASES):
        for regimes, style in ((1, "o-"), (8, "s--")):
            line = [r for r in rows if (r["case"], r["regimes"]) == (name, regimes)]
            right.plot(
                [r["items"] for r in line], [100 * r["gap"] for r in line], style,
                color=f"C{case}",
                label=f"{name}, {regimes} regime{'s' * (regimes > 1)}",
            )  # fmt: skip
    left.set(xlabel="regimes of load; last: one a scenario")
    left.set(ylabel="certified gap, % of the plan's cost")
    right.set(xlabel="items")
    counts = sorted({r["regimes"] for r in rows})
    sizes = sorted({r["items"] for r in rows if r["case"] in CASES})
    for axes, ticks in ((left, counts), (right, sizes)):
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(ticks, [f"{k:,}" for k in ticks])
        axes.xaxis.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = record.parser(__doc__, __file__).parse_args(arguments)
    run = record.Record(args)
    with jax.enable_x64(True):
        tried = (1, 8) if args.quick else REGIMES
        rows = [row for case in instances(args.quick) for row in measure(*case, tried)]
    run.write(regimes=tried, smoothing=STAGES, seeds="0 to 4; quick: 0", rows=rows)
    if not args.quick:
        draw(rows, args.out / "result.png")


if __name__ == "__main__":
    main()

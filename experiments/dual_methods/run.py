"""Evaluations of the full dual that ways of ascent need, by horizon.

    python -m experiments.dual_methods.run [--quick]

Prints a line per method and horizon; writes `result.json` and `result.png` beside this
file.
"""

import time
from pathlib import Path

import jax
import numpy as np
import optax

from experiments import record
from experiments.dual_methods.instance import SOFTNESS, STAGE, dual
from meio_jax.dual.ascend import LBFGS, FirstOrder, Newton, residuals

GAPS = 1e-2, 1e-3, 1e-4, 1e-5
TICKS = 1, 2, 5, 10, 20, 60  # evaluations
GROWTH = 0.01  # of demand, before the warm start


def methods():
    """The ways of ascent, each with no reason of its own to stop."""
    common = dict(stages=(STAGE,), softness=SOFTNESS, gap=0.0, violation=0.0)
    return {
        "newton": Newton(**common),
        "lbfgs": LBFGS(**common),
        "adam": FirstOrder(optax.adam(0.1), unit=30.0, **common),
    }


def climb(method, made, price, targets, most):
    """Best value, violation and seconds after every evaluation, and the last state."""
    made.evaluations = 0
    begin = time.perf_counter()
    state = method.init(made, price, targets)
    trace, best = [], -np.inf
    while True:
        best = max(best, state.evaluated.value)
        over = residuals(made, state.point).violation
        trace.append((best, over, time.perf_counter() - begin))
        if made.evaluations >= most or state.stalled >= 12:
            return trace, state
        state = method.step(made, state)


def counts(trace, top):
    """Evaluations and seconds to each relative gap, null where it was not reached, and
    evaluations to a violation of 1e-3."""
    gaps = [(top - best) / abs(top) for best, _, _ in trace]
    first = [next((k for k, g in enumerate(gaps) if g <= goal), None) for goal in GAPS]
    seconds = [None if k is None else round(trace[k][2], 2) for k in first]
    within = next((k + 1 for k, t in enumerate(trace) if t[1] <= 1e-3), None)
    return {
        "evaluations": [None if k is None else k + 1 for k in first],
        "seconds": seconds,
        "to_violation_1e-3": within,
        "gap_after": float(f"{gaps[-1]:.3g}"),
        "evaluated": len(trace),
        "gaps": [float(f"{g:.3g}") for g in gaps],
    }


def measure(items: int, periods: int, most: int) -> list[dict]:
    """Every method cold, then warm from the cold prices after a change of demand."""
    made, grown = dual(items, periods), dual(items, periods, GROWTH)
    zero, start = np.zeros(made.limited.size), made.start()
    newton = methods()["newton"]
    for one in methods().values():  # compiles
        climb(one, made, zero, start, 2)
    _, state = climb(newton, made, zero, start, 80)
    _, again = climb(newton, grown, state.point.price, state.point.targets, 80)
    rows = []
    for name, method in methods().items():
        for kind, on, top in (("cold", made, state), ("warm", grown, again)):
            from_ = state.point if kind == "warm" else None
            price, targets = (from_.price, from_.targets) if from_ else (zero, start)
            trace, _ = climb(method, on, price, targets, most)
            found = counts(trace, top.point.value)
            rows.append(
                {"method": name, "periods": periods, "start": kind,
                 "capacities": int(zero.size), **found}
            )  # fmt: skip
            print(
                f"{name:<8}{periods:>3} periods {kind} {found['evaluations']} "
                f"evaluations, {found['seconds']} s, violation 1e-3 after "
                f"{found['to_violation_1e-3']}",
                flush=True,
            )
    return rows


def draw(rows: list[dict], path: Path) -> None:
    """Relative gap by evaluations, a panel per horizon."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    horizons = sorted({r["periods"] for r in rows})
    figure, panels = plt.subplots(
        1, len(horizons), figsize=(10, 3.8), sharey=True, layout="constrained"
    )
    colours = {"newton": "C0", "lbfgs": "C1", "adam": "C2"}
    for axes, periods in zip(panels, horizons, strict=True):
        for r in rows:
            if r["periods"] == periods:
                style = "-" if r["start"] == "cold" else ":"
                gaps = np.maximum(r["gaps"], 1e-8)
                axes.plot(
                    np.arange(1, len(gaps) + 1), gaps, style,
                    color=colours[r["method"]], label=f"{r['method']}, {r['start']}",
                )  # fmt: skip
        axes.set(title=f"{periods} periods", xlabel="evaluations", xscale="log")
        axes.set(yscale="log")
        axes.set_xticks(TICKS, [str(k) for k in TICKS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("relative dual gap, 1e-8 or less")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = record.parser(__doc__, __file__).parse_args(arguments)
    run = record.Record(args)
    items, horizons, most = (8, (2,), 20) if args.quick else (100, (2, 6, 13), 60)
    with jax.enable_x64(True):
        rows = [row for periods in horizons for row in measure(items, periods, most)]
    run.write(
        items=items, gaps=GAPS, growth_before_warm_start=GROWTH,
        most_evaluations=most, seed=0, rows=rows,
    )  # fmt: skip
    if not args.quick:
        draw(rows, args.out / "result.png")


if __name__ == "__main__":
    main()

"""What an hour of order cut-off is worth: planned anew, simulated, and for nothing.

    python -m experiments.lab3_cutoffs.run [--paths 64] [--quick]

Prints a line per shift; writes `result.json` and `result.png` beside this file.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from experiments import labs, record
from experiments.labs import Lab
from meio_jax.kernels.cost import serve_cost
from meio_jax.problem import Group
from meio_jax.stats import interval, paired
from meio_jax.tables import Tables

COST, PROMISE = "cost per period", "on promise rate"
OFF = "off"
SHIFTS = [-4, -3, -2, -1, 0, 1, 2, 3, 4, OFF]
PLANNED = [-4, -2, 2, 4, OFF]  # planned anew; 0 is the base


def shifted(tables: Tables, shift: int | str) -> Tables:
    """Every cut-off moved by hours, within the day; off: all orders are in time.

    A cut-off of 24 says that there is a day to spare, and stays.

    Args:
      tables: with ship options.
      shift: hours, or `OFF`.
    """
    frame = tables.ship_options.copy()
    hour = pd.to_numeric(frame["cutoff_hour"])
    moved = 24.0 if shift == OFF else np.clip(hour + shift, 0, 24)
    frame["cutoff_hour"] = np.where(hour < 24, moved, hour).astype(str)
    return replace(tables, ship_options=frame)


def cheapest(lab: Lab, samples) -> float:
    """Mean cost of a week, money, if every unit were served where that is cheapest.

    sum over items i, regions r and parts q of E[D_ir] share_rq min(min_n c_inq, p_i):
    its difference between two cut-offs is phi(H) E[D] times the difference in marginal
    cost, summed over hours, with the cost of a node that always has stock as marginal
    cost. Nothing is simulated.
    """
    periods = lab.problem.periods
    weeks = np.concatenate([s.slot[:, :periods].ravel() for s in samples])
    used = np.bincount(weeks, minlength=lab.problem.slots) / len(weeks)
    return float(sum(_cheapest(group, used) for group in lab.problem.groups))


def _cheapest(group: Group, used) -> float:
    network, items, cells = group.network, group.items, group.demand
    regions = 1 + max(network.part_region.max(), cells.region.max())
    item = np.repeat(np.arange(len(items)), np.diff(cells.start))
    units = np.zeros((len(items), regions))
    np.add.at(units, (item, cells.region), cells.quantity * used[cells.slot])
    share = np.zeros((regions, len(network.home)))
    np.add.at(share, (network.part_region, network.part_class), network.part_share)
    services = network.unit_cost, network.cost_per_weight, network.days_late
    total = 0.0
    for i, row in enumerate(units @ share):
        cost = serve_cost(services, items.weight[i], items.late_cost[i])
        total += row @ np.minimum(cost.min(axis=0), items.penalty[i])
    return network.spread * total


def measure(args) -> list[dict]:
    """A row per shift: the base plan's targets, a new plan's, and the formula."""
    tables, rows = labs.demo_tables(), []
    base = labs.demo_lab(args.quick, shifted(tables, 0))
    plan, samples = labs.plan(base), labs.fresh_paths(base, args.paths)
    usual = labs.simulate(base, [plan], samples)["plan"]
    for shift in [-2, 0, OFF] if args.quick else SHIFTS:
        lab = labs.demo_lab(args.quick, shifted(tables, shift))
        made = [plan._replace(name="kept")]
        if shift in PLANNED and not args.quick:
            made.append(labs.plan(lab, "planned anew"))
        found = labs.simulate(lab, made, samples)
        if shift == 0:
            found["planned anew"] = usual
        row = {"shift": shift, "cheapest": cheapest(lab, samples)}
        for name, values in found.items():
            gap = paired(values[COST], usual[COST]).difference
            row[name] = {
                "cost": labs.rounded(interval(values[COST])._asdict()),
                "more": labs.rounded(gap._asdict()),
                "on_promise": float(values[PROMISE].mean()),
            }
        rows.append(row)
        text = [
            f"{name} {row[name]['more']['mean']:+9,.1f} "
            f"[{row[name]['more']['low']:+,.1f}, {row[name]['more']['high']:+,.1f}] "
            f"promise {row[name]['on_promise']:.4f}"
            for name in found
        ]
        print(f"{shift:>4}  cheapest {row['cheapest']:,.1f}  " + "  ".join(text))
    return rows


def slopes(rows: list[dict], hours: int) -> dict[str, float]:
    """Money a week and hour between shifts of -hours and hours, each way."""
    by = {row["shift"]: row for row in rows}
    one, other = by[hours], by[-hours]
    found = {"cheapest": (one["cheapest"] - other["cheapest"]) / (2 * hours)}
    for name in ("kept", "planned anew"):
        if name in one:
            gap = one[name]["more"]["mean"] - other[name]["more"]["mean"]
            found[name] = gap / (2 * hours)
    return found


def draw_figure(rows: list[dict], path) -> None:
    """Cost by hours, less that of the base."""
    plt = labs.pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    place = {row["shift"]: 6 if row["shift"] == OFF else row["shift"] for row in rows}
    zero = next(r for r in rows if r["shift"] == 0)["cheapest"]
    mid = [place[r["shift"]] for r in rows]
    values = [r["cheapest"] - zero for r in rows]
    axes.plot(
        mid[:-1], values[:-1], "-", color=labs.BLACK, label="formula, nothing simulated"
    )
    axes.plot(mid[-1:], values[-1:], "_", ms=14, color=labs.BLACK)
    style = {
        "kept": (labs.COLORS[1], "s", 0.1, "base plan's targets, simulated"),
        "planned anew": (labs.COLORS[0], "o", -0.1, "planned anew, simulated"),
    }
    for name, (color, mark, beside, label) in style.items():
        some = [r for r in rows if name in r]
        mean, low, high = (
            np.array([r[name]["more"][k] for r in some])
            for k in ("mean", "low", "high")
        )
        x = [place[r["shift"]] + beside for r in some]
        error = [mean - low, high - mean]
        axes.errorbar(
            x, mean, yerr=error, fmt=mark, color=color, label=label, capsize=2
        )
    axes.axhline(0, color=labs.BLACK, lw=0.6)
    names = [str(s) if s in (0, OFF) else f"{s:+d}" for s in (r["shift"] for r in rows)]
    axes.set_xticks(mid, names)
    axes.set(xlabel="cut-offs later by, hours", ylabel="cost more, USD a week")
    axes.legend()
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = labs.arguments(__doc__, __file__, arguments, paths=(64, 8))
    run = record.Record(args)
    rows = measure(args)
    by_hour = {} if args.quick else {str(h): slopes(rows, h) for h in (1, 2, 4)}
    run.write(rows=rows, per_hour=by_hour)
    if not args.quick:
        draw_figure(rows, args.out / "result.png")


if __name__ == "__main__":
    main()

"""Targets that see the network against targets that see one node at a time.

    python -m experiments.lab1_network.run [--paths 64] [--quick]

Prints a line per policy; writes `result.json` and `result.png` beside this file.
"""

import numpy as np

from experiments import labs, record
from experiments.labs import Lab
from meio_jax import policies
from meio_jax.sim.lab import Decision
from meio_jax.sim.recipe import whole_targets

COST, STOCK = "cost per period", "stock units"
FINE, REST = "overage cost per period", "cost less overage"
SHOWN = [
    COST, "on promise rate", "fill rate", "shipping cost per unit", "local share",
    "in-region share", STOCK, FINE, REST,
]  # fmt: skip
STEPS = 9  # of bisection


def simulate(lab: Lab, decisions, samples) -> dict:
    """Every metric by path, and the cost of all but stock above storage."""
    found = labs.simulate(lab, decisions, samples)
    for values in found.values():
        values[REST] = values[COST] - values.get(FINE, 0)
    return found


def rivals(lab: Lab) -> list[Decision]:
    """Rules without a network or without chance, on the same scenarios, cut to
    storage."""
    rules = [
        policies.base_stock(),
        policies.base_stock(shortage="next_best"),
        policies.days_of_cover(),
        policies.fluid(lab.solver),
        policies.fluid_lp(),
    ]
    return [rule.decide(lab.problem, lab.sample) for rule in rules]


def scaled(lab: Lab, decision: Decision, factor: float) -> Decision:
    """All targets times one factor, whole and within their bounds."""
    targets = tuple(
        whole_targets(lab.problem, k, factor * y)
        for k, y in enumerate(decision.targets)
    )
    return decision._replace(targets=targets)


def at_stock(lab: Lab, decision: Decision, samples, stock: float, steps: int):
    """The decision scaled to a mean stock on the samples, and the factor: bisection on
    the factor's logarithm."""
    low, high, factor = 0.25, 4.0, 1.0
    for _ in range(steps):
        factor = float(np.sqrt(low * high))
        found = simulate(lab, [scaled(lab, decision, factor)], samples)
        above = found[decision.name][STOCK].mean() > stock
        low, high = (low, factor) if above else (factor, high)
    factor = float(np.sqrt(low * high))
    return scaled(lab, decision, factor), factor


def show(title: str, table: dict) -> None:
    """One line per policy."""
    print(title)
    for name, row in table.items():
        cells = [f"{w.split(' ')[0]} {row[w]['mean']:,.4g}" for w in SHOWN]
        print(f"  {name:<22}" + "  ".join(cells), flush=True)


def draw_figure(free: dict, equal: dict, path) -> None:
    """Cost, promise, local share and shipping of every policy, both ways."""
    plt = labs.pyplot()
    words = {
        COST: ("cost, USD a week", 1), "on promise rate": ("on promise, %", 100),
        "local share": ("local share, %", 100),
        "shipping cost per unit": ("shipping, USD a unit", 1),
    }  # fmt: skip
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.2), layout="constrained")
    names = list(free)
    for axis, (word, (label, unit)) in zip(axes, words.items(), strict=True):
        for table, color, mark, up in (
            (free, labs.COLORS[0], "o", 0.13), (equal, labs.COLORS[1], "s", -0.13),
        ):  # fmt: skip
            rows = [table[n][word] for n in names]
            mid = unit * np.array([r["mean"] for r in rows])
            ends = unit * np.array([[r["low"], r["high"]] for r in rows]).T
            place = np.arange(len(names))[::-1] + up
            error = np.abs(ends - mid)
            axis.errorbar(mid, place, xerr=error, fmt=mark, color=color, capsize=2)
        axis.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))
        axis.set_yticks(np.arange(len(names))[::-1], names if axis is axes[0] else [])
        axis.locator_params(axis="x", nbins=5)
    marks = [
        plt.Line2D([], [], color=c, marker=m, ls="", label=t)
        for c, m, t in (
            (labs.COLORS[0], "o", "as decided"),
            (labs.COLORS[1], "s", "scaled to the plan's mean stock"),
        )
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = labs.arguments(__doc__, __file__, arguments, paths=(64, 8))
    run = record.Record(args)
    lab = labs.demo_lab(args.quick)
    plan, others = labs.plan(lab), rivals(lab)
    judge = labs.fresh_paths(lab, args.paths)
    free = labs.compare(simulate(lab, [plan, *others], judge), "plan", SHOWN)
    show("as decided", free)
    choose = labs.fresh_paths(lab, args.paths, labs.CHOOSE)
    stock = simulate(lab, [plan], choose)["plan"][STOCK].mean()
    steps = 2 if args.quick else STEPS
    fitted = [at_stock(lab, other, choose, stock, steps) for other in others]
    same = [plan, *(decision for decision, _ in fitted)]
    equal = labs.compare(simulate(lab, same, judge), "plan", SHOWN)
    show("at the plan's stock", equal)
    factors = {d.name: round(f, 4) for d, f in fitted}
    run.write(
        as_decided=free, at_equal_stock=equal, factors=factors,
        seeds={"plan": labs.SEED, "family chosen": 1, "family judged": 2},
    )  # fmt: skip
    if not args.quick:
        draw_figure(free, equal, args.out / "result.png")


if __name__ == "__main__":
    main()

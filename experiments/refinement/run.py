"""What refining a plan by simulation gains on fresh paths, and where it comes from.

    python -m experiments.refinement.run [--quick]

Plans the shipped demo, refines the plan and, on the same paths, node-wise newsvendors,
and simulates all of them on fresh paths. Writes `result.json` and `result.png`.
"""

import time

import jax
import numpy as np

from experiments import labs
from experiments.record import Record, parser
from meio_jax import policies
from meio_jax.scenarios.sample import seeds_of
from meio_jax.sim.lab import Decision
from meio_jax.sim.refine import refine

BATCHES, STEPS = 24, 3  # batches that steps go through in turn; their family of seeds
SHOWN = [
    "cost per period", "holding cost per period", "shipping cost per period",
    "late cost per period", "lost sales cost per period", "overage cost per period",
    "fill rate", "on promise rate", "local share", "stock units",
    "storage above capacity, share of node-periods",
]  # fmt: skip


def refined(lab, start: Decision, *, steps, paths, selection, rate=0.3):
    """The decision refined, under a name of its own, with its checks and seconds."""
    draw, begin = labs.drawer(lab), time.perf_counter()
    found = refine(
        lab.problem, start, lab.sample,
        [draw(count=paths, seed=s) for s in seeds_of(labs.SEED, STEPS, BATCHES)],
        labs.fresh_paths(lab, selection, labs.CHOOSE),
        days=labs.DAYS, steps=steps, rate=rate,
        callback=lambda score: print(f"  {start.name}  {score:,.0f}", flush=True),
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    name = f"{start.name}, refined"
    return found._replace(decision=found.decision._replace(name=name)), seconds


def picture(checks, file) -> None:
    """Score on the paths of selection, step by step."""
    plt = labs.pyplot()
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for (name, steps), mark, color in zip(
        checks.items(), "os", labs.COLORS, strict=False
    ):
        x, y = np.array(steps).T
        axes.plot(x, y, marker=mark, markersize=4, color=color, label=name)
    axes.set(xlabel="step, of 8 paths each", ylabel="score a week, USD")
    axes.set_title("Simulated cost, overfull storage charged, on 64 paths of selection")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Runs the experiment from the command line."""
    args = parser(__doc__, __file__).parse_args()
    record, lab = Record(args), labs.demo_lab(args.quick)
    sizes = dict(steps=60, paths=8, selection=64)
    if args.quick:
        sizes = dict(steps=4, paths=2, selection=4)
    with jax.enable_x64(True):
        plan = labs.plan(lab)
    nodewise = policies.base_stock().decide(lab.problem, lab.sample)
    better, seconds = refined(lab, plan, **sizes)
    told = {"plan": (better, seconds)}
    if not args.quick:
        told[nodewise.name] = refined(lab, nodewise, **sizes)
    decisions = [
        plan, better.decision,
        plan._replace(name="plan, targets refined", targets=better.decision.targets),
        plan._replace(name="plan, limits refined", reserves=better.decision.reserves),
        nodewise, *(found.decision for found, _ in list(told.values())[1:]),
    ]  # fmt: skip
    fresh = labs.fresh_paths(lab, 4 if args.quick else 256)
    found = labs.simulate(lab, decisions, fresh)
    moved = sum(
        np.abs(y - z).sum()
        for y, z in zip(better.decision.targets, plan.targets, strict=True)
    )
    checks = {name: found.scores for name, (found, _) in told.items()}
    record.write(
        table=labs.compare(found, "plan", SHOWN), checks=checks,
        targets_moved=float(moved / sum(z.sum() for z in plan.targets)),
        targets_grown=float(
            sum(y.sum() for y in better.decision.targets)
            / sum(z.sum() for z in plan.targets)
            - 1
        ),
        spill_limit_units=float(sum(r.sum() for r in better.decision.reserves)),
        seconds_refining={name: spent for name, (_, spent) in told.items()},
    )  # fmt: skip
    if not args.quick:
        picture(checks, args.out / "result.png")


if __name__ == "__main__":
    main()

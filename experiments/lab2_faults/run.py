"""What faults cost a plan and a node-wise rule that know nothing of them.

    python -m experiments.lab2_faults.run [--paths 64] [--quick]

Prints a line per fault and policy; writes `result.json` and `result.png` beside this
file.
"""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import numpy as np

from experiments import labs, record
from experiments.backtest.run import between
from experiments.labs import Lab
from meio_jax import policies
from meio_jax.dual.use import window_tolls
from meio_jax.planner import solve_problem, targets_at
from meio_jax.problem import Demand, Problem
from meio_jax.scenarios.sample import Sample, draw_sample
from meio_jax.sim.lab import Decision
from meio_jax.solution import Solution
from meio_jax.stats import holm, paired

COST, PROMISE = "cost per period", "on promise rate"
OVER, FINE = "storage above capacity, mean", "overage cost per period"


class Case(NamedTuple):
    """Decisions and the truth that they meet.

    Attributes:
      fault: what goes wrong; "" for nothing.
      strength: how much of it.
      kind: "unplanned"; "known" where the decisions know of the fault.
      decisions: the plan's, then the rule's if there is one.
      truth: what is simulated.
      samples: its paths.
      beside: fault and strength of the case whose cost this is relative to.
    """

    fault: str
    strength: str
    kind: str
    decisions: list[Decision]
    truth: Lab
    samples: list[Sample]
    beside: tuple[str, str] = ("", "")


def decide(lab: Lab) -> tuple[list[Decision], Solution]:
    """What the plan and the rule decide of a lab, and the solution of the plan."""
    found = solve_problem(lab.problem, lab.sample, lab.solver)
    rule = policies.base_stock().decide(lab.problem, lab.sample)
    return [labs.decision("plan", lab.problem, found), rule], found


def hit(lab: Lab) -> slice:
    """The periods in which something happens: the middle half."""
    return slice(lab.problem.periods // 4, 3 * lab.problem.periods // 4)


def as_of(lab: Lab, ago: int) -> Lab:
    """What was known so many weeks ago."""
    problem, week = lab.problem, lab.problem.slots - ago
    groups = tuple(
        replace(group, demand=between(group.demand, 0, week))
        for group in problem.groups
    )
    problem = replace(problem, groups=groups, slots=week)
    sample = draw_sample(
        problem, count=len(lab.sample.weight), seed=labs.SEED, block=lab.block,
        balanced=True,
    )  # fmt: skip
    return lab._replace(problem=problem, sample=sample)


def at_prices(lab: Lab, found: Solution) -> Decision:
    """The targets of a lab that are best at the prices and corrections of a solution,
    and its tolls."""
    problem = lab.problem
    targets = targets_at(problem, lab.sample, lab.solver, found.prices, found.tilts)
    tolls = tuple(
        window_tolls(found.prices[:, g.network.node], lab.sample.window(k))
        for k, g in enumerate(problem.groups)
    )
    return labs.decision("plan", problem, found)._replace(targets=targets, tolls=tolls)


def wrong_volumes(lab: Lab, spread: float) -> Lab:
    """Volumes times a lognormal error of mean 1, the same draw for every spread."""
    rng, groups = np.random.default_rng([labs.SEED, 5]), []
    for group in lab.problem.groups:
        noise = rng.standard_normal(len(group.items))
        volume = group.items.volume * np.exp(spread * noise - spread**2 / 2)
        groups.append(replace(group, items=replace(group.items, volume=volume)))
    return lab._replace(problem=replace(lab.problem, groups=tuple(groups)))


def later(samples: list[Sample], share: float) -> list[Sample]:
    """A share of all orders arrives a period later; more share, the same and others."""
    rng = np.random.default_rng([labs.SEED, 6])
    delay = lambda lead: lead + (rng.random(lead.shape) < share)
    return [
        eqx.tree_at(lambda s: s.lead, sample, tuple(map(delay, sample.lead)))
        for sample in samples
    ]


def buildings(lab: Lab) -> dict[str, int]:
    """A middle building and the largest, by what they can ship."""
    nodes = np.unique(np.concatenate([g.network.node for g in lab.problem.groups]))
    order = nodes[np.argsort(lab.problem.outbound[nodes, 0], kind="stable")]
    return {"a middle building": order[len(order) // 2], "the largest": order[-1]}


def closed(lab: Lab, node: int) -> Lab:
    """Nothing is received or shipped at a node while the building is closed."""
    inbound, outbound = lab.problem.inbound.copy(), lab.problem.outbound.copy()
    inbound[node, hit(lab)] = outbound[node, hit(lab)] = 0
    return lab._replace(
        problem=replace(lab.problem, inbound=inbound, outbound=outbound)
    )


def without(lab: Lab, node: int) -> Lab:
    """The problem of a network that has no stock at a node."""
    groups = []
    for group in lab.problem.groups:
        here = group.network.node == node
        upper = np.where(here, 0, group.items.upper)
        groups.append(replace(group, items=replace(group.items, upper=upper)))
    return lab._replace(problem=replace(lab.problem, groups=tuple(groups)))


def spliced(lab: Lab, usual: Decision, other: Decision) -> Decision:
    """Another decision from the period before something happens until it ends."""
    now = slice(hit(lab).start - 1, hit(lab).stop)

    def put(here, there, axis):
        made = here.copy()
        place = (slice(None),) * axis + (now,)
        made[place] = there[place]
        return made

    def each(key, axis):
        pairs = zip(getattr(usual, key), getattr(other, key), strict=True)
        return tuple(put(*pair, axis) for pair in pairs)

    return usual._replace(targets=each("targets", 1), tolls=each("tolls", 2))


def with_shock(problem: Problem, factor: float) -> Problem:
    """The history, and behind it the same weeks with demand times a factor, rounded to
    whole units at random."""
    rng, groups = np.random.default_rng([labs.SEED, 7]), []
    for group in problem.groups:
        cells = group.demand
        item = np.repeat(np.arange(len(group.items)), np.diff(cells.start))
        units = np.floor(factor * cells.quantity + rng.random(len(item)))
        order = np.argsort(np.tile(item, 2), kind="stable")
        join = lambda one, two, order=order: np.concatenate([one, two])[order]
        demand = Demand(
            start=2 * cells.start,
            slot=join(cells.slot, cells.slot + problem.slots),
            region=join(cells.region, cells.region),
            quantity=join(cells.quantity, units),
            std=join(cells.std, cells.std),
        )
        groups.append(replace(group, demand=demand))
    return replace(problem, groups=tuple(groups), slots=2 * problem.slots)


def shocked(lab: Lab, samples: list[Sample], factor: float):
    """The lab and the paths in which demand is higher while the shock lasts; the lab's
    scenarios know of it."""

    def move(sample):
        slot = sample.slot.copy()
        slot[:, hit(lab)] += lab.problem.slots
        return eqx.tree_at(lambda s: s.slot, sample, slot)

    truth = lab._replace(
        problem=with_shock(lab.problem, factor), sample=move(lab.sample)
    )
    return truth, list(map(move, samples))


def cases(lab: Lab, samples: list[Sample], quick: bool):
    """One case after the other, the one without faults first."""
    usual, found = decide(lab)
    yield Case("", "", "unplanned", usual, lab, samples)
    kept = Case(
        "old prices", "none", "unplanned", [at_prices(lab, found)], lab, samples,
        beside=("old prices", "none"),
    )  # fmt: skip
    yield kept
    for ago in (13, 26):
        if quick and ago == 26:
            continue
        made, old = decide(as_of(lab, ago))
        yield Case("old demand", f"{ago} weeks", "unplanned", made, lab, samples)
        some = [at_prices(lab, old)]
        yield kept._replace(strength=f"{ago} weeks", decisions=some)
    for spread in () if quick else (0.25, 0.5):
        made = decide(wrong_volumes(lab, spread))[0]
        name = f"spread {spread:g}"
        yield Case("wrong volumes", name, "unplanned", made, lab, samples)
    for share in (0.25, 0.5):
        name, paths = f"{share:.0%} of orders", later(samples, share)
        yield Case("a week late", name, "unplanned", usual, lab, paths)
    for name, node in buildings(lab).items():
        truth = closed(lab, node)
        yield Case("closed", name, "unplanned", usual, truth, samples)
        if not quick:
            told = decide(without(lab, node))[0]
            told = [spliced(lab, *pair) for pair in zip(usual, told, strict=True)]
            yield Case("closed", name, "known", told, truth, samples)
    for factor in (1.25, 1.5):
        truth, paths = shocked(lab, samples, factor)
        name = f"x {factor:g}"
        yield Case("demand shock", name, "unplanned", usual, truth, paths)
        if not quick:
            told = decide(truth)[0]
            yield Case("demand shock", name, "known", told, truth, paths)


def measure(case: Case, before: dict) -> list[dict]:
    """A row per policy; `before` holds the metrics of earlier cases and gets these."""
    found = labs.simulate(case.truth, case.decisions, case.samples)
    before[case.fault, case.strength, case.kind] = found
    unplanned = before[case.fault, case.strength, "unplanned"]
    rows = []
    for policy, values in found.items():
        cost = values[COST]
        usual = before[(*case.beside, "unplanned")][policy][COST]
        gap, mean = paired(cost, usual), usual.mean()
        share = {k: v / mean for k, v in gap.difference._asdict().items()}
        worth = paired(unplanned[policy][COST], cost)
        row = {
            "fault": case.fault, "strength": case.strength, "kind": case.kind,
            "policy": policy, "cost": float(cost.mean()),
            "more": labs.rounded(share), "p": gap.p,
            "on_promise": float(values[PROMISE].mean()),
            "above_storage": float(values.get(OVER, 0 * cost).mean()),
            "overage": float(values.get(FINE, 0 * cost).mean()),
        }  # fmt: skip
        if case.kind == "known":
            row["knowing"] = labs.rounded(worth.difference._asdict())
        rows.append(row)
        print(
            f"{case.fault or 'none':<14}{case.strength:<20}{case.kind:<11}{policy:<17}"
            f"cost {row['cost']:9,.0f}  {row['more']['mean']:+7.2%} "
            f"[{row['more']['low']:+.2%}, {row['more']['high']:+.2%}]  "
            f"promise {row['on_promise']:.3f}  over {row['above_storage']:.2%} "
            f"{row['overage']:6,.0f}",
            flush=True,
        )
    return rows


def draw_figure(rows: list[dict], path) -> None:
    """Cost relative to the same policy without the fault."""
    plt = labs.pyplot()
    rows = [r for r in rows if r["fault"] and r["strength"] != "none"]
    names = list(dict.fromkeys((r["fault"], r["strength"]) for r in rows))
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    style = {
        ("plan", "unplanned"): (labs.COLORS[0], "o", 0.24, "plan"),
        ("plan", "known"): (labs.COLORS[4], "D", 0.08, "plan that knows"),
        ("base_stock_lost", "unplanned"): (labs.COLORS[1], "s", -0.08, "base_stock"),
        ("base_stock_lost", "known"): (
            labs.COLORS[3], "^", -0.24, "base_stock that knows",
        ),
    }  # fmt: skip
    for key, (color, mark, up, label) in style.items():
        some = [r for r in rows if (r["policy"], r["kind"]) == key]
        place = [-names.index((r["fault"], r["strength"])) + up for r in some]
        mid = np.array([100 * r["more"]["mean"] for r in some])
        low = mid - [100 * r["more"]["low"] for r in some]
        high = np.array([100 * r["more"]["high"] for r in some]) - mid
        axes.errorbar(
            mid, place, xerr=[low, high], fmt=mark, color=color, label=label, capsize=2
        )
    axes.axvline(0, color=labs.BLACK, lw=0.8)
    axes.set_yticks(-np.arange(len(names)), [f"{f}, {s}" for f, s in names])
    axes.set(xlabel="cost more than without the fault, % (95 % interval)")
    axes.legend()
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = labs.arguments(__doc__, __file__, arguments, paths=(64, 8))
    run = record.Record(args)
    lab = labs.demo_lab(args.quick)
    before: dict = {}
    rows = []
    for case in cases(lab, labs.fresh_paths(lab, args.paths), args.quick):
        rows += measure(case, before)
    tested = [r for r in rows if r["fault"] and r["strength"] != "none"]
    for row, p in zip(tested, holm(np.array([r["p"] for r in tested])), strict=True):
        row["p"] = float(p)
    nodes = {k: lab.labels.nodes[n] for k, n in buildings(lab).items()}
    run.write(rows=rows, buildings=nodes, periods_hit=[hit(lab).start, hit(lab).stop])
    if not args.quick:
        draw_figure(rows, args.out / "result.png")


if __name__ == "__main__":
    main()

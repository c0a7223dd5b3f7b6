"""Re-plans the flagship through its last year and simulates what really came.

    python -m experiments.backtest.run DATA/flagship [--items 100] [--refine] [--quick]

Prints a line for every time it plans and writes `result.json` beside this file.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np

import meio_jax as meio
from experiments.flagship.reader import read_flagship
from experiments.record import Record, parser
from meio_jax import policies
from meio_jax.config import Config, Solver
from meio_jax.planner import solve_problem
from meio_jax.problem import Demand, Problem
from meio_jax.scenarios.sample import draw_sample, given_sample, seeds_of
from meio_jax.sim.lab import Decision, simulate_decisions
from meio_jax.sim.metrics import metrics
from meio_jax.sim.refine import refine
from meio_jax.solution import Place
from meio_jax.stats import holm, interval, paired
from meio_jax.tables import examine
from meio_jax.tables.build import build

FIRST, WEEKS = 156, 52  # first week, weeks replayed
SEED = 0
SOLVER = Solver(
    gap=0.05, levels=6, smoothing=(1.0,), certify=2, max_evaluations=10
)  # fmt: skip
PARTS = {
    "shipping": ("#0072B2", ""), "lost sales": ("#D55E00", "//"),
    "holding": ("#009E73", ""), "late": ("#CC79A7", ".."), "overage": ("#444444", ""),
}  # fmt: skip
UNPRICED = replace(SOLVER, max_evaluations=2)


def whole_year(folder: Path, items: int, tightness: float, weeks: int):
    """The problem of all weeks to replay, with the whole history, and its names."""
    frames = read_flagship(
        folder, items=items, weeks=FIRST + weeks, horizon=0, tightness=tightness,
        shipping_charge=1.0,
    )  # fmt: skip
    config = Config()
    config = replace(
        config,
        problem=replace(config.problem, horizon=weeks),
        units=replace(config.units, volume="litre"),
        given=frozenset({"problem.horizon"}),
    )
    examined = examine(meio.Tables(**frames), config)
    return build(examined.tables, examined.calendar)


def as_known(problem: Problem, week: int, ahead: int) -> Problem:
    """The problem as it was known in a week: history up to it, so many weeks ahead;
    capacities and bounds are the same in every week."""
    cut = lambda x: np.repeat(x[:, :1], ahead, axis=1)
    groups = tuple(
        replace(
            group,
            demand=until(group.demand, week),
            items=replace(
                group.items, lower=cut(group.items.lower), upper=cut(group.items.upper)
            ),
        )
        for group in problem.groups
    )
    return replace(
        problem, groups=groups, slots=week, storage=cut(problem.storage),
        inbound=cut(problem.inbound), outbound=cut(problem.outbound),
        item_limit=cut(problem.item_limit),
        overage=cut(np.broadcast_to(problem.overage, problem.storage.shape)),
    )  # fmt: skip


def until(demand: Demand, week: int) -> Demand:
    """Demand of the weeks before one."""
    keep = demand.slot < week
    before = np.r_[0, np.cumsum(keep)]
    return Demand(
        before[demand.start], demand.slot[keep], demand.region[keep],
        demand.quantity[keep], demand.std[keep],
    )  # fmt: skip


class Replanner:
    """Plans week by week, each time from the prices of the week before."""

    def __init__(self, name: str, regimes: int = 1):
        self.name, self.regimes, self.place = name, regimes, None
        self.made: Decision | None = None

    def decide(self, problem: Problem, sample) -> Decision:
        """Targets and tolls of the priced plan."""
        problem = replace(problem, regimes=self.regimes)
        found = solve_problem(problem, sample, SOLVER, start=self.place)
        self.place = Place(found.prices, found.bound_prices, lifts=found.lifts)
        reserves = tuple(
            np.zeros((1, len(g.network.node), len(g.items))) for g in problem.groups
        )
        self.made = Decision(self.name, found.targets, found.tolls, reserves)
        return self.made


class Refiner:
    """The plan of a replanner, moved down the slope of simulated cost."""

    name = "refined"

    def __init__(self, planner: Replanner, recent: int):
        self.planner, self.recent = planner, recent

    def decide(self, problem: Problem, sample) -> Decision:
        """Refined targets and spill limits."""
        draw = partial(draw_sample, problem, recent=self.recent)
        chosen = draw(count=64, seed=seeds_of(SEED, 1, 1)[0])
        with jax.enable_x64(False):
            found = refine(
                problem, self.planner.made, sample,
                [draw(count=8, seed=s) for s in seeds_of(SEED, 3, 24)], [chosen],
                days=7.0, steps=60, rate=0.3,
            )  # fmt: skip
        return found.decision._replace(name=self.name)


def rivals():
    """What the plan is compared with, all on the same scenarios."""
    return [
        policies.base_stock(),
        policies.base_stock(shortage="next_best"),
        policies.proportional(),
        policies.days_of_cover(),
        policies.buy_then_place(),
        policies.unpriced(UNPRICED),
    ]


def joined(name: str, made: list[Decision], every: int, weeks: int) -> Decision:
    """Targets and tolls of each decision until the next one, as one decision."""
    first = made[0]
    groups = range(len(first.targets))

    def column(key, axis):
        joint = [
            np.concatenate(
                [np.take(getattr(d, key)[k], range(every), axis=axis) for d in made],
                axis=axis,
            )
            for k in groups
        ]
        return tuple(np.take(x, range(weeks), axis=axis) for x in joint)

    kept = tuple(
        np.concatenate([np.repeat(d.reserves[k], every, axis=0) for d in made])
        for k in groups
    )
    return Decision(name, column("targets", 1), column("tolls", 2), kept)


def stability(decision: Decision) -> float:
    """Mean change of a target from week to week, as a share of the mean target."""
    moved = sum(np.abs(np.diff(t, axis=1)).sum() for t in decision.targets)
    held = sum(t[:, 1:].sum() for t in decision.targets)
    return float(moved / max(held, 1e-9))


def replan(problem: Problem, makers, *, scenarios, recent, every, show):
    """Every maker's decisions, every so many weeks, and the seconds that they took."""
    decided, seconds = (
        {m.name: [] for m in makers},
        dict.fromkeys((m.name for m in makers), 0.0),
    )
    for week in range(0, problem.periods, every):
        jax.clear_caches()  # programs of other shapes meet the limit on memory maps
        known = as_known(problem, FIRST + week, every + 1)
        sample = draw_sample(
            known, count=scenarios, seed=SEED, recent=recent, balanced=True
        )
        for maker in makers:
            begin = time.perf_counter()
            decided[maker.name].append(maker.decide(known, sample))
            seconds[maker.name] += time.perf_counter() - begin
        show(week, seconds)
    weeks = problem.periods
    whole = {k: joined(k, part, every, weeks) for k, part in decided.items()}
    return whole, seconds


def main() -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("data", type=Path)
    made.add_argument("--items", type=int, default=100)
    made.add_argument("--tightness", type=float, default=1.3)
    made.add_argument("--scenarios", type=int, default=64)
    made.add_argument("--recent", type=int, default=104)
    made.add_argument("--every", type=int, default=4)
    made.add_argument("--paths", type=int, default=32)
    made.add_argument("--refine", action="store_true")
    args = made.parse_args()
    record = Record(args)
    weeks = 2 if args.quick else WEEKS
    items = min(args.items, 12) if args.quick else args.items
    problem, _ = whole_year(args.data, items, args.tightness, weeks)
    plan = Replanner("plan")
    better = [Refiner(plan, args.recent)] if args.refine else []
    makers = [plan, *better, *rivals()]
    begin = time.perf_counter()

    def show(week, seconds) -> None:
        spent = ", ".join(f"{k} {v:.0f}" for k, v in seconds.items())
        print(f"week {FIRST + week}  {time.perf_counter() - begin:7.0f} s: {spent}")

    with jax.enable_x64(True):
        decisions, seconds = replan(
            problem,
            makers,
            scenarios=args.scenarios,
            recent=args.recent,
            every=args.every,
            show=show,
        )
    slots = np.arange(FIRST, FIRST + weeks)
    sample = given_sample(
        problem, slots, count=args.paths, seed=seeds_of(SEED, 2, 1)[0]
    )
    records = simulate_decisions(
        problem, list(decisions.values()), sample, [sample], days=7.0
    )
    found = {r.name: metrics(problem, r, 7.0) for r in records}
    result = dict(
        weeks=[FIRST, FIRST + weeks - 1],
        items=sum(len(g.items) for g in problem.groups),
        table={k: {m: interval(v)._asdict() for m, v in x.items()}
               for k, x in found.items()},
        against=against(records, found),
        stability={k: stability(d) for k, d in decisions.items()},
        seconds_deciding={k: round(v, 1) for k, v in seconds.items()},
    )  # fmt: skip
    record.write(**result)
    if not args.quick:
        picture(result, args.out / "result.png")


def against(records, found):
    """The plan less every rival: by draw of lead times, and by week."""
    plan, *others = records
    p = holm(np.array([paired(weekly(plan), weekly(other)).p for other in others]))
    out = {}
    for other, chance in zip(others, p, strict=True):
        cost = "cost per period"
        by_week = paired(weekly(plan), weekly(other))
        out[other.name] = {
            "share of its cost": float(
                by_week.difference.mean / np.mean(weekly(other))
            ),
            "by week": by_week.difference._asdict(),
            "p by week, Holm": float(chance),
            "by draw of lead times": paired(
                found[plan.name][cost], found[other.name][cost]
            ).difference._asdict(),
        }
    return out


def picture(result, file: Path) -> None:
    """Cost of a week by its parts, one bar a policy, the cheapest first."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    table = result["table"]
    names = sorted(table, key=lambda k: -table[k]["cost per period"]["mean"])
    figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    start = np.zeros(len(names))
    for part, (color, hatch) in PARTS.items():
        word = f"{part} cost per period"
        width = np.array([table[n].get(word, {"mean": 0.0})["mean"] for n in names])
        axes.barh(
            names, width / 1000, left=start / 1000, label=part, color=color,
            hatch=hatch, edgecolor="white",
        )  # fmt: skip
        start += width
    for y, total in enumerate(start):
        axes.text(total / 1000 + 0.3, y, f"{total:,.0f}", va="center", fontsize=8)
    axes.set(xlim=(0, 1.12 * start.max() / 1000), xlabel="thousand a week")
    axes.set_title("Cost of a week, weeks 156 to 207 as they were", fontsize=10)
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.18))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def weekly(record):
    """Cost of every week, mean over draws of lead times, in blocks of four weeks, whose
    means are nearly independent."""
    cost = record.money.sum(axis=0).mean(axis=1)
    blocks = max(len(cost) // 4, 1)
    return np.array([part.mean() for part in np.array_split(cost, blocks)])


if __name__ == "__main__":
    main()

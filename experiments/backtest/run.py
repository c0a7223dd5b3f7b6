"""Re-plans the flagship through its last year and simulates what really came.

    python -m experiments.backtest.run DATA/flagship [--items 100] [--refine] [--quick]

Prints a line for every time it plans and writes `result.json` beside this file, or
`NAME.json` with `--name NAME`. `backtest_days` and `backtest_stores` replay other data
in the same way.
"""

import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

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


class Case(NamedTuple):
    """What is replayed.

    Attributes:
      problem: of the periods to replay, with all of history, these periods included.
      first: first period replayed, a slot of the history.
      days: length of a period.
      cycle: neighbouring periods that belong together: a block of a scenario, and the
        unit of intervals, as means over it are nearly independent.
      period: a period in words.
      title: of the picture.
    """

    problem: Problem
    first: int
    days: float
    cycle: int
    period: str
    title: str


def whole_year(folder: Path, items: int, tightness: float, weeks: int):
    """The problem of all weeks to replay, with the whole history, and its names."""
    frames = read_flagship(
        folder, items=items, weeks=FIRST + weeks, horizon=0, tightness=tightness,
        shipping_charge=1.0,
    )  # fmt: skip
    return problem_of(frames, weeks)


def problem_of(frames, periods: int, period: str = "week"):
    """The problem of tables whose volumes are in litres, and its names.

    Args:
      frames: the tables; history holds the periods to replay.
      periods: of the horizon.
      period: a day or a week.
    """
    config = Config()
    config = replace(
        config,
        problem=replace(config.problem, horizon=periods),
        units=replace(config.units, volume="litre", period=period),
        given=frozenset({"problem.horizon"}),
    )
    examined = examine(meio.Tables(**frames), config)
    assert not examined.faults.errors, examined.faults
    return build(examined.tables, examined.calendar)


def as_known(problem: Problem, period: int, ahead: int, recent: int = 0) -> Problem:
    """The problem as it was known before a period, so many periods ahead; capacities
    and bounds are the same in every period.

    Args:
      problem: of the periods to replay, with all of history.
      period: the first that is not known.
      ahead: periods of the horizon.
      recent: last periods known; 0 for all. Where they are equally many, problems have
        arrays of the same shapes and share programs.
    """
    cut = lambda x: np.repeat(x[:, :1], ahead, axis=1)
    first = max(period - recent, 0) if recent else 0
    groups = tuple(
        replace(
            group,
            demand=between(group.demand, first, period),
            items=replace(
                group.items, lower=cut(group.items.lower), upper=cut(group.items.upper)
            ),
        )
        for group in problem.groups
    )
    return replace(
        problem, groups=groups, slots=period - first, storage=cut(problem.storage),
        inbound=cut(problem.inbound), outbound=cut(problem.outbound),
        item_limit=cut(problem.item_limit),
        overage=cut(np.broadcast_to(problem.overage, problem.storage.shape)),
    )  # fmt: skip


def between(demand: Demand, first: int, last: int) -> Demand:
    """Demand of the periods from a first one on, before a last one."""
    keep = (demand.slot >= first) & (demand.slot < last)
    before = np.r_[0, np.cumsum(keep)]
    return Demand(
        before[demand.start], demand.slot[keep] - first, demand.region[keep],
        demand.quantity[keep], demand.std[keep],
    )  # fmt: skip


class Replanner:
    """Plans week by week, from the prices and corrections of the last plan."""

    def __init__(self, name: str, regimes: int = 1):
        self.name, self.regimes, self.place = name, regimes, None
        self.made: Decision | None = None

    def decide(self, problem: Problem, sample) -> Decision:
        """Targets and tolls of the priced plan."""
        problem = replace(problem, regimes=self.regimes)
        found = solve_problem(problem, sample, SOLVER, start=self.place)
        self.place = Place(
            found.prices, found.bound_prices, lifts=found.lifts, tilts=found.tilts,
            kept=found.kept,
        )  # fmt: skip
        reserves = tuple(
            np.zeros((1, len(g.network.node), len(g.items))) for g in problem.groups
        )
        self.made = Decision(self.name, found.targets, found.tolls, reserves)
        return self.made


class Refiner:
    """The plan of a replanner, moved down the slope of simulated cost."""

    name = "refined"

    def __init__(self, planner: Replanner, case: Case):
        self.planner, self.case = planner, case

    def decide(self, problem: Problem, sample) -> Decision:
        """Refined targets and spill limits."""
        draw = partial(draw_sample, problem, block=self.case.cycle)
        chosen = draw(count=64, seed=seeds_of(SEED, 1, 1)[0])
        with jax.enable_x64(False):
            found = refine(
                problem, self.planner.made, sample,
                [draw(count=8, seed=s) for s in seeds_of(SEED, 3, 24)], [chosen],
                days=self.case.days, steps=60, rate=0.3,
            )  # fmt: skip
        return found.decision._replace(name=self.name)


def rivals(names: list[str]):
    """What the plan is compared with, all on the same scenarios.

    Args:
      names: of those wanted; all if there are none.
    """
    every = [
        policies.base_stock(),
        policies.base_stock(shortage="next_best"),
        policies.proportional(),
        policies.days_of_cover(),
        policies.buy_then_place(),
        policies.unpriced(UNPRICED),
        policies.fluid_lp(),
    ]
    return [rule for rule in every if not names or rule.name in names]


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


def replan(case: Case, makers, args: Namespace, show):
    """Every maker's decisions, every so many periods, and the seconds they took."""
    problem, names = case.problem, [maker.name for maker in makers]
    decided, seconds = {n: [] for n in names}, dict.fromkeys(names, 0.0)
    for period in range(0, problem.periods, args.every):
        known = as_known(problem, case.first + period, args.every + 1, args.recent)
        sample = draw_sample(
            known, count=args.scenarios, seed=SEED, block=case.cycle, balanced=True
        )
        for maker in makers:
            begin = time.perf_counter()
            decided[maker.name].append(maker.decide(known, sample))
            seconds[maker.name] += time.perf_counter() - begin
        show(case.first + period, seconds)
    count = problem.periods
    whole = {k: joined(k, part, args.every, count) for k, part in decided.items()}
    return whole, seconds


def options(
    text: str, script: str, *, items: int, tightness: float, recent: int, every: int
) -> ArgumentParser:
    """The command line of a backtest.

    Args:
      text: as for `record.parser`.
      script: as for `record.parser`.
      items: usual number of items.
      tightness: what capacities are divided by.
      recent: usual periods that a plan sees.
      every: usual periods between plans.
    """
    made = parser(text, script)
    made.add_argument("data", type=Path)
    made.add_argument("--items", type=int, default=items)
    made.add_argument("--tightness", type=float, default=tightness)
    made.add_argument("--scenarios", type=int, default=64)
    made.add_argument("--recent", type=int, default=recent)
    made.add_argument("--every", type=int, default=every)
    made.add_argument("--paths", type=int, default=32)
    made.add_argument("--refine", action="store_true")
    made.add_argument("--rivals", nargs="*", default=[], help="names; else all")
    made.add_argument("--name", default="result", help="of what is written")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    made = options(__doc__, __file__, items=100, tightness=1.3, recent=104, every=4)
    made.add_argument("--weeks", type=int, default=WEEKS)
    args = made.parse_args(arguments)
    weeks = 2 if args.quick else args.weeks
    items = min(args.items, 12) if args.quick else args.items
    problem, _ = whole_year(args.data, items, args.tightness, weeks)
    title = f"Cost of a week, weeks {FIRST} to {FIRST + weeks - 1} as they were"
    replay(Case(problem, FIRST, 7.0, 4, "week", title), args)


def replay(case: Case, args: Namespace) -> None:
    """Plans through the periods of a case, simulates them as they were, and writes
    result and picture.

    Args:
      case: what is replayed.
      args: of the command line of `options`.
    """
    record, problem = Record(args), case.problem
    plan = Replanner("plan")
    better = [Refiner(plan, case)] if args.refine else []
    begin = time.perf_counter()

    def show(period, seconds) -> None:
        spent = ", ".join(f"{k} {v:.0f}" for k, v in seconds.items())
        passed = time.perf_counter() - begin
        print(f"{case.period} {period}  {passed:7.0f} s: {spent}", flush=True)

    with jax.enable_x64(True):
        decisions, seconds = replan(
            case, [plan, *better, *rivals(args.rivals)], args, show
        )
    slots = np.arange(case.first, case.first + problem.periods)
    sample = given_sample(
        problem, slots, count=args.paths, seed=seeds_of(SEED, 2, 1)[0]
    )
    records = simulate_decisions(
        problem, list(decisions.values()), sample, [sample], days=case.days
    )
    found = {r.name: metrics(problem, r, case.days) for r in records}
    result = dict(
        periods=[int(slots[0]), int(slots[-1])],
        items=sum(len(g.items) for g in problem.groups),
        table={k: {m: interval(v)._asdict() for m, v in x.items()}
               for k, x in found.items()},
        against=against(case, records, found),
        seconds_deciding={k: round(v, 1) for k, v in seconds.items()},
    )  # fmt: skip
    record.write(name=args.name, **result)
    show_table(result)
    if not args.quick:
        picture(case, result, args.out / f"{args.name}.png")


def show_table(result) -> None:
    """Prints the table of a README, the cheapest policy first."""
    table, rows = result["table"], result["against"]
    words = (
        ("fill rate", "{:.1%}"), ("on promise rate", "{:.1%}"),
        ("shipping cost per unit", "{:.2f}"), ("local share", "{:.1%}"),
        ("stock units", "{:,.0f}"), ("overage cost per period", "{:,.1f}"),
        ("storage above capacity, share of node-periods", "{:.0%}"),
        ("target change rate", "{:.1%}"),
    )  # fmt: skip
    for name in sorted(table, key=lambda k: table[k]["cost per period"]["mean"]):
        cost = table[name]["cost per period"]["mean"]
        money = ",.0f" if cost >= 1000 else ",.1f"
        cells = [f"{cost:{money}}"]
        if name in rows:
            gap = [f"{x:{money}}" for x in rows[name]["by block"].values()]
            cells.append("{} ({} to {})".format(*gap))
            cells.append(f"{rows[name]['p by block, Holm']:.2g}")
        else:
            cells += ["", ""]
        cells += [w.format(table[name].get(k, {"mean": 0})["mean"]) for k, w in words]
        print(" | ".join([name, *cells]), flush=True)


def against(case: Case, records, found):
    """The plan less every other: by draw of lead times, and by block of periods."""
    plan, *others = records
    weekly = partial(by_block, length=case.cycle)
    p = holm(np.array([paired(weekly(plan), weekly(other)).p for other in others]))
    out = {}
    for other, chance in zip(others, p, strict=True):
        cost = "cost per period"
        gap = paired(weekly(plan), weekly(other))
        out[other.name] = {
            "share of its cost": float(gap.difference.mean / np.mean(weekly(other))),
            "by block": gap.difference._asdict(),
            "p by block, Holm": float(chance),
            "by draw of lead times": paired(
                found[plan.name][cost], found[other.name][cost]
            ).difference._asdict(),
        }
    return out


def picture(case: Case, result, file: Path) -> None:
    """Cost of a period by its parts, one bar a policy, the cheapest first."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    table = result["table"]
    names = sorted(table, key=lambda k: -table[k]["cost per period"]["mean"])
    figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    start = np.zeros(len(names))
    large = max(table[n]["cost per period"]["mean"] for n in names) > 10_000
    unit, money = (1000, "thousand") if large else (1, "money")
    for part, (color, hatch) in PARTS.items():
        word = f"{part} cost per period"
        width = np.array([table[n].get(word, {"mean": 0.0})["mean"] for n in names])
        axes.barh(
            names, width / unit, left=start / unit, label=part, color=color,
            hatch=hatch, edgecolor="white",
        )  # fmt: skip
        start += width
    for y, total in enumerate(start):
        axes.text((total + 0.01 * start.max()) / unit, y, f"{total:,.0f}", va="center")
    axes.set(xlim=(0, 1.12 * start.max() / unit), xlabel=f"{money} a {case.period}")
    axes.set_title(case.title, fontsize=10)
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.18))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def by_block(record, length: int):
    """Cost of a period, mean over draws of lead times, in blocks of periods, whose
    means are nearly independent."""
    cost = record.money.sum(axis=0).mean(axis=1)
    blocks = max(len(cost) // length, 1)
    return np.array([part.mean() for part in np.array_split(cost, blocks)])


if __name__ == "__main__":
    main()

"""Buying and placement as one decision, against buying first, on the flagship.

    python -m experiments.layers.run [DATA/flagship] [--items 100] [--quick]

Without the flagship: on the demo, whose lead times are gamma.

Prints a line for every policy; writes `result.json` and `result.png` beside this file.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np

import meio_jax as meio
from experiments.flagship.reader import lead_times_table, read_flagship
from experiments.labs import demo_tables
from experiments.record import Record as Result
from experiments.record import parser
from meio_jax.config import Config, Solver
from meio_jax.planner import solve_problem
from meio_jax.scenarios.sample import draw_sample, seeds_of
from meio_jax.sim.buying import Buying, depots_of, pooled
from meio_jax.sim.lab import Decision, Record, simulate_decisions
from meio_jax.sim.period import COSTS
from meio_jax.stats import interval, paired
from meio_jax.supply.levels import charges_of
from meio_jax.supply.plan import Below, plan_supply
from meio_jax.tables import examine
from meio_jax.tables.build import build
from meio_jax.tables.supply import build_supply

SEED, DAYS = 0, 7.0
EACH = 8  # paths at once
SOLVER = Solver(gap=0.05, levels=6, smoothing=(1.0,), certify=2, max_evaluations=10)
COLORS = {
    "holding": "#009E73", "shipping": "#0072B2", "late": "#CC79A7", "lost": "#D55E00",
    "overage": "#444444",
}  # fmt: skip


class Lab:
    """The flagship as it is planned, and as it is simulated for much longer."""

    def __init__(
        self, folder: Path, items: int, horizon: int, weeks: int, scenarios: int
    ):
        if folder is None:
            tables = first_items(demo_tables(), items)
        else:
            frames = read_flagship(
                folder, items=items, horizon=0, tightness=1.3, shipping_charge=1.0
            )
            frames["lead_times"] = lead_times_table(folder, items=items)
            tables = meio.Tables(**frames)
        self.problem, self.labels, self.examined = self._built(tables, horizon)
        self.long, _, _ = self._built(tables, weeks)
        self.supplies, self.limits = build_supply(
            self.examined.tables, self.labels, self.problem.groups, 0.0
        )
        self.draw = partial(draw_sample, block=4, recent=104)
        self.sample = self.draw(self.problem, count=scenarios, seed=SEED, balanced=True)
        self.options = replace(Config().scenarios, recent=104)

    def _built(self, tables, horizon: int):
        config = Config()
        config = replace(
            config,
            problem=replace(config.problem, horizon=horizon),
            units=replace(config.units, volume="litre"),
            given=frozenset({"problem.horizon"}),
        )
        examined = examine(tables, config)
        return *build(examined.tables, examined.calendar), examined


def first_items(tables, count: int):
    """The tables with no more than so many items."""
    kept = set(tables.items["item"].astype(str).iloc[:count])
    cut = lambda x: x[x["item"].astype(str).isin(kept)]
    return replace(
        tables, items=cut(tables.items), vendors=cut(tables.vendors),
        history=cut(tables.history),
    )  # fmt: skip


def plans(lab: Lab, solution) -> dict[str, tuple[Buying, ...]]:
    """What each policy buys and how it rations, by group."""
    charges = tuple(map(charges_of, lab.problem.groups))
    rows = solution.targets, solution.rations, charges, solution.outcomes
    below = tuple(Below(y, r, c, o.shipped) for y, r, c, o in zip(*rows, strict=True))
    make = lambda s, crossing=True: bought(
        plan_supply(lab.problem, s, lab.limits, below, lab.options, crossing=crossing)
    )
    sure = tuple(
        s._replace(offers=s.offers._replace(
            lead=0 * s.offers.lead + s.offers.lead.mean(axis=1, keepdims=True)
        ))
        for s in lab.supplies
    )  # fmt: skip
    planned = plan_supply(lab.problem, lab.supplies, lab.limits, below, lab.options)
    one = bought(planned)
    steps = np.linspace(0, 1, len(one[0].along)).reshape(-1, 1, 1, 1)
    even = tuple(b._replace(along=steps * b.along[-1]) for b in one)
    first = pooled(lab.problem, lab.supplies, lab.limits, solution.targets, lab.options)
    return {
        "one decision": one,
        "targets at the mean price": charged(planned),
        "rationed in proportion": even,
        "buy, then place": first,
        "mean lead times": make(sure),
        "as if orders never crossed": make(lab.supplies, crossing=False),
    }


def charged(plan) -> tuple[Buying, ...]:
    """The plan with targets of nodes at the price that a unit has at its depot in the
    mean, instead of at none."""
    out = []
    for made, buying in zip(plan.groups, bought(plan), strict=True):
        has = np.flatnonzero(made.choice.offer >= 0)
        case = made.case.take(made.choice.offer[has])
        along = buying.along.copy()
        for t in range(along.shape[2]):
            left = made.choice.level[has, t][:, None] - case.demand[:, t]
            for row, i in enumerate(has):
                stock = case.stock[row, t]
                price = np.interp(left[row], stock, case.price[row])
                place = np.interp(
                    -(case.prob @ price), -case.price[row], np.arange(len(stock))
                )
                under = min(int(place), len(stock) - 2)
                part = place - under
                y = (1 - part) * along[under, i, t] + part * along[under + 1, i, t]
                along[:, i, t] = np.minimum(along[:, i, t], np.rint(y))
        out.append(buying._replace(along=along))
    return tuple(out)


def bought(plan) -> tuple[Buying, ...]:
    """What a plan decides above its nodes."""
    return tuple(
        Buying(g.choice.offer, g.choice.level, g.ways.source, g.ways.share,
               g.curve.target)
        for g in plan.groups
    )  # fmt: skip


def decision(lab: Lab, solution, name: str, bought: tuple[Buying, ...]) -> Decision:
    """A policy in the long run: what it does in the plan's middle period, always."""
    t = lab.problem.periods // 2
    middle = slice(t, t + 1)
    targets = tuple(b.along[-1][:, middle] for b in bought)
    tolls = tuple(
        np.repeat(x[:, :, middle], lab.long.periods, axis=2) for x in solution.tolls
    )
    none = tuple(np.zeros((1, y.shape[2], len(y))) for y in targets)
    depots = tuple(
        depots_of(
            supply,
            b._replace(level=b.level[:, middle], along=b.along[:, :, middle]),
            len(lab.labels.nodes),
        )
        for supply, b in zip(lab.supplies, bought, strict=True)
    )
    return Decision(name, targets, tolls, none, depots)


def run(lab: Lab, solution, chosen, *, paths: int, callback=None):
    """Money of a week by part and path, service and stock, of every policy."""
    decisions = [decision(lab, solution, *each) for each in chosen.items()]
    samples = [
        lab.draw(lab.long, count=min(EACH, paths), seed=seed)
        for seed in seeds_of(SEED, 2, -(-paths // EACH))
    ]
    room = np.repeat(
        lab.limits.storage.min(axis=1, keepdims=True), lab.long.periods, axis=1
    )
    limits = lab.limits._replace(storage=room, inbound=np.full_like(room, np.inf))
    planned = lab.draw(lab.long, count=2, seed=SEED)
    records = simulate_decisions(
        lab.long, decisions, planned, samples, days=DAYS, supplies=lab.supplies,
        depot_limits=limits, callback=callback,
    )  # fmt: skip
    return {record.name: summary(record) for record in records}


def summary(record: Record):
    """Means over the weeks, by path."""
    total = lambda parts: sum(x.sum(axis=0) for x in parts)
    assert not record.wrong.any()
    return {
        "money": record.money.mean(axis=1),
        "fill": total(record.served) / total(record.demand),
        "on time": total(record.on_time) / total(record.demand),
        "depot stock": record.depots[2].sum(axis=0).mean(axis=0),
        "node stock": record.on_hand.mean(axis=0),
    }


def draw(table, path: Path) -> None:
    """What every other policy costs more than the first, by part."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.4, 3.2), layout="constrained")
    first, *names = table
    for y, name in enumerate(names[::-1]):
        ends = {True: 0.0, False: 0.0}
        for part, color in COLORS.items():
            more = table[name]["parts"][part] - table[first]["parts"][part]
            left = ends[more > 0]
            label = part if y == 0 else None
            axes.barh(y, more, left=left, color=color, height=0.6, label=label)
            ends[more > 0] += more
        mean, low, high = table[name]["difference"]["difference"]
        text = f"  {mean:+,.0f} ({low:,.0f} to {high:,.0f})"
        axes.text(ends[True], y, text, va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names[::-1])
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.set_xlabel(f"USD a week more than {first}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(right=1.5 * axes.get_xlim()[1])
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.35, 1.0), frameon=False)
    figure.savefig(path, dpi=140)


def main() -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("data", type=Path, nargs="?")
    made.add_argument("--items", type=int, default=100)
    made.add_argument("--paths", type=int, default=24)
    made.add_argument("--weeks", type=int, default=104)
    args = made.parse_args()
    record = Result(args)
    small = args.quick
    lab = Lab(
        args.data, 6 if small else args.items, 2 if small else 4,
        12 if small else args.weeks, 8 if small else 64,
    )  # fmt: skip
    charges = tuple(map(charges_of, lab.problem.groups))
    with jax.enable_x64(True):
        solution = solve_problem(lab.problem, lab.sample, SOLVER, charges=charges)
    chosen = plans(lab, solution)
    with jax.enable_x64(False):
        found = run(
            lab, solution, chosen, paths=8 if small else args.paths,
            callback=lambda done, of: print(f"  {done} of {of} paths", flush=True),
        )  # fmt: skip
    first, table = next(iter(found)), {}
    base = found[first]["money"].sum(axis=0)
    for name, what in found.items():
        total = what["money"].sum(axis=0)
        row = {
            "cost": interval(total)._asdict(),
            "difference": paired(total, base)._asdict() if name != first else None,
            "parts": dict(zip(COSTS, what["money"].mean(axis=1).round(1), strict=True)),
            **{k: float(v.mean()) for k, v in what.items() if k != "money"},
        }
        table[name] = row
        print(name, {k: v for k, v in row.items() if k != "parts"})
    record.write(gap=solution.gap, table=table)
    if not small:
        draw(table, args.out / "result.png")


if __name__ == "__main__":
    main()

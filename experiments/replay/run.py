"""A day of events: items planned again one by one at frozen prices, and what it costs.

    python -m experiments.replay.run [DATA/flagship] [--items 200] [--quick]

The demo, or items of the flagship. Prints latencies and costs; writes `result.json` and
`result.png` beside this file, of the flagship `flagship.json` and `flagship.png`.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

import meio_jax as meio
from experiments.flagship.reader import read_flagship
from experiments.flagship.run import options
from experiments.labs import demo_tables
from experiments.record import Record, parser
from meio_jax.checkpoint import resource_names
from meio_jax.config import load
from meio_jax.dual.exact import solve_items
from meio_jax.dual.lagrangian import evaluate
from meio_jax.dual.prices import PASSES, TOLERANCE
from meio_jax.dual.rows import build_rows
from meio_jax.dual.use import window_tolls
from meio_jax.instances.demo import demo_folder
from meio_jax.recover.evaluate import Evaluator, node_use, violation
from meio_jax.recover.round import round_targets
from meio_jax.recover.single import STEPS
from meio_jax.recover.units import whole_optimum
from meio_jax.replan import Replanner
from meio_jax.tables.outcome import targets_array

SEED, SPREAD = 0, 0.25  # of the factor on an item's demand


def events_of(names: list[str], labels, count: int, changed: int, rng):
    """Counted stock of any item, and new demand of a few; names, factors, stock."""
    some = rng.choice(names, changed, replace=False)
    factor = {str(n): float(f) for n, f in zip(some, np.exp(
        SPREAD * rng.standard_normal(changed)
    ), strict=True)}  # fmt: skip
    every = [(n, {"demand": f}) for n, f in factor.items()]
    where = [*labels.depots[:2], labels.nodes[0]]
    for name in rng.choice(names, max(count - changed, 0)):
        units = float(rng.integers(0, 200))
        event = {
            "on_hand": {str(rng.choice(where)): units},
            "demand": factor.get(str(name), 1.0),
        }
        every.append((str(name), event))
    rng.shuffle(every)
    return every, factor


def posed(args):
    """Options and tables: of the demo, or of the flagship's first items."""
    if args.data is None:
        return load(demo_folder() / "meio.toml"), demo_tables()
    frames = read_flagship(
        args.data, items=args.items, tightness=1.3, shipping_charge=1.0
    )
    config = options(quick=False)
    solver = replace(config.solver, certify=8)
    return replace(config, solver=solver), meio.Tables(**frames)


def draw(milliseconds, path: Path) -> None:
    """Processor's milliseconds of an event by kind: 5 % to 95 %, and the median."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.8, 2.6), layout="constrained")
    words = {
        "in parts, targets": "demand: targets, a program a step",
        "demand, targets": "demand: targets, one program",
        "demand, with orders": "demand: with orders and transfers",
        "stock": "stock counted: orders, transfers", "tables": "tables of either",
    }  # fmt: skip
    for y, kind in enumerate(reversed(words)):
        row = milliseconds[f"{kind}, processor"]
        color = "#D55E00" if kind.startswith("in parts") else "#0072B2"
        axes.plot([row["5 %"], row["95 %"]], [y, y], color=color, linewidth=5)
        axes.plot(row["median"], y, "o", color="white", markeredgecolor=color)
        axes.annotate(
            f"{row['median']:g}", (row["95 %"], y), (6, 0), va="center",
            textcoords="offset points",
        )  # fmt: skip
    axes.set_yticks(range(len(words)), list(words.values())[::-1])
    axes.axvline(10, color="#222222", linewidth=0.8, linestyle="--")
    axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
    axes.set_xlabel("milliseconds of a processor (5 % to 95 %, median)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=140)


def with_demand(tables, factor: dict[str, float]):
    """The tables after the day: histories of some items times their factors."""
    history = tables.history.copy()
    by = history["item"].astype(str).map(factor).astype(float).fillna(1.0)
    history["quantity"] = history["quantity"].to_numpy(float) * by.to_numpy(float)
    return replace(tables, history=history)


def weigh(replanner: Replanner, problem, targets):
    """Cost and violation of targets on a problem, greedy fulfilment, money a period."""
    outcomes = tuple(
        Evaluator(problem, k, replanner.sample)(
            y,
            window_tolls(
                replanner.prices[:, g.network.node], replanner.sample.window(k)
            ),
        )
        for k, (g, y) in enumerate(zip(problem.groups, targets, strict=True))
    )
    carried = np.zeros(len(problem.storage))
    use = node_use(problem, outcomes, targets, carried)[:1]  # storage
    only = eqx.tree_at(
        lambda p: (p.inbound, p.outbound), problem,
        tuple(np.full(x.shape, np.inf) for x in (problem.inbound, problem.outbound)),
    )  # fmt: skip
    full = np.concatenate([use, np.zeros((2, *use.shape[1:]))])
    return sum(o.cost for o in outcomes) / problem.periods, violation(only, full)


def bound_of_the_day(plan, day, before: Replanner, problem, names) -> float:
    """What no plan of the day's problem costs less than, money: the bound of the plan
    before and, at its prices, what the changed items' least cost changes by, solved
    exactly. As sure as the plan's bound is."""
    found = plan.checkpoint.matched(
        resource_names(problem.regimes), before.labels.nodes, before.labels.periods
    )
    total = plan.bound
    with jax.enable_x64(True):
        for name in names:
            k, i = before.place[name]
            group = problem.groups[k]
            prices, start = found[1][:, group.network.node], before.before[k]
            of = lambda p, k=k, i=i, x=prices, y=start: solve_items(
                p, k, before.sample, np.array([i]), x, y, dtype=jax.numpy.float32
            ).bound.sum()
            total += float(of(day) - of(problem))
    return total


def by_parts(replanner: Replanner, name: str, demand: float):
    """The item's best whole targets, a program a step, period by period: rows, search,
    rounding, single units. What `Single` does in one program."""
    k, i = replanner.place[name]
    group, _ = replanner._one(k, i, demand, {})
    search, shared = replanner.singles[k].search, replanner.singles[k]._shared
    prices = jax.numpy.asarray(replanner.prices[:, group.network.node])
    f = lambda x: jax.numpy.asarray(x, jax.numpy.float32)
    with jax.enable_x64(True):
        rows = build_rows(
            replanner.problem, group, k, replanner.sample, count=search.levels,
            atoms=search.atoms, chunk=1,
        )  # fmt: skip
        rows = replace(
            rows, lift=shared.common["lift"], tilt=f(replanner.tilts[k][i][None])
        )
        found = evaluate(
            rows, prices, f(replanner.before[k][i][None]), shared.stage,
            shared.softness, flows=search.flows, curved=False, passes=PASSES,
            tolerance=TOLERANCE["float32"],
        )  # fmt: skip
        items, walk = group.items, group.network.tree.walk
        y = np.asarray(found.target, float)
        y = round_targets(y, walk, items.key, items.lower, items.upper)
        return np.asarray(whole_optimum(rows, f(y), prices, steps=STEPS), float)[0]


def timed(run):
    """What a call gives, and its seconds: on the clock, and of the processor."""
    begin = time.perf_counter(), time.process_time()
    found = run()
    return found, (time.perf_counter() - begin[0], time.process_time() - begin[1])


def tables_of(made):
    """The frames of an item's plan."""
    return made.targets, made.buys, made.transfers


def targets_of(made, shape):
    """The targets of an item's plan by period and node."""
    table = made.targets["order_up_to"].to_numpy(float)
    return table.reshape(shape)


def main() -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("data", type=Path, nargs="?")
    made.add_argument("--items", type=int, default=200)
    made.add_argument("--events", type=int, default=300)
    made.add_argument("--changed", type=int, default=30)
    made.add_argument("--moved", type=int, default=3, help="items of the day's problem")
    args = made.parse_args()
    record, rng = Record(args), np.random.default_rng(SEED)
    config, tables = posed(args)
    if args.quick:
        kept = tables.items["item"].astype(str).iloc[:8].tolist()
        cut = lambda x: x[x["item"].astype(str).isin(kept)]
        tables = replace(
            tables, items=cut(tables.items), vendors=cut(tables.vendors),
            history=cut(tables.history),
        )  # fmt: skip
        config = replace(config, problem=replace(config.problem, horizon=2))
    plan, cold_before = timed(lambda: meio.solve(tables, config=config))
    replanner, compiled = timed(lambda: Replanner(plan, tables))
    names = [str(n) for n in replanner.place]
    count, changed = (12, 3) if args.quick else (args.events, args.changed)
    events, factor = events_of(names, replanner.labels, count, changed, rng)
    for name in factor:  # the item's own best response, once
        replanner.targets(name)
        by_parts(replanner, name, 1.001)  # compiles
    kinds = "in parts, targets", "demand, targets", "demand, with orders", "stock"
    latency = {kind: [] for kind in (*kinds, "tables")}
    apart = 0
    for name, event in events:
        if "on_hand" in event:
            if event["demand"] != 1 and name not in replanner.curves:
                continue  # its demand has not changed yet
            made = timed(lambda n=name, e=event: replanner(n, **e))
            latency["stock"].append(made[1])
        else:
            look = lambda how, n=name, e=event: timed(lambda: how(n, **e))
            parts = look(partial(by_parts, replanner))
            whole = look(replanner.targets)
            k, i = replanner.place[name]
            items = replanner.coarse[k].items
            moved = replanner.before[k][i] + parts[0] - replanner.best[name]
            moved = np.clip(moved, items.lower[i], items.upper[i])
            apart += int(np.abs(moved - whole[0]).sum())
            made = look(replanner)
            for kind, one in zip(kinds, (parts, whole, made), strict=False):
                latency[kind].append(one[1])
        latency["tables"].append(timed(lambda m=made[0]: tables_of(m))[1])
    seconds = {
        f"{k}, {clock}": dict(zip(("5 %", "median", "95 %", "most"), np.percentile(
            1e3 * np.array(v)[:, column], [5, 50, 95, 100]
        ).round(1).tolist(), strict=True))
        for k, v in latency.items() if v
        for column, clock in enumerate(("clock", "processor"))
    }  # fmt: skip
    print("milliseconds", seconds, "units apart", apart)
    factor = dict(list(factor.items())[: args.moved])  # the day's problem
    day = with_demand(tables, factor)
    cold, cold_seconds = timed(lambda: meio.solve(day, config=config))
    warm, warm_seconds = timed(lambda: meio.solve(day, config=config, start=plan))
    after = Replanner(cold, day)  # the day's problem, its scenarios
    frozen = [y.copy() for y in replanner.before]

    def event_by_event() -> None:
        for name, f in factor.items():
            k, i = replanner.place[name]
            replanner.curves.pop(name, None)
            frozen[k][i] = targets_of(replanner(name, demand=f), frozen[k][i].shape)

    _, frozen_seconds = timed(event_by_event)
    bound, bound_seconds = timed(
        lambda: bound_of_the_day(
            plan, after.problem, replanner, replanner.problem, factor
        )
    )
    arrays = lambda p: targets_array(p, after.problem, after.labels, "plan")
    table = {}
    with jax.enable_x64(True):
        for name, targets in (
            ("solved from cold", arrays(cold)), ("solved from the plan", arrays(warm)),
            ("changed items at frozen prices", tuple(frozen)),
            ("nothing done", tuple(replanner.before)),
        ):  # fmt: skip
            cost, over = weigh(after, after.problem, targets)
            least = {"solved from cold": cold.bound, "solved from the plan": warm.bound}
            least = least.get(name, bound) / after.problem.periods
            table[name] = {
                "cost": cost, "storage over": over, "bound": least,
                "gap": (cost - least) / cost,
            }  # fmt: skip
            print(name, table[name])
    facts = lambda p, s: {
        "gap": p.gap, "evaluations": p.facts["evaluations"], "seconds": s,
        "moved": dict(p.kpis.set_index("metric")["value"]).get("targets moved"),
    }  # fmt: skip
    name = "flagship" if args.data else "result"
    record.write(
        name=name, milliseconds=seconds, apart=apart, table=table,
        compile_seconds=compiled,
        frozen={"seconds": frozen_seconds, "bound_seconds": bound_seconds},
        cold=facts(cold, cold_seconds), warm=facts(warm, warm_seconds),
        before=facts(plan, cold_before), events=len(events), changed=changed,
    )  # fmt: skip
    if not args.quick:
        draw(seconds, args.out / f"{name}.png")


if __name__ == "__main__":
    main()

"""A day of events: items planned again one by one at frozen prices, and what it costs.

    python -m experiments.replay.run [--events 300] [--quick]

The demo. Prints latencies and costs; writes `result.json` beside this file.
"""

import time
from dataclasses import replace

import equinox as eqx
import jax
import numpy as np

import meio_jax as meio
from experiments.labs import demo_tables
from experiments.record import Record, parser
from meio_jax.config import load
from meio_jax.instances.demo import demo_folder
from meio_jax.recover.evaluate import Evaluator, node_use, violation
from meio_jax.replan import Replanner
from meio_jax.tables.outcome import targets_array

SEED, SPREAD = 0, 0.25  # of the factor on an item's demand


def events_of(names: list[str], count: int, changed: int, rng):
    """Counted stock of any item, and new demand of a few; names, factors, stock."""
    some = rng.choice(names, changed, replace=False)
    factor = {str(n): float(f) for n, f in zip(some, np.exp(
        SPREAD * rng.standard_normal(changed)
    ), strict=True)}  # fmt: skip
    every = [(n, {"demand": f}) for n, f in factor.items()]
    for name in rng.choice(names, max(count - changed, 0)):
        units = float(rng.integers(0, 200))
        where = str(rng.choice(["DC-Plainfield", "DC-Dallas", "FC-Indianapolis"]))
        event = {"on_hand": {where: units}, "demand": factor.get(str(name), 1.0)}
        every.append((str(name), event))
    rng.shuffle(every)
    return every, factor


def with_demand(tables, factor: dict[str, float]):
    """The tables after the day: histories of some items times their factors."""
    history = tables.history.copy()
    by = history["item"].astype(str).map(factor).astype(float).fillna(1.0)
    history["quantity"] = history["quantity"].to_numpy(float) * by.to_numpy(float)
    return replace(tables, history=history)


def weigh(replanner: Replanner, problem, targets):
    """Cost and violation of targets on a problem, greedy fulfilment, money a period."""
    outcomes = tuple(
        Evaluator(problem, k, replanner.sample)(y, replanner.tolls[k])
        for k, y in enumerate(targets)
    )
    carried = np.zeros(len(problem.storage))
    use = node_use(problem, outcomes, targets, carried)[:1]  # storage
    only = eqx.tree_at(
        lambda p: (p.inbound, p.outbound), problem,
        tuple(np.full(x.shape, np.inf) for x in (problem.inbound, problem.outbound)),
    )  # fmt: skip
    full = np.concatenate([use, np.zeros((2, *use.shape[1:]))])
    return sum(o.cost for o in outcomes) / problem.periods, violation(only, full)


def timed(run):
    """What a call gives, and its seconds."""
    begin = time.perf_counter()
    return run(), time.perf_counter() - begin


def main() -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("--events", type=int, default=300)
    made.add_argument("--changed", type=int, default=30)
    args = made.parse_args()
    record, rng = Record(args), np.random.default_rng(SEED)
    config = load(demo_folder() / "meio.toml")
    tables = demo_tables()
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
    events, factor = events_of(names, count, changed, rng)
    for name in factor:  # the item's own best response, once
        replanner.targets(name)
    latency = {"demand, targets": [], "demand, with orders": [], "stock": []}
    for name, event in events:
        if "on_hand" in event:
            if event["demand"] != 1 and (name, event["demand"]) not in replanner.curves:
                continue  # its demand has not changed yet
            latency["stock"].append(replanner(name, **event).seconds)
            continue
        latency["demand, targets"].append(
            timed(lambda n=name, e=event: replanner.targets(n, **e))[1]
        )
        latency["demand, with orders"].append(replanner(name, **event).seconds)
    seconds = {
        k: dict(zip(("5 %", "median", "95 %", "most"), np.percentile(
            1e3 * np.array(v), [5, 50, 95, 100]
        ).round(1).tolist(), strict=True))
        for k, v in latency.items() if v
    }  # fmt: skip
    print("milliseconds", seconds)
    day = with_demand(tables, factor)
    cold, cold_seconds = timed(lambda: meio.solve(day, config=config))
    warm, warm_seconds = timed(lambda: meio.solve(day, config=config, start=plan))
    after = Replanner(cold, day)  # the day's problem, its scenarios
    frozen = [y.copy() for y in replanner.before]
    for name, f in factor.items():
        k, i = replanner.place[name]
        frozen[k][i] = replanner.targets(name, demand=f)
    arrays = lambda p: targets_array(p, after.problem, after.labels, "plan")
    table = {}
    with jax.enable_x64(True):
        for name, targets in (
            ("solved from cold", arrays(cold)), ("solved from the plan", arrays(warm)),
            ("changed items at frozen prices", tuple(frozen)),
            ("nothing done", tuple(replanner.before)),
        ):  # fmt: skip
            cost, over = weigh(after, after.problem, targets)
            table[name] = {"cost": cost, "storage over": over}
            print(name, table[name])
    facts = lambda p, s: {
        "gap": p.gap, "evaluations": p.facts["evaluations"], "seconds": s,
        "moved": dict(p.kpis.set_index("metric")["value"]).get("targets moved"),
    }  # fmt: skip
    record.write(
        milliseconds=seconds, table=table, compile_seconds=compiled,
        cold=facts(cold, cold_seconds), warm=facts(warm, warm_seconds),
        before=facts(plan, cold_before), events=len(events), changed=changed,
    )  # fmt: skip


if __name__ == "__main__":
    main()

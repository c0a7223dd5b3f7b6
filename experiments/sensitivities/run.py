"""Sensitivities by the envelope theorem against planning again, of each kind of input.

    python -m experiments.sensitivities.run [--items 24] [--quick]

Some items of the demo, all of them certified. Prints a table; writes `result.json`.
"""

from dataclasses import replace

import meio_jax as meio
from experiments.labs import demo_tables
from experiments.record import Record, parser
from meio_jax.config import Config, from_facts, load
from meio_jax.instances.demo import demo_folder
from meio_jax.plan import Plan
from meio_jax.planner import Place, solve_problem
from meio_jax.rebuild import made_from, posed
from meio_jax.tables import Examined, Tables
from meio_jax.tables.nudge import MORE, NUDGES

ROOMS = ("storage", "inbound", "outbound")


def few(tables: Tables, count: int) -> Tables:
    """The demo with an even cut of its items and the same share of every capacity."""
    assert tables.items is not None
    assert tables.capacities is not None
    names = tables.items["item"].astype(str)
    kept = set(names.iloc[:: max(len(names) // count, 1)][:count])
    cut = lambda x: x[x["item"].astype(str).isin(kept)]
    units = lambda x: x["quantity"].sum()
    share = units(cut(tables.history)) / units(tables.history)
    room = tables.capacities
    room = room.assign(capacity=room["capacity"].astype(float) * share)
    return replace(
        tables, items=cut(tables.items), vendors=cut(tables.vendors),
        history=cut(tables.history), capacities=room,
    )  # fmt: skip


def again(plan: Plan, examined: Examined, config: Config, **more) -> tuple:
    """Bound and cost of a period when tables are planned from the plan's prices.

    Args:
      plan: the plan.
      examined: the tables.
      config: all options.
      **more: factors: `scale` and `spread` of demand, or a resource's.
    """
    problem, labels, sample = posed(examined, config)
    of_sample = {k: v for k, v in more.items() if k not in ROOMS}
    of_room = {k: getattr(problem, k) * v for k, v in more.items() if k in ROOMS}
    place = plan.checkpoint
    prices = place.at(problem.regimes, labels.nodes, labels.periods)
    found = solve_problem(
        replace(problem, **of_room), replace(sample, **of_sample), config.solver,
        start=Place(*prices, place.stage, 0, place.lifts),
    )  # fmt: skip
    return found.certificate.low / problem.periods, found.cost / problem.periods


def compare(plan: Plan, tables: Tables) -> list[dict]:
    """Of every kind of input: what the plan's prices say that a little more of it adds
    to the cost, and what it adds to bound and cost when it is planned again; money a
    period.

    Args:
      plan: the plan, every item of it certified.
      tables: those that it was made from.
    """
    config = from_facts(plan.facts)
    _, examined = made_from(plan, tables, config)
    base = again(plan, examined, config)
    rows = []
    for row in plan.sensitivities(tables=tables).to_dict("records"):
        name, other, more = row["input"], examined, {}
        if name == "items room":  # the bound does not see it
            continue
        if name in NUDGES:
            other = examined._replace(tables=NUDGES[name][1](examined.tables))
        elif name.endswith(" room"):
            more = {name.removesuffix(" room"): MORE}
        else:
            more = {"scale" if name == "demand" else "spread": MORE}
        bound, cost = again(plan, other, config, **more)
        rows.append(
            {"input": name, "change": row["change"], "estimate": row["money"],
             "bound": bound - base[0], "cost": cost - base[1]}
        )  # fmt: skip
        print("{input:<18}{change:>6}{estimate:12.3f}{bound:12.3f}{cost:12.3f}".format(
            **rows[-1]
        ), flush=True)  # fmt: skip
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("--items", type=int, default=24)
    args = made.parse_args(arguments)
    if args.quick:
        args.items = 4
    record = Record(args)
    config = load(demo_folder() / "meio.toml")
    config = replace(
        config,
        problem=replace(config.problem, horizon=2 if args.quick else 4),
        solver=replace(config.solver, certify=max(args.items, 2), max_evaluations=20),
        given=config.given | {"problem.horizon"},
    )
    tables = few(demo_tables(), args.items)
    plan = meio.solve(tables, config=config)
    rows = compare(plan, tables)
    period = plan.facts["sizes"]["periods"]
    record.write(rows=rows, cost=plan.cost / period, bound=plan.bound / period)


if __name__ == "__main__":
    main()

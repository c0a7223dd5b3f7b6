"""Trains a small forecaster for accuracy and through the planner, on real demand.

    python -m experiments.forecaster.run DATA/flagship [--items 48] [--quick]

Prints parameters and costs; writes `result.json` beside this file.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from experiments.backtest.run import as_known, whole_year
from experiments.record import Record, parser
from meio_jax.config import Solver
from meio_jax.dual.fixed import lagrangian
from meio_jax.dual.frozen import targets_of
from meio_jax.dual.rows import Rows, build_rows
from meio_jax.dual.use import window_tolls
from meio_jax.planner import softness_of, solve_problem
from meio_jax.problem import Problem
from meio_jax.scenarios.sample import Sample, draw_sample, given_sample, seeds_of
from meio_jax.sim.lab import Decision, simulate_decisions
from meio_jax.stats import interval, paired

TRAINED, JUDGED, SEED = 104, 156, 0  # first weeks of both spans
YEAR, AHEAD = 52, 4  # weeks of a base, and planned for prices
SOLVER = Solver(
    gap=0.05, levels=6, smoothing=(1.0,), certify=2, max_evaluations=10
)  # fmt: skip
START = {"memory": 0.0, "prior": 0.0, "trust": 0.5, "lift": np.zeros(2)}
BOUNDS = {"lift": (-1, 1), "memory": (-3, 3), "prior": (-3, 6), "trust": (0, 1.5)}


class Span(NamedTuple):
    """Some weeks, as they were known before them and as they came.

    Attributes:
      problem: history up to the span, as many periods as it has weeks.
      sample: scenarios from the year before the span.
      prices: of capacities, planned then, the same in every week.
      base: rows of each group, of the scenarios.
      real: rows of each group, of what was asked for.
      start: targets of each group without a forecast.
      sales: of each group's items, units a week: the year before the span, and it.
      softness: temperature of the choice between nodes.
    """

    problem: Problem
    sample: Sample
    prices: np.ndarray
    base: tuple[Rows, ...]
    real: tuple[Rows, ...]
    start: tuple[Any, ...]
    sales: tuple[np.ndarray, ...]
    softness: float


def sales_of(demand, slots: int):
    """Units by item and week."""
    items = np.repeat(np.arange(len(demand.start) - 1), np.diff(demand.start))
    out = np.zeros((len(demand.start) - 1, slots))
    np.add.at(out, (items, demand.slot), demand.quantity)
    return out


def make_span(whole: Problem, first: int, weeks: int, scenarios: int) -> Span:
    """The span that begins with a week."""
    draw = partial(draw_sample, count=scenarios, seed=SEED, recent=YEAR, balanced=True)
    early = as_known(whole, first, AHEAD)
    plan = solve_problem(early, draw(early), SOLVER)
    prices = plan.prices.mean(axis=2, keepdims=True).repeat(weeks, axis=2)
    known, came = as_known(whole, first, weeks), as_known(whole, first + weeks, weeks)
    sample = draw(known)
    real = given_sample(came, np.arange(first, first + weeks), count=8, seed=SEED)
    options = {"count": SOLVER.levels, "dtype": jnp.float64}
    base, true = [], []
    for k, (group, later) in enumerate(zip(known.groups, came.groups, strict=True)):
        lift = jnp.asarray(plan.lifts[k])
        rows = build_rows(known, group, k, sample, atoms=scenarios, **options)
        base.append(replace(rows, lift=lift))
        rows = build_rows(came, later, k, real, atoms=8, **options)
        true.append(replace(rows, lift=lift, window=base[-1].window))
    start = tuple(
        jnp.asarray(_cells(y.mean(axis=1, keepdims=True).repeat(weeks, 1), rows))
        for y, rows in zip(plan.targets, base, strict=True)
    )
    sales = tuple(
        sales_of(g.demand, first + weeks)[:, first - YEAR :] for g in came.groups
    )
    soft = softness_of(known)
    return Span(known, sample, prices, tuple(base), tuple(true), start, sales, soft)


def _cells(values, rows: Rows):
    """Items by weeks, in the chunks of rows; items that fill up are ones."""
    chunks, items = rows.penalty.shape
    pad = chunks * items - len(values)
    wide = [(0, pad), *[(0, 0)] * (values.ndim - 1)]
    values = (np if isinstance(values, np.ndarray) else jnp).pad(
        values, wide, constant_values=1.0
    )
    return values.reshape(chunks, items * values.shape[1], *values.shape[2:])


def grown(rows: Rows, factor) -> Rows:
    """Rows with the demand of every item and week times a factor."""
    periods = rows.mean.shape[2]
    cell = _cells(factor, rows)
    each = cell.reshape(*rows.penalty.shape, periods)
    atoms = jnp.repeat(rows.atoms, cell.shape[1] // rows.atoms.shape[2], axis=2)
    pools = rows.anchor @ rows.shape.member.T
    return replace(
        rows,
        atoms=atoms * cell[:, None, :, None],
        mean=rows.mean * each[..., None, None],
        anchor=rows.anchor * cell[..., None],
        upper=rows.upper * cell[..., None],
        width=jnp.maximum(1.0, 0.06 * pools * cell[..., None]),
        paid=rows.paid * each.mean(axis=2),
    )


def forecast(values, sales, group: int):
    """Weekly factor on each item's demand of the year before: a power of the ratio of
    its smoothed sales, seen before the week and shrunk, to that year's mean."""
    keep, prior = jax.nn.sigmoid(values["memory"]), jnp.exp(values["prior"])
    base = sales[:, :YEAR].mean(axis=1)
    see = lambda level, units: (keep * level + (1 - keep) * units, level)
    _, level = jax.lax.scan(see, base, sales.T)
    ratio = (level[YEAR:].T + prior) / (base[:, None] + prior)
    return jnp.exp(values["lift"][group] + values["trust"] * jnp.log(ratio))


def deviance(values, span: Span):
    """Half the Poisson deviance of the forecast means, a unit of demand: accuracy."""
    total, units = 0.0, 0.0
    for k, sales in enumerate(span.sales):
        base, came = sales[:, :YEAR].mean(axis=1, keepdims=True), sales[:, YEAR:]
        mean = base * forecast(values, jnp.asarray(sales), k) + 1e-6
        total += (mean - came * jnp.log(mean)).sum()
        total += (came * np.log(np.maximum(came, 1e-9)) - came).sum()
        units += came.sum()
    return total / units


def planned(values, span: Span, k: int):
    """A group's targets at the frozen prices, under a forecast."""
    rows, node = span.base[k], span.problem.groups[k].network.node
    find = targets_of(
        lambda factor: grown(rows, factor), jnp.asarray(span.prices[:, node]),
        span.start[k], stage=SOLVER.smoothing[-1], softness=span.softness,
    )  # fmt: skip
    return find(forecast(values, jnp.asarray(span.sales[k]), k))


def realised(values, span: Span):
    """What those targets cost with what was asked for, at the prices, money a week."""
    total = 0.0
    for k, rows in enumerate(span.real):
        node = span.problem.groups[k].network.node
        total += lagrangian(
            rows, jnp.asarray(span.prices[:, node]), planned(values, span, k),
            stage=SOLVER.smoothing[-1], softness=span.softness,
        )  # fmt: skip
    return total / span.problem.periods


def train(loss, span: Span, start, steps: int):
    """Parameters that make a loss least, from a start, and what was lost on the way."""
    flat, back = jax.flatten_util.ravel_pytree(start)
    look = jax.jit(jax.value_and_grad(lambda x: loss(back(x), span)))
    seen = []

    def at(x):
        value, slope = look(jnp.asarray(x))
        seen.append(float(value))
        print(f"  {loss.__name__} {value:.6g} at {np.round(x, 3)}", flush=True)
        return float(value), np.asarray(slope)

    found = minimize(
        at, np.asarray(flat), jac=True, method="L-BFGS-B",
        bounds=[b for k, b in BOUNDS.items() for _ in range(np.size(START[k]))],
        options={"maxfun": steps},
    )  # fmt: skip
    return back(jnp.asarray(found.x)), seen, look


def slopes_by_steps(look, values) -> dict:
    """The gradient of a loss, and differences of planning again."""
    flat, _ = jax.flatten_util.ravel_pytree(values)
    step = 1e-4 * np.eye(len(flat))
    again = [float(look(flat + s)[0] - look(flat - s)[0]) / 2e-4 for s in step]
    return {"gradient": np.asarray(look(flat)[1]).tolist(), "differences": again}


def decide(name: str, values, span: Span) -> Decision:
    """Whole targets of the span under a forecast, and the tolls of its prices."""
    targets, tolls, none = [], [], []
    for k, group in enumerate(span.problem.groups):
        count, node = len(group.items), group.network.node
        y = np.asarray(planned(values, span, k))
        y = y.reshape(-1, span.problem.periods, len(node))[:count]
        targets.append(np.rint(y))
        tolls.append(window_tolls(span.prices[:, node], span.sample.window(k)))
        none.append(np.zeros((1, len(node), count)))
    return Decision(name, tuple(targets), tuple(tolls), tuple(none))


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    made = parser(__doc__, __file__)
    made.add_argument("data", type=Path)
    made.add_argument("--items", type=int, default=48)
    made.add_argument("--scenarios", type=int, default=32)
    made.add_argument("--steps", type=int, default=15)
    args = made.parse_args(arguments)
    weeks = (JUDGED - TRAINED, YEAR)
    if args.quick:
        args.items, args.scenarios, args.steps, weeks = 6, 8, 2, (3, 4)
    record = Record(args)
    with jax.enable_x64(True):
        whole, _ = whole_year(args.data, args.items, 1.3, YEAR)
        train_span = make_span(whole, TRAINED, weeks[0], args.scenarios)
        zero = jax.tree.map(jnp.asarray, START | {"trust": 0.0})
        start = jax.tree.map(jnp.asarray, START)
        accurate, _, _ = train(deviance, train_span, start, 100)
        through, costs, look = train(realised, train_span, accurate, args.steps)
        check = slopes_by_steps(look, accurate)
        span = make_span(whole, JUDGED, weeks[1], args.scenarios)
        trained = {
            "no forecast": zero, "for accuracy": accurate, "through the plan": through
        }  # fmt: skip
        decisions = [decide(name, v, span) for name, v in trained.items()]
        model = lambda v, span: jax.jit(lambda x: realised(x, span))(v)
        losses = {
            name: {
                "deviance, trained": float(deviance(v, train_span)),
                "deviance, judged": float(deviance(v, span)),
                "model cost, trained": float(model(v, train_span)),
                "model cost, judged": float(model(v, span)),
                "parameters": {k: np.asarray(x).tolist() for k, x in v.items()},
            }
            for name, v in trained.items()
        }
    table = judge(whole, decisions, weeks[1])
    for name, row in table.items():
        print(f"{name:<18}", {k: np.round(v, 1) for k, v in row.items()})
    record.write(
        table=table, forecasts=losses, costs_in_training=costs, gradient=check,
        weeks={"trained": [TRAINED, weeks[0]], "judged": [JUDGED, weeks[1]]},
    )  # fmt: skip


def judge(whole: Problem, decisions: list[Decision], weeks: int) -> dict:
    """Simulated cost of the weeks that came, week by week; differences to the forecast
    that was trained for accuracy."""
    came = as_known(whole, JUDGED + weeks, weeks)
    slots = np.arange(JUDGED, JUDGED + weeks)
    sample = given_sample(came, slots, count=16, seed=seeds_of(SEED, 2, 1)[0])
    records = simulate_decisions(came, decisions, sample, [sample], days=7.0)
    cost = {r.name: r.money.sum(axis=0).mean(axis=1) for r in records}
    stock = {r.name: r.on_hand.mean() for r in records}
    served = {
        r.name: sum(x.sum() for x in r.served) / sum(x.sum() for x in r.demand)
        for r in records
    }
    table = {}
    for name, values in cost.items():
        gap = paired(values, cost["for accuracy"])
        table[name] = {
            "cost": list(interval(values)), "difference": list(gap.difference),
            "p": gap.p, "stock": float(stock[name]), "served": float(served[name]),
        }  # fmt: skip
    return table


if __name__ == "__main__":
    main()

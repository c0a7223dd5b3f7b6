"""A base from a slow, cheap vendor, the rest from a fast, dear one: its worth.

    python -m experiments.two_vendors.run [--quick]

The demo's items, their national demand, their own vendor as the slow one and a fast one
that asks for more. Prints a line for each premium; writes `result.json` and
`result.png` beside this file.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.labs import demo_tables
from experiments.record import Record, parser
from meio_jax.config import load
from meio_jax.instances.demo import demo_folder
from meio_jax.scenarios.sample import moving_blocks
from meio_jax.stats import interval
from meio_jax.supply.draws import national
from meio_jax.tables import examine
from meio_jax.tables.build import build
from meio_jax.tables.supply import build_supply

FAST = 1  # weeks, certain
PREMIUMS = 0.005, 0.01, 0.02, 0.04, 0.08, 0.16  # of the fast vendor, of the unit cost
PARTS = np.arange(0.1, 0.96, 0.05)  # of mean demand that may come from the slow one
WARM, SEED = 200, 0


class World(NamedTuple):
    """Items, one stock each, sales that wait.

    Attributes:
      cost: money per unit of the slow vendor.
      holding: money per unit and week.
      wait: money per unit short and week.
      mean: demand of a week, units.
      lead: lead times of the slow vendor of equal chance, weeks.
      past: demand of each week, units.
    """

    cost: Float[np.ndarray, " items"]
    holding: Float[np.ndarray, " items"]
    wait: Float[np.ndarray, " items"]
    mean: Float[np.ndarray, " items"]
    lead: Float[np.ndarray, "items draws"]
    past: Float[np.ndarray, "items weeks"]


def world_of(count: int) -> World:
    """The demo's items. A unit short pays in a week what a lost one loses, spread over
    the fast vendor's lead time and a week."""
    config = load(demo_folder() / "meio.toml")
    examined = examine(demo_tables(), config)
    problem, labels = build(examined.tables, examined.calendar)
    supplies, _ = build_supply(examined.tables, labels, problem.groups, 0.0)
    parts = []
    for group, supply in zip(problem.groups, supplies, strict=True):
        offers, items = supply.offers, group.items
        first = np.searchsorted(offers.item, np.arange(len(items)))
        past = national(problem, group)[0]
        lost = items.penalty * group.network.spread
        parts.append((
            offers.unit_cost[first], supply.holding.min(axis=1), lost / (1 + FAST),
            past.mean(axis=1), offers.lead[first], past,
        ))  # fmt: skip
    world = World(*(np.concatenate(x)[:count] for x in zip(*parts, strict=True)))
    return World(*(x[world.mean >= 1] for x in world))


class Paths(NamedTuple):
    """Demand, and what of the slow vendor's orders has not arrived.

    Attributes:
      demand: units of each week.
      lead: weeks that the slow vendor's order of a week takes.
    """

    demand: Float[np.ndarray, "items weeks"]
    lead: Int[np.ndarray, "items weeks"]


def draw(world: World, weeks: int, seed: int) -> Paths:
    """Blocks of four weeks of the past, and a lead time for every order."""
    rng = np.random.default_rng([SEED, seed])
    slot = moving_blocks(rng, world.past.shape[1], 4, 1, weeks)[0]
    rank = rng.integers(0, world.lead.shape[1], (len(world.cost), weeks))
    lead = np.take_along_axis(world.lead, rank, axis=1)
    return Paths(
        world.past[:, slot], np.floor(lead + rng.random(lead.shape)).astype(int)
    )


def on_order(orders: Float[np.ndarray, "items weeks"], lead) -> np.ndarray:
    """What is ordered and has not arrived in each week, units."""
    items, weeks = orders.shape
    change = np.zeros((items, weeks + int(np.max(lead)) + 1))
    change[:, :weeks] = orders
    row, week = np.indices(orders.shape)
    np.add.at(change, (row, week + lead), -orders)
    return change.cumsum(axis=1)[:, :weeks]


def short_of(paths: Paths, rate: Float[np.ndarray, " items"], slow: bool):
    """What a week's end is short of the order-up-to level, whatever that is.

    The position is brought up to the level from one vendor every week; with a rate, the
    slow one sends that in every week and the fast one the rest. The position is then
    above the level by what a queue holds that so much comes to and demand leaves
    (tailored base-surge, Allon & Van Mieghem 2010).

    Args:
      paths: demand and lead times.
      rate: units that the slow vendor sends in every week.
      slow: whether the vendor that fills up is the slow one.
    """
    demand = paths.demand
    before = np.c_[np.zeros(len(demand)), demand[:, :-1]]
    above, over = np.zeros(demand.shape), np.zeros(len(demand))
    for t in range(demand.shape[1]):
        over = np.maximum(over + rate - before[:, t], 0)
        above[:, t] = over
    fill = before - rate[:, None] + np.diff(above, axis=1, prepend=0)
    lead = paths.lead if slow else np.full(demand.shape, FAST)
    base = np.broadcast_to(rate[:, None], demand.shape)
    coming = on_order(fill, lead) + on_order(base, paths.lead)
    return (coming + demand - above)[:, WARM:]


def best_level(world: World, short) -> Float[np.ndarray, " items"]:
    """The level of least holding and waiting: a newsvendor's, whole units."""
    ratio = world.wait / (world.wait + world.holding)
    levels = [
        np.quantile(x, r, method="higher") for x, r in zip(short, ratio, strict=True)
    ]
    return np.ceil(np.array(levels))


def weekly(world: World, short, level) -> Float[np.ndarray, " items"]:
    """Holding and waiting of a week at a level, money."""
    left = level[:, None] - short
    pay = world.holding[:, None] * np.maximum(left, 0)
    return (pay + world.wait[:, None] * np.maximum(-left, 0)).mean(axis=1)


def main() -> None:
    """Runs the experiment from the command line."""
    args = parser(__doc__, __file__).parse_args()
    record = Record(args)
    world = world_of(12 if args.quick else 300)
    plan, fresh = (draw(world, 600 if args.quick else 4000, k) for k in (1, 2))
    none = np.zeros(len(world.cost))
    rates = [none, none, *(part * world.mean for part in PARTS)]
    ways = [True, False, *[False] * len(PARTS)]  # slow alone, fast alone, both
    seen, judged = [], []
    for rate, slow in zip(rates, ways, strict=True):
        short = short_of(plan, rate, slow)
        level = best_level(world, short)
        seen.append(weekly(world, short, level))
        judged.append(weekly(world, short_of(fresh, rate, slow), level))
    dear = np.array([0, 1, *(1 - PARTS)])[:, None] * world.mean  # from the fast vendor
    slow_cost = world.cost * world.mean
    table = {}
    for premium in PREMIUMS:
        money = premium * world.cost * dear
        model, real = np.array(seen) + money, np.array(judged) + money
        alone = model[:2].argmin(axis=0)
        best = model.argmin(axis=0)
        pick = lambda x, k: np.take_along_axis(x, k[None], axis=0)[0]
        one, both = pick(real, alone), pick(real, best)
        least = np.minimum(np.array(seen)[1], pick(model, best))  # fast, at no premium
        total = (slow_cost + one).sum()
        table[premium] = {
            "split": float((best > 1).mean()),
            "fast alone": float((best == 1).mean()),
            "controllable": float(one.sum()),
            "saved": float((one - both).sum() / one.sum()),
            "saved at most": float((pick(model, alone) - least).sum() / one.sum()),
            "saved of all": float((one - both).sum() / total),
            "item": interval((one - both) / one)._asdict(),
            "worse by the model": int((pick(model, best) > pick(model, alone)).sum()),
        }  # fmt: skip
        print(premium, table[premium])
    record.write(items=len(world.cost), table=table)
    if not args.quick:
        picture(table, args.out / "result.png")


def picture(table, path: Path) -> None:
    """What a split saves, and what no policy saves more than, by the premium."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    x = [100 * p for p in table]
    for name, color, line in (
        ("saved at most", "#222222", "--"), ("saved", "#0072B2", "-"),
    ):  # fmt: skip
        y = [100 * row[name] for row in table.values()]
        axes.plot(x, y, line, color=color, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_xticks(x, [f"{v:g}" for v in x])
    axes.set_xlabel("the fast vendor asks for so many per cent more")
    axes.set_ylabel("% of premiums, holding, waiting")
    axes.set_ylim(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=140)


if __name__ == "__main__":
    main()

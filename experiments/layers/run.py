"""Buying and placement as one decision, against buying first, on the flagship.

    python -m experiments.layers.run [DATA/flagship] [--items 100] [--quick]

Without the flagship: on the demo, whose lead times are gamma.

Prints a line for every policy; writes `result.json` and `result.png` beside this file.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import meio_jax as meio
from experiments.flagship.reader import read_flagship
from experiments.labs import demo_tables
from experiments.record import Record, parser
from meio_jax.config import Config, Solver
from meio_jax.planner import solve_problem
from meio_jax.scenarios.sample import draw_sample, seeds_of
from meio_jax.sim.bridge import load_cuts, make_limits, make_paths, make_system
from meio_jax.sim.lab import routes_of
from meio_jax.sim.layered import Layered, with_depots
from meio_jax.sim.period import COSTS
from meio_jax.sim.run import empty_state, simulate_paths
from meio_jax.sim.system import Limits
from meio_jax.stats import interval, paired
from meio_jax.supply.chain import Offers
from meio_jax.supply.draws import lead_demand
from meio_jax.supply.levels import charges_of
from meio_jax.supply.plan import Below, plan_supply
from meio_jax.tables import examine
from meio_jax.tables.build import build
from meio_jax.tables.supply import build_supply

SEED, DRAWS, DAYS = 0, 256, 7.0
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
        frames = {}
        if folder is None:
            tables = first_items(demo_tables(), items)
        else:
            frames = read_flagship(
                folder, items=items, horizon=0, tightness=1.3, shipping_charge=1.0
            )
            tables = meio.Tables(**frames)
        self.problem, self.labels, self.examined = self._built(tables, horizon)
        self.long, _, _ = self._built(tables, weeks)
        self.supplies, self.limits = build_supply(
            self.examined.tables, self.labels, self.problem.groups, 0.0
        )
        if folder is not None:
            of = lambda s, g: with_samples(s.offers, folder, frames, self.labels, g)
            self.supplies = tuple(
                s._replace(offers=of(s, g))
                for s, g in zip(self.supplies, self.problem.groups, strict=True)
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


def with_samples(offers: Offers, folder: Path, frames, labels, group) -> Offers:
    """Offers with lead times that are quantiles of real deliveries, in weeks."""
    samples = pd.read_csv(folder / "lead_time_samples.csv")
    source = pd.read_csv(folder / "items.csv")
    profile = pd.read_csv(folder / "vendors.csv").set_index("vendor")["lead_profile"]
    kept = frames["items"]["item"].tolist()
    vendor = frames["vendors"].drop_duplicates("item").set_index("item")["vendor"]
    numbers = np.array([int(str(i).lstrip("I")) for i in kept])
    origin = source.set_index("item")["origin"].reindex(numbers).tolist()
    at = (np.arange(DRAWS) + 0.5) / DRAWS
    lead = np.empty((offers.size, DRAWS))
    for k, i in enumerate(offers.item):
        position = int(group.items.position[i])
        rows = samples["lead_profile"] == profile[vendor[kept[position]]]
        days = samples.loc[rows, f"lead_days_{origin[position]}"]
        lead[k] = np.quantile(days.dropna().to_numpy(float), at) / DAYS
    return offers._replace(lead=lead)


def plans(lab: Lab, solution):
    """What each policy decides: the supply plan and whether it rations by its curve."""
    charges = tuple(map(charges_of, lab.problem.groups))
    rows = solution.targets, solution.rations, charges, solution.outcomes
    below = tuple(Below(y, r, c, o.shipped) for y, r, c, o in zip(*rows, strict=True))
    make = lambda s, crossing=True: plan_supply(
        lab.problem, s, lab.limits, below, lab.options, crossing=crossing
    )
    sure = tuple(
        s._replace(offers=s.offers._replace(
            lead=np.repeat(s.offers.lead.mean(axis=1, keepdims=True), DRAWS, axis=1)
        ))
        for s in lab.supplies
    )  # fmt: skip
    one, mean = make(lab.supplies), make(sure)
    never = make(lab.supplies, crossing=False)
    return {
        "one decision": (one, None, True),
        "rationed in proportion": (one, None, False),
        "buy, then place": (one, pooled_levels(lab, one), False),
        "mean lead times": (mean, None, True),
        "as if orders never crossed": (never, None, True),
    }


def pooled_levels(lab: Lab, plan):
    """Levels of a national newsvendor over vendor and node lead times, cut to the room
    of depots: what stock is worth once it is placed does not enter."""
    levels = []
    for group, made in zip(lab.problem.groups, plan.groups, strict=True):
        offers = made.supply.offers
        wait = offers.lead + group.network.lead_mean.mean() + 1
        lead = lead_demand(
            lab.problem, group, offers._replace(lead=wait), seed=SEED, recent=104
        )
        penalty = group.items.penalty * group.network.spread
        count = 1 + 0.5 * (wait.mean(axis=1) - 1)
        item = offers.item
        ratio = penalty[item] / count
        held = made.case.reserve
        ratio = ratio / (ratio + held)
        quantile = np.array(
            [np.quantile(d, r) for d, r in zip(lead.demand[:, 0], ratio, strict=True)]
        )
        found = np.zeros(len(group.items))
        chosen = made.choice.offer
        found[chosen >= 0] = np.ceil(quantile[chosen[chosen >= 0]])
        levels.append(found)
    return cut_to_room(lab, plan, levels)


def cut_to_room(lab: Lab, plan, levels):
    """Levels with as much less above what lead times and nodes take, the same share
    for all, as makes what is kept fit into every depot in expectation."""
    room = lab.limits.storage.min(axis=1)

    def kept(part: float):
        use, cut = np.zeros(len(room)), []
        for level, group, made in zip(
            levels, lab.problem.groups, plan.groups, strict=True
        ):
            has = np.flatnonzero(made.choice.offer >= 0)
            case = made.case.take(made.choice.offer[has])
            demand, want = case.demand[:, 0], case.stock[:, 0, -1]
            base = np.minimum(demand.mean(axis=1) + want, level[has])
            new = level.copy()
            new[has] = np.floor(base + part * (level[has] - base))
            left = np.maximum(new[has, None] - demand - want[:, None], 0).mean(axis=1)
            use += case.share.T @ (group.items.volume[has] * left)
            cut.append(new)
        return bool((use <= room).all()), cut

    fits, found = kept(1.0)
    low, high = 0.0, 1.0
    while not fits and high - low > 1e-3:
        middle = (low + high) / 2
        inside, cut = kept(middle)
        low, high, found = (middle, high, cut) if inside else (low, middle, found)
    return found


def policy_of(
    group, solution, k: int, made, levels, curved: bool, periods: int
) -> Layered:
    """A group's decision as a policy of the simulator: that of the middle period."""
    full = lambda x: jnp.asarray(x, jnp.float32)
    middle = solution.targets[k].shape[1] // 2
    depots, nodes = len(made.supply.depot), solution.targets[k].shape[2]
    toll = solution.tolls[k][:, :, middle : middle + 1].transpose(0, 2, 1)
    toll = np.concatenate([np.zeros((len(toll), 1, depots)), toll], axis=2)
    level = made.choice.level[:, middle] if levels is None else levels[k]
    return Layered(
        target=full(solution.targets[k][:, middle].T[None]),
        level=full(level[None]),
        share=full(made.ways.share),
        along=full(made.curve.target[:, :, middle].transpose(0, 2, 1))
        if curved
        else None,
        toll=full(np.repeat(toll, periods, axis=1)),
        reserve=jnp.zeros((1, depots + nodes, len(group.items)), jnp.float32),
    )


def main_source(made) -> tuple[int, ...]:
    """The depot that most items are supplied from, of each node."""
    return tuple(int(np.bincount(s[s >= 0]).argmax()) for s in made.ways.source.T)


def with_main_source(plan, solution):
    """The plan with every node supplied from one depot, as the simulator has it."""
    groups = []
    for k, made in enumerate(plan.groups):
        source = np.array(main_source(made))
        flow = solution.outcomes[k].shipped.mean(axis=1)
        share = np.stack(
            [flow[:, source == d].sum(axis=1) for d in range(len(made.supply.depot))], 1
        )
        share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        groups.append(made._replace(ways=made.ways._replace(share=share)))
    return plan._replace(groups=tuple(groups))


def leads_of(lab: Lab, made, periods: int, paths: int, sample, k: int, rng):
    """Lead times of every order: real deliveries to depots by item, lanes below."""
    offers = made.supply.offers
    depots, items = len(made.supply.depot), len(made.choice.offer)
    draw = rng.integers(0, DRAWS, (periods, items, paths))
    lead = offers.lead[np.maximum(made.choice.offer, 0)]
    real = lead[np.arange(items)[None, :, None], draw]
    whole = np.floor(real + rng.random(real.shape)).astype(int)
    above = np.repeat(whole[:, None], depots, axis=1)
    below = np.asarray(sample.lead[k]).transpose(1, 0, 2)[:, :, None]
    below = np.broadcast_to(below, (*below.shape[:2], items, paths))
    return jnp.asarray(np.concatenate([above, below], axis=1))


def run(lab: Lab, solution, chosen, *, paths: int, warm: int):
    """Money of a period by part and path, and units lost, of every policy."""
    long, found = lab.long, {name: [] for name in chosen}
    none = [np.zeros((len(lab.labels.depots), long.periods))] * 2
    limits = make_limits(long, 0)
    room = jnp.asarray(lab.limits.storage.min(axis=1), jnp.float32)[:, None]
    room = jnp.broadcast_to(room, none[0].shape)
    free = jnp.full(room.shape, jnp.inf)
    over = float(np.max(np.asarray(limits.overage), initial=0.0))
    join = lambda a, b: jnp.concatenate([a, b])
    limits = Limits(
        join(limits.storage, room), join(limits.inbound, free),
        join(limits.outbound, free), join(limits.overage, jnp.full(room.shape, over)),
        join(limits.waiting, jnp.zeros(len(room))),
    )  # fmt: skip
    place = tuple(len(lab.labels.nodes) + d for d in range(len(lab.labels.depots)))
    plan = next(iter(chosen.values()))[0]
    sources = [main_source(made) for made in plan.groups]
    systems = tuple(
        with_depots(make_system(g, days=DAYS), made.supply.holding.T, source, place)
        for g, made, source in zip(long.groups, plan.groups, sources, strict=True)
    )
    cuts = load_cuts(lab.problem, lab.sample)[:1]
    cuts = np.repeat(cuts, long.periods, axis=0)
    each = 8
    for block, seed in enumerate(seeds_of(SEED, 2, -(-paths // each))):
        sample = lab.draw(long, count=each, seed=seed)
        rng = np.random.default_rng([SEED, block, 7])
        base = make_paths(long, sample, cuts, 0)
        leads = [
            leads_of(lab, made, long.periods, each, sample, k, rng)
            for k, made in enumerate(plan.groups)
        ]
        longest = max(int(x.max()) for x in leads) + 1
        streams = tuple(replace(p, lead=x) for p, x in zip(base, leads, strict=True))
        for name, (supply, levels, curved) in chosen.items():
            supply = with_main_source(supply, solution)
            policies = tuple(
                policy_of(g, solution, k, made, levels, curved, long.periods)
                for k, (g, made) in enumerate(
                    zip(long.groups, supply.groups, strict=True)
                )
            )
            routes = _routes(long, systems, policies)
            states = tuple(
                _start(system, policy, made, longest, each)
                for system, policy, made in zip(
                    systems, policies, supply.groups, strict=True
                )
            )
            trace = simulate_paths(systems, policies, limits, streams, states, routes)
            found[name].append(_summary(trace, systems, warm))
        print(f"  {(block + 1) * each} paths", flush=True)
    return {
        name: {k: np.concatenate([p[k] for p in parts], axis=-1) for k in parts[0]}
        for name, parts in found.items()
    }


def _routes(problem, systems, policies):
    """Fulfilment's routes; depots serve nobody."""
    wide = []
    for group, system in zip(problem.groups, systems, strict=True):
        depots = len(system.parent) - len(group.network.node)
        far = np.full((depots, group.network.ring.shape[1]), group.network.ring.max())
        ring = np.concatenate([far, group.network.ring])
        wide.append(replace(group, network=replace(group.network, ring=ring)))
    return tuple(routes_of(replace(problem, groups=tuple(wide)), systems, policies))


def _start(system, policy, made, longest: int, paths: int):
    """Nodes full to their targets, depots with what their share leaves."""
    depots = made.ways.share.shape[1]
    shelf = np.asarray(policy.target[0])
    level = np.asarray(policy.level[0])
    usual = made.ledger.shipped.mean(axis=1).sum(axis=1) * made.ways.wait
    free = np.rint(np.maximum(level - shelf.sum(axis=0) - usual, 0))
    above = np.floor(free[None] * made.ways.share.T)
    units = np.concatenate([above, shelf])[:, :, None]
    state = empty_state(
        system, np.repeat(units, paths, axis=2).astype(np.float32), longest
    )
    ahead = np.maximum(made.ways.wait, 1)
    pipeline = np.zeros(state.pipeline.shape, np.float32)
    for i, wait in enumerate(ahead):
        each = np.rint(usual[i] / wait * made.ways.share[i])
        pipeline[:wait, :depots, i] = each[None, :, None]
    return replace(state, pipeline=jnp.asarray(pipeline))


def _summary(trace, systems, warm: int):
    """Means over the periods after the warm-up, by path."""
    money = sum(np.asarray(x.money, float)[warm:].mean(axis=0) for x in trace.ledgers)
    total = lambda key: sum(
        np.asarray(getattr(x, key), float)[warm:].sum(axis=(0, 1))
        for x in trace.ledgers
    )
    depots = systems[0].parent.count(-1)
    on_hand = [np.asarray(x.on_hand, float)[warm:].mean(axis=0) for x in trace.ledgers]
    assert not any(np.asarray(x.wrong).any() for x in trace.ledgers)
    return {
        "money": money,
        "fill": (total("served") / total("demand"))[None],
        "on time": (total("on_time") / total("demand"))[None],
        "depot stock": sum(x[:depots].sum(axis=0) for x in on_hand)[None],
        "node stock": sum(x[depots:].sum(axis=0) for x in on_hand)[None],
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
    made.add_argument("--weeks", type=int, default=156)
    made.add_argument("--warm", type=int, default=78)
    args = made.parse_args()
    record = Record(args)
    small = args.quick
    lab = Lab(
        args.data, 6 if small else args.items, 2 if small else 4,
        24 if small else args.weeks, 8 if small else 64,
    )  # fmt: skip
    charges = tuple(map(charges_of, lab.problem.groups))
    with jax.enable_x64(True):
        solution = solve_problem(lab.problem, lab.sample, SOLVER, charges=charges)
    chosen = plans(lab, solution)
    with jax.enable_x64(False):
        found = run(
            lab, solution, chosen, paths=8 if small else args.paths,
            warm=12 if small else args.warm,
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

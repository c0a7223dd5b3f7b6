"""What a test on random halves of the items says, beside what is true.

    python -m experiments.interference.run [--paths 64] [--weeks 24] [--quick]

Prints a line per design and pair of policies; writes `result.json` and `result.png`
beside this file.
"""

from dataclasses import replace

import equinox as eqx
import numpy as np

from experiments import labs, record
from experiments.labs import Lab
from meio_jax import policies
from meio_jax.planner import solve_problem
from meio_jax.problem import Problem, take_items
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.bridge import load_cuts, make_limits, make_paths, make_system
from meio_jax.sim.lab import Decision, policies_of, routes_of, spans, start_state
from meio_jax.sim.period import COSTS
from meio_jax.sim.recipe import decision
from meio_jax.sim.run import simulate_paths
from meio_jax.stats import interval, paired

SWITCHES = {4: 2, 12: 8}  # weeks between switches: weeks not counted after one
ROOM = 0.7  # of the demo's storage
SPLITS = 3  # draws of the halves


def tightened(lab: Lab) -> Lab:
    """The lab with less storage."""
    return lab._replace(
        problem=replace(lab.problem, storage=ROOM * lab.problem.storage)
    )


def stretched(lab: Lab, weeks: int) -> Lab:
    """The lab with its capacities repeated over more weeks, to simulate."""
    turn = np.arange(weeks) % lab.problem.periods
    fields = ("storage", "inbound", "outbound", "item_limit", "overage")
    full = {k: np.broadcast_to(getattr(lab.problem, k), lab.problem.storage.shape)
            for k in fields}  # fmt: skip
    longer = {k: v[:, turn] for k, v in full.items()}
    lab = lab._replace(problem=replace(lab.problem, **longer))
    count = len(lab.sample.weight)
    return lab._replace(sample=labs.drawer(lab)(count=count, seed=labs.SEED))


def repeated(made: Decision, weeks: int) -> Decision:
    """A decision over and over."""
    turn = np.arange(weeks) % made.targets[0].shape[1]
    return made._replace(
        targets=tuple(y[:, turn] for y in made.targets),
        tolls=tuple(x[:, :, turn] for x in made.tolls),
    )


def arms(lab: Lab) -> dict[str, Decision]:
    """The plan, a node-wise rule cut to storage, and a plan as if all were free."""
    problem = lab.problem
    found = solve_problem(problem, lab.sample, lab.solver)
    rule = policies.base_stock().decide(problem, lab.sample)
    none = np.full_like(problem.storage, np.inf)
    free = replace(problem, storage=none, inbound=none, outbound=none)
    blind = solve_problem(free, lab.sample, replace(lab.solver, certify=2)).targets
    return {
        "plan": labs.decision("plan", problem, found),
        "base_stock": rule,
        "unpriced": decision("unpriced", problem, blind),
    }


def halves(problem: Problem, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two halves of the items of every group: of two that sell nearly the same, one
    goes to each."""
    rng, found = np.random.default_rng([labs.SEED, 8, seed]), []
    for group in problem.groups:
        sold = np.add.reduceat(group.demand.quantity, group.demand.start[:-1])
        order = np.argsort(-sold, kind="stable")[: len(sold) // 2 * 2].reshape(-1, 2)
        side = rng.integers(2, size=len(order))
        pick = lambda s, order=order: np.sort(order[np.arange(len(order)), s])
        rest = np.setdiff1d(np.arange(len(sold)), order)  # an odd one goes to the first
        found.append((np.sort(np.r_[pick(side), rest]), pick(1 - side)))
    return found


def take(lab: Lab, chosen, room: float = 1.0) -> Lab:
    """Some items of every group, with a share of all capacities."""
    problem = lab.problem
    groups = tuple(
        take_items(g, items) for g, items in zip(problem.groups, chosen, strict=True)
    )
    made = replace(
        problem, groups=groups, storage=room * problem.storage,
        inbound=room * problem.inbound, outbound=room * problem.outbound,
    )  # fmt: skip
    return lab._replace(problem=made)


def part(made: Decision, chosen) -> Decision:
    """A decision on some items of every group."""
    return made._replace(
        targets=tuple(y[items] for y, items in zip(made.targets, chosen, strict=True)),
        reserves=tuple(
            r[..., items] for r, items in zip(made.reserves, chosen, strict=True)
        ),
    )


def together(lab: Lab, sides, decisions) -> tuple[Lab, Decision]:
    """Halves that share the buildings, each with a decision of its own."""
    parts = [take(lab, side) for side in sides]
    groups = tuple(g for p in parts for g in p.problem.groups)
    cut = [part(made, side) for made, side in zip(decisions, sides, strict=True)]
    fields = ("targets", "tolls", "reserves")
    joint = {k: tuple(x for c in cut for x in getattr(c, k)) for k in fields}
    problem = eqx.tree_at(lambda p: p.groups, lab.problem, groups)
    return lab._replace(problem=problem), decisions[0]._replace(**joint)


def twice(samples: list[Sample]) -> list[Sample]:
    """The samples for a problem that has every group twice: both get its trucks."""
    return [eqx.tree_at(lambda s: s.lead, s, s.lead + s.lead) for s in samples]


def group_costs(lab: Lab, made: Decision, samples) -> np.ndarray:
    """Money of every group, "groups periods paths", when they share buildings; what
    stock above storage costs in a building is shared out by volume there."""
    problem = lab.problem
    longest, warm = spans(problem, samples)
    limits = make_limits(problem, warm)
    systems = tuple(make_system(g, days=labs.DAYS) for g in problem.groups)
    chosen = policies_of(made, warm)
    routes, cuts = routes_of(problem, systems, chosen), load_cuts(problem, lab.sample)
    found = []
    for sample in samples:
        states = tuple(
            start_state(*each, len(sample.weight), longest)
            for each in zip(problem.groups, systems, chosen, strict=True)
        )
        paths = make_paths(problem, sample, cuts, warm)
        trace = simulate_paths(systems, chosen, limits, paths, states, routes)
        found.append(_shared(systems, limits, trace.ledgers)[:, warm:])
    return np.concatenate(found, axis=2)


def _shared(systems, limits, ledgers):
    """Costs by group, overage where the volume is."""
    over = COSTS.index("overage")
    costs, held = [], []
    for system, ledger in zip(systems, ledgers, strict=True):
        money = np.asarray(ledger.money, float)
        costs.append(money.sum(axis=1) - money[:, over])
        volume = np.zeros((len(money), len(limits.storage), money.shape[2]))
        volume[:, np.asarray(system.place)] = np.asarray(ledger.volume, float)
        held.append(volume)
    total = np.sum(held, axis=0)
    above = np.maximum(total - np.asarray(limits.storage, float).T[..., None], 0)
    rate = np.asarray(limits.overage, float).T[..., None]
    per_volume = rate * above / np.maximum(total, 1e-9)
    fines = [(volume * per_volume).sum(axis=1) for volume in held]
    return np.add(costs, fines)


def switched(one: Decision, other: Decision, weeks: int, block: int) -> Decision:
    """The one in the first block of weeks, the other in the second, and so on."""
    first = np.arange(weeks) // block % 2 == 0
    pick = lambda x, y, axis: np.where(
        first.reshape([-1 if k == axis else 1 for k in range(x.ndim)]), x, y
    )
    both = lambda key, axis: tuple(
        pick(x, y, axis)
        for x, y in zip(getattr(one, key), getattr(other, key), strict=True)
    )
    return one._replace(targets=both("targets", 1), tolls=both("tolls", 2))


def item_test(lab, samples, one, other, sides, *, split: bool):
    """Difference of cost by path that a test on halves of the items tells: of treated
    less control items, scaled to all items; both ways round, as treated are either
    half. Split: every half has half of every capacity for itself."""
    told = []
    for order in (1, -1):
        pair = [one, other][::order]  # decisions of the first and of the second half
        if split:
            costs = [
                group_costs(take(lab, side, 0.5), part(made, side), samples)
                for made, side in zip(pair, sides, strict=True)
            ]
        else:
            mixed, made = together(lab, sides, pair)
            costs = np.split(group_costs(mixed, made, twice(samples)), 2)
        weekly = [c.sum(axis=0).mean(axis=0) for c in costs]
        count = [sum(map(len, side)) for side in sides]
        each = [w / n for w, n in zip(weekly, count, strict=True)][::order]
        told.append(sum(count) * (each[0] - each[1]))
    return np.array(told)


def switchback(lab, samples, one, other, block: int, dropped: int):
    """The same from whole weeks, the first ones after a switch dropped; begun either
    way round."""
    weeks = lab.problem.periods
    first, late = np.arange(weeks) // block % 2 == 0, np.arange(weeks) % block
    told = []
    for order in (1, -1):
        made = switched(*[one, other][::order], weeks, block)
        cost = group_costs(lab, made, samples).sum(axis=0)
        kept = late >= dropped
        here, there = cost[kept & first], cost[kept & ~first]
        told.append(order * (here.mean(axis=0) - there.mean(axis=0)))
    return np.array(told)


def designs(lab: Lab, samples, one: Decision, other: Decision, splits: int) -> dict:
    """What every design tells on every path, and what is true there."""
    whole = lambda made: group_costs(lab, made, samples).sum(axis=0).mean(axis=0)
    before = whole(other)
    found = {"truth": (whole(one) - before)[None]}
    sides = [tuple(zip(*halves(lab.problem, k), strict=True)) for k in range(splits)]
    for name, split in (("items at random", False), ("split capacity", True)):
        told = [item_test(lab, samples, one, other, s, split=split) for s in sides]
        found[name] = np.concatenate(told)
    for block, dropped in SWITCHES.items():
        if 2 * block <= lab.problem.periods:
            told = switchback(lab, samples, one, other, block, dropped)
            found[f"switch every {block} weeks"] = told
    return {"control": before, **found}


def describe(found: dict) -> dict:
    """Mean of each design over draws of halves, its bias with interval over paths, and
    the spread of single tests."""
    truth, control = found["truth"][0], found["control"]
    rows = {"control_cost": float(control.mean())}
    for name, told in found.items():
        if name == "control":
            continue
        mean = told.mean(axis=0)
        rows[name] = {
            "estimate": labs.rounded(interval(mean)._asdict()),
            "bias": labs.rounded(paired(mean, truth).difference._asdict()),
            "spread_of_a_test": float(told.mean(axis=1).std(ddof=1))
            if len(told) > 1
            else 0.0,
            "wrong_sign": float((told.mean(axis=1) * truth.mean() < 0).mean()),
        }
    return rows


def draw_figure(table: dict, path) -> None:
    """Estimates of every design, and the truth as a line."""
    plt = labs.pyplot()
    figure, axes = plt.subplots(
        1, len(table), figsize=(9, 2.8), layout="constrained", sharey=True
    )
    for axis, (pair, rows) in zip(axes, table.items(), strict=True):
        names = [k for k in rows if k != "control_cost"]
        truth = rows["truth"]["estimate"]["mean"]
        axis.axvline(truth, color=labs.COLORS[0], ls="--", lw=1)
        for place, name in enumerate(reversed(names)):
            told, color = (
                rows[name]["estimate"],
                labs.COLORS[0 if name == "truth" else 1],
            )
            ends = [[told["mean"] - told["low"]], [told["high"] - told["mean"]]]
            axis.errorbar(
                told["mean"], place, xerr=ends, fmt="o", color=color, capsize=3
            )
        axis.set_yticks(range(len(names)), names[::-1])
        axis.locator_params(axis="x", nbins=5)
        axis.set(title=pair, xlabel="USD a week", ylim=(-0.5, len(names) - 0.5))
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    args = labs.arguments(__doc__, __file__, arguments, paths=(64, 8), weeks=(24, 8))
    run = record.Record(args)
    lab = tightened(labs.demo_lab(args.quick))
    made = {k: repeated(v, args.weeks) for k, v in arms(lab).items()}
    lab = stretched(lab, args.weeks)
    samples = labs.fresh_paths(lab, args.paths)
    pairs = {"plan": ["unpriced"] if args.quick else ["unpriced", "base_stock"]}
    table = {}
    for other in pairs["plan"]:
        splits = 1 if args.quick else SPLITS
        rows = describe(designs(lab, samples, made["plan"], made[other], splits))
        table[f"plan less {other}"] = rows
        print(f"plan less {other}, control {rows['control_cost']:,.0f} USD a week")
        for name, row in rows.items():
            if name != "control_cost":
                est, bias = row["estimate"], row["bias"]
                print(
                    f"  {name:<16} {est['mean']:9,.0f} [{est['low']:,.0f}, "
                    f"{est['high']:,.0f}]  bias {bias['mean']:+,.0f} "
                    f"[{bias['low']:+,.0f}, {bias['high']:+,.0f}]  single tests "
                    f"+- {row['spread_of_a_test']:,.0f}",
                    flush=True,
                )
    run.write(table=table, room=ROOM, switches=SWITCHES, splits=SPLITS)
    if not args.quick:
        draw_figure(table, args.out / "result.png")


if __name__ == "__main__":
    main()

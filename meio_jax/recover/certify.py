"""Certificate A: on these scenarios no plan of the model costs less than the bound.

The Lagrangian at fixed prices is a sum over items, so what the plan's exceeds the exact
optimum's is too. It is computed item by item, by K2: for all of them, or for the dear
ones and a random sample of the others drawn in proportion to what they cost, from which
the sum follows without bias (Hansen & Hurwitz 1943) and with an interval.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from meio_jax.dual.exact import solve_items
from meio_jax.dual.use import use_cost
from meio_jax.mesh import Crew
from meio_jax.problem import Problem
from meio_jax.recover.evaluate import Outcome, outcome_use
from meio_jax.scenarios.sample import Sample

WORKERS = 2  # solves at a time: a scenario is too small to keep two cores busy


class Certificate(NamedTuple):
    """What is proven, and what the distance to the plan is made of; money.

    Attributes:
      bound: the dual value at the prices; from a sample its estimate.
      low: lower end of the 95 % interval of the bound; the bound itself for all items.
      high: its upper end.
      model: cost of the plan's targets above the bound under the exact recourse (K2)
        and the same prices, unused capacity at its price included.
      fulfilment: cost of greedy fulfilment (K3) above the exact recourse (K2).
      items: items solved.
      of: items in all.
      kernel: cost of the plan's targets above the best whole ones at the prices that
        they were made at, unused capacity at its price included, under the tree kernel
        with its corrections, unsmoothed: how well the planner solved what it set
        itself. No part of the distance to the bound.
    """

    bound: float
    low: float
    high: float
    model: float
    fulfilment: float
    items: int
    of: int
    kernel: float = 0.0


def item_lagrangian(
    problem: Problem,
    index: int,
    outcome: Outcome,
    target: Float[np.ndarray, "items periods nodes"],
    prices: Float[np.ndarray, "resources nodes periods"],
) -> Float[np.ndarray, " items"]:
    """Cost of each item of a group under greedy fulfilment, and of what it uses."""
    group = problem.groups[index]
    uses = outcome_use(group, outcome, target)
    paid = outcome.holding + outcome.shipping + outcome.lost
    own = problem.paid(prices)[:, group.network.node]
    return (paid + use_cost(uses, own)).sum(axis=1)


def sound_prices(
    problem: Problem, prices: Float[np.ndarray, "resources nodes periods"]
) -> Float[np.ndarray, "resources nodes periods"]:
    """Prices under which no target is paid for growing without end.

    Where inbound gets cheaper from a period to the next by more than a unit costs to
    hold, a unit more than anyone could want has a negative charge: the dual is
    unbounded there, and one that leaves such targets out proves nothing about them.
    Later inbound prices are lowered until all charges are at least 0; then what is best
    among targets that demand could use up is best among all. Items whose largest target
    the problem itself limits ask for nothing.

    Args:
      problem: the problem.
      prices: money per unit of capacity, >= 0.
    """
    prices = prices.copy()
    node, through = problem.ways
    for t in range(problem.periods - 1):
        paid = problem.paid(prices)
        most = paid[1, :, t] + _least_held(problem, paid[0, :, t], t)
        share = np.ones(len(most))  # of what receipts pay where they pass through
        passing = prices[1, through, t + 1] + prices[2:, through, t + 1].mean(axis=0)
        np.minimum.at(share, through, most[node] / np.maximum(passing, 1e-300))
        prices[1:, :, t + 1] *= share
        most[node] -= passing * share[through]
        prices[1, :, t + 1] = np.clip(prices[1, :, t + 1], 0, np.maximum(most, 0))
    return prices


def _least_held(problem: Problem, room, period: int):
    """The least that a unit of any item costs to hold at each node in a period."""
    least = np.full(len(room), np.inf)
    for group in problem.groups:
        node, items = group.network.node, group.items
        cost = items.holding + items.volume[:, None] * room[node]
        free = np.isinf(items.upper[:, period])
        least[node] = np.minimum(least[node], np.where(free, cost, np.inf).min(axis=0))
    return least


def certify(
    problem: Problem,
    sample: Sample,
    prices: Float[np.ndarray, "resources nodes periods"],
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...],
    outcomes: tuple[Outcome, ...],
    use: Float[np.ndarray, "resources nodes periods"],
    *,
    count: int,
    seed: int,
    dtype=jnp.float32,
    crew: Crew | None = None,
) -> Certificate:
    """Bounds the cost of every plan, and splits the distance to this one.

    Args:
      problem: the problem, with all classes of its demand.
      sample: the scenarios.
      prices: money per unit of capacity, >= 0.
      targets: of the plan, units.
      outcomes: what they do under greedy fulfilment.
      use: what they use of every capacity.
      count: items to solve, the dearest for certain; all if there are no more.
      seed: of the draw.
      dtype: of the method's steps; what is proven is float64.
      crew: processes, which share the items to solve.
    """
    crew = crew or Crew()
    whole = [
        item_lagrangian(problem, k, o, y, prices)
        for k, (o, y) in enumerate(zip(outcomes, targets, strict=True))
    ]
    sizes = [len(x) for x in whole]
    total = np.asarray(np.concatenate(whole))
    draw = draw_items(total, count, seed)
    chosen = draw.chosen
    model, greedy = np.zeros(len(chosen)), np.zeros(len(chosen))
    mine = np.arange(crew.process, len(chosen), crew.processes)
    parts = [(k, mine[here], items) for k, here, items in by_group(sizes, chosen[mine])]

    def solve(k, items, pinned):
        own = problem.paid(prices)[:, problem.groups[k].network.node]
        with jax.enable_x64(True):  # a thread has its own
            return solve_items(
                problem, k, sample, items, own, targets[k][items], pinned=pinned,
                dtype=dtype,
            ).bound.sum(axis=1)  # fmt: skip

    with ThreadPoolExecutor(WORKERS) as pool:
        best, held = (
            [pool.submit(solve, k, items, pinned) for k, _, items in parts]
            for pinned in (False, True)
        )
        for (k, here, items), free, kept in zip(parts, best, held, strict=True):
            model[here] = kept.result() - free.result()
            greedy[here] = whole[k][items] - kept.result()
    model, greedy = crew.total(model), crew.total(greedy)
    cost = sum(o.cost for o in outcomes)
    limited = np.isfinite(problem.capacities)
    spare = np.where(limited, problem.capacities, 0) - np.where(limited, use, 0)
    slack = float(np.sum(prices * spare))
    error = draw.error(model + greedy)
    bound = cost - draw.total(model + greedy) - slack
    return Certificate(
        bound, bound - error, bound + error, draw.total(model) + slack,
        draw.total(greedy), len(chosen), len(total),
    )  # fmt: skip


class Draw(NamedTuple):
    """Items of a sample: some for certain, the others with their draws.

    Attributes:
      chosen: items, each once.
      sure: those taken for certain.
      weight: number of each item's draws over their chance, by draw; 0 for the sure.
    """

    chosen: Int[np.ndarray, " chosen"]
    sure: Bool[np.ndarray, " chosen"]
    weight: Float[np.ndarray, "chosen draws"]

    def total(self, value) -> float:
        """Estimate of the sum over all items."""
        return float(value[self.sure].sum() + (value @ self.weight).sum())

    def error(self, value) -> float:
        """Half of its 95 % interval, by Student's t over the draws."""
        draws = self.weight.shape[1]
        if not draws:
            return 0.0
        from scipy.stats import t

        each = value @ self.weight * draws
        return float(t.ppf(0.975, draws - 1) * each.std(ddof=1) / np.sqrt(draws))


def by_group(
    sizes: list[int], chosen: Int[np.ndarray, " chosen"]
) -> Iterator[tuple[int, Int[np.ndarray, " some"], Int[np.ndarray, " some"]]]:
    """Each group that has chosen items, where these are among the chosen, and their
    places in the group.

    Args:
      sizes: items of every group.
      chosen: items, counted through all groups.
    """
    group = np.repeat(np.arange(len(sizes)), sizes)[chosen]
    place = np.concatenate([np.arange(size) for size in sizes])[chosen]
    for k in range(len(sizes)):
        here = np.flatnonzero(group == k)
        if here.size:
            yield k, here, np.asarray(place[here])


def draw_items(size: Float[np.ndarray, " items"], count: int, seed: int) -> Draw:
    """Draws in proportion to size; items that would be expected once or more often are
    taken for certain.

    Args:
      size: of every item; the nearer what is summed is in proportion to it, the better.
      count: items at most.
      seed: of the draws.
    """
    size = np.maximum(size, 0) + 1e-3 * np.abs(size).mean() + 1e-12
    sure, draws = np.zeros(len(size), bool), count
    if count >= len(size):
        sure[:], draws = True, 0
    while draws > 2:
        rest = np.where(sure, 0, size)
        often = np.flatnonzero(rest * draws >= rest.sum())
        if not often.size:
            break
        dearest = often[np.argsort(-size[often], kind="stable")]
        sure[dearest[: draws - 2]] = True  # two draws at least tell a spread
        draws = count - int(sure.sum())
    chance = np.where(sure, 0, size)
    chance = chance / max(chance.sum(), 1e-300)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(size), draws, p=chance) if draws else np.zeros(0, int)
    chosen = np.unique(np.r_[np.flatnonzero(sure), drawn])
    weight = np.zeros((len(chosen), draws))
    weight[np.searchsorted(chosen, drawn), np.arange(draws)] = 1 / chance[drawn]
    return Draw(chosen, sure[chosen], weight / max(draws, 1))

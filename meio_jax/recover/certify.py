"""Certificate A: on these scenarios no plan of the model costs less than the bound.

The Lagrangian at fixed prices is a sum over items, so what the plan's exceeds the exact
optimum's is too. It is computed item by item, by K2: for all of them, or for a random
sample drawn in proportion to what items cost, from which the sum follows without bias
(Hansen & Hurwitz 1943) and with an interval.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from meio_jax.dual.exact import solve_items
from meio_jax.problem import Problem
from meio_jax.recover.evaluate import Outcome
from meio_jax.scenarios.sample import Sample


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
    """

    bound: float
    low: float
    high: float
    model: float
    fulfilment: float
    items: int
    of: int


def item_lagrangian(
    problem: Problem,
    index: int,
    outcome: Outcome,
    target: Float[np.ndarray, "items periods nodes"],
    prices: Float[np.ndarray, "resources nodes periods"],
) -> Float[np.ndarray, " items"]:
    """Cost of each item of a group under greedy fulfilment, and of what it uses."""
    group = problem.groups[index]
    prices = prices[:, group.network.node]
    storage, inbound = prices[0].T, prices[1].T
    outbound = np.moveaxis(prices[2:], 2, 0)
    later = np.pad(inbound[1:], ((0, 1), (0, 0)))
    volume = group.items.volume[:, None, None]
    used = volume * storage * (outcome.left + outcome.shipped)
    used = used + (inbound - later) * target + later * outcome.shipped
    used = used + (outbound * outcome.sent).sum(axis=2)
    paid = outcome.holding + outcome.shipping + outcome.lost
    return (paid + used.sum(axis=2)).sum(axis=1)


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
) -> Certificate:
    """Bounds the cost of every plan, and splits the distance to this one.

    Args:
      problem: the problem, with all classes of its demand.
      sample: the scenarios.
      prices: money per unit of capacity, >= 0.
      targets: of the plan, units.
      outcomes: what they do under greedy fulfilment.
      use: what they use of every capacity.
      count: items to draw; all are solved if there are no more.
      seed: of the draw.
      dtype: of the method's steps; what is proven is float64.
    """
    whole = [
        item_lagrangian(problem, k, o, y, prices)
        for k, (o, y) in enumerate(zip(outcomes, targets, strict=True))
    ]
    sizes = [len(x) for x in whole]
    total = np.asarray(np.concatenate(whole))
    chosen, weight = draw_items(total, count, seed)
    model, greedy = np.zeros(len(chosen)), np.zeros(len(chosen))
    for k, here, items in by_group(sizes, chosen):
        node = problem.groups[k].network.node
        solve = lambda pinned, k=k, items=items, node=node: solve_items(
            problem, k, sample, items, prices[:, node], targets[k][items],
            pinned=pinned, dtype=dtype,
        ).bound.sum(axis=1)  # fmt: skip
        best, held = solve(False), solve(True)
        model[here] = held - best
        greedy[here] = whole[k][items] - held
    cost = sum(o.cost for o in outcomes)
    limited = np.isfinite(problem.capacities)
    spare = np.where(limited, problem.capacities, 0) - np.where(limited, use, 0)
    slack = float(np.sum(prices * spare))
    above = _mean(model + greedy, weight)
    error = _error(model + greedy, weight) if len(chosen) < len(total) else 0.0
    bound = cost - above - slack
    return Certificate(
        bound, bound - error, bound + error, _mean(model, weight) + slack,
        _mean(greedy, weight), len(chosen), len(total),
    )  # fmt: skip


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


def draw_items(
    size: Float[np.ndarray, " items"], count: int, seed: int
) -> tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, "chosen draws"]]:
    """Items drawn with replacement in proportion to size, each once, and the number of
    its draws over its chance and their number; all with weight 1 if there are few.

    Args:
      size: of every item; the nearer what is summed is in proportion to it, the better.
      count: draws.
      seed: of the draws.
    """
    if count >= len(size):
        return np.arange(len(size)), np.ones(len(size))[:, None]
    chance = np.maximum(size, 0) + 1e-3 * np.abs(size).mean() + 1e-12
    chance = chance / chance.sum()
    drawn = np.random.default_rng(seed).choice(len(size), count, p=chance)
    chosen, at = np.unique(drawn, return_inverse=True)
    weight = np.zeros((len(chosen), count))
    weight[at, np.arange(count)] = 1 / chance[drawn] / count
    return chosen, weight


def _mean(value, weight) -> float:
    return float((value @ weight).sum())


def _error(value, weight) -> float:
    """Half of the 95 % interval, by Student's t over the draws."""
    from scipy.stats import t

    draws = value @ weight * weight.shape[1]
    spread = draws.std(ddof=1) / np.sqrt(len(draws))
    return float(t.ppf(0.975, len(draws) - 1) * spread)

"""Items solved exactly at given prices: K2 on all scenarios and all classes.

What the tree kernel estimates for all items, this proves for those it is given. Each
cell keeps, per scenario, only the classes that have demand in it; slow movers cost
little.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from meio_jax.dual.lagrangian import charges
from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.node_dual import STEPS, admissible, item_bound, item_dual
from meio_jax.problem import Problem, take_items
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.regimes import regime_of
from meio_jax.scenarios.sample import Sample, window_demand

CHUNK = 4  # items drawn at once
NARROW = 32  # classes with demand in a scenario: the least width worked on
WIDER = 8  # widths grow by this factor: each compiles anew, which costs some seconds


class Exact(NamedTuple):
    """The exact Lagrangian optimum of some items at some prices, by period.

    Attributes:
      bound: no targets in the box have a smaller Lagrangian, money; float64.
      target: optimal targets, units.
      sent: expected shipments of a period in each regime, times its share, units.
      rest: charge on a target less what a unit more saves, money: 0 where the target
        is inside its box.
      gap: complementarity that the method left, money.
    """

    bound: Float[np.ndarray, "items periods"]
    target: Float[np.ndarray, "items periods nodes"]
    sent: Float[np.ndarray, "items periods regimes nodes"]
    rest: Float[np.ndarray, "items periods nodes"]
    gap: Float[np.ndarray, "items periods"]


def solve_items(
    problem: Problem,
    index: int,
    sample: Sample,
    chosen: Int[np.ndarray, " items"],
    prices: Float[np.ndarray, "resources nodes periods"],
    start: Float[np.ndarray, "items periods nodes"],
    *,
    window: Float[np.ndarray, " nodes"] | None = None,
    pinned: bool = False,
    dtype=jnp.float32,
    tolerance: float = 1e-6,
) -> Exact:
    """Solves items of a group, or prices given targets, at the capacities' prices.

    Args:
      problem: the problem.
      index: which group.
      sample: the scenarios.
      chosen: items of the group.
      prices: money per unit of capacity at the group's nodes.
      start: targets to start from, units.
      window: mean periods that an order protects; the sample's own mean if not given.
      pinned: keep the targets: `bound` is then their own Lagrangian from below.
      dtype: of the steps; what is proven is computed in float64 where JAX allows it.
      tolerance: complementarity at which to stop, as a share of a cell's cost.
    """
    if not len(chosen):
        size = 0, problem.periods
        nodes = len(problem.groups[index].network.node)
        flat, sent = np.zeros((*size, nodes)), np.zeros((*size, problem.regimes, nodes))
        return Exact(np.zeros(size), flat, sent, flat, np.zeros(size))
    group = take_items(problem.groups[index], chosen)
    network, items = group.network, group.items
    source = SlotSource(problem, group, sample)
    cover = sample.window(index) if window is None else window
    constants = (
        jnp.asarray(source.slot), jnp.asarray(sample.lead[index]),
        jnp.asarray(network.home), jnp.asarray(sample.weight),
        jnp.asarray(regime_of(sample.order, problem.regimes)),
        jnp.asarray(network.unit_cost), jnp.asarray(network.cost_per_weight),
        jnp.asarray(network.days_late), jnp.asarray(cover), jnp.asarray(prices),
    )  # fmt: skip
    before = 1 - network.spread / cover[network.home]
    chunk = min(CHUNK, len(chosen))

    def part(first):
        with jax.enable_x64(True):
            last = min(first + chunk, len(chosen))
            take = np.minimum(np.arange(first, first + chunk), last - 1)
            slots = np.asarray(source(first, last))
            slots = slots[np.minimum(np.arange(chunk), last - first - 1)]
            demand, most = _window(slots, *constants[:3], longest=sample.longest)
            most = int(most)
            width = NARROW
            while width < most:
                width *= WIDER
            width = min(width, demand.shape[1])
            lower = start[take] if pinned else items.lower[take]
            upper = start[take] if pinned else items.upper[take]
            steps = np.where(np.arange(chunk) < last - first, STEPS, 0)  # none to pad
            done = _solve(
                demand, constants, start[take], lower, upper, items.volume[take],
                items.weight[take], items.late_cost[take], items.penalty[take],
                items.holding[take], steps, before, width=width, dtype=dtype,
                tolerance=tolerance,
            )  # fmt: skip
            return tuple(np.asarray(x, float)[: last - first] for x in done)

    parts = [part(first) for first in range(0, len(chosen), chunk)]
    bound, target, sent, rest, gap = (
        np.concatenate(x) for x in zip(*parts, strict=True)
    )
    return Exact(bound, target, sent / cover, rest, gap)


@partial(jax.jit, static_argnames=("longest",))
def _window(slots, slot, lead, home, *, longest):
    """Window demand: items, classes, periods, scenarios; most classes with any."""
    one = partial(window_demand, slot=slot, lead=lead, home=home, longest=longest)
    demand = jax.vmap(one)(slots)
    return demand, (demand > 0).sum(axis=1).max()


@partial(jax.jit, static_argnames=("width", "dtype", "tolerance"))
def _solve(
    demand, constants, start, lower, upper, volume, weight, late_cost, penalty,
    holding, steps, before, *, width, dtype, tolerance,
):  # fmt: skip
    _, _, _, prob, regime, *services, window, prices = constants
    regimes = prices.shape[0] - 2
    narrow = lambda x: x.astype(dtype)

    def item(part):
        demand, start, lower, upper, volume, weight, late_cost = part[:7]
        penalty, holding, steps = part[7:]
        charge, toll = charges(window, volume, holding, prices)
        serve = serve_cost(services, weight, late_cost)
        cost = serve - holding[:, None]
        paid = (before * jnp.minimum(serve.min(axis=0), penalty)) @ (
            demand.astype(float) @ prob
        )

        def cell(part):
            demand, charge, toll, start, lower, upper, paid, regime = part
            order = jnp.argsort(-demand, axis=1)[:, :width]  # classes with demand first
            few = jnp.take_along_axis(demand, order, axis=1).astype(float)
            own = jnp.moveaxis(cost[:, order], 1, 0)  # draws nodes few
            own = own + toll[regime][:, :, None]
            top = jnp.maximum(demand.sum(axis=1).max(), 0.0)
            upper = jnp.clip(jnp.minimum(upper, top), lower, None)
            found = item_dual(
                narrow(few), narrow(prob), narrow(own), narrow(penalty),
                narrow(charge), narrow(lower), narrow(upper), narrow(start),
                tolerance=tolerance, steps=steps,
            )  # fmt: skip
            price = admissible(found.price.astype(float), prob, charge, found.below)
            bound = item_bound(price, few, prob, own, penalty, charge, lower, upper)
            share = prob[:, None] * (regime[:, None] == jnp.arange(regimes))
            sent = jnp.einsum("wk,wn->kn", share, found.shipped.astype(float))
            rest = charge - prob @ price
            return bound - paid, found.target, sent, rest, found.gap

        periods = jnp.moveaxis(demand, 0, 2)  # periods scenarios classes
        cells = periods, charge, toll, start, lower, upper, paid, regime
        return jax.lax.map(cell, cells)

    demand = jnp.asarray(demand)
    every = demand, start, lower, upper, volume, weight, late_cost, penalty, holding
    return jax.lax.map(item, (*every, steps))

"""What each node alone has to cover, and what a unit missing there costs."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.kernels.cost import serve_cost
from meio_jax.problem import Group, Problem
from meio_jax.recover.assortment import choose_items
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import Sample, window_demand

CHUNK = 64  # items at once


class Windows(NamedTuple):
    """Some items of a group as a planner sees them who looks at one node at a time.

    A class belongs to its home, or where the item may not be there to the cheapest node
    where it may. Costs are the planner's: holding of a unit left per period, and what
    the service or loss of a unit costs divided by the periods that an order protects,
    so that both sides of a newsvendor are money per period.

    Attributes:
      demand: demand at home at a node over the periods that an order protects, units.
      weight: weights of the scenarios.
      rate: mean demand at home at a node, units per period.
      holding: money per unit left.
      lost: money that a unit of demand costs which is lost, less its service from the
        node; where customers wait, what they are paid. Mean over the node's classes.
      next_best: the same of a unit served from the cheapest other node, or lost.
      lower: least target.
      upper: largest target.
    """

    demand: Float[np.ndarray, "items periods nodes scenarios"]
    weight: Float[np.ndarray, " scenarios"]
    rate: Float[np.ndarray, "items periods nodes"]
    holding: Float[np.ndarray, "items nodes"]
    lost: Float[np.ndarray, "items nodes"]
    next_best: Float[np.ndarray, "items nodes"]
    lower: Float[np.ndarray, "items periods nodes"]
    upper: Float[np.ndarray, "items periods nodes"]


def home_windows(problem: Problem, index: int, sample: Sample) -> Iterator[Windows]:
    """The items of a group in chunks, in their order.

    Args:
      problem: the problem.
      index: which group.
      sample: the scenarios that the planner was given.
    """
    group = problem.groups[index]
    source, count = SlotSource(problem, group, sample), len(group.items)
    used = np.zeros(source.slot.max() + 1)
    np.add.at(used, source.slot[:, : problem.periods], sample.weight[:, None])
    cover = partial(
        _cover, slot=jnp.asarray(source.slot), lead=jnp.asarray(sample.lead[index]),
        longest=sample.longest,
    )  # fmt: skip
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        slots = np.asarray(source(first, last))
        usual = np.einsum("isq,s->iq", slots[:, : len(used)], used)
        home, lost, next_best = _at_home(group, slice(first, last), usual)
        pad = min(CHUNK, count) - (last - first)  # one shape, one compilation
        by_node = np.pad(np.matmul(slots, home), ((0, pad), (0, 0), (0, 0)))
        demand = np.asarray(cover(jnp.asarray(by_node, jnp.float32)), float)
        demand = np.swapaxes(demand[: last - first], 1, 2)
        items = group.items
        yield Windows(
            demand=demand, weight=sample.weight,
            rate=(demand @ sample.weight) / sample.window(index),
            holding=items.holding[first:last], lost=lost, next_best=next_best,
            lower=items.lower[first:last], upper=items.upper[first:last],
        )  # fmt: skip


@partial(jax.jit, static_argnames="longest")
def _cover(by_node, slot, lead, longest):
    home = jnp.arange(lead.shape[0])
    cover = jax.vmap(window_demand, (0, None, None, None, None))
    return cover(by_node, slot, lead, home, longest)


def _at_home(group: Group, chosen: slice, usual):
    """1 where a class is served at home, and what a unit missing there costs.

    What the home would serve at a loss is not its demand.
    """
    network, items = group.network, group.items
    services = network.unit_cost, network.cost_per_weight, network.days_late
    weight, late = (x[chosen, None, None] for x in (items.weight, items.late_cost))
    allowed = items.upper[chosen].max(axis=1) > 0
    cost = np.where(allowed[:, :, None], serve_cost(services, weight, late), np.inf)
    usually = np.broadcast_to(network.home, (len(cost), len(network.home)))
    at = np.where(
        np.take_along_axis(allowed, usually, axis=1), usually, cost.argmin(axis=1)
    )
    own = np.take_along_axis(cost, at[:, None], axis=1)[:, 0]
    is_home = at[:, :, None] == np.arange(len(network.node))
    others = np.where(np.swapaxes(is_home, 1, 2), np.inf, cost).min(axis=1)
    penalty = np.broadcast_to(items.penalty[chosen, None], own.shape)
    served = np.isfinite(own) & (group.waits | (own < penalty))
    own = np.where(served, own, 0)
    without = penalty + (own if group.waits else 0)
    home = (is_home & served[:, :, None]).astype(float)
    volume = np.einsum("iq,iqn->in", usual, home)

    def mean(loss):
        total = np.einsum("iq,iqn->in", usual * np.maximum(loss, 0), home)
        return total / np.where(volume > 0, volume, 1)

    return home, mean(without - own), mean(np.minimum(others, without) - own)


def home_volume(group: Group, sample: Sample) -> Float[np.ndarray, "items nodes"]:
    """Mean demand at home at each node over the horizon, units, before any draw.

    Args:
      group: items, network and demand.
      sample: the scenarios that the planner was given.
    """
    demand, periods = group.demand, sample.lead[0].shape[1]
    slots = max(sample.slot.max(), demand.slot.max(initial=0)) + 1
    weight = sample.weight[:, None] * sample.factor
    used = np.zeros(slots)
    np.add.at(used, sample.slot[:, :periods], weight[:, :periods])
    item = np.repeat(np.arange(len(group.items)), np.diff(demand.start))
    units = np.zeros((len(group.items), group.regions))
    np.add.at(units, (item, demand.region), demand.quantity * used[demand.slot])
    return units @ group.at_home


def assorted(problem: Problem, sample: Sample) -> Problem:
    """The problem in which nodes that hold only so many items hold those that sell most
    at home there: what a planner does who looks at one node at a time.

    Args:
      problem: the problem.
      sample: the scenarios that the planner was given.
    """
    if not np.isfinite(problem.item_limit).any():
        return problem
    sold = tuple(home_volume(group, sample) for group in problem.groups)
    return choose_items(problem, sold)

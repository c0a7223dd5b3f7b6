"""What no policy can cost less than on a path: a reference, not a policy."""

import numpy as np
from jaxtyping import Float

from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.orders import Orders
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.bridge import load_cuts, make_paths


def hindsight_cost(
    problem: Problem, sample: Sample
) -> Float[np.ndarray, "periods paths"]:
    """Least cost of serving or losing all demand of each period and path, money.

    sum over items i and classes q of min(min_n c_inq, p_i) D_iq: every unit is served
    by the node where that is cheapest, or lost where that is cheaper still.

    Clairvoyant: it knows every unit of demand before it comes and has it at that node
    in that very period, for no holding, whatever lead times are, and no capacity binds.
    A simulation pays at least the cheapest service for a unit that it ships, lateness
    included, and at least the penalty for one that it loses or lets wait, so summed
    over the horizon this is below the cost of any policy on the same path. The distance
    is what uncertainty, lead times and capacities cost together: no policy closes it.

    Args:
      problem: items and network; its capacities are not read.
      sample: one scenario a path.
    """
    paths = make_paths(problem, sample, load_cuts(problem, sample), 0)
    total = np.zeros((problem.periods, len(sample.weight)))
    for group, path in zip(problem.groups, paths, strict=True):
        least, demand = _least(group), path.demand
        if isinstance(demand, Orders):
            total += _of_orders(demand, least, total.shape[1])
        else:
            total += np.einsum("tqip,iq->tp", np.asarray(demand, float), least)
    return total


def _of_orders(orders: Orders, least, paths: int):
    """Money of each period and path."""
    klass, lane, units = map(np.asarray, (orders.klass, orders.lane, orders.units))
    item, path = lane // paths, lane % paths
    money = least[item, klass[..., None]] * units
    total = np.zeros((len(klass), paths))
    period = np.arange(len(klass)).reshape(-1, 1, 1, 1)
    np.add.at(total, (np.broadcast_to(period, path.shape), path), money)
    return total


def _least(group: Group):
    """Money per unit of the cheapest service or loss, "items classes"."""
    network, items = group.network, group.items
    services = network.unit_cost, network.cost_per_weight, network.days_late
    parts = [
        np.minimum(serve_cost(services, w, late).min(axis=0), penalty)
        for w, late, penalty in zip(
            items.weight, items.late_cost, items.penalty, strict=True
        )
    ]
    return network.spread * np.stack(parts)

"""A sample of the items that stands for all of them, to find prices on.

Prices are few and items are many: what a thousandth of the items ask for tells nearly
what all of them do. Items are taken at even distances in the order of their size, so
that every stratum of sizes has its share (systematic sampling; Cochran 1977, ch. 8),
and capacities shrink by what the sample makes up of the demand for them.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from meio_jax.problem import Group, Problem, take_items


def item_demand(group: Group) -> Float[np.ndarray, " items"]:
    """Demand of every item over all its slots, units."""
    total = np.r_[0.0, np.cumsum(group.demand.quantity, dtype=float)]
    return total[group.demand.start[1:]] - total[group.demand.start[:-1]]


def sample_problem(problem: Problem, count: int, seed: int) -> Problem:
    """The problem of a stratified sample of its items, capacities in proportion.

    Storage shrinks by the sample's share of volume times demand, flows by its share of
    demand, the number of items by its share of the items.

    Args:
      problem: the problem.
      count: items to take, one of each group at least.
      seed: of the place where the even distances begin.
    """
    rng = np.random.default_rng([seed, 5])
    every = sum(len(g.items) for g in problem.groups)
    share, groups, all_of, part_of = min(count / every, 1.0), [], [], []
    for group in problem.groups:
        size, demand = len(group.items), item_demand(group)
        taken = max(round(share * size), 1)
        order = np.argsort(group.items.volume * demand, kind="stable")
        place = (np.arange(taken) + rng.random()) * size / taken
        chosen = np.sort(order[place.astype(int)])
        groups.append(take_items(group, chosen))
        each = np.stack([group.items.volume * demand, demand, np.ones(size)])
        all_of.append(each.sum(axis=1))
        part_of.append(each[:, chosen].sum(axis=1))
    storage, flow, number = np.sum(part_of, axis=0) / np.maximum(
        np.sum(all_of, axis=0), 1e-300
    )
    limits = (
        problem.storage * storage, problem.inbound * flow, problem.outbound * flow,
        problem.item_limit * number,
    )  # fmt: skip
    return eqx.tree_at(
        lambda p: (p.groups, p.storage, p.inbound, p.outbound, p.item_limit),
        problem, (tuple(groups), *limits),
    )  # fmt: skip

"""Small fulfilment networks, and what HiGHS says about them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from meio_jax.kernels.cost import bucket_drops, buckets, cumulate, service_levels
from meio_jax.kernels.fulfill import fulfill, greedy_route
from meio_jax.kernels.tree import exact_terms
from meio_jax.network import build_network, rings
from meio_jax.problem import Tree

NODES, CLASSES = 6, 9


class Recourse(NamedTuple):
    """Costs of serving classes from nodes, the penalty, and the tree as arrays."""

    cost: np.ndarray
    penalty: float
    pool_of: np.ndarray
    home: np.ndarray

    @property
    def ring(self):
        return rings(Tree(self.pool_of, np.ones((1, 1)), np.zeros(1, int)), self.home)

    @property
    def pool(self):
        """The pool of each class at each level."""
        return self.pool_of[:, self.home]

    @property
    def pools(self):
        return int(self.pool_of.max()) + 1


def ultrametric() -> Recourse:
    """Clusters {0,1,2} and {3,4,5}; local, cluster, nation cost 1, 2.5, 5; lost 12."""
    pool_of = np.array([range(6), [6, 6, 6, 7, 7, 7], [8] * 6])
    apart = (pool_of[:, :, None] != pool_of[:, None, :]).sum(axis=0)
    return Recourse(np.array([1, 2.5, 5])[apart], 12.0, pool_of, np.arange(6))


def random_recourse(seed) -> Recourse:
    """Nodes and regions on a map, three speeds a region, some of them out of reach."""
    rng = np.random.default_rng(seed)
    node, region = rng.uniform(size=(NODES, 2)), rng.uniform(size=(CLASSES // 3, 2))
    distance = np.linalg.norm(node[:, None] - region[None], axis=2)
    distance = np.repeat(distance, 3, axis=1)
    speed = np.tile(np.arange(3), CLASSES // 3)
    cost = 1 + distance * (1 + speed) + rng.uniform(0, 0.2, distance.shape)
    cost[distance > np.array([2.0, 1.0, 0.5])[speed]] = np.inf
    network = build_network(
        node=np.arange(NODES), unit_cost=cost, cost_per_weight=np.zeros_like(cost),
        days_late=np.zeros_like(cost), region=np.repeat(np.arange(CLASSES // 3), 3),
        speed=speed, share=np.full(CLASSES, 1 / 3), volume=rng.uniform(1, 9, CLASSES),
        weight=1.0, late_cost=0.0, lead_mean=np.zeros(NODES), lead_std=np.zeros(NODES),
    )  # fmt: skip
    home = network.home[network.part_class]
    return Recourse(cost, float(rng.uniform(1.5, 6)), network.tree.pool_of, home)


def linear_programme(recourse: Recourse, stock, demand) -> float:
    """The least cost of serving the demand or losing it."""
    nodes, classes = recourse.cost.shape
    usable = np.isfinite(recourse.cost)
    done = linprog(
        np.append(np.where(usable, recourse.cost, 0), [recourse.penalty] * classes),
        A_ub=np.hstack([np.kron(np.eye(nodes), np.ones(classes)),
                        np.zeros((nodes, classes))]),
        b_ub=stock,
        A_eq=np.hstack([np.tile(np.eye(classes), nodes), np.eye(classes)]),
        b_eq=demand,
        bounds=[*[(0, None if u else 0) for u in usable.ravel()],
                *[(0, None)] * classes],
    )  # fmt: skip
    return done.fun


@jax.jit
def _bound(cost, penalty, ring, pool, member, stock, demand):
    levels, (pools, classes) = pool.shape[0], (member.shape[0], demand.shape[0])
    steps = service_levels(cost, penalty, ring, levels)
    rise = jnp.diff(steps, axis=0)
    members = jnp.zeros(pools, int).at[pool.reshape(-1)].add(1)
    slot = pool * classes + buckets(rise, pool, members, classes)
    drop = bucket_drops(rise, slot, jnp.ones(classes), pools, classes, True)
    atoms = cumulate(demand[:, None], slot, pools, classes)
    atoms = atoms.reshape(1, pools, classes)
    short, _ = exact_terms(atoms, jnp.ones(1), member @ stock)
    return steps[0] @ demand + jnp.sum(drop * short)


def tree_bound(recourse: Recourse, stock, demand) -> float:
    """K1 by the package's kernels, every class in a bucket of its own."""
    nodes = recourse.cost.shape[0]
    member = np.zeros((2 * nodes, nodes))  # room for the pools of any tree
    for row in recourse.pool_of:
        member[row, np.arange(nodes)] = 1
    ring, pool = recourse.ring, recourse.pool
    return _bound(recourse.cost, recourse.penalty, ring, pool, member, stock, demand)


def route_of(recourse: Recourse):
    """The greedy route padded to all pairs, and what each pair is paid."""
    route = greedy_route(recourse.cost, recourse.penalty, recourse.ring)
    pay = recourse.cost[route.node, route.klass]
    room = recourse.cost.size - len(pay)
    klass, node = (np.pad(x, (0, room)) for x in (route.klass, route.node))
    return klass, node, np.pad(pay, (0, room), constant_values=np.inf)


ship = jax.jit(partial(fulfill, tell=lambda sent, pay: sent.mean(axis=1)))


def greedy(recourse: Recourse, stock, demand, keep=0.0):
    """K3 for one item and draws as the last axis: its outcome and its total cost."""
    klass, node, pay = route_of(recourse)
    draws = demand.shape[1]
    full = jnp.broadcast_to(stock[:, None, None], (len(stock), 1, draws))
    penalty = jnp.array([recourse.penalty])
    spare = jnp.full((len(pay), 1), keep)
    want, pay = demand[:, None], pay[:, None]
    done = ship(full, want, klass, node, pay, penalty, spare)
    shipping = jnp.sum(jnp.where(pay < penalty, pay, 0) * done.told)
    return done, shipping + recourse.penalty * done.unmet.mean(axis=2).sum()

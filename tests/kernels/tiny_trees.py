"""Small trees, instances on them, and what other people's solvers say about them."""

from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from meio_jax.kernels.tree import TreeShape, descend, dual_value, exact_terms, minimise

PAIRS = [[0, 1, 2, 3], [4, 4, 5, 5], [6, 6, 6, 6]]  # two clusters of two nodes


def tree(pool_of) -> TreeShape:
    """The shape of a tree given by the pool of each node at each level."""
    pool_of = np.array(pool_of)
    same = (pool_of[:, :, None] == pool_of[:, None, :]).astype(float)
    member = np.zeros((pool_of.max() + 1, pool_of.shape[1]))
    for row in pool_of:
        member[row, np.arange(pool_of.shape[1])] = 1
    return TreeShape(jnp.asarray(member), jnp.asarray(pool_of), jnp.asarray(same))


SHAPE = tree(PAIRS)
MEMBER = np.asarray(SHAPE.member)
POOLS, NODES = MEMBER.shape
NONE, MANY = np.zeros(NODES), np.full(NODES, 50.0)


class Instance(NamedTuple):
    """One item: cumulated demand, weights of the scenarios, drops and charges."""

    atoms: np.ndarray
    prob: np.ndarray
    drop: np.ndarray
    charge: np.ndarray


def draw(seed, scenarios=5, buckets=2, most=3) -> Instance:
    """A random instance on the two clusters; whole demand, generic money."""
    rng = np.random.default_rng(seed)
    demand = rng.integers(0, most + 1, (scenarios, NODES, buckets))
    atoms = np.einsum("vn,snj->svj", MEMBER, demand).cumsum(axis=2)
    drop = rng.uniform(0.1, 2, (POOLS, buckets))
    charge = rng.uniform(0.2, 2.5, NODES)
    return Instance(atoms, rng.dirichlet(np.ones(scenarios)), drop, charge)


@jax.jit
def cost(instance: Instance, y):
    """Exact tree cost of targets."""
    short, _ = exact_terms(instance.atoms, instance.prob, SHAPE.member @ y)
    return instance.charge @ y + jnp.sum(instance.drop * short)


@jax.jit
def whole(instance: Instance, lower=NONE, upper=MANY, start=NONE):
    """Whole targets by steepest descent from a start within the bounds."""
    return descend(SHAPE, *instance, lower, upper, jnp.asarray(start), steps=200)


@jax.jit
def smooth(instance: Instance, width, lower=NONE, upper=MANY):
    """The smoothed optimum, solved to rounding."""
    zero = jnp.zeros(NODES)
    return minimise(
        SHAPE, *instance, lower, upper, jnp.full(POOLS, width), zero, zero, zero + 1.0,
        tolerance=1e-9, passes=400,
    )  # fmt: skip


@jax.jit
def bound(instance: Instance, slope, guess, spread, lower, upper, cuts=10, target=None):
    """The Fenchel bound at some slopes; `cuts` may be traced."""
    target = jnp.ones(NODES) if target is None else target
    return dual_value(
        SHAPE, *instance, lower, upper, slope, guess, spread, target, cuts=cuts
    )


def by_enumeration(instance: Instance, upper):
    """The least exact cost of whole targets in a box."""
    grid = np.array(list(product(*(range(int(u) + 1) for u in upper))), float)
    return np.asarray(jax.vmap(cost, (None, 0))(instance, grid)).min()


def by_linear_programme(instance: Instance, lower, upper):
    """The least exact cost over a box by HiGHS, and the slopes of the pools there."""
    atoms, prob, drop, charge = (np.asarray(x, float) for x in instance)
    scenarios, pools, buckets = atoms.shape
    size = atoms.size
    objective = np.append(charge, (prob[:, None, None] * drop).ravel())
    stock = np.tile(np.repeat(MEMBER, buckets, axis=0), (scenarios, 1))
    done = linprog(
        objective,
        A_ub=-np.hstack([stock, np.eye(size)]),
        b_ub=-atoms.ravel(),
        bounds=[*zip(lower, upper, strict=True), *[(0, None)] * size],
    )
    slopes = -done.ineqlin.marginals.reshape(scenarios, pools, buckets).sum(axis=(0, 2))
    return done.fun, slopes

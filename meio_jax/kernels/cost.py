"""What service costs: class by node, level by level, at prices of flow."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]


def serve_cost(services, weight, late_cost):
    """Money per unit of serving each class from each node, for an item."""
    unit_cost, cost_per_weight, days_late = services
    return unit_cost + weight * cost_per_weight + late_cost * days_late


def service_levels(
    cost: Float[Array, "nodes classes"],
    penalty: Scalar,
    ring: Int[Array, "nodes classes"],
    levels: int,
) -> Float[Array, "steps classes"]:
    """The cheapest service of each class from outside its pool of each level.

    Row `l` is q_l: the least cost over nodes outside the class's pool of level `l - 1`
    or of not serving at all; row 0 is the least of all, the last row the penalty. Rows
    do not fall. Above its penalty a sale is declined.

    Args:
      cost: money per unit, inf where a node cannot serve a class.
      penalty: money per unit that is not served.
      ring: first level whose pool holds both the node and the class's home.
      levels: levels of the tree.
    """
    rows = [jnp.full(cost.shape[1:], penalty, cost.dtype)]
    for level in range(levels - 1, -1, -1):
        here = jnp.where(ring == level, cost, jnp.inf).min(axis=0)
        rows.insert(0, jnp.minimum(here, rows[0]))
    return jnp.stack(rows)


def buckets(
    rise: Float[Array, "levels classes"],
    pool: Int[Array, "levels classes"],
    members: Int[Array, " pools"],
    count: int,
) -> Int[Array, "levels classes"]:
    """The bucket of each class in its pool of each level, the dearest first.

    A pool with no more than `count` classes keeps them apart, ranked; a larger one
    divides the range of its weights evenly.

    Args:
      rise: w, what it costs not to be served inside the pool, money per unit.
      pool: the class's pool at each level.
      members: number of classes of each pool.
      count: buckets of a pool.
    """
    classes = jnp.arange(rise.shape[1])

    def one(rise, pool):
        together = pool[:, None] == pool[None, :]
        ahead = (rise[None, :] > rise[:, None]) | (
            (rise[None, :] == rise[:, None]) & (classes[None, :] < classes[:, None])
        )
        rank = jnp.sum(together & ahead, axis=1)
        top = jnp.max(jnp.where(together, rise[None, :], -jnp.inf), axis=1)
        bottom = jnp.min(jnp.where(together, rise[None, :], jnp.inf), axis=1)
        span = jnp.maximum(top - bottom, 1e-30)
        part = jnp.floor((top - rise) / span * count).astype(rank.dtype)
        small = members[pool] <= count
        return jnp.where(small, rank, jnp.clip(part, 0, count - 1))

    return lax.map(lambda x: one(*x), (rise, pool))


def bucket_drops(
    rise: Float[Array, "levels classes"],
    slot: Int[Array, "levels classes"],
    volume: Float[Array, " classes"],
    pools: int,
    count: int,
    bound: bool,
) -> Float[Array, "pools buckets"]:
    """The fall of the bucket weights from one bucket to the next.

    Args:
      rise: w of each class at each level, money per unit.
      slot: pool * count + bucket of each class at each level.
      volume: mean demand of each class, units.
      pools: number of pools.
      count: buckets of a pool.
      bound: take the least weight of a bucket's classes, so that the terms stay a lower
        bound in any order of the classes; else their mean by volume, an estimate.
    """
    size = pools * count
    flat, rise = slot.reshape(-1), rise.reshape(-1)
    if bound:
        weight = jnp.full(size, jnp.inf, rise.dtype).at[flat].min(rise)
    else:
        share = jnp.tile(volume + 1e-12, slot.shape[0])
        total = jnp.zeros(size, rise.dtype).at[flat].add(share)
        weight = jnp.zeros(size, rise.dtype).at[flat].add(share * rise)
        weight = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), jnp.inf)
    weight = lax.cummin(weight.reshape(pools, count), axis=1)
    weight = jnp.where(jnp.isfinite(weight), weight, 0)
    return weight - jnp.pad(weight[:, 1:], ((0, 0), (0, 1)))


def cumulate(
    demand: Float[Array, "classes draws"],
    slot: Int[Array, "levels classes"],
    pools: int,
    count: int,
) -> Float[Array, "pools*buckets draws"]:
    """Demand of the first buckets of each pool, cumulated in the order of the buckets.

    Args:
      demand: window demand of each class in each draw, units.
      slot: pool * count + bucket of each class at each level.
      pools: number of pools.
      count: buckets of a pool.
    """
    row = jnp.arange(pools * count)
    first = row - row % count
    inside = jnp.zeros((pools * count, demand.shape[0]), demand.dtype)
    for level in range(slot.shape[0]):
        here = slot[level][None, :]
        inside += (here <= row[:, None]) & (here >= first[:, None])
    return jnp.matmul(inside, demand, precision=lax.Precision.HIGHEST)

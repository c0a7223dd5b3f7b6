"""What the planner's cost of a node consists of, one influence after the other.

The cost of an item in a period is `charge . y + sum over pools of weights times
shortages` (K1, `kernels/tree.py`). Here its charges and weights are taken at the prices
of ever more resources, and with demand that may be served by ever wider pools: until
the last pool is in, what is short in the widest ones costs what a lost unit does, in
the mean over their classes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from meio_jax.dual.lagrangian import by_pool, charges
from meio_jax.dual.rows import Rows
from meio_jax.kernels.cost import bucket_drops, serve_cost, service_levels


class Stage(NamedTuple):
    """Charges and weights with some of the influences.

    Attributes:
      charge: money per unit of a target.
      drop: fall of the weights of each pool from a bucket to the next, money per unit
        short; `Rows` says why regimes stand beside the buckets.
    """

    charge: Float[Array, "periods nodes"]
    drop: Float[Array, "periods pools regimes*buckets"]


@partial(jax.jit, static_argnames=("lifted",))
def stage(
    rows: Rows,
    prices: Float[Array, "resources nodes periods"],
    widest: Int[Array, ""],
    *,
    lifted: bool,
) -> Stage:
    """The cost of the one item of the rows.

    Args:
      rows: of one item.
      prices: money per unit of capacity.
      widest: level of the widest pools that share; 0 for the nodes alone, whose dearest
        orders go first; -1 for nodes alone whose orders are all alike.
      lifted: whether a shortage costs what greedy fulfilment showed it to cost.
    """
    item = {name: value[0, 0] for name, value in rows.by_item.items()}
    charge, toll = charges(rows.window, item["volume"], item["holding"], prices)
    cost = serve_cost(rows.services, item["weight"], item["late_cost"])
    cost = cost - item["holding"][:, None]
    steps = service_levels(cost, item["penalty"], rows.ring, rows.levels)
    own = jnp.take_along_axis(cost, rows.home[None, :], axis=0)[0]
    volume = item["mean"].sum(axis=1).mean(axis=0)
    level = jnp.arange(rows.levels)[:, None]

    def weights(toll):
        home = jnp.minimum(own + toll[rows.home], steps[1])
        rise = jnp.concatenate([(steps[1] - home)[None], jnp.diff(steps[1:], axis=0)])
        inside, beyond = jnp.where(level <= widest, rise, 0), level > widest
        drop = bucket_drops(
            inside, item["slot"], volume, rows.pools, rows.buckets, False
        )
        return drop.at[:, -1].add(mean_of(jnp.where(beyond, rise, 0).sum(axis=0)))

    def mean_of(cost):
        """Mean of a cost of classes over each of the widest pools; 0 for others."""
        pool = item["slot"][jnp.maximum(widest, 0)] // rows.buckets
        add = lambda x: jnp.zeros(rows.pools, x.dtype).at[pool].add(x)
        return add((volume + 1e-12) * cost) / jnp.maximum(add(volume + 1e-12), 1e-12)

    drop = jax.vmap(jax.vmap(weights))(toll)
    if lifted:  # tolls are paid once
        drop = drop + (rows.lift - 1) * weights(jnp.zeros_like(toll[0, 0]))
        charge = charge + rows.tilt[0]
    return Stage(charge, by_pool(drop))


class Stakes(NamedTuple):
    """Means over the demand that is nearest to each node, money per unit as the user
    pays it.

    Attributes:
      lost: a unit that is not served.
      ship: one that the node serves.
    """

    lost: Float[Array, ""]
    ship: Float[Array, " nodes"]


@jax.jit
def stakes(rows: Rows, spread: Float[Array, ""]) -> Stakes:
    """What is at stake in the one item of the rows.

    Args:
      rows: of one item.
      spread: periods over which the planner divides such costs.
    """
    item = {name: value[0, 0] for name, value in rows.by_item.items()}
    cost = serve_cost(rows.services, item["weight"], item["late_cost"])
    own = jnp.take_along_axis(cost, rows.home[None, :], axis=0)[0]
    volume = item["mean"].sum(axis=1).mean(axis=0) + 1e-12
    nodes = rows.window.size
    add = lambda x: jnp.zeros(nodes, x.dtype).at[rows.home].add(x)
    total = add(volume)
    ship = add(volume * jnp.where(jnp.isfinite(own), own, 0))
    ship = jnp.where(total > 0, ship / jnp.where(total > 0, total, 1), jnp.nan)
    return Stakes(item["penalty"] * spread, ship * spread)

"""What a unit of stock is worth on each draw under greedy fulfilment (K3).

Greedy fulfilment is a chain of `sent = min(stock, want)`, and its adjoint is a chain as
short (infinitesimal perturbation analysis, Glasserman & Tayur 1995). Let `u` be the
cost of a unit more at the node of a pair once the pair is done, and `v` that of a unit
more wanted by its class. Where the want was met, a unit more wanted would take one of
stock: `v <- pay - u`. Where stock ran out, a unit more would serve one of the want:
`u <- pay - v`. The other of the two stays. Reverse mode through the scan gives the same
numbers, but adds a cotangent of all nodes and classes at every pair.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

MET, OUT = 1, 2  # what ended a pair's shipment: the want, or the stock


def stock_slopes(
    stock: Float[Array, "nodes items draws"],
    demand: Float[Array, "classes items draws"],
    klass: Int[Array, " pairs"],
    node: Int[Array, " pairs"],
    pay: Float[Array, "pairs items"],
    penalty: Float[Array, " items"],
    worth: Float[Array, "nodes items"],
) -> Float[Array, "nodes items draws"]:
    """Derivative in the stock of what `fulfill` without limits pays, and of `worth` of
    what it leaves, money per unit, on each draw.

    From the right at a stock of nothing; where stock and want are equal, as if stock
    were a little more.

    Args:
      stock: units at each node, >= 0.
      demand: units of each class, >= 0.
      klass: class of each pair of the route.
      node: node of each pair.
      pay: money per unit shipped; dearer than the penalty where the pair is not used.
      penalty: money per unit not served.
      worth: money per unit left, of either sign.
    """
    is_open = pay < penalty

    def ship(state, pair):
        stock, demand = state
        q, n, is_open = pair
        here = lax.dynamic_index_in_dim(stock, n, 0, keepdims=False)
        want = lax.dynamic_index_in_dim(demand, q, 0, keepdims=False)
        asked = (want > 0) & is_open[:, None]

        def move():
            sent = jnp.where(asked, jnp.minimum(here, want), 0)
            end = jnp.where(asked, jnp.where(want <= here, MET, OUT), 0)
            return sent, end.astype(jnp.int8)

        nothing = jnp.zeros_like(want), jnp.zeros(want.shape, jnp.int8)
        sent, end = lax.cond(jnp.any(asked), move, lambda: nothing)
        stock = lax.dynamic_update_index_in_dim(stock, here - sent, n, 0)
        demand = lax.dynamic_update_index_in_dim(demand, want - sent, q, 0)
        return (stock, demand), end

    def back(state, pair):
        unit, short = state
        q, n, pay, end = pair
        u = lax.dynamic_index_in_dim(unit, n, 0, keepdims=False)
        v = lax.dynamic_index_in_dim(short, q, 0, keepdims=False)

        def answer():
            pays = pay[:, None]
            return jnp.where(end == OUT, pays - v, u), jnp.where(
                end == MET, pays - u, v
            )

        u, v = lax.cond(jnp.any(end > 0), answer, lambda: (u, v))
        unit = lax.dynamic_update_index_in_dim(unit, u, n, 0)
        short = lax.dynamic_update_index_in_dim(short, v, q, 0)
        return (unit, short), None

    ends = lax.scan(ship, (stock, demand), (klass, node, is_open))[1]
    last = (
        jnp.broadcast_to(worth[:, :, None], stock.shape),
        jnp.broadcast_to(penalty[:, None], demand.shape),
    )
    money = jnp.where(is_open, pay, 0)
    return lax.scan(back, last, (klass, node, money, ends), reverse=True)[0][0]

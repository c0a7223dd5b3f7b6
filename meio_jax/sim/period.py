"""What the phases of a period hand on to each other."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from meio_jax.kernels.fulfill import Routes, share_out, share_whole
from meio_jax.kernels.orders import Orders, Tries
from meio_jax.sim.depots import Depots
from meio_jax.sim.policy import AbstractPolicy
from meio_jax.sim.system import State, System


class Now(NamedTuple):
    """One period's inputs to one system.

    Attributes:
      period: which period.
      demand: units of each class, or orders of the parts of the period.
      lead: periods until what is sent now arrives.
      regime: regime of load.
      routes: the order in which fulfilment tries pairs in each regime, by class where
        demand is orders; None where every class is served by its home alone.
      vendor: quantile of the lead time of every item's order to its vendor.
    """

    period: Int[Array, ""]
    demand: Float[Array, "classes items paths"] | Orders
    lead: Int[Array, "nodes *items paths"]
    regime: Int[Array, " paths"]
    routes: Routes | Tries | None
    vendor: Float[Array, "items paths"] | None


class Rooms(NamedTuple):
    """Capacities of one period, as `Limits`; what is shipped is taken off."""

    storage: Float[Array, " buildings"]
    inbound: Float[Array, " buildings"]
    outbound: Float[Array, "buildings paths"]
    overage: Float[Array, " buildings"]
    waiting: Float[Array, " buildings"]


class DepotLedger(NamedTuple):
    """What a period does at the depots of one system; no rows without depots.

    Attributes:
      bought: units ordered from vendors, in one row.
      received: units received by each depot.
      on_hand: units left at each depot.
      volume: their volume.
      sent: units sent to nodes, in one row.
    """

    bought: Float[Array, "any paths"]
    received: Float[Array, "depots paths"]
    on_hand: Float[Array, "depots paths"]
    volume: Float[Array, "depots paths"]
    sent: Float[Array, "any paths"]


class Ledger(NamedTuple):
    """What a period costs one system and what happens in it, on every path.

    Attributes:
      money: of each part of `COSTS`.
      demand: units of each class.
      served: units shipped of each class, deferred ones included.
      on_time: units of each class that keep their promise: of what is shipped in a
        period, those who waited for stock count as the late ones first.
      local: units of each class shipped from its home.
      near: units of each class shipped from its home's first pool, the home included.
      ordered: units ordered by each node.
      received: units received by each node.
      shipped: units shipped to customers by each node.
      on_hand: units at each node when charged.
      volume: volume on hand after receipts.
      wrong: whether an order was negative or not finite, or a lead time negative or
        longer than the state's pipeline.
      depots: what happens at depots.
    """

    money: Float[Array, "costs paths"]
    demand: Float[Array, "classes paths"]
    served: Float[Array, "classes paths"]
    on_time: Float[Array, "classes paths"]
    local: Float[Array, "classes paths"]
    near: Float[Array, "classes paths"]
    ordered: Float[Array, "nodes paths"]
    received: Float[Array, "nodes paths"]
    shipped: Float[Array, "nodes paths"]
    on_hand: Float[Array, "nodes paths"]
    volume: Float[Array, "nodes paths"]
    wrong: Float[Array, " paths"]
    depots: DepotLedger


COSTS = (
    "holding", "transit", "waiting", "shipping", "late", "lost", "backorder", "overage",
    "buying",
)  # fmt: skip


class Period(NamedTuple):
    """All systems in one period: what phases hand on to each other.

    Attributes:
      states: of each system.
      ledgers: of each system, so far.
      orders: placed outside and not sent yet, by system.
      rooms: capacities, and what of outbound is left.
    """

    states: tuple[State, ...]
    ledgers: tuple[Ledger, ...]
    orders: tuple[Float[Array, "nodes items paths"], ...]
    rooms: Rooms


class World(NamedTuple):
    """What does not change in a period: systems, their policies, how demand comes.

    Attributes:
      systems: coupled by the buildings that they share.
      policies: of each system.
      slots: parts of a period in which its demand comes.
      depots: that supply each system; empty where all nodes are supplied as their
        parents say.
    """

    systems: tuple[System, ...]
    policies: tuple[AbstractPolicy, ...]
    slots: int = 1
    depots: tuple[Depots, ...] = ()


Phase = Callable[[World, tuple[Now, ...], Period], Period]


def start_period(world: World, states, rooms: Rooms) -> Period:
    """A period of which nothing has happened yet."""
    paths = states[0].on_hand.shape[2]
    room = jnp.broadcast_to(rooms.outbound[:, None], (len(rooms.storage), paths))
    ledgers = tuple(_blank(s, x) for s, x in zip(world.systems, states, strict=True))
    orders = tuple(jnp.zeros_like(x.on_hand) for x in states)
    return Period(states, ledgers, orders, rooms._replace(outbound=room))


def _blank(system: System, state: State) -> Ledger:
    dtype, paths = state.on_hand.dtype, state.on_hand.shape[2]
    classes, nodes = len(system.home), len(state.on_hand)
    by_class, by_node = jnp.zeros((classes, paths), dtype), jnp.zeros((nodes, paths))
    by_node = by_node.astype(dtype)
    money = jnp.zeros((len(COSTS), paths), dtype)
    return Ledger(
        money, demand=by_class, served=by_class, on_time=by_class, local=by_class,
        near=by_class, ordered=by_node, received=by_node, shipped=by_node,
        on_hand=by_node, volume=by_node, wrong=jnp.zeros(paths, dtype),
        depots=DepotLedger(*[jnp.zeros((0, paths), dtype)] * 5),
    )  # fmt: skip


def share_of(system: System, period) -> Callable[[Array, Array], Array]:
    """How what is scarce is shared; odd units go round by the golden ratio."""
    if not system.whole:
        return share_out
    return lambda most, want: share_whole(most, want, turn_of(period, want.dtype))


def turn_of(period, dtype):
    """From 0 to 1: who gets odd units in a period."""
    return jnp.mod(period * jnp.asarray(0.6180339887, dtype), 1)


def money_of(part: str, amount):
    """A column of costs with one part in it."""
    row = COSTS.index(part)
    return jnp.zeros((len(COSTS), *amount.shape), amount.dtype).at[row].set(amount)


def changed(state: State, **changes) -> State:
    """The state with some of its fields replaced."""
    return State(**{**vars(state), **changes})

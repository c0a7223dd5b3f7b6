"""What is simulated: buildings, items, who serves whom, and what everything costs."""

from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, Int

from meio_jax.kernels.orders import Orders
from meio_jax.sim.depots import Upstream


class System(eqx.Module):
    """Items that see the same buildings, as the simulator sees them.

    A node is supplied by its parent, or from outside, where stock never ends. Money is
    in the user's currency, time in periods.

    Attributes:
      place: position of each node among the buildings, which all systems share; no two
        nodes of a system are in one.
      parent: supplier of each node, -1 for outside; suppliers come before those that
        they supply.
      home: node at which a class of demand counts as local.
      holding: money per unit on hand when a period is charged.
      transit: money per unit on its way to a node, by period.
      unit_cost: money per unit shipped to a class; inf where there is no service.
      cost_per_weight: money per weight unit shipped.
      days_late: days after the promise at which a node delivers.
      volume: storage volume of a unit.
      weight: shipping weight of a unit.
      lost_cost: money per unit of demand that is lost.
      late_cost: money per unit and day delivered late.
      wait_cost: money per unit and period that a customer waits for stock.
      days: length of a period, days.
      whole: whether shares of what is scarce are rounded to whole units.
      patience: periods that unmet demand waits for stock before it is lost: 0 for lost
        sales, -1 for no end.
      ages: ages of unfilled orders of nodes that are told apart: the oldest go first,
        those of one age share in proportion. Older ones count as of the last age.
      via: building through which what is sent to each node passes, -1 for none; empty
        where all are -1. It takes inbound and outbound there, and does not stop. Such
        nodes are supplied from outside.
    """

    place: Int[Array, " nodes"]
    home: Int[Array, " classes"]
    holding: Float[Array, "nodes items"]
    transit: Float[Array, "nodes items"]
    unit_cost: Float[Array, "nodes classes"]
    cost_per_weight: Float[Array, "nodes classes"]
    days_late: Float[Array, "nodes classes"]
    volume: Float[Array, " items"]
    weight: Float[Array, " items"]
    lost_cost: Float[Array, " items"]
    late_cost: Float[Array, " items"]
    wait_cost: Float[Array, " items"]
    parent: tuple[int, ...] = eqx.field(static=True)
    days: float = eqx.field(static=True, default=7.0)
    whole: bool = eqx.field(static=True, default=True)
    patience: int = eqx.field(static=True, default=0)
    ages: int = eqx.field(static=True, default=1)
    via: tuple[int, ...] = eqx.field(static=True, default=())

    @property
    def children(self) -> dict[int, list[int]]:
        """The nodes that each supplier supplies, suppliers in the order of nodes."""
        found: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                found.setdefault(parent, []).append(node)
        return dict(sorted(found.items()))


class Limits(eqx.Module):
    """Capacities of the buildings, on every path; inf for no limit.

    Attributes:
      storage: volume after receipts.
      inbound: units received in a period; the rest waits outside.
      outbound: units shipped to customers in a period.
      overage: money per unit of volume above storage.
      waiting: money per unit and period outside.
    """

    storage: Float[Array, "buildings periods"]
    inbound: Float[Array, "buildings periods"]
    outbound: Float[Array, "buildings periods"]
    overage: Float[Array, "buildings periods"]
    waiting: Float[Array, " buildings"]


class Paths(eqx.Module):
    """What chance does to one system: the same for every policy.

    Attributes:
      demand: units of each class; where sales are lost and fulfilment has routes also
        as orders, with leading axes of periods and parts of a period.
      lead: periods until what is sent to a node in a period arrives, the same for all
        items or by item.
      regime: regime of load of a period.
      vendor: quantile of the lead time of every item's order to its vendor, 0 to 1;
        None where there are no depots.
    """

    demand: Float[Array, "periods classes items paths"] | Orders
    lead: Int[Array, "periods nodes paths"] | Int[Array, "periods nodes items paths"]
    regime: Int[Array, "periods paths"]
    vendor: Float[Array, "periods items paths"] | None = None


class State(eqx.Module):
    """Stock and orders of one system when a period starts.

    Attributes:
      on_hand: units on the shelf.
      pipeline: units on their way, by the periods until they arrive; those of the
        first row arrive in the period that starts.
      waiting: units outside a building whose dock was full.
      owed: units ordered from a supplier and not sent yet, by age, the youngest first.
      backlog: units that customers wait for, by age, the youngest first; no ages where
        sales are lost.
      deferred: units sold whose shipment was put off, by the node that ships them.
      above: stock of depots; None where there are none.
    """

    on_hand: Float[Array, "nodes items paths"]
    pipeline: Float[Array, "leads nodes items paths"]
    waiting: Float[Array, "nodes items paths"]
    owed: Float[Array, "ages nodes items paths"]
    backlog: Float[Array, "ages classes items paths"]
    deferred: Float[Array, "nodes items paths"]
    above: Upstream | None = None


class View(NamedTuple):
    """What a policy may see when it orders: the state, not what chance will do.

    Attributes:
      period: which period.
      on_hand: units on the shelf.
      on_order: units ordered and not received.
      owed: units that a node owes to nodes that it supplies.
      backlog: units that customers of a node wait for.
      position: inventory position: on hand and on order, less owed and backlog.
      echelon: inventory position of a node and all that it supplies, directly or not:
        on hand and in transit there, on order here, less backlog.
    """

    period: Int[Array, ""]
    on_hand: Float[Array, "nodes items paths"]
    on_order: Float[Array, "nodes items paths"]
    owed: Float[Array, "nodes items paths"]
    backlog: Float[Array, "nodes items paths"]
    position: Float[Array, "nodes items paths"]
    echelon: Float[Array, "nodes items paths"]

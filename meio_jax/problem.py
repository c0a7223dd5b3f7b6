"""The planning problem as arrays: what every room to the right of `tables` reads.

Items of one size class see the same buildings, so a `Problem` is a tuple of groups, one
for each set of buildings, coupled only by the capacities of the nodes.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int, Shaped


class Tree(eqx.Module):
    """A laminar family of pools over the nodes: node < metro < region < nation.

    Attributes:
      pool_of: the pool that holds a node at each level; level 0 is the node itself, the
        last level is the one pool of all nodes.
      member: 1 where a pool holds a node, else 0.
      walk: the nodes in depth-first order, so that every pool is a run of the walk.
    """

    pool_of: Int[np.ndarray, "levels nodes"]
    member: Float[np.ndarray, "pools nodes"]
    walk: Int[np.ndarray, " nodes"]


class Network(eqx.Module):
    """The buildings that may hold one size class, and what each costs to each class.

    A class is a set of orders that every node serves alike: a region, a speed, the part
    of the day in which they come, and whether the customer waits for a later delivery.

    Attributes:
      node: position of each node in the problem's capacities.
      unit_cost: money per unit shipped; inf where the node cannot serve the class.
      cost_per_weight: money per weight unit shipped.
      days_late: days after the promised day at which the node delivers.
      home: the node whose pools the class belongs to: the cheapest at no price.
      ring: the first level whose pool holds both a node and the home of a class.
      lead_mean: mean replenishment lead time, periods.
      lead_std: its standard deviation, periods.
      lead_seen: lead times as they were observed, periods, of each node: its law; where
        none were, and where this is empty, it is gamma.
      part_class: the class of each part, a part being region, speed, cut-off and
        patience before those that behave alike were merged.
      part_region: its region.
      part_speed: its speed.
      part_share: its share of the demand of its region.
      spread: periods over which costs of serving and losing a unit were divided: the
        mean protection interval where sales are lost, 1 where customers wait and a
        shortage is paid in every period that it lasts.
    """

    node: Int[np.ndarray, " nodes"]
    unit_cost: Float[np.ndarray, "nodes classes"]
    cost_per_weight: Float[np.ndarray, "nodes classes"]
    days_late: Float[np.ndarray, "nodes classes"]
    home: Int[np.ndarray, " classes"]
    ring: Int[np.ndarray, "nodes classes"]
    tree: Tree
    lead_mean: Float[np.ndarray, " nodes"]
    lead_std: Float[np.ndarray, " nodes"]
    part_class: Int[np.ndarray, " parts"]
    part_region: Int[np.ndarray, " parts"]
    part_speed: Int[np.ndarray, " parts"]
    part_share: Float[np.ndarray, " parts"]
    spread: float = 1.0
    lead_seen: tuple[Float[np.ndarray, " seen"], ...] = ()


class Items(eqx.Module):
    """The items of one group; money in the user's currency, time in periods.

    Attributes:
      position: place of the item in the item table.
      key: a number made of the item's name alone: random draws hang on it and on the
        seed, never on the item's place, chunk or device.
      volume: storage volume of a unit.
      weight: shipping weight of a unit.
      penalty: money per unit of demand that is not served.
      late_cost: money per unit and day delivered late.
      holding: money per unit left at the end of a period.
      lower: the least target allowed, units.
      upper: the largest target allowed, units; inf for no limit.
    """

    position: Int[np.ndarray, " items"]
    key: Int[np.ndarray, " items"]
    volume: Float[np.ndarray, " items"]
    weight: Float[np.ndarray, " items"]
    penalty: Float[np.ndarray, " items"]
    late_cost: Float[np.ndarray, " items"]
    holding: Float[np.ndarray, "items nodes"]
    lower: Float[np.ndarray, "items periods nodes"]
    upper: Float[np.ndarray, "items periods nodes"]

    def __len__(self) -> int:
        return len(self.position)


class Demand(eqx.Module):
    """Demand cells of the items of a group, sorted by item; absent cells are zero.

    A slot is a period of history, or a period of one of the user's scenarios, or a
    period of the forecast; `std` is the forecast's spread and is zero for the others.

    Attributes:
      start: the cells of item `i` are `start[i]` to `start[i + 1]`.
      slot: slot of a cell.
      region: region of a cell.
      quantity: units; for a forecast the mean.
      std: standard deviation, units; zero where the quantity is data.
    """

    start: Int[np.ndarray, " items_1"]
    slot: Int[np.ndarray, " cells"]
    region: Int[np.ndarray, " cells"]
    quantity: Float[np.ndarray, " cells"]
    std: Float[np.ndarray, " cells"]


class Group(eqx.Module):
    """Items that see the same buildings, their demand and their starting stock.

    Attributes:
      stock: units on hand and on their way when the plan starts; None where the user
        gave no inventory, and then the plan starts from what the first period's
        unconstrained targets would have left.
      waits: whether customers wait for stock, and are paid for every period; else what
        is not served is lost.
      due: what of the stock is on its way, by the period in which it arrives; None for
        nothing.
    """

    network: Network
    items: Items
    demand: Demand
    stock: Float[np.ndarray, "items nodes"] | None
    waits: bool = eqx.field(static=True, default=False)
    due: Float[np.ndarray, "items periods nodes"] | None = None

    @property
    def regions(self) -> int:
        """One more than the last region that demand or a class names."""
        named = self.network.part_region, self.demand.region
        return 1 + int(max(x.max(initial=0) for x in named))

    @property
    def at_home(self) -> Float[np.ndarray, "regions nodes"]:
        """Share of the demand of a region whose nearest building is a node."""
        network = self.network
        share = np.zeros((self.regions, len(network.node)))
        home = network.home[network.part_class]
        np.add.at(share, (network.part_region, home), network.part_share)
        return share


class Problem(eqx.Module):
    """Everything that the planner needs to know.

    Attributes:
      groups: the items by the set of buildings that may hold them.
      storage: volume that fits into a node at the start of a period; inf for no limit.
      inbound: units that a node can receive in a period, in expectation. Stock left
        after the last period is worth what it cost and saves no receipt: where inbound
        binds, its last prices fall and targets with them.
      outbound: units that a node can ship in a period, in expectation within each
        regime of load.
      item_limit: different items that a node may hold; inf for no limit. Those whose
        least target there is above 0 fit in every period.
      kind: where slots of demand come from: "history", "scenarios" or "forecast".
      slots: number of slots of demand.
      weight: weight of each of the user's scenarios, summing to 1; empty otherwise.
      regimes: bins of equal size that the scenarios of a period are cut into by their
        load; 1 for none.
      overage: money per unit of volume above storage and period, which a simulation
        charges; plans do not go above.
      via: the node through which what a node receives passes, -1 for none: units that
        do not stop there, but take its inbound and, in equal parts of every regime,
        its outbound. That node has none itself. None where all are -1.
    """

    groups: tuple[Group, ...]
    storage: Float[np.ndarray, "all_nodes periods"]
    inbound: Float[np.ndarray, "all_nodes periods"]
    outbound: Float[np.ndarray, "all_nodes periods"]
    item_limit: Float[np.ndarray, "all_nodes periods"]
    weight: Float[np.ndarray, " scenarios"]
    kind: str = eqx.field(static=True)
    slots: int = eqx.field(static=True)
    regimes: int = eqx.field(static=True, default=1)
    overage: Float[np.ndarray, "all_nodes periods"] | float = 0.0
    via: Int[np.ndarray, " all_nodes"] | None = None

    @property
    def periods(self) -> int:
        return self.storage.shape[1]

    @property
    def limits(self) -> Shaped[np.ndarray, "3 all_nodes periods"]:
        """Storage, inbound and outbound, stacked in this order."""
        return np.stack([self.storage, self.inbound, self.outbound])

    @property
    def capacities(self) -> Shaped[np.ndarray, "resources all_nodes periods"]:
        """Storage, inbound and the outbound of each regime, stacked in this order.

        The rows of the dual. What a node ships in a regime is counted times the chance
        of the regime, and so is what it can ship: uses and capacities of the regimes
        add up, and a price is money per unit shipped while the regime holds.
        """
        share = self.outbound / self.regimes
        return np.stack([self.storage, self.inbound, *[share] * self.regimes])

    @property
    def ways(self) -> tuple[Int[np.ndarray, " passing"], Int[np.ndarray, " passing"]]:
        """The nodes whose receipts pass through another node, and that node."""
        via = np.full(len(self.storage), -1) if self.via is None else self.via
        passing = np.flatnonzero(via >= 0)
        return passing, via[passing]

    def paid(
        self, prices: Float[np.ndarray, "resources all_nodes periods"]
    ) -> Float[np.ndarray, "resources all_nodes periods"]:
        """What each node's own use pays at the prices of capacities: a receipt also
        pays the inbound and the outbound of the node through which it passes.

        Args:
          prices: of capacities, money per unit.
        """
        if self.via is None:
            return prices
        node, through = self.ways
        out = prices.copy()
        out[1, node] += prices[1, through] + prices[2:, through].mean(axis=0)
        return out

    def with_passing(
        self, use: Float[np.ndarray, "resources all_nodes periods"]
    ) -> Float[np.ndarray, "resources all_nodes periods"]:
        """Use of capacities, with that by what passes: the adjoint of `paid`.

        Args:
          use: what each node's own targets and shipments use.
        """
        return use if self.via is None else use + self.passing(use)

    def passing(
        self, use: Float[np.ndarray, "resources all_nodes periods"]
    ) -> Float[np.ndarray, "resources all_nodes periods"]:
        """What receipts use where they pass through another node.

        Args:
          use: what each node's own targets and shipments use.
        """
        node, through = self.ways
        out = np.zeros_like(use)
        np.add.at(out[1], through, use[1, node])
        for sent in out[2:]:
            np.add.at(sent, through, use[1, node] / len(out[2:]))
        return out


def take_items(group: Group, chosen: Int[np.ndarray, " chosen"]) -> Group:
    """The group with the chosen items alone, in the order given."""
    items = Items(
        **{name: getattr(group.items, name)[chosen] for name in vars(group.items)}
    )
    first, last = group.demand.start[chosen], group.demand.start[chosen + 1]
    count = last - first
    start = np.r_[0, np.cumsum(count)]
    cells = np.repeat(first - start[:-1], count) + np.arange(start[-1])
    demand = Demand(
        start=start,
        slot=group.demand.slot[cells],
        region=group.demand.region[cells],
        quantity=group.demand.quantity[cells],
        std=group.demand.std[cells],
    )
    stock = None if group.stock is None else group.stock[chosen]
    due = None if group.due is None else group.due[chosen]
    return Group(group.network, items, demand, stock, group.waits, due)

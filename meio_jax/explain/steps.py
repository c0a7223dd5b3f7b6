"""Why targets are what they are: the level of every node after each influence."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from meio_jax.explain.costs import Levels, NodeCosts, node_costs
from meio_jax.explain.pools import stakes
from meio_jax.rebuild import Rebuilt

RISES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # of the storage price with holding, as shares


class Step(NamedTuple):
    """The level after one more influence.

    Attributes:
      name: of the influence.
      level: best level of each node, the others at the plan's, units.
      ratio: chance that the node's own demand is covered by it; nan without demand.
    """

    name: str
    level: Levels
    ratio: Levels


class ItemSteps(NamedTuple):
    """The explanation of all targets of one item.

    Attributes:
      group: of the item.
      row: its place in the group.
      steps: in their order; the last one is the plan.
      lost: a unit not served, money as the user pays it.
      ship: a unit of the nearest demand served by each node, mean; nan without demand.
      charge: money per unit of the target, all prices included.
      gain: what the last unit of the target saves at each level of pools, the node's
        own first, money.
      others: units that other nodes of the node's pool of each level hold.
      down: level with the storage price raised by `bump`, whole units.
      bump: money per unit of volume: the least of a few rises that moves the level, or
        the largest of them.
      shut: whether each node holds other items only, as it may hold so many.
      cost: the costs of the nodes.
      lifted: whether shortages are calibrated.
    """

    group: int
    row: int
    steps: tuple[Step, ...]
    lost: float
    ship: Float[np.ndarray, " nodes"]
    charge: Levels
    gain: Float[np.ndarray, "levels periods nodes"]
    others: Float[np.ndarray, "levels periods nodes"]
    down: Levels
    bump: Levels
    shut: Bool[np.ndarray, " nodes"]
    cost: NodeCosts
    lifted: bool

    def at_prices(self, prices) -> Levels:
        """The best whole levels at other prices, the other nodes as they are.

        Args:
          prices: money per unit of capacity, "resources nodes periods".
        """
        widest = len(self.cost.pool_of) - 1
        return self.cost.whole(self.cost.at(prices, widest, lifted=self.lifted))


POOLS = {2: ("nation",), 3: ("region", "nation"), 4: ("metro", "region", "nation")}


def pool_names(levels: int) -> tuple[str, ...]:
    """Words for the pools of each level above the nodes; the last holds all nodes."""
    many = tuple(f"pool {k}" for k in range(1, levels - 1))
    return POOLS.get(levels, (*many, "nation") if levels > 1 else ())


def explain_item(made: Rebuilt, group: int, row: int) -> ItemSteps:
    """The steps to all targets of an item.

    Args:
      made: what the plan was made from.
      group: of the item.
      row: its place in the group.
    """
    cost = node_costs(made, group, row)
    network, items = (
        made.problem.groups[group].network,
        made.problem.groups[group].items,
    )
    prices = made.problem.paid(made.prices)[:, network.node]
    widest = len(cost.pool_of) - 1
    first = lambda count: np.concatenate([prices[:count], 0 * prices[count:]])
    names = [f"{r} price" for r in ("storage", "inbound", "outbound")]
    found = [("economics", first(0), -1, False)]
    found += [
        (name, first(k + 1) if k < 2 else prices, -1, False)
        for k, name in enumerate(names)
    ]
    found.append(("order mix", prices, 0, False))
    found += [
        (name, prices, k + 1, False) for k, name in enumerate(pool_names(widest + 1))
    ]
    lifted = made.lifts[group] != 1 or bool(made.tilts[group][row].any())
    if lifted:
        found.append(("calibration", prices, widest, True))
    levels = [(name, cost.level(cost.at(p, k, lifted=up))) for name, p, k, up in found]
    last = cost.at(prices, widest, lifted=lifted)
    whole = cost.whole(last) if made.config.solver.whole_units else levels[-1][1]
    lower, upper = items.lower[row], items.upper[row]
    shut = _shut(made, network, cost, whole, lower, upper)
    limited = np.where(shut, 0, np.clip(whole, lower, upper))
    steps = [
        ("expected demand", cost.own @ cost.chance), *levels, ("whole units", whole),
        ("limits", limited), ("fitted", cost.targets),
    ]  # fmt: skip
    down, bump = _raised(cost, items, row, prices, widest, lifted, whole)
    with jax.enable_x64(True):
        at_stake = stakes(cost.rows, jnp.asarray(network.spread, jnp.float64))
    return ItemSteps(
        group, row, tuple(Step(n, y + 0.0, cost.ratio(y)) for n, y in steps),
        float(at_stake.lost), np.asarray(at_stake.ship), last.charge,
        cost.last_gain(last),
        cost.others, down, bump,
        shut, cost, lifted,
    )  # fmt: skip


def _shut(made, network, cost, whole, lower, upper):
    """Nodes that limit the number of items and hold none of an item, in no period,
    though its prices would have it: where others were chosen."""
    limited = np.isfinite(made.problem.item_limit[network.node]).any(axis=1)
    empty = (cost.targets <= 0).all(axis=0) & (whole > 0).all(axis=0)
    free = (upper > lower).all(axis=0) & (lower <= 0).all(axis=0)
    return limited & empty & free


def _raised(cost, items, row, prices, widest, lifted, whole):
    """Levels at a raised storage price, and the rise, the least that moves them."""
    volume, holding = items.volume[row], items.holding[row]
    worth = prices[0].T + holding / volume if volume > 0 else prices[0].T
    down, bump = whole.copy(), RISES[0] * worth
    for rise in RISES:
        still = down == whole
        raised = prices + 0.0
        raised[0] += rise * worth.T
        level = cost.whole(cost.at(raised, widest, lifted=lifted))
        down, bump = np.where(still, level, down), np.where(still, rise * worth, bump)
    return down, bump

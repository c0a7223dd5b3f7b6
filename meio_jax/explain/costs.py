"""What single nodes cost as functions of their levels, on the plan's scenarios."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.rows import Rows, build_rows
from meio_jax.explain.pools import stage
from meio_jax.explain.response import best_level, sort_breaks, unit_gain, whole_level
from meio_jax.problem import take_items
from meio_jax.rebuild import Rebuilt

Levels = Float[np.ndarray, "periods nodes"]


class Priced(NamedTuple):
    """A cost on the host: see `pools.Stage`."""

    charge: Levels
    drop: Float[np.ndarray, "periods pools regimes*buckets"]


class NodeCosts:
    """The cost of every node of an item in every period, as a function of its level
    alone, the other nodes at the plan's targets.

    Attributes:
      rows: of the item, in float64.
      targets: the plan's, units.
      pool_of: the pool of each node at each level.
      prob: chance of an atom.
      others: units that other nodes of the pool of each level hold.
      most: largest demand, units: no level above it saves anything.
      breaks: of the costs of all nodes and periods.
      own: demand that is nearest to each node, by regime and atom, units.
      chance: of each of its entries.
    """

    def __init__(self, rows: Rows, targets: Levels):
        self.rows, self.targets = rows, targets
        self.pool_of = np.asarray(rows.shape.pool_of)
        member = np.asarray(rows.shape.member)
        atoms = np.moveaxis(np.array(rows.pool_atoms()[0]), 0, -1)  # t p b atoms
        self.prob = np.asarray(rows.prob, float)
        stock = targets @ member.T
        self.others = np.moveaxis(stock[:, self.pool_of] - targets[:, None], 1, 0)
        reach = atoms[:, self.pool_of]  # periods levels nodes buckets atoms
        left = reach - np.moveaxis(self.others, 0, 1)[..., None, None]
        self.most = np.maximum(reach.max(axis=(1, 3, 4)), 0)
        left = np.moveaxis(left, 1, 2).reshape(*targets.shape, -1)
        self.breaks = sort_breaks(left, self.most)
        last = slice(rows.buckets - 1, None, rows.buckets)  # all classes of a regime
        own = reach[:, 0][:, :, last]
        self.own = own.reshape(*targets.shape, -1)
        self.chance = np.tile(self.prob, rows.regimes)

    def at(self, prices, widest: int, *, lifted: bool) -> Priced:
        """Charges and weights with some influences.

        Args:
          prices: money per unit of capacity, "resources nodes periods".
          widest: level of the widest pools that share; see `pools.stage`.
          lifted: whether shortages are calibrated.
        """
        with jax.enable_x64(True):
            found = stage(
                self.rows, jnp.asarray(prices), jnp.asarray(widest), lifted=lifted
            )
        return Priced(np.asarray(found.charge), np.asarray(found.drop))

    def weight(self, found: Priced):
        """Weight of every break: periods nodes levels buckets atoms.

        Args:
          found: the cost.
        """
        drop = found.drop[:, self.pool_of]  # periods levels nodes buckets
        return np.moveaxis(drop, 1, 2)[..., None] * self.prob

    def level(self, found: Priced) -> Levels:
        """The least best level.

        Args:
          found: the cost.
        """
        weight = self._flat(self.weight(found))
        return best_level(self.breaks, found.charge, weight)

    def whole(self, found: Priced) -> Levels:
        """The best whole level.

        Args:
          found: the cost.
        """
        weight = self._flat(self.weight(found))
        level = best_level(self.breaks, found.charge, weight)
        return whole_level(self.breaks, found.charge, weight, level)

    def last_gain(self, found: Priced) -> Float[np.ndarray, "levels periods nodes"]:
        """What the last unit of the targets saves at each level of pools, money.

        Args:
          found: the cost.
        """
        weight, gains = self.weight(found), []
        for level in range(len(self.pool_of)):
            part = np.zeros_like(weight)
            part[:, :, level] = weight[:, :, level]
            before = np.maximum(self.targets - 1, 0)
            gains.append(unit_gain(self.breaks, self._flat(part), before))
        return np.stack(gains) * (self.targets >= 1)

    def ratio(self, level: Levels) -> Levels:
        """Chance that the nodes' own demand is covered; nan where there is none.

        Args:
          level: units.
        """
        covered = (self.own <= level[..., None] + 1e-9) @ self.chance
        return np.where(self.own.max(axis=-1) > 0, covered, np.nan)

    def _flat(self, weight):
        return weight.reshape(*self.targets.shape, -1)


def node_costs(made: Rebuilt, group: int, row: int) -> NodeCosts:
    """The costs of one item, on the scenarios and classes that it was planned on.

    Args:
      made: what the plan was made from.
      group: of the item.
      row: its place in the group.
    """
    solver, one = made.config.solver, take_items(made.coarse[group], np.array([row]))
    items = replace(
        one.items,
        lower=np.zeros_like(one.items.lower),
        upper=np.full_like(one.items.upper, np.inf),
    )
    with jax.enable_x64(True):
        rows = build_rows(
            made.problem, replace(one, items=items), group, made.sample,
            count=solver.levels, atoms=solver.atoms, dtype=jnp.float64,
        )  # fmt: skip
        lift = jnp.asarray(made.lifts[group] if solver.calibrate else 1.0, jnp.float64)
        rows = replace(rows, lift=lift, tilt=jnp.asarray(made.tilts[group][row])[None])
    return NodeCosts(rows, made.targets[group][row])

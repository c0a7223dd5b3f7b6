"""The dual of the whole problem: groups gathered over one vector of capacity prices."""

from copy import copy
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from meio_jax.dual.lagrangian import AROUND, Evaluation, evaluate
from meio_jax.dual.rows import Rows
from meio_jax.dual.stream import Streamed, cells_of, in_cells, over_blocks, start_of
from meio_jax.mesh import Crew, place
from meio_jax.problem import Problem

PASSES = 100  # over the atoms at most; the mean is below ten
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}  # residual of a cell


class Point(NamedTuple):
    """The smoothed dual at some prices.

    Attributes:
      price: money per unit of each limited capacity.
      value: smoothed dual value, money.
      use: use of each limited capacity.
      slope: use - capacity, the derivative of the value.
      jacobian: d use / d price; empty where it was not asked for.
      targets: y of each group.
      sent: shipments of each group in each regime, times its share.
      tree_slope: derivative of each group's tree cost in the targets.
      residual: largest residual of the cells.
    """

    price: Float[np.ndarray, " capacities"]
    value: float
    use: Float[np.ndarray, " capacities"]
    slope: Float[np.ndarray, " capacities"]
    jacobian: Float[np.ndarray, "rows capacities"]
    targets: tuple[Float[Array, "chunks cells nodes"], ...]
    sent: tuple[Float[Array, "chunks cells regimes nodes"], ...]
    tree_slope: tuple[Float[Array, "chunks cells nodes"], ...]
    residual: float


class Dual:
    """q(price) = sum over items of their least Lagrangian - price . capacity.

    Concave, a sum over items, with derivative use - capacity (Danskin). Holds what does
    not change while prices do: the rows of each group, the limited capacities, and
    the stock that the first receipts build on. Of the rows a process has those of its
    own items.
    """

    def __init__(
        self,
        problem: Problem,
        rows: tuple[Rows | Streamed, ...],
        crew: Crew | None = None,
    ):
        self.problem, self.crew = problem, crew or Crew()
        self.rows: tuple[Any, ...] = rows  # Rows | Streamed
        self.shape = problem.capacities.shape
        self.limited = np.flatnonzero(np.isfinite(problem.capacities))
        self.capacity = problem.capacities.reshape(-1)[self.limited]
        limits = np.isfinite(problem.capacities)
        moving = any(float(np.max(r.window)) > 1 for r in rows)
        self.flows = bool(limits[1:].any() or (moving and limits.any()))
        self.carried = np.zeros(self.shape[1])
        self.evaluations = 0

    @property
    def scale(self) -> Float[np.ndarray, " capacities"]:
        """Size of each capacity, which rows are divided by; a floor for closed ones."""
        kind = self.limited // (self.shape[1] * self.shape[2])
        size = np.ones(self.shape[0])
        for k in range(self.shape[0]):
            own = self.capacity[kind == k]
            size[k] = max(own.mean() if own.size else 1.0, 1e-9)
        return np.maximum(self.capacity, 0.02 * size[kind])

    @property
    def worth(self) -> Float[np.ndarray, " capacities"]:
        """A price at which a typical unit would no longer be stocked or shipped."""
        penalty = np.concatenate([g.items.penalty for g in self.problem.groups])
        volume = np.concatenate([g.items.volume for g in self.problem.groups])
        by_volume = np.median((penalty / np.maximum(volume, 1e-12))[volume > 0] if (
            volume > 0).any() else penalty)  # fmt: skip
        kind = self.limited // (self.shape[1] * self.shape[2])
        typical = np.array([by_volume, *[np.median(penalty)] * (self.shape[0] - 1)])
        return np.maximum(typical, 1e-12)[kind]

    @property
    def charge(self) -> Float[np.ndarray, " capacities"]:
        """What holding costs per unit of each capacity, money: prices below it change
        little, prices change demand for capacity by shares of price + charge."""
        size = np.zeros(self.shape)
        for group in self.problem.groups:
            node, items = group.network.node, group.items
            held, volume = items.holding.sum(axis=0), items.volume.sum()
            size[0, node] += (held / max(volume, 1e-12))[:, None]
            size[1:, node] += (held / len(items))[:, None]
        return np.maximum(self.gather(size), 1e-3 * self.worth)

    def spread(self, price) -> Float[np.ndarray, "resources nodes periods"]:
        """Prices of the limited capacities in an array of all, 0 where unlimited."""
        full = np.zeros(int(np.prod(self.shape)))
        full[self.limited] = price
        return full.reshape(self.shape)

    def gather(self, full) -> Float[np.ndarray, " capacities"]:
        """The entries of the limited capacities."""
        return np.asarray(full).reshape(-1)[self.limited]

    def by_item(self, x, index: int) -> Float[np.ndarray, "items periods ..."]:
        """An array by cell of a group, by item and period: of all processes' items.

        Args:
          x: by chunk and cell.
          index: which group.
        """
        periods, chunk = self.problem.periods, x.shape[1]
        x = np.asarray(x, float).reshape(-1, periods, *x.shape[2:])
        count = len(self.problem.groups[index].items)
        return self.crew.gather(x, count, chunk // periods)

    def by_cell(self, x, index: int) -> Any:
        """The inverse of `by_item`: a process's own part, cut over its devices.

        Args:
          x: of all items of a group, by item, period and node.
          index: which group.
        """
        rows, periods = self.rows[index], self.problem.periods
        first, last = self.crew.own(len(x), cells_of(rows)[1] // periods)
        return in_cells(x[first:last], rows)

    def with_capacity(self, capacity: Float[np.ndarray, " capacities"]) -> "Dual":
        """The same dual with other capacities, those that are limited here."""
        other = copy(self)
        other.capacity = capacity
        return other

    def with_rows(self, rows: tuple[Rows, ...]) -> "Dual":
        """The same dual of other rows."""
        other = copy(self)
        other.rows = rows
        return other

    def start(self) -> tuple[Float[Array, "chunks cells nodes"], ...]:
        """Where a search without a better idea begins: the mean demand of each node."""
        return tuple(start_of(rows) for rows in self.rows)

    def at(
        self,
        price,
        targets,
        *,
        stage: float,
        softness: float,
        curved: bool,
        around: float = AROUND,
        tolerance: float | None = None,
    ) -> Point:
        """The smoothed dual at a price vector, searching from the given targets; with
        `around` at 0 its Jacobian is exact, and worse for steps that cross kinks.

        Of many processes each evaluates its own items; their sums meet once, and the
        price is that of the first process. Targets stay where their items are.
        """
        price = self.crew.lead(np.asarray(price, float))
        full = self.problem.paid(self.spread(price))
        use = np.zeros(self.shape)
        value, parts = 0.0, []
        curve = np.zeros((self.limited.size,) * 2) if curved else np.zeros((0, 0))
        for k, (rows, group) in enumerate(
            zip(self.rows, self.problem.groups, strict=True)
        ):
            node = group.network.node
            part = self.look(
                rows,
                full[:, node],
                targets[k],
                stage,
                softness,
                curved=curved,
                around=around,
                tolerance=tolerance,
            )
            parts.append(part)
            value += float(part.value)
            use[:, node] += np.asarray(part.use)
            if curved:
                self._add_curve(curve, part, np.asarray(rows.window), node)
        self.evaluations += 1
        value, use, curve = self.crew.totals(np.array(value), use, curve)
        value = float(value)
        use[1, :, 0] -= self.carried
        use = self.problem.with_passing(use)
        value -= float(full[1, :, 0] @ self.carried) + float(price @ self.capacity)
        used = self.gather(use)
        return Point(
            price, value, used, used - self.capacity, curve,
            tuple(p.target for p in parts), tuple(p.sent for p in parts),
            tuple(p.slope for p in parts),
            self.crew.most(max(float(p.residual) for p in parts)),
        )  # fmt: skip

    def look(
        self,
        rows: Rows | Streamed,
        prices,
        targets,
        stage: float,
        softness: float,
        *,
        curved: bool = False,
        around: float = AROUND,
        tolerance: float | None = None,
    ) -> Evaluation:
        """One group at the prices of its nodes.

        Each cell is searched to the end: a residual of 1 % of its charge can move the
        use of a small site by half.
        """
        if isinstance(rows, Streamed):
            again = lambda block, start: self.look(
                block, prices, place(start, block.atoms), stage, softness,
                curved=curved, around=around, tolerance=tolerance,
            )  # fmt: skip
            return over_blocks(again, rows, targets)
        kind = rows.atoms.dtype
        tolerance = TOLERANCE[kind.name] if tolerance is None else tolerance
        return evaluate(
            rows, jnp.asarray(prices), targets, jnp.asarray(stage, kind),
            jnp.asarray(softness, kind), flows=self.flows, curved=curved,
            passes=PASSES, tolerance=tolerance, around=around,
        )  # fmt: skip

    def _add_curve(self, curve, part: Evaluation, window, node) -> None:
        """Adds a group's d use / d price: E' K E over periods, E taking prices to the
        charges on stock and on each regime's shipments."""
        size, periods = len(node), self.shape[2]
        bend = np.asarray(part.bend)
        place = np.full(int(np.prod(self.shape)), -1)
        place[self.limited] = np.arange(self.limited.size)
        place = place.reshape(self.shape)
        regimes = self.shape[0] - 2
        eye, zero = np.eye(size), np.zeros((size, size))
        pipeline = np.diag(window - 1)
        own = np.eye(1 + regimes)[:, 1:]  # each regime's place after y
        maps = (  # resource, period ahead, what its price does to (y, s), volume
            (0, 0, np.vstack([eye, *[-pipeline] * regimes]), 1),
            (1, 0, np.vstack([eye, *[zero] * regimes]), 0),
            (1, 1, np.vstack([-eye, *[eye] * regimes]), 0),
            *((2 + k, 0, np.kron(own[:, k : k + 1], eye), 0) for k in range(regimes)),
        )
        maps = [(place[k, node], *rest) for k, *rest in maps]
        maps += self._passing(place, node, maps[1:3])
        for t in range(periods):
            parts = []
            for volume in (0, 1):
                here = [
                    (row[:, t + ahead], effect)
                    for row, ahead, effect, power in maps
                    if power == volume and t + ahead < periods
                ]
                at, to = (np.concatenate(x, -1) for x in zip(*here, strict=True))
                parts.append((volume, at[at >= 0], to[:, at >= 0]))
            for va, i, left in parts:
                for vb, j, right in parts:
                    more = left.T @ bend[2 - va - vb, t] @ right
                    if self.problem.via is None:
                        curve[np.ix_(i, j)] += more
                    else:  # a capacity may be there twice: for its own and what passes
                        np.add.at(curve, np.ix_(i, j), more)

    def _passing(self, place, node, receipts):
        """What prices of the nodes through which receipts pass do to (y, s): what the
        prices of the receipts themselves do, as entries of `_add_curve`'s maps."""
        if self.problem.via is None:
            return []
        via, regimes = self.problem.via[node], self.shape[0] - 2
        some = np.flatnonzero(via >= 0)
        parts = (1, 1.0), *((2 + k, 1 / regimes) for k in range(regimes))
        return [
            (place[resource, via[some]], ahead, share * effect[:, some], power)
            for resource, share in parts
            for _, ahead, effect, power in receipts
        ]

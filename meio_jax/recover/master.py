"""The restricted master: the best mix of the plans that were seen for each item.

Every exact solution of an item and period at some prices is a column: what it costs and
what it uses. The cheapest mix of columns within the capacities (Dantzig & Wolfe 1960),
one linear program, is a plan, since a mix of targets costs no more than the mix of
their costs, and its dual prices say where to look for the next columns. With columns of
its own for each of many items, few of them are needed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from meio_jax.dual.exact import Exact
from meio_jax.dual.use import Use, cell_use, on_hand, use_cost
from meio_jax.problem import Problem


class Column(NamedTuple):
    """One exact solution of the chosen items of a group.

    Attributes:
      target: units.
      uses: of the capacities.
      cost: money, without the price of capacities.
    """

    target: Float[np.ndarray, "items periods nodes"]
    uses: tuple[Use, ...]
    cost: Float[np.ndarray, "items periods"]


class Mix(NamedTuple):
    """The restricted master's optimum.

    Attributes:
      value: cost of the mix, with what the box of prices charges and pays, money.
      price: dual price of each limited capacity, within the box.
      target: of each group's chosen items, units.
      over: use above each limited capacity.
    """

    value: float
    price: Float[np.ndarray, " capacities"]
    target: tuple[Float[np.ndarray, "items periods nodes"], ...]
    over: Float[np.ndarray, " capacities"]


class Master:
    """Grows by columns; solved by HiGHS.

    Args:
      problem: the problem.
      chosen: items of each group that have columns.
      windows: mean protection interval of each group's nodes, periods.
    """

    def __init__(
        self,
        problem: Problem,
        chosen: list[Int[np.ndarray, " items"]],
        windows: list[Float[np.ndarray, " nodes"]],
    ):
        self.problem, self.chosen = problem, chosen
        self.windows = [np.asarray(w, float) for w in windows]
        self.columns: list[list[Column]] = [[] for _ in chosen]
        limited = np.isfinite(problem.capacities)
        self.place = np.full(limited.shape, -1)
        self.place[limited] = np.arange(limited.sum())
        self.count = int(limited.sum())

    def add(
        self, prices: Float[np.ndarray, "resources nodes periods"], found: list[Exact]
    ) -> None:
        """Adds the exact solutions of the chosen items at some prices."""
        for k, exact in enumerate(found):
            node = self.problem.groups[k].network.node
            volume = self.problem.groups[k].items.volume[self.chosen[k]]
            stock = on_hand(self.windows[k], exact.target, exact.sent)
            uses = cell_use(volume, stock, exact.target, exact.sent)
            cost = exact.bound - use_cost(uses, self.problem.paid(prices)[:, node])
            self.columns[k].append(Column(exact.target, uses, cost))

    def solve(
        self,
        room: Float[np.ndarray, " capacities"],
        low: Float[np.ndarray, " capacities"],
        high: Float[np.ndarray, " capacities"],
    ) -> Mix:
        """The cheapest mix within the capacities, dual prices kept in a box.

        Args:
          room: what other items leave of each limited capacity.
          low: least price: what room that stays unused earns.
          high: largest price: what use above capacity costs.

        Raises:
          RuntimeError: the program has no optimum, which would be a defect of ours.
        """
        from scipy.optimize import linprog
        from scipy.sparse import coo_array

        if not self.count:  # nothing couples the items
            cost = float(sum(own[-1].cost.sum() for own in self.columns))
            target = tuple(own[-1].target for own in self.columns)
            return Mix(cost, low, target, low)
        entries, cost, cell, first, cells = [], [], [], 0, 0
        for k, own in enumerate(self.columns):
            for c in own:
                entries += self._entries(k, c, first)
                cost.append(c.cost.ravel())
                cell.append(cells + np.arange(c.cost.size))
                first += c.cost.size
            cells += own[0].cost.size if own else 0
        total, one = first + 2 * self.count, np.arange(self.count)
        entries += [(one, first + one, -np.ones(self.count))]
        entries += [(one, first + self.count + one, np.ones(self.count))]
        row, at, amount = (np.concatenate(x) for x in zip(*entries, strict=True))
        use = coo_array((amount, (row, at)), shape=(self.count, total))
        at = np.arange(first)
        mix = coo_array((np.ones(first), (np.concatenate(cell), at)), (cells, total))
        objective = np.concatenate([*cost, high, -low])
        unit = max(float(np.abs(objective[:first]).mean()), 1e-300)
        found = linprog(
            objective / unit, A_ub=use.tocsr(), b_ub=room, A_eq=mix.tocsr(),
            b_eq=np.ones(cells), method="highs",
        )  # fmt: skip
        if found.x is None:
            raise RuntimeError(f"the restricted master has no optimum: {found.message}")
        return Mix(
            unit * float(found.fun),
            unit * np.maximum(-found.ineqlin.marginals, 0), self._mixed(found.x),
            found.x[first : first + self.count],
        )  # fmt: skip

    def _entries(self, k, c: Column, first):
        """Entries of a column's cells in the rows of capacities."""
        node = self.problem.groups[k].network.node
        out = []
        for row, later, use in self._rows(node, c.uses):
            row = np.pad(row[later:], ((0, later), (0, 0)), constant_values=-1)
            i, t, n = np.nonzero((np.abs(use) > 1e-12) & (row >= 0))
            out.append((row[t, n], first + i * use.shape[1] + t, use[i, t, n]))
        return out

    def _rows(self, node, uses):
        """Place of the rows, periods later and amount of every use; where receipts pass
        through another node, again of that one's inbound and outbound."""
        problem, out = self.problem, []
        for resource, later, use in uses:
            out.append((self.place[resource][node].T, later, use))
            if resource != 1 or problem.via is None:
                continue
            via = problem.via[node]
            shares = [1.0, *[1 / problem.regimes] * problem.regimes]
            for k, share in enumerate(shares):
                row = np.where(via >= 0, self.place[1 + k][via].T, -1)
                out.append((row, later, share * use))
        return out

    def _mixed(self, x) -> tuple[Float[np.ndarray, "items periods nodes"], ...]:
        mixed, first = [], 0
        for own in self.columns:
            total = np.zeros_like(own[0].target)
            for c in own:
                weight = x[first : first + c.cost.size].reshape(c.cost.shape)
                total += weight[:, :, None] * c.target
                first += c.cost.size
            mixed.append(total)
        return tuple(mixed)

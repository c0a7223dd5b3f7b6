"""The fluid problem, mean demand known for certain, as a linear program by HiGHS."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from meio_jax.faults import Fault, Faults, InputError
from meio_jax.kernels.cost import serve_cost
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import Sample

MOST = 120_000  # arcs to begin with: about a minute of HiGHS
NEAREST = 2  # nodes that a class may be served from to begin with


class FluidOptimum(NamedTuple):
    """The optimum of a linear program whose demand is one scenario.

    Attributes:
      cost: money of all periods.
      targets: of each group, fractions allowed.
      prices: of storage, inbound and outbound, money per unit of capacity.
      arcs: item-class-node-periods that the last program had.
      rounds: programs solved.
    """

    cost: float
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...]
    prices: Float[np.ndarray, "3 nodes periods"]
    arcs: int
    rounds: int


def solve_fluid(problem: Problem, sample: Sample) -> FluidOptimum:
    """Targets y and shipments x of one scenario at least cost, by HiGHS.

        min  sum h (y - sum_q x) + sum c x + sum p (D - sum_n x)
        s.t. sum_q x <= y,  sum_n x <= D,  least <= y <= largest,
             sum_i v (y_t - (m-1) s_t) <= storage,  sum_i s_t <= outbound,
             sum_i y_t - y_(t-1) + s_(t-1) <= inbound,   s = sum_q x / m,

    over items i, nodes n, classes q and periods t, D the demand of the m periods that
    an order protects: the planner's own model where nothing is random, so that its
    bound is below and its plan above. Arcs are generated: each class begins with its
    nearest nodes, and those of negative reduced cost join until there are none.

    Args:
      problem: the problem; demand classes are those that it has.
      sample: one scenario.

    Raises:
      InputError: there are too many arcs for one program, or capacities leave no room
        for the least targets.
    """
    blocks, first = [], 0
    for k, group in enumerate(problem.groups):
        blocks.append(_block(problem, group, k, sample, first))
        first += blocks[-1].rows
    count = sum(int(block.near.sum()) for block in blocks) * problem.periods
    if count > MOST:
        text = f"the linear program has {count:,} arcs to begin with; it may have "
        raise _refuse(f"{text}{MOST:,}", "Take fewer items or periods, or 'fluid'")
    limits = np.stack([problem.storage, problem.inbound, problem.outbound])
    start = np.zeros(limits.shape)
    start[1, :, 0] = sum(_carried(problem, block) for block in blocks)
    limits += problem.with_passing(start)
    used, rounds = [block.near for block in blocks], 0
    while True:
        rounds += 1
        cost, targets, prices, duals = _optimum(blocks, used, limits, first)
        parts = zip(blocks, used, duals, strict=True)
        paid = problem.paid(prices)
        more = [block.cheaper(arcs, paid, dual) for block, arcs, dual in parts]
        if not any(x.any() for x in more):
            break
        used = [u | x for u, x in zip(used, more, strict=True)]
    arcs = sum(int(u.sum()) for u in used) * problem.periods
    return FluidOptimum(cost, targets, prices, arcs, rounds)


@dataclass(frozen=True)
class _Block:
    """The part of a group: what its columns cost and where its rows begin."""

    group: Group
    window: Float[np.ndarray, " nodes"]
    demand: Float[np.ndarray, "items classes periods"]
    cost: Float[
        np.ndarray, "items nodes classes"
    ]  # inf where it may not or is not worth
    near: Bool[np.ndarray, "items nodes classes"]
    first: int
    via: Int[np.ndarray, " all_nodes"] | None = None

    @property
    def shape(self):
        items, nodes, _ = self.cost.shape
        return items, nodes, self.demand.shape[2]

    @property
    def rows(self) -> int:
        return int(np.prod(self.shape)) + self.demand.size

    def columns(self, used, nodes: int):
        """Costs, bounds and (row, column, value) of y, then of x; rows of capacities
        come first."""
        items, own, periods = self.shape
        group, m = self.group.items, self.window
        start = 3 * nodes * periods + self.first
        i, n, t = (x.ravel() for x in np.indices((items, own, periods)))
        stock = np.arange(i.size)
        place = self.group.network.node
        row = lambda resource, node, t: (resource * nodes + node) * periods + t
        entries = [
            (start + stock, stock, -np.ones(i.size)),
            (row(0, place[n], t), stock, group.volume[i]),
        ]
        later = t + 1 < periods
        receipts = [
            (n, t, stock, np.ones(i.size)),
            (n[later], t[later] + 1, stock[later], -np.ones(later.sum())),
        ]
        cost = group.holding[i, n]
        bounds = np.stack([group.lower[i, t, n], group.upper[i, t, n]], axis=1)

        i, n, q, t = np.nonzero(used[..., None] & (self.demand[:, None] > 0))
        arc = len(cost) + np.arange(i.size)
        share, one = 1 / m[n], np.ones(i.size)
        supply = start + (i * own + n) * periods + t
        asked = start + stock.size + (i * self.demand.shape[1] + q) * periods + t
        later = t + 1 < periods
        entries += [
            (supply, arc, one),
            (asked, arc, one),
            (row(0, place[n], t), arc, -group.volume[i] * (1 - share)),
            (row(2, place[n], t), arc, share),
        ]
        receipts.append((n[later], t[later] + 1, arc[later], share[later]))
        for receipt in receipts:
            entries += self._receipt(row, *receipt)
        cost = np.r_[cost, self.cost[i, n, q] - group.penalty[i] - group.holding[i, n]]
        bounds = np.concatenate([bounds, np.stack([0 * one, np.inf * one], axis=1)])
        return (
            cost,
            bounds,
            tuple(np.concatenate(x) for x in zip(*entries, strict=True)),
        )

    def _receipt(self, row, n, t, column, value):
        """Entries of receipts: at the node, and where they pass on the way to it."""
        entries = [(row(1, self.group.network.node[n], t), column, value)]
        if self.via is not None:
            through = self.via[self.group.network.node[n]]
            some = through >= 0
            entries += [
                (row(k, through[some], t[some]), column[some], value[some])
                for k in (1, 2)
            ]
        return entries

    def cheaper(self, used, prices, duals):
        """For each item and class the arc not used whose reduced cost is least, where
        that is negative in any period."""
        items, own, periods = self.shape
        group = self.group.items
        store, inbound, outbound = prices[:, self.group.network.node]
        later = np.pad(inbound[:, 1:], ((0, 0), (0, 1)))
        share = 1 / self.window[:, None]
        room = group.volume[:, None, None] * store
        supply = duals[: items * own * periods].reshape(self.shape)
        asked = duals[items * own * periods :].reshape(self.demand.shape)
        most = group.holding[:, :, None] + room + inbound - later
        served = (used[..., None] & (self.demand[:, None] > 0)).any(axis=2)
        supply = np.where(served, supply, np.maximum(most, 0))
        at = supply - group.holding[:, :, None] - room * (1 - share)
        at += share * (outbound + later)
        new = np.isfinite(self.cost) & ~used
        more = np.zeros_like(used)
        tiny = 1e-7 * max(float(group.penalty.max(initial=0)), 1e-30)
        for t in range(periods):
            reduced = self.cost + at[:, :, None, t] + asked[:, None, :, t]
            reduced -= group.penalty[:, None, None]
            reduced = np.where(new & (self.demand[:, None, :, t] > 0), reduced, np.inf)
            best = reduced.argmin(axis=1)[:, None]
            least = np.take_along_axis(reduced, best, axis=1)
            found = np.take_along_axis(more, best, axis=1) | (least < -tiny)
            np.put_along_axis(more, best, found, axis=1)
        return more


def _block(
    problem: Problem, group: Group, k: int, sample: Sample, first: int
) -> _Block:
    network, items = group.network, group.items
    lead = sample.lead[k][:, :, 0]
    slots = np.asarray(SlotSource(problem, group, sample)(0, len(items)), float)
    path = np.swapaxes(slots[:, sample.slot[0]], 1, 2)
    periods = lead.shape[1]
    demand = np.zeros((len(items), len(network.home), periods))
    for ahead in range(sample.longest + 1):
        on_way = lead[network.home] >= ahead
        demand += np.where(on_way, path[..., ahead : ahead + periods], 0)
    cost = serve_cost(
        (network.unit_cost, network.cost_per_weight, network.days_late),
        items.weight[:, None, None], items.late_cost[:, None, None],
    )  # fmt: skip
    able = (items.upper.max(axis=1) > 0)[:, :, None] & (
        cost < items.penalty[:, None, None]
    )
    able &= np.any(demand > 0, axis=2)[:, None]
    cost = np.where(able, cost, np.inf)
    rank = cost.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    near = able & (rank < NEAREST)
    return _Block(group, sample.window(k), demand, cost, near, first, problem.via)


def _carried(problem: Problem, block: _Block):
    """Stock that the first receipts build on: the user's, or what is not shipped in the
    first period of demand that its nearest nodes cover."""
    out, group = np.zeros(len(problem.storage)), block.group
    if group.stock is not None:
        np.add.at(out, group.network.node, group.stock.sum(axis=0))
        return out
    best = block.cost.argmin(axis=1)
    node = group.network.node[best]
    left = 1 - 1 / block.window[best]
    served = np.isfinite(block.cost).any(axis=1)
    np.add.at(out, node, block.demand[:, :, 0] * left * served)
    return out


def _optimum(blocks, used, limits, rows: int):
    """Cost, targets, prices of capacities and duals of each block's own rows."""
    from scipy import sparse
    from scipy.optimize import linprog

    nodes, top = limits.shape[1], limits.size
    parts = [b.columns(u, nodes) for b, u in zip(blocks, used, strict=True)]
    wide = np.cumsum([0, *(len(cost) for cost, _, _ in parts)])
    row, column, value = (
        np.concatenate(
            [x[2][k] + (w if k == 1 else 0) for x, w in zip(parts, wide, strict=False)]
        )
        for k in range(3)
    )
    matrix = sparse.csr_matrix((value, (row, column)), (top + rows, wide[-1]))
    own = [np.r_[np.zeros(np.prod(b.shape)), b.demand.ravel()] for b in blocks]
    limit = np.concatenate([limits.ravel(), *own])
    kept = np.isfinite(limit)
    found = linprog(
        np.concatenate([cost for cost, _, _ in parts]), matrix[kept], limit[kept],
        bounds=np.concatenate([bounds for _, bounds, _ in parts]),
        method="highs-ipm",  # with crossover; simplex takes four times as long
    )  # fmt: skip
    if found.status != 0:
        text = f"the linear program has no solution: {found.message}"
        raise _refuse(text, "Least targets may need more room than capacities give")
    dual = np.zeros(len(limit))
    dual[kept] = np.maximum(-found.ineqlin.marginals, 0)
    lost = sum(b.group.items.penalty @ b.demand.sum(axis=(1, 2)) for b in blocks)
    targets, duals = [], []
    for block, first in zip(blocks, wide, strict=False):
        y = found.x[first : first + int(np.prod(block.shape))].reshape(block.shape)
        targets.append(np.swapaxes(y, 1, 2))
        duals.append(dual[top + block.first :][: block.rows])
    prices = dual[:top].reshape(limits.shape)
    return float(found.fun + lost), tuple(targets), prices, duals


def _refuse(text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "S03", "policy 'fluid_lp'", text, hint)]))

"""What targets do under greedy fulfilment (K3), on the scenarios of a sample."""

from copy import copy
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.use import Use, cell_use, total_use
from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.fulfill import fulfill, greedy_routes
from meio_jax.mesh import Crew
from meio_jax.problem import Group, Problem
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import Sample, window_demand


class Outcome(NamedTuple):
    """Expected results of a group's targets, per period.

    Attributes:
      left: stock left at the end, units.
      shipped: shipments of a period, units.
      sent: shipments of a period in each regime, times the regime's share, units.
      empty: chance that the regime holds and the last unit is used.
      own: units of the node's own demand in the window.
      short: units of its own demand above its target.
      holding: money.
      shipping: money, lateness included.
      lost: money.
      flow: units of each pair of class and node shipped in a period.
      unmet: units of each class lost in a period.
      demand: units of each class in a period.
    """

    left: Float[np.ndarray, "items periods nodes"]
    shipped: Float[np.ndarray, "items periods nodes"]
    sent: Float[np.ndarray, "items periods regimes nodes"]
    empty: Float[np.ndarray, "items periods regimes nodes"]
    own: Float[np.ndarray, "items periods nodes"]
    short: Float[np.ndarray, "items periods nodes"]
    holding: Float[np.ndarray, "items periods"]
    shipping: Float[np.ndarray, "items periods"]
    lost: Float[np.ndarray, "items periods"]
    flow: Float[np.ndarray, "periods classes nodes"]
    unmet: Float[np.ndarray, "periods classes"]
    demand: Float[np.ndarray, "periods classes"]

    @property
    def cost(self) -> float:
        """Expected cost of the horizon, money."""
        return float(self.holding.sum() + self.shipping.sum() + self.lost.sum())


class Evaluator:
    """Evaluates targets of one group; compiled once, scenarios drawn chunk by chunk."""

    def __init__(
        self, problem: Problem, index: int, sample: Sample, *, chunk: int = 64,
        window: Float[np.ndarray, " nodes"] | None = None, crew: Crew | None = None,
    ):  # fmt: skip
        """Prepares a group for a sample.

        Args:
          problem: the problem.
          index: which group.
          sample: the scenarios.
          chunk: items evaluated at once.
          window: mean periods that an order protects; the sample's own mean if not
            given.
          crew: who works on which items; an outcome is of all of them.
        """
        self.crew = crew or Crew()
        self.group: Group = problem.groups[index]
        self.sample, self.index = sample, index
        self.regimes = problem.regimes
        self.source = SlotSource(problem, self.group, sample)
        self.chunk = min(chunk, len(self.group.items))
        network = self.group.network
        own = sample.window(index)
        self.window = own if window is None else window
        items = self.group.items
        self.typical = serve_cost(
            (network.unit_cost, network.cost_per_weight, network.days_late),
            float(np.median(items.weight)), float(np.median(items.late_cost)),
        )  # fmt: skip
        self.penalty = float(items.penalty.max())
        self.run = partial(chunk_outcome, longest=sample.longest, regimes=self.regimes)
        self._kept: dict[bytes, tuple] = {}  # of the last tolls; copies share it

    def of_items(self, group: Group) -> "Evaluator":
        """The evaluator of other items of the network, fulfilled in the same order.

        What does not hang on items is not prepared again.

        Args:
          group: the items, with their demand.
        """
        one = copy(self)
        one.group, one.chunk = group, min(self.chunk, len(group.items))
        one.source = self.source.of(group)
        return one

    def __call__(
        self,
        target: Float[np.ndarray, "items periods nodes"],
        toll: Float[np.ndarray, "regimes nodes periods"],
    ) -> Outcome:
        """Outcome of the targets.

        Args:
          target: order-up-to levels, units.
          toll: price of a window shipment in each regime, money per unit: which nodes
            the policy spares. It steers and is not charged.
        """
        constants = self.constants(toll)
        klass, node = (np.asarray(x) for x in constants[5:7])
        parts = self.crew.each(
            lambda k, span: self._part(span, target, constants), self.spans()
        )
        count = len(self.group.items)
        cell = {
            k: self.crew.gather(
                np.concatenate([p[0][k] for p in parts]), count, self.chunk
            )
            for k in parts[0][0]
        }
        sums = [np.asarray(sum(p[1][k] for p in parts)) for k in parts[0][1]]
        total = dict(zip(parts[0][1], self.crew.totals(*sums), strict=True))
        return self._outcome(target, cell, total, klass, node)

    def spans(self) -> list[tuple[int, int]]:
        """First and last item of each of the process's chunks."""
        first, last = self.crew.own(len(self.group.items), self.chunk)
        return [
            (k, min(k + self.chunk, last))
            for k in range(first, max(last, first + 1), self.chunk)
        ]

    def constants(self, toll: Float[np.ndarray, "regimes nodes periods"]) -> tuple:
        """What all items share: slots, lead times, homes, weights, regimes, the routes
        of every period and regime, costs of service; kept for the next call."""
        mark = toll.tobytes()
        if mark not in self._kept:
            self._kept.clear()
            self._kept[mark] = self._constants(toll)
        return self._kept[mark]

    def _constants(self, toll):
        network, sample = self.group.network, self.sample
        by_setting = np.moveaxis(toll, 2, 0).reshape(-1, toll.shape[1])
        routes = greedy_routes(self.typical, self.penalty, network.ring, by_setting)
        return (
            jnp.asarray(self.source.slot), jnp.asarray(sample.lead[self.index]),
            jnp.asarray(network.home), jnp.asarray(sample.weight, jnp.float32),
            jnp.asarray(sample.order), routes.klass, routes.node, routes.used,
            *(
                jnp.asarray(x, jnp.float32)
                for x in (network.unit_cost, network.cost_per_weight, network.days_late)
            ),
        )  # fmt: skip

    def inputs(
        self, span: tuple[int, int], target: Float[np.ndarray, "items periods nodes"]
    ) -> tuple:
        """Slots of demand, targets, weight, lateness and penalty of a chunk of items,
        filled up with items of nothing.

        Args:
          span: first and last item.
          target: of all items.
        """
        items, (first, last) = self.group.items, span
        last = max(first, last)
        pad = first + self.chunk - last
        fill = lambda x: jnp.asarray(
            np.concatenate([x[first:last], np.repeat(x[:1] * 0, pad, 0)]), jnp.float32
        )
        slots = jnp.pad(self.source(first, last), ((0, pad), (0, 0), (0, 0)))
        money = items.weight, items.late_cost, items.penalty
        return slots, fill(target), *map(fill, money)

    def _part(self, span, target, constants):
        """Outcome of a chunk of items, as arrays by cell and totals."""
        out = self.run(*self.inputs(span, target), constants)
        real = max(span[1] - span[0], 0)
        cell = {k: np.asarray(v)[:real] for k, v in out["cell"].items()}
        return cell, {k: np.asarray(v, float) for k, v in out["total"].items()}

    def _outcome(self, target, cell, total, klass, node) -> Outcome:
        network, items = self.group.network, self.group.items
        share = np.ones((1, 1, self.regimes, 1)) / self.regimes
        sent = (target[:, :, None] * share - cell["left"]) / self.window
        left, shipped = cell["left"].sum(axis=2), sent.sum(axis=2)
        served = np.minimum(self._item_costs().min(axis=1), items.penalty[:, None])
        before = 1 - network.spread / self.window[network.home]
        paid = np.einsum("itq,iq,q->it", cell["demand"], served, before)
        classes, nodes = len(network.home), len(network.node)
        cover = self.window[network.home]
        flow = np.zeros((target.shape[1], classes, nodes))
        for k in range(len(klass)):
            np.add.at(flow[k // self.regimes], (klass[k], node[k]), total["flow"][k])
        home = np.zeros((classes, nodes))
        home[np.arange(classes), network.home] = 1
        return Outcome(
            left=left, shipped=shipped, sent=sent, empty=cell["empty"],
            own=cell["demand"] @ home, short=cell["short"],
            holding=np.einsum("in,itn->it", items.holding, left),
            shipping=cell["cost"] - paid,
            lost=cell["unmet"] * items.penalty[:, None],
            flow=flow / cover[:, None],
            unmet=total["unmet"] / cover,
            demand=cell["demand"].sum(axis=0) / cover,
        )  # fmt: skip

    def _item_costs(self):
        network, items = self.group.network, self.group.items
        return serve_cost(
            (network.unit_cost, network.cost_per_weight, network.days_late),
            items.weight[:, None, None], items.late_cost[:, None, None],
        )  # fmt: skip


def by_regime(slots, constants, longest, regimes):
    """Window demand, "items classes settings scenarios", of every period and regime in
    turn, and the weights of a regime's scenarios."""
    slot, lead, home, share, order, *_ = constants
    demand = jax.vmap(window_demand, (0, None, None, None, None))(
        slots, slot, lead, home, longest
    )  # items classes periods scenarios
    if regimes > 1:  # weights are equal then
        demand = jnp.take_along_axis(demand, order[None, None], axis=3)
    demand = demand.reshape(*demand.shape[:2], demand.shape[2] * regimes, -1)
    return demand, share[: demand.shape[3]]


def pair_pay(services, node, klass, used, weight, late_cost):
    """What a unit of each item costs on each pair of a node and a class in the order of
    fulfilment, "pairs items"; inf for pairs not used."""
    pair = tuple(x[node, klass][:, None] for x in services)
    pay = serve_cost(pair, weight[None, :], late_cost[None, :])
    return jnp.where(used[:, None], pay, jnp.inf)


@partial(jax.jit, static_argnames=("longest", "regimes"))
def chunk_outcome(
    slots, target, weight, late_cost, penalty, constants, *, longest, regimes
):
    _, _, home, _, _, klass, node, used, *services = constants
    demand, share = by_regime(slots, constants, longest, regimes)
    count, periods = target.shape[:2]
    target = jnp.repeat(target, regimes, axis=1)
    nodes = target.shape[2]
    own = (home[:, None] == jnp.arange(nodes)).astype(demand.dtype)
    keep = jnp.zeros((klass.shape[1], count), demand.dtype)
    expected = lambda sent, pay: sent @ share

    def period(part):  # and regime
        demand, target, klass, node, used = part
        pay = pair_pay(services, node, klass, used, weight, late_cost)
        full = jnp.broadcast_to(target.T[:, :, None], (nodes, *demand.shape[::2]))
        by_class = jnp.moveaxis(demand, 1, 0)  # classes items scenarios
        done = fulfill(full, by_class, klass, node, pay, penalty, keep, expected)
        wanted = jnp.einsum("iqs,qn->ins", demand, own)
        above = jnp.maximum(wanted - target[:, :, None], 0)
        cell = dict(
            left=(done.left @ share).T,
            empty=((done.left < 1) @ share).T,
            short=above @ share,
            cost=jnp.sum(jnp.where(pay < penalty, pay, 0) * done.told, axis=0),
            unmet=(done.unmet @ share).sum(axis=0),
            demand=demand @ share,
        )
        return cell, dict(
            flow=done.told.sum(axis=1), unmet=(done.unmet @ share).sum(axis=1)
        )

    cell, total = jax.lax.map(
        period,
        (jnp.moveaxis(demand, 2, 0), jnp.moveaxis(target, 1, 0), klass, node, used),
    )
    cell = {
        k: jnp.moveaxis(v, 0, 1).reshape(count, periods, regimes, *v.shape[2:])
        for k, v in cell.items()
    }
    apart = {"left", "empty"}  # what is kept by regime
    cell = {k: v if k in apart else v.sum(axis=2) for k, v in cell.items()}
    total["unmet"] = total["unmet"].reshape(periods, regimes, -1).sum(axis=1)
    return {"cell": cell, "total": total}


def outcome_use(group: Group, outcome: Outcome, target) -> tuple[Use, ...]:
    """What each item and period of a group uses in expectation, at its targets."""
    kept = outcome.left + outcome.shipped  # the rest is on its way
    return cell_use(group.items.volume, kept, target, outcome.sent)


def node_use(problem: Problem, outcomes, targets, carried):
    """Storage, inbound and each regime's outbound that targets use in expectation, by
    themselves and by what passes through a node to others.

    Args:
      problem: the problem.
      outcomes: outcome of each group.
      targets: targets of each group, units.
      carried: stock at each node that the first receipts build on, units.
    """
    use = np.zeros(problem.capacities.shape)
    for group, outcome, target in zip(problem.groups, outcomes, targets, strict=True):
        use[:, group.network.node] += total_use(outcome_use(group, outcome, target))
    use[1, :, 0] -= carried
    return problem.with_passing(use)


def violation(
    problem: Problem, use: Float[np.ndarray, "resources nodes periods"]
) -> float:
    """Largest use above a capacity as a share of it, 0 when all are respected."""
    limited = np.isfinite(problem.capacities)
    capacity = problem.capacities[limited]
    over = use[limited] - capacity
    over = np.where(over > 1e-9 * np.maximum(capacity, 1), over, 0)
    return float(np.max(over / np.maximum(capacity, 1e-3), initial=0.0))

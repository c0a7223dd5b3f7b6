"""A plan within capacities from fractional targets: whole units, cuts, fills."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.prices import Dual
from meio_jax.dual.use import window_tolls
from meio_jax.problem import Problem
from meio_jax.recover.chain import raise_targets
from meio_jax.recover.evaluate import Evaluator, Outcome, node_use, violation
from meio_jax.recover.repair import add_units, cut_units
from meio_jax.recover.round import round_targets
from meio_jax.recover.units import unit_values, whole_optimum

ROUNDS = 24  # of repair
LINKS = 8  # rounds of raising targets to what the period before leaves
CUTS = 60  # passes of cutting between two evaluations
FILLS = 20  # of filling
STEPS = 12  # single units from rounded targets to whole optima

Prices = Float[np.ndarray, "resources nodes periods"]
Targets = tuple[Float[np.ndarray, "items periods nodes"], ...]
Tolls = tuple[Float[np.ndarray, "regimes nodes periods"], ...]


class Weighed(NamedTuple):
    """What targets do under greedy fulfilment.

    Attributes:
      over: largest use above a capacity, as a share of it; 0 where all are respected.
      cost: money.
      targets: units.
      outcomes: of each group.
      tolls: that steered fulfilment.
      use: of every capacity.
    """

    over: float
    cost: float
    targets: Targets
    outcomes: tuple[Outcome, ...]
    tolls: Tolls
    use: Prices

    @property
    def rank(self) -> tuple[bool, float]:
        """Smaller is better: within capacities by cost, else by what is over."""
        return self.over > 0, self.over or self.cost


@dataclass(frozen=True)
class Recovery:
    """Makes plans of one problem.

    Attributes:
      problem: capacities to keep, with all classes of demand.
      dual: at whose rows single units are valued.
      evaluators: greedy fulfilment of each group, on all classes.
      quick: the same on the classes that are planned on.
      whole_units: whether targets are whole.
      say: told the cost and the largest use above capacity of every plan weighed.
    """

    problem: Problem
    dual: Dual
    evaluators: tuple[Evaluator, ...]
    quick: tuple[Evaluator, ...]
    whole_units: bool
    say: Callable[[float, float], None]

    def best(
        self, prices: Prices, wanted: Targets, *, probes: int, chain: bool
    ) -> Weighed:
        """The best feasible targets found from fractional ones.

        Args:
          prices: money per unit of capacity.
          wanted: fractional targets, units.
          probes: roundings to try: where few items share a capacity one unit more or
            less of an item decides what else fits.
          chain: raise targets to what the period before leaves.
        """
        tolls, found = self.tolls(prices), None
        for probe in range(probes):
            now = self.settle(self.whole(prices, wanted, probe), tolls)
            if found is None or now.rank < found.rank:
                found = now
        assert found is not None
        return self._linked(found) if chain else found

    def tolls(self, prices: Prices) -> Tolls:
        """What prices make of a shipment, which steers greedy fulfilment."""
        paid = self.problem.paid(prices)
        return tuple(
            window_tolls(paid[:, g.network.node], e.window)
            for g, e in zip(self.problem.groups, self.evaluators, strict=True)
        )

    def whole(self, prices: Prices, wanted: Targets, probe: int = 0) -> Targets:
        """Whole targets near the fractional ones; every probe rounds at another offset,
        and even ones then descend at prices near these."""
        if not self.whole_units:
            return wanted
        near = np.random.default_rng(probe).uniform(0.8, 1.2, prices.shape)
        near = self.problem.paid(prices * (near if probe else 1))
        targets = []
        for k, group in enumerate(self.problem.groups):
            items, network = group.items, group.network
            key = items.key + 7919 * probe
            y = round_targets(
                wanted[k], network.tree.walk, key, items.lower, items.upper
            )
            if probe % 2 == 0:
                best = whole_optimum(
                    self.dual.rows[k], self.dual.by_cell(y, k),
                    jnp.asarray(near[:, network.node]), steps=STEPS,
                )  # fmt: skip
                y = self.dual.by_item(best, k)
            targets.append(y)
        return tuple(targets)

    def weigh(self, targets: Targets, tolls: Tolls, *, fine: bool = True) -> Weighed:
        """What targets do under greedy fulfilment.

        Args:
          targets: units.
          tolls: of a window shipment.
          fine: on all classes of demand.
        """
        run = self.evaluators if fine else self.quick
        outcomes = tuple(e(y, t) for e, y, t in zip(run, targets, tolls, strict=True))
        use = node_use(self.problem, outcomes, targets, self.dual.carried)
        over, cost = violation(self.problem, use), sum(o.cost for o in outcomes)
        self.say(cost, over)
        return Weighed(over, cost, targets, outcomes, tolls, use)

    def settle(self, targets: Targets, tolls: Tolls) -> Weighed:
        """Cuts what is over and fills what is left, in rounds that are evaluated on
        coarse classes until these fit, then on all."""
        best, fine, filled = None, False, not self.whole_units
        for count in range(ROUNDS):
            fine = fine or count == ROUNDS - 1
            now = self.weigh(targets, tolls, fine=fine)
            if fine and (best is None or now.rank < best.rank):
                best = now
            if now.over:
                # ever more is spared, so that rounds end
                targets = self._cut(now, 1 - 0.002 * max(count - 1, 0))
            elif not filled:
                targets, filled = self._fill(now), True
            elif not fine:
                fine = True
            else:
                break
        assert best is not None  # the last round is fine
        return best

    def within(self, targets: Targets, tolls: Tolls) -> Weighed:
        """The targets, cut where they are above a capacity."""
        now = self.weigh(targets, tolls)
        for count in range(ROUNDS):
            if not now.over:
                break
            now = self.weigh(self._cut(now, 1 - 0.002 * count), tolls)
        return now

    def _linked(self, best: Weighed) -> Weighed:
        """Targets raised to what the period before leaves while capacities hold."""
        for _ in range(LINKS):
            raised = raise_targets(
                self.problem, best.targets, tuple(o.shipped for o in best.outcomes),
                best.use, self._ships(best.outcomes), whole=self.whole_units,
            )  # fmt: skip
            if best.over or all(map(np.array_equal, raised, best.targets)):
                break
            now = self.weigh(raised, best.tolls)
            if now.over:
                break
            best = now
        return best

    def _ships(self, outcomes):
        """Shipments of a period in each regime that the last unit causes."""
        return tuple(
            o.empty / e.window for o, e in zip(outcomes, self.evaluators, strict=True)
        )

    def _cut(self, now: Weighed, spare: float) -> Targets:
        """Units off until every capacity, times what is spared, fits as far as the last
        outcome can tell."""
        targets, use, ships = now.targets, now.use.copy(), self._ships(now.outcomes)
        problem = eqx.tree_at(
            lambda p: (p.storage, p.inbound, p.outbound), self.problem,
            tuple(c * spare for c in self.problem.limits),
        )  # fmt: skip
        for _ in range(CUTS):
            before = targets
            loss = self._unit_values(targets, less=True)
            targets = cut_units(
                problem, targets, loss, ships, use, whole=self.whole_units
            )
            for k, group in enumerate(problem.groups):
                fewer = before[k] - targets[k]
                node, volume = group.network.node, group.items.volume
                use[0, node] -= np.einsum("i,itn->nt", volume, fewer)
                by_regime = (
                    (fewer[:, :, None] * ships[k]).sum(axis=0).transpose(1, 2, 0)
                )
                sent = by_regime.sum(axis=0)
                gone, less = fewer.sum(axis=0).T, np.zeros(use.shape)
                use[1, node] -= gone
                use[1, node, 1:] += (gone - sent)[:, :-1]  # to be bought a period later
                use[2:, node] -= by_regime
                less[1, node] = gone
                less[1, node, 1:] -= (gone - sent)[:, :-1]
                use -= problem.passing(less)
            same = all(
                np.array_equal(a, b) for a, b in zip(before, targets, strict=True)
            )
            if same or violation(problem, use) <= 0:
                break
        return targets

    def _fill(self, now: Weighed) -> Targets:
        """Units into storage that is left, where flows are free or have spare room."""
        problem, targets, use = self.problem, now.targets, now.use.copy()
        flows = problem.capacities[1:]
        room = flows - use[1:] > 0.1 * np.where(np.isfinite(flows), flows, 0)
        room = np.all(room, axis=0)
        node, through = problem.ways
        room[node] &= room[through]
        for _ in range(FILLS):
            gain = tuple(-g for g in self._unit_values(targets, less=False))
            before = targets
            targets, added = add_units(problem, targets, gain, use, room)
            for k, group in enumerate(problem.groups):
                more = targets[k] - before[k]
                use[0, group.network.node] += np.einsum(
                    "i,itn->nt", group.items.volume, more
                )
            if not added:
                break
        return targets

    def _unit_values(self, targets: Targets, *, less: bool) -> Targets:
        """Change of the tilted tree cost by a unit more, or by one less."""
        dual = self.dual
        return tuple(
            dual.by_item(unit_values(dual.rows[k], dual.by_cell(y, k), less=less), k)
            for k, y in enumerate(targets)
        )

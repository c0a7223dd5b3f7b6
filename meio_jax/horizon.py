"""Horizons whose periods are all alike: one of them is planned and holds in each.

Where every period meets the same scenarios, capacities and bounds, the Lagrangian of
each is the same function and the prices of storage and outbound of one are those of
all: the dual is concave and its periods can be exchanged. Targets then do not move
without a cause, and a plan of T periods takes the work of one. Prices of inbound bear
on two periods at once and are not planned so.
"""

import equinox as eqx
import numpy as np

from meio_jax.dual.rows import same_windows
from meio_jax.problem import Problem
from meio_jax.recover.evaluate import Outcome, node_use
from meio_jax.scenarios.sample import Sample
from meio_jax.solution import Callback, Place, Progress, Refine, Solution

BY_PERIOD = "flow", "unmet", "demand"  # whose first axis is periods; else the second
COUNTS = "items", "of"  # of a certificate: no money


def alike(problem: Problem, sample: Sample) -> bool:
    """Whether all periods have the same scenarios, capacities and bounds of targets.

    Not where receipts take a way through another node: they use its outbound in one
    period by what the period before has left.

    Args:
      problem: the problem.
      sample: its scenarios.
    """
    bounds = [x for g in problem.groups for x in (g.items.lower, g.items.upper)]
    overage = np.broadcast_to(problem.overage, problem.storage.shape)
    limits = problem.limits, problem.item_limit, overage
    limits = [np.swapaxes(x, -1, -2) for x in limits]
    return (
        problem.kind != "forecast"
        and problem.via is None
        and all((x == x[..., :1, :]).all() for x in (*bounds, *limits))
        and all(
            same_windows(sample, k, problem.regimes) for k in range(len(problem.groups))
        )
    )


def first_period(problem: Problem, sample: Sample) -> tuple[Problem, Sample]:
    """The first period alone, without limits on inbound, and what its orders meet.

    Args:
      problem: a problem whose periods are all alike.
      sample: its scenarios.
    """
    groups = tuple(
        eqx.tree_at(
            lambda g: (g.items.lower, g.items.upper), group,
            (group.items.lower[:, :1], group.items.upper[:, :1]),
        )
        for group in problem.groups
    )  # fmt: skip
    overage = np.broadcast_to(problem.overage, problem.storage.shape)
    limits = problem.storage, problem.outbound, problem.item_limit, overage
    one = eqx.tree_at(
        lambda p: (
            p.groups, p.inbound, p.storage, p.outbound, p.item_limit, p.overage
        ),
        problem,
        (
            groups, np.full_like(problem.inbound[:, :1], np.inf),
            *(x[:, :1] for x in limits),
        ),
    )  # fmt: skip
    path = 1 + sample.longest
    seen = eqx.tree_at(
        lambda s: (s.slot, s.factor, s.lead, s.order), sample,
        (
            sample.slot[:, :path], sample.factor[:, :path],
            tuple(lead[:, :1] for lead in sample.lead), sample.order[:1],
        ),
    )  # fmt: skip
    return one, seen


def repeated(outcome: Outcome, periods: int) -> Outcome:
    """What targets do in every period that do this in one.

    Args:
      outcome: of one period.
      periods: of the horizon.
    """
    return Outcome(
        **{
            name: np.repeat(x, periods, axis=0 if name in BY_PERIOD else 1)
            for name, x in outcome._asdict().items()
        }
    )


def _mean(axis: int):
    return lambda x: x.mean(axis=axis, keepdims=True)


class Horizon:
    """Takes what is asked for all periods to the one that is solved, and back."""

    def __init__(self, problem: Problem):
        self.problem, self.periods = problem, problem.periods

    def callback(self, callback: Callback | None) -> Callback | None:
        return callback and (lambda line: callback(self.line(line)))

    def line(self, line: Progress) -> Progress:
        times = self.periods
        return line._replace(value=line.value * times, priced=line.priced * times)

    def start(self, place: Place | None) -> Place | None:
        """Prices of a period: the mean over those of all."""
        return place and self._place(place, _mean)

    def keep(self, keep):
        return keep and (lambda place: keep(self._place(place, self._over)))

    def _place(self, place: Place, change) -> Place:
        prices, each = change(2), change(1)
        return place._replace(
            prices=prices(place.prices), bound_prices=prices(place.bound_prices),
            tilts=tuple(map(each, place.tilts)),
            kept=None if place.kept is None else each(place.kept),
        )  # fmt: skip

    def refine(self, refine: Refine | None) -> Refine | None:
        if refine is None:
            return None

        def refined(targets, tolls, say):
            wide, steer = map(self._over(1), targets), map(self._over(2), tolls)
            told = lambda cost: say(cost / self.periods)
            return tuple(y[:, :1] for y in refine(tuple(wide), tuple(steer), told))

        return refined

    def _over(self, axis: int):
        return lambda x: np.repeat(x, self.periods, axis=axis)

    def solution(self, found: Solution) -> Solution:
        """The plan of all periods. Where the user gave no stock it was in force before
        the first of them: its first receipts build on what it leaves itself."""
        targets = tuple(map(self._over(1), found.targets))
        outcomes = tuple(repeated(o, self.periods) for o in found.outcomes)
        carried = np.zeros(len(found.use[1]))
        for group, y, done in zip(
            self.problem.groups, found.targets, found.outcomes, strict=True
        ):
            left = y[:, 0] - done.shipped[:, 0] if group.stock is None else group.stock
            carried[group.network.node] += left.sum(axis=0)
        money, proof = self.periods, found.certificate
        return found._replace(
            cost=found.cost * money,
            certificate=proof._replace(
                **{k: v * money for k, v in proof._asdict().items() if k not in COUNTS}
            ),
            free_value=found.free_value * money,
            prices=self._over(2)(found.prices),
            bound_prices=self._over(2)(found.bound_prices),
            use=node_use(self.problem, outcomes, targets, carried),
            targets=targets,
            outcomes=outcomes,
            tolls=tuple(map(self._over(2), found.tolls)),
            rations=tuple(map(self._over(2), found.rations)),
            overrides=tuple(map(self._over(1), found.overrides)),
            kept=self._over(1)(found.kept),
            tilts=tuple(map(self._over(1), found.tilts)),
            history=tuple(map(self.line, found.history)),
        )

"""What policies to compare plans with have in common: recipes, the cut to storage."""

from abc import abstractmethod

import equinox as eqx
import numpy as np
from jaxtyping import Float

from meio_jax.planner import coarse_group
from meio_jax.problem import Items, Problem
from meio_jax.recover.evaluate import Evaluator, node_use
from meio_jax.recover.round import round_targets
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.lab import Decision

Targets = tuple[Float[np.ndarray, "items periods nodes"], ...]

CUTS = 16  # rounds of clipping at most


class AbstractRecipe(eqx.Module):
    """Decides targets before the paths are known.

    Attributes:
      name: shown in tables.
    """

    name: eqx.AbstractVar[str]

    @abstractmethod
    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """Whole targets within their bounds, tolls and reserves.

        Args:
          problem: the problem as the planner is given it.
          sample: its scenarios.
        """


def decision(name: str, problem: Problem, targets: Targets) -> Decision:
    """A decision of targets alone: no tolls, nothing reserved."""
    sizes = [(len(g.network.node), len(g.items)) for g in problem.groups]
    tolls = [np.zeros((problem.regimes, n, problem.periods)) for n, _ in sizes]
    reserves = [np.zeros((1, *size)) for size in sizes]
    return Decision(name, targets, tuple(tolls), tuple(reserves))


def whole_targets(problem: Problem, index: int, targets):
    """Whole targets of a group within their bounds; sums over pools stay."""
    group = problem.groups[index]
    items, walk = group.items, group.network.tree.walk
    return round_targets(targets, walk, items.key, items.lower, items.upper)


def clip(problem: Problem, sample: Sample, targets: Targets) -> Targets:
    """Targets cut to storage: at a node-period that is full, all by the same share.

    Storage is what the planner counts: expected stock on hand after receipts under
    greedy fulfilment on the sample, on the coarse classes of demand that it plans on:
    on all classes a cut node may be a tenth of a percent over. What is on its way takes
    no room, so the share is that of the excess in the volume of the targets, which cuts
    too little rather than too much, and cuts are repeated until all fits or nothing
    changes. What rounding takes from one item is left to the next, in the order of
    their names' keys: a node loses its share, not a unit of every slow mover. Receipts
    and shipments hang on customers more than on targets and are not cut.

    Args:
      problem: the problem; least targets are kept.
      sample: the scenarios that the planner was given.
      targets: of each group, whole units.
    """
    if not np.isfinite(problem.storage).any():
        return targets
    coarse = tuple(coarse_group(group) for group in problem.groups)
    coarse = eqx.tree_at(lambda p: p.groups, problem, coarse)
    evaluators = [Evaluator(coarse, k, sample) for k in range(len(coarse.groups))]
    tolls = decision("", problem, targets).tolls
    carried = np.zeros(len(problem.storage))
    for count in range(CUTS):
        outcomes = [e(y, t) for e, y, t in zip(evaluators, targets, tolls, strict=True)]
        use = node_use(problem, outcomes, targets, carried)[0]
        over = use > problem.storage * (1 + 1e-9) + 1e-9
        if not over.any():
            break
        held = np.zeros_like(use)
        for group, y in zip(problem.groups, targets, strict=True):
            volume = np.einsum("i,itn->nt", group.items.volume, y)
            np.add.at(held, group.network.node, volume)
        spare = 1 - 0.001 * max(count - 1, 0)  # ever more, so that rounds end
        excess = np.where(over, use, 0) - np.where(over, spare * problem.storage, 0)
        keep = 1 - np.minimum(excess / np.maximum(held, 1e-12), 1)
        before = targets
        targets = tuple(
            _cut(group.items, y, keep[group.network.node].T)
            for group, y in zip(problem.groups, targets, strict=True)
        )
        if all(map(np.array_equal, before, targets)):
            break
    return targets


def _cut(items: Items, targets, keep):
    """Whole targets of no more than a share of the volume at each node and period."""
    least = np.minimum(targets, np.ceil(items.lower - 1e-9))
    given, spare = targets.copy(), np.zeros(keep.shape)
    for i in np.argsort(items.key, kind="stable"):
        volume = items.volume[i]
        if volume <= 0:
            continue
        spare += volume * targets[i] * keep
        units = np.minimum(np.floor(spare / volume + 1e-9), targets[i])
        given[i] = np.where(keep < 1, np.maximum(units, least[i]), targets[i])
        spare -= volume * given[i]
    return given

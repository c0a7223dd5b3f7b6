"""From the planner's problem to the simulator: systems, capacities, paths."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.problem import Group, Problem
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.regimes import period_load
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.system import Limits, Paths, System


def make_system(group: Group, *, days: float, whole: bool = True) -> System:
    """The group as a system whose nodes are supplied from outside.

    The planner spreads the cost of a sale over the periods that an order protects; here
    every unit is paid for once, or in every period that it is waited for.

    Args:
      group: items and network.
      days: length of a period.
      whole: whether stock moves in whole units.
    """
    network, items = group.network, group.items
    full = lambda x: jnp.asarray(x, jnp.float32)
    penalty, none = items.penalty * network.spread, np.zeros(len(items))
    return System(
        place=jnp.asarray(network.node),
        home=jnp.asarray(network.home),
        holding=full(items.holding.T),
        transit=full(np.zeros(items.holding.T.shape)),
        unit_cost=full(network.unit_cost * network.spread),
        cost_per_weight=full(network.cost_per_weight * network.spread),
        days_late=full(network.days_late),
        volume=full(items.volume),
        weight=full(items.weight),
        lost_cost=full(none if group.waits else penalty),
        late_cost=full(items.late_cost * network.spread),
        wait_cost=full(penalty if group.waits else none),
        parent=(-1,) * len(network.node),
        days=days,
        whole=whole,
        patience=-1 if group.waits else 0,
    )


def make_limits(problem: Problem, warm: int) -> Limits:
    """Capacities of the buildings, those of the first period in the warm-up too.

    Args:
      problem: the problem.
      warm: periods of warm-up.
    """
    full = lambda x: jnp.asarray(ahead(x, warm, axis=1), jnp.float32)
    overage = np.broadcast_to(problem.overage, problem.storage.shape)
    return Limits(
        full(problem.storage), full(problem.inbound), full(problem.outbound),
        full(overage), jnp.zeros(len(problem.storage)),
    )  # fmt: skip


def ahead(values, warm: int, *, axis: int):
    """Values with those of the first period put before it `warm` times."""
    first = np.take(values, [0] * warm, axis=axis)
    return np.concatenate([first, values], axis=axis)


def make_paths(problem: Problem, sample: Sample, cuts, warm: int) -> tuple[Paths, ...]:
    """Demand and lead times of every group on the scenarios of a sample.

    A period of warm-up takes the first period of another scenario, so that it is as
    random as the first and says nothing of the path to come.

    Args:
      problem: the problem.
      sample: one scenario a path.
      cuts: loads between regimes in each period, from `load_cuts`.
      warm: periods of warm-up.
    """
    regime = _early(_regimes(problem, sample, cuts), warm)
    return tuple(
        Paths(
            _early(_demand(problem, k, sample), warm),
            _early(jnp.asarray(np.moveaxis(sample.lead[k], 1, 0)), warm),
            regime,
        )
        for k in range(len(problem.groups))
    )


def load_cuts(problem: Problem, sample: Sample) -> Float[np.ndarray, "periods cuts"]:
    """Loads that cut the scenarios of each period into regimes of equal size.

    Args:
      problem: the problem, with its number of regimes.
      sample: the scenarios that the plan was made on.
    """
    load = period_load(problem, sample.slot, sample.factor)[: problem.periods]
    shares = np.arange(1, problem.regimes) / problem.regimes
    return np.quantile(load, shares, axis=1).T


def _regimes(problem, sample, cuts):
    load = period_load(problem, sample.slot, sample.factor)[: problem.periods]
    regime = (load[:, None] > cuts[:, :, None]).sum(axis=1)
    return jnp.asarray(regime)


def _demand(problem, index, sample):
    """Units, "periods classes items paths"."""
    group = problem.groups[index]
    source, items = SlotSource(problem, group, sample), len(group.items)
    slot = jnp.asarray(source.slot[:, : problem.periods].T)
    parts = [
        _by_period(source(first, min(first + 64, items)), slot)
        for first in range(0, items, 64)
    ]
    return jnp.concatenate(parts, axis=2)


@jax.jit
def _by_period(slots, slot):
    taken = slots[:, slot]  # items periods paths classes
    return jnp.transpose(taken, (1, 3, 0, 2)).astype(jnp.float32)


def _early(values, warm: int):
    """Values by period, paths last, with periods of warm-up put before them."""
    first = [jnp.roll(values[:1], k + 1, axis=-1) for k in range(warm)]
    return jnp.concatenate([*first, values]) if warm else values

"""Certificate B: what no plan costs less than under the law that scenarios come from.

At fixed prices the exact dual of a batch of fresh scenarios is on average no more than
that of their law, since the mean of minima is no more than the minimum of means (Mak,
Morton & Wood 1999): its mean over batches, less Student's t times its standard error,
is a bound. The plan on other fresh paths is the other side.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.exact import solve_items
from meio_jax.problem import Problem
from meio_jax.recover.certify import by_group, draw_items, item_lagrangian
from meio_jax.recover.evaluate import Evaluator, Outcome, node_use, violation
from meio_jax.scenarios.sample import Sample

AT_ONCE = 2**14  # items times scenarios that are simulated together

Targets = tuple[Float[np.ndarray, "items periods nodes"], ...]
Tolls = tuple[Float[np.ndarray, "regimes nodes periods"], ...]


class Statistical(NamedTuple):
    """Both sides under the law of the scenarios; money. Says nothing of certificate A,
    which is about the scenarios that the plan was made on.

    Attributes:
      bound: mean of the exact dual over fresh batches, at the given prices.
      bound_error: half of its 95 % interval: with 97.5 % confidence no plan that keeps
        the capacities in expectation costs less than `bound - bound_error`.
      cost: mean cost of the plan under greedy fulfilment on fresh paths.
      cost_error: half of its 95 % interval.
      slack: what the plan leaves of the capacities on these paths, at the prices; where
        it is negative the plan uses more than there is, and may cost less than the
        bound: only `cost - slack` never does.
      violation: its largest mean use above a capacity, as a share of the capacity. The
        largest of many estimates: chance alone makes it positive where plans are tight.
      batches: of the bound, and of the paths.
      paths: in all.
    """

    bound: float
    bound_error: float
    cost: float
    cost_error: float
    slack: float
    violation: float
    batches: int
    paths: int

    @property
    def gap(self) -> float:
        """Most that the plan may lose, as a share of its cost, both ends at the far
        side of their intervals."""
        most = self.cost + self.cost_error - (self.bound - self.bound_error)
        return most / max(abs(self.cost), 1e-12)


def statistical(
    problem: Problem,
    draw: Callable[..., Sample],
    prices: Float[np.ndarray, "resources nodes periods"],
    targets: Targets,
    tolls: Tolls,
    carried: Float[np.ndarray, " nodes"],
    *,
    seed: int,
    scenarios: int,
    batches: int = 10,
    paths: int = 20_000,
    count: int = 48,
    dtype=jnp.float32,
) -> Statistical:
    """Bounds what plans cost under the law, and estimates what this one does.

    The bound follows from the prices alone. Where items are sampled, what the targets
    cost under greedy fulfilment is a control variate: it narrows the interval and
    leaves the mean where it is. Window lengths are those of the law. Regimes of load
    are those within a batch: with them the law is that of a batch of its size. Targets
    above a batch's largest window demand are not looked at; they cost more wherever
    the charge on stock is positive. The user's own scenarios are their law: then only
    lead times are fresh.

    Args:
      problem: the problem, with all classes of its demand.
      draw: `draw(count=..., seed=...)` gives a sample of the law that the plan's came
        from: `draw_sample` with the options that it had.
      prices: money per unit of capacity, >= 0.
      targets: of the plan, units.
      tolls: prices that steer its fulfilment.
      carried: stock at each node that the first receipts build on, units.
      seed: of the plan's sample; no fresh sample has it.
      scenarios: of a batch of the bound.
      batches: of the bound, and of the paths; at least 2, and 10 for a fair interval.
      paths: fresh paths of the plan at least.
      count: items to solve in each batch; all are if there are no more.
      dtype: of the exact solver's steps. Its bounds are float64; simulated cells are
        float32, sums of them float64.
    """
    seeds = fresh_seeds(seed, 2 * batches)
    each = -(-paths // batches)
    each += -each % problem.regimes
    with jax.enable_x64(True):
        bounds = [
            _dual(
                problem, draw(count=scenarios, seed=s), prices, targets, tolls, carried,
                count, dtype,
            )
            for s in seeds[:batches]
        ]  # fmt: skip
        costs, use, drawn = [], np.zeros(problem.capacities.shape), 0
        for s in seeds[batches:]:
            sample = draw(count=each, seed=s)
            outcomes = _simulate(problem, sample, targets, tolls)
            costs.append(sum(o.cost for o in outcomes))
            use += node_use(problem, outcomes, targets, carried) / batches
            drawn += len(sample.weight)
    limited = np.isfinite(problem.capacities)
    capacity = problem.capacities[limited]
    spare = capacity - use[limited]
    return Statistical(
        *_interval(bounds), *_interval(costs), float(prices[limited] @ spare),
        violation(problem, use), batches, drawn,
    )  # fmt: skip


def fresh_seeds(seed: int, count: int) -> list[int]:
    """Seeds of fresh samples, all different and none of them the given one."""
    state = np.random.SeedSequence([seed, 3]).generate_state(2 * count + 2)
    seeds = dict.fromkeys(int(s) >> 1 for s in state)
    return [s for s in seeds if s != seed][:count]


def carried_stock(
    problem: Problem,
    outcomes: tuple[Outcome, ...],
    targets: Targets,
    use: Float[np.ndarray, "resources nodes periods"],
) -> Float[np.ndarray, " nodes"]:
    """Stock that the first receipts of a plan build on, from its use of inbound, units.

    Args:
      problem: the problem.
      outcomes: of the plan.
      targets: of the plan, units.
      use: of every capacity by the plan.
    """
    none = np.zeros(use.shape[1])
    out = (node_use(problem, outcomes, targets, none) - use)[1, :, 0]
    node, through = problem.ways
    np.subtract.at(out, through, out[node])  # what passes is not its own
    return out


def _window(problem, index) -> Float[np.ndarray, " nodes"]:
    return 1 + np.asarray(problem.groups[index].network.lead_mean, float)


def _simulate(problem, sample, targets, tolls) -> tuple[Outcome, ...]:
    chunk = int(np.clip(AT_ONCE // len(sample.weight), 1, 64))
    return tuple(
        Evaluator(problem, k, sample, chunk=chunk, window=_window(problem, k))(y, toll)
        for k, (y, toll) in enumerate(zip(targets, tolls, strict=True))
    )


def _dual(problem, sample, prices, targets, tolls, carried, count, dtype) -> float:
    """The exact dual on a sample; its estimate from some items if there are many."""
    sizes = [len(g.items) for g in problem.groups]
    known = [np.zeros(size) for size in sizes]
    if count < sum(sizes):
        outcomes = _simulate(problem, sample, targets, tolls)
        parts = enumerate(zip(outcomes, targets, strict=True))
        known = [item_lagrangian(problem, k, o, y, prices) for k, (o, y) in parts]
    draw = draw_items(np.concatenate(known), count, sample.seed)
    less, paid = np.zeros(len(draw.chosen)), problem.paid(prices)
    for k, here, items in by_group(sizes, draw.chosen):
        node = problem.groups[k].network.node
        start = np.zeros((len(items), problem.periods, len(node)))
        found = solve_items(
            problem, k, sample, items, paid[:, node], start,
            window=_window(problem, k), dtype=dtype,
        )  # fmt: skip
        less[here] = known[k][items] - found.bound.sum(axis=1)
    room = np.where(np.isfinite(problem.capacities), problem.capacities, 0)
    start = float(paid[1, :, 0] @ carried)
    total = sum(float(np.sum(k)) for k in known)
    return total - draw.total(less) - float(np.sum(prices * room)) - start


def _interval(values: list[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval by Student's t."""
    from scipy.stats import t

    spread = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(t.ppf(0.975, len(values) - 1) * spread)

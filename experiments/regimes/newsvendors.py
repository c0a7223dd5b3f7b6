"""Many newsvendors in one building whose outbound is full on busy days.

One period, one node, no lead time: a plan is an order-up-to level of each item. Its
outbound must hold in every scenario, and what is shipped is then a knapsack: the units
that are worth most first. That cost is exact, and any prices give a bound on it.
"""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.config import load
from meio_jax.dual.ascend import Newton
from meio_jax.dual.bound import group_bound
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.instances.demo import demo_folder
from meio_jax.kernels.cost import serve_cost
from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem
from meio_jax.scenarios.sample import draw_sample
from meio_jax.tables import examine, read
from meio_jax.tables.build import build

STAGES = 1.0, 0.3, 0.1, 0.03  # of smoothing


class Instance(NamedTuple):
    """Newsvendors in one building.

    Attributes:
      demand: units, scenarios equally likely.
      holding: money per unit left over.
      penalty: money per unit not shipped.
      service: money per unit shipped.
      outbound: units that the building can ship.
    """

    demand: Float[np.ndarray, "items scenarios"]
    holding: Float[np.ndarray, " items"]
    penalty: Float[np.ndarray, " items"]
    service: Float[np.ndarray, " items"]
    outbound: float


class Result(NamedTuple):
    """What prices by regime prove and plan.

    Attributes:
      cost: of the plan, outbound respected in every scenario, money.
      bound: no plan costs less, money.
      price: money per unit shipped in each regime, quiet ones first.
      evaluations: of the full dual.
    """

    cost: float
    bound: float
    price: Float[np.ndarray, " regimes"]
    evaluations: int

    @property
    def gap(self) -> float:
        """(cost - bound) / cost."""
        return (self.cost - self.bound) / self.cost


def synthetic(items: int, scenarios: int, common: float, seed: int) -> Instance:
    """Gamma demand with a gamma factor common to all items, nine tenths of which can
    be shipped on average.

    Args:
      items: how many.
      scenarios: how many.
      common: coefficient of variation of the common factor; 0 for independent items.
      seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    mean, cv = rng.uniform(10, 100, items), rng.uniform(0.2, 0.6, items)
    shape = 1 / cv[:, None] ** 2
    own = rng.gamma(shape, 1 / shape, (items, scenarios))
    shape = 1 / common**2 if common else 1.0
    shared = rng.gamma(shape, 1 / shape, scenarios) if common else np.ones(scenarios)
    demand = mean[:, None] * own * shared
    return Instance(
        demand, rng.uniform(0.5, 1.5, items), rng.uniform(4, 12, items),
        np.zeros(items), 0.9 * float(mean.sum()),
    )  # fmt: skip


def real(scenarios: int, outbound: float) -> Instance:
    """The shipped demo in one building: its last weeks are the scenarios.

    Penalties and holding costs are those of the demo, service is an item's cheapest to
    each region, or the penalty where that is less, weighted by what the region bought.

    Args:
      scenarios: weeks, at most 52.
      outbound: what can be shipped, as a multiple of the weeks' mean demand.
    """
    folder = demo_folder()
    examined = examine(read(folder), load(folder / "meio.toml"))
    problem, _ = build(examined.tables, examined.calendar)
    parts = [_real_group(group, problem.slots) for group in problem.groups]
    demand, holding, penalty, service = map(np.concatenate, zip(*parts, strict=True))
    demand = demand[:, -scenarios:]
    limit = outbound * float(demand.sum()) / scenarios
    return Instance(demand, holding, penalty, service, limit)


def _real_group(group: Group, slots: int):
    """Weekly units, holding cost, penalty and service cost of the items of a group."""
    items, network, cells = group.items, group.network, group.demand
    owner = np.repeat(np.arange(len(items)), np.diff(cells.start))
    demand = np.zeros((len(items), slots))
    np.add.at(demand, (owner, cells.slot), cells.quantity)
    bought = np.bincount(cells.region, cells.quantity, network.part_region.max() + 1)
    share = network.part_share * bought[network.part_region]
    share = np.bincount(network.part_class, share, len(network.home))
    cost = serve_cost(
        (network.unit_cost, network.cost_per_weight, network.days_late),
        items.weight[:, None, None], items.late_cost[:, None, None],
    )  # fmt: skip
    least = np.minimum(cost.min(axis=1), items.penalty[:, None])
    service = least @ (share / share.sum())
    spread = network.spread  # the periods that costs were divided by
    return demand, items.holding.mean(axis=1), spread * items.penalty, spread * service


def as_problem(instance: Instance, regimes: int) -> Problem:
    """The instance as a problem of the package, with so many regimes."""
    count, scenarios = instance.demand.shape
    one, none = np.ones(count), np.zeros((1, 1))
    network = build_network(
        node=np.zeros(1, int), unit_cost=none, cost_per_weight=none + 1, days_late=none,
        region=np.zeros(1, int), speed=np.zeros(1, int), share=np.ones(1),
        volume=np.ones(1), weight=1.0, late_cost=0.0, lead_mean=np.zeros(1),
        lead_std=np.zeros(1),
    )  # fmt: skip
    bounds = np.zeros((count, 1, 1))
    items = Items(
        position=np.arange(count), key=np.arange(count), volume=one,
        weight=instance.service, penalty=instance.penalty, late_cost=0 * one,
        holding=instance.holding[:, None], lower=bounds, upper=bounds + np.inf,
    )  # fmt: skip
    demand = Demand(
        start=np.arange(count + 1) * scenarios,
        slot=np.tile(np.arange(scenarios), count),
        region=np.zeros(count * scenarios, int),
        quantity=instance.demand.ravel(),
        std=np.zeros(count * scenarios),
    )
    return Problem(
        groups=(Group(network, items, demand, None),),
        storage=none + np.inf,
        inbound=none + np.inf,
        outbound=none + instance.outbound,
        item_limit=none + np.inf,
        weight=np.full(scenarios, 1 / scenarios),
        kind="scenarios",
        slots=scenarios,
        regimes=regimes,
    )


def solve(
    instance: Instance,
    regimes: int,
    *,
    steps: int = 60,
    load: Float[np.ndarray, " scenarios"] | None = None,
) -> Result:
    """Prices by regime, the bound at them, and what their plan costs path by path.

    Args:
      instance: the newsvendors.
      regimes: bins of load.
      steps: most evaluations of the dual.
      load: that makes the bins; the instance's own demand if not given.
    """
    count, scenarios = instance.demand.shape
    problem = as_problem(instance, regimes)
    sample = draw_sample(problem, count=scenarios, seed=0)
    if load is not None:
        order = np.argsort(load, kind="stable")[None]
        sample = replace(sample, order=order)
    group = problem.groups[0]
    rows = build_rows(
        problem, group, 0, sample, count=1, atoms=scenarios, dtype=jnp.float64, chunk=64
    )
    dual = Dual(problem, (rows,))
    method = Newton(
        stages=STAGES, softness=0.02 * float(np.median(instance.penalty)), gap=1e-4
    )
    state = method.init(dual, np.zeros(dual.limited.size), dual.start())
    while not method.terminate(dual, state) and state.steps < steps:
        state = method.step(dual, state)
    target = np.asarray(state.point.targets[0]).reshape(-1, 1, 1)[:count]
    prices = dual.spread(state.point.price)
    bound = group_bound(
        problem, group, 0, sample, prices, target, buckets=1, atoms=scenarios,
        stage=STAGES[-1], dtype=jnp.float64, chunk=64, passes=40,
    )  # fmt: skip
    bound -= float(state.point.price @ dual.capacity)
    return Result(
        pathwise_cost(instance, target[:, 0, 0]), bound, prices[2:, 0, 0],
        dual.evaluations,
    )  # fmt: skip


def pathwise_cost(instance: Instance, target: Float[np.ndarray, " items"]) -> float:
    """Mean cost of the levels where each scenario ships what is worth most first.

    Args:
      instance: the newsvendors.
      target: order-up-to levels, units.
    """
    demand = instance.demand
    worth = instance.penalty + instance.holding - instance.service
    first = np.argsort(-worth, kind="stable")
    want = np.where(worth[:, None] > 0, np.minimum(target[:, None], demand), 0)[first]
    room = np.maximum(instance.outbound - (np.cumsum(want, axis=0) - want), 0)
    sent = np.empty_like(want)
    sent[first] = np.minimum(want, room)
    cost = (
        instance.holding @ (target[:, None] - sent)
        + instance.penalty @ (demand - sent)
        + instance.service @ sent
    )
    return float(cost.mean())

"""Policies that call the planner with less than it could know."""

from dataclasses import replace

import equinox as eqx
import numpy as np

from meio_jax.config import Solver
from meio_jax.dual.use import window_tolls
from meio_jax.horizon import alike, first_period
from meio_jax.planner import coarse_group, solve_problem, targets_at
from meio_jax.problem import Demand, Group, Problem
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.fluid_lp import solve_fluid
from meio_jax.sim.lab import Decision
from meio_jax.sim.recipe import AbstractRecipe, clip, decision, whole_targets
from meio_jax.sim.windows import assorted


class Unpriced(AbstractRecipe):
    """The planner as if storage and flows had no limits, then clipped.

    Attributes:
      options: of the planner.
    """

    options: Solver
    name: str = "unpriced"

    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """Targets at no price, clipped to the problem's storage."""
        free = _unlimited(problem)
        targets = solve_problem(free, sample, _quick(self.options)).targets
        return decision(self.name, problem, clip(problem, sample, targets))


class StaticPrices(AbstractRecipe):
    """The planner at the means of its prices and corrections over time, then clipped.

    Attributes:
      options: of the planner.
    """

    options: Solver
    name: str = "static_prices"

    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """Targets and tolls at steady prices."""
        moving = solve_problem(problem, sample, _quick(self.options))
        prices = steady(moving.prices, problem.capacities)
        tilts = tuple(
            np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape)
            for x in moving.tilts
        )
        targets = targets_at(problem, sample, self.options, prices, tilts)
        found = decision(self.name, problem, clip(problem, sample, targets))
        tolls = tuple(
            window_tolls(problem.paid(prices)[:, g.network.node], sample.window(k))
            for k, g in enumerate(problem.groups)
        )
        return found._replace(tolls=tolls)


class Fluid(AbstractRecipe):
    """The planner on one scenario, the mean of all, then clipped.

    Attributes:
      options: of the planner.
    """

    options: Solver
    name: str = "fluid"

    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """Targets of the mean scenario, stretched to mean lead times.

        The mean scenario has the nearest whole lead times; its targets are multiplied
        by the share of mean to whole protection interval.
        """
        mean, one = mean_scenario(problem, sample)
        options = replace(_quick(self.options), whole_units=False)
        found = solve_problem(mean, one, options).targets
        targets = tuple(
            whole_targets(problem, k, y * sample.window(k) / one.window(k))
            for k, y in enumerate(found)
        )
        return decision(self.name, problem, clip(problem, sample, targets))


class FluidProgram(AbstractRecipe):
    """A linear program of the mean scenario, solved by HiGHS, then clipped.

    Attributes:
      name: shown in tables.
    """

    name: str = "fluid_lp"

    def decide(self, problem: Problem, sample: Sample) -> Decision:
        """Targets of the mean scenario, stretched to mean lead times as `Fluid`'s are.

        On the coarse classes of demand that plans are made on. Where all periods are
        alike one steady period is solved, in which what is shipped is received.

        Raises:
          InputError: the program is too large, or has no solution.
        """
        held = assorted(problem, sample)
        coarse = tuple(coarse_group(group) for group in held.groups)
        one, seen = eqx.tree_at(lambda p: p.groups, held, coarse), sample
        if alike(one, sample):
            flows = np.minimum(one.outbound, one.inbound)
            one, seen = first_period(replace(one, outbound=flows), sample)
        mean, scenario = mean_scenario(one, seen)
        found = solve_fluid(mean, scenario).targets
        times = problem.periods // mean.periods
        targets = tuple(
            np.repeat(y * sample.window(k) / scenario.window(k), times, axis=1)
            for k, y in enumerate(found)
        )
        whole = tuple(whole_targets(held, k, y) for k, y in enumerate(targets))
        return decision(self.name, problem, clip(held, sample, whole))


def _quick(options: Solver) -> Solver:
    """The options with the smallest certificate, which recipes do not read."""
    return replace(options, certify=2)


def _unlimited(problem: Problem) -> Problem:
    none = np.full_like(problem.storage, np.inf)
    return replace(problem, storage=none, inbound=none, outbound=none)


def steady(prices, capacities):
    """Prices averaged over the periods in which there is a capacity, 0 in the others.

    Args:
      prices: money per unit of capacity, "resources nodes periods".
      capacities: inf for no limit.
    """
    limited = np.isfinite(capacities)
    count = np.maximum(limited.sum(axis=2, keepdims=True), 1)
    return limited * (prices * limited).sum(axis=2, keepdims=True) / count


def mean_scenario(problem: Problem, sample: Sample) -> tuple[Problem, Sample]:
    """The problem with the mean of a sample as its only scenario, and that scenario.

    Mean demand of every item, region and period, split over classes in proportion;
    mean lead times, to the nearest whole period.

    Args:
      problem: the problem.
      sample: its scenarios.
    """
    leads = tuple(
        np.rint(np.repeat(lead.mean(axis=(1, 2), keepdims=True), problem.periods, 1))
        for lead in sample.lead
    )
    leads = tuple(lead.astype(int) for lead in leads)
    path = problem.periods + max(int(lead.max(initial=0)) for lead in leads)
    used = np.zeros((problem.slots, path))
    weight = sample.weight[:, None] * sample.factor[:, :path]
    np.add.at(used, (sample.slot[:, :path], np.arange(path)), weight)
    groups = tuple(_mean_group(group, used) for group in problem.groups)
    mean = replace(
        problem, groups=groups, kind="scenarios", slots=path, weight=np.ones(1),
        regimes=1,
    )  # fmt: skip
    one = Sample(
        slot=np.arange(path)[None], weight=np.ones(1), lead=leads,
        factor=np.ones((1, path)), order=np.zeros((problem.periods, 1), int),
        seed=sample.seed,
    )  # fmt: skip
    return mean, one


def _mean_group(group: Group, used) -> Group:
    """Cells by item, period and region; quantities are off whole units by a hair, which
    are split at random."""
    demand, path = group.demand, used.shape[1]
    regions = int(demand.region.max(initial=0)) + 1
    item = np.repeat(np.arange(len(group.items)), np.diff(demand.start))
    units = np.zeros((len(group.items), path, regions))
    for period in range(path):
        worth = demand.quantity * used[demand.slot, period]
        np.add.at(units[:, period], (item, demand.region), worth)
    item, period, region = np.nonzero(units)
    quantity = units[item, period, region] * (1 + 1e-9)
    start = np.searchsorted(item, np.arange(len(group.items) + 1))
    mean = Demand(start, period, region, quantity, np.zeros_like(quantity))
    return eqx.tree_at(lambda g: g.demand, group, mean)

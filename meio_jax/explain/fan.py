"""One item at one node on fresh paths: what the fan chart shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from meio_jax.dual.use import window_tolls
from meio_jax.explain.explain import check_names, find_item, prepared
from meio_jax.problem import take_items
from meio_jax.rebuild import Rebuilt, drawer
from meio_jax.scenarios.sample import seeds_of
from meio_jax.sim.bridge import load_cuts, make_limits, make_paths, make_system
from meio_jax.sim.lab import Decision, policies_of, routes_of, spans, start_state
from meio_jax.sim.run import simulate_paths
from meio_jax.tables.units import days_per_period

if TYPE_CHECKING:
    from meio_jax.tables import Tables

PATHS = 256
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Fan(NamedTuple):
    """Stock of an item at a node over the horizon.

    Attributes:
      item: name.
      node: name.
      periods: their names.
      unit: what a period is called.
      target: order-up-to level, units.
      on_hand: at the end of a period, at each of `SHARES` of the paths, units.
      received: mean units that arrive in a period.
      paths: how many there were.
    """

    item: str
    node: str
    periods: tuple[str, ...]
    unit: str
    target: Float[np.ndarray, " periods"]
    on_hand: Float[np.ndarray, "shares periods"]
    received: Float[np.ndarray, " periods"]
    paths: int


def simulate_fan(
    plan: Any,
    item: str,
    node: str,
    *,
    paths: int = PATHS,
    tables: Tables | str | Path | None = None,
) -> Fan:
    """Simulates one item of a plan alone, all nodes, on paths that it was not made on.

    Docks and shipping room, which it shares with other items, do not bind here; regimes
    of load steer fulfilment by their mean toll.

    Args:
      plan: the plan.
      item: name.
      node: name.
      paths: fresh paths.
      tables: as for `explain`.

    Raises:
      InputError: as `explain` does.
    """
    check_names(plan, item, node, None)
    made = prepared(plan, tables)
    group, row = find_item(made, item)
    on_hand, received = _simulated(made, group, row, paths)
    place = made.problem.groups[group].network.node
    n = int(np.flatnonzero(place == made.labels.nodes.index(node))[0])
    return Fan(
        item, node, tuple(map(str, made.labels.periods)), made.config.units.period,
        made.targets[group][row][:, n], np.quantile(on_hand[:, n], SHARES, axis=1),
        received[:, n].mean(axis=1), paths,
    )  # fmt: skip


def simulate_fans(
    plan: Any,
    count: int,
    *,
    paths: int = PATHS,
    tables: Tables | str | Path | None = None,
) -> tuple[Fan, ...]:
    """Those of the items that are expected to ship most, each at the node that ships
    most of it.

    Args:
      plan: the plan.
      count: items, at most.
      paths: fresh paths.
      tables: as for `explain`.

    Raises:
      InputError: as `explain` does.
    """
    shipped = plan.targets.groupby(["item", "node"], sort=False)["cycle_stock"].sum()
    total = shipped.groupby("item", sort=False).sum()
    return tuple(
        simulate_fan(plan, item, shipped[item].idxmax(), paths=paths, tables=tables)
        for item in total.sort_values(ascending=False, kind="stable").index[:count]
    )


def _simulated(made: Rebuilt, group: int, row: int, paths: int):
    """Units on hand and received: periods nodes paths."""
    problem = made.problem
    one = take_items(problem.groups[group], np.array([row]))
    alone = replace(problem, groups=(one,), regimes=1)

    def own(sample):
        return replace(sample, lead=(sample.lead[group],))

    seed = seeds_of(made.config.simulate.seed, 2, 1)[0]
    sample = own(drawer(problem, made.config.scenarios)(count=paths, seed=seed))
    window = made.sample.window(group)
    prices = made.problem.paid(made.prices)[:, one.network.node]
    tolls = window_tolls(prices, window)
    none = np.zeros((1, len(window), 1))
    decision = Decision(
        "plan", (made.targets[group][row][None],), (tolls.mean(axis=0)[None],), (none,)
    )
    longest, warm = spans(alone, [sample])
    systems = (make_system(one, days=days_per_period(made.config.units)),)
    policies = policies_of(decision, warm)
    states = (start_state(one, systems[0], policies[0], paths, longest),)
    trace = simulate_paths(
        systems, policies, make_limits(alone, warm),
        make_paths(alone, sample, load_cuts(alone, own(made.sample)), warm),
        states, routes_of(alone, systems, policies),
    )  # fmt: skip
    ledger = trace.ledgers[0]
    return tuple(np.asarray(x, float)[warm:] for x in (ledger.on_hand, ledger.received))

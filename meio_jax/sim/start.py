"""Stock of depots and nodes when a simulation starts."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample
from meio_jax.sim.bridge import ahead
from meio_jax.sim.depots import Depots, Upstream
from meio_jax.supply.chain import Supply
from meio_jax.supply.draws import OLDER, national
from meio_jax.supply.ration import divided


def earlier(depots: Depots, warm: int) -> Depots:
    """The same with its first period in so many periods of warm-up too."""
    early = lambda x, axis: jnp.asarray(ahead(np.asarray(x), warm, axis=axis))
    changes = {"level": early(depots.level, 0), "along": early(depots.along, 1)}
    same: dict[str, Any] = vars(depots) | changes
    return Depots(**same)


class Start(NamedTuple):
    """Stock when a simulation starts.

    Attributes:
      shelf: at nodes, units.
      above: at depots and on its way to them.
    """

    shelf: Float[np.ndarray, "nodes items paths"]
    above: Upstream


def given_start(supply: Supply, shelf, paths: int, periods: int) -> Start:
    """The user's inventory, the same on all paths.

    Args:
      supply: what lies above the group, with its stock.
      shelf: units at nodes.
      paths: how many.
      periods: of the simulation.
    """
    depots, items = len(supply.depot), len(supply.holding)
    coming = np.zeros((periods + 1, depots, items, paths), np.float32)
    due = supply.due[:, :, :periods].transpose(2, 1, 0)
    coming[: len(due)] = due[..., None]
    stock = np.zeros((items, depots)) if supply.stock is None else supply.stock
    store = np.repeat(stock.T[:, :, None], paths, axis=2).astype(np.float32)
    return Start(shelf, _upstream(store, coming))


def steady_start(
    problem: Problem,
    group: Group,
    sample: Sample,
    depots: Depots,
    target: Float[np.ndarray, "nodes items"],
    periods: int,
    *,
    seed: list[int],
) -> Start:
    """Stock of a group that has long been on its first levels, drawn on every path.

    Every period before ordered what the one before it sold; what has not arrived is on
    its way, each order with a lead time of its own. The level less that is at nodes, up
    to their targets, rationed where it is less, and what is left at depots.

    Args:
      problem: the problem.
      group: whose stock it is.
      sample: scenarios of the paths; demand before a path is that of the path before.
      depots: levels, vendors, shares.
      target: first targets, units.
      periods: of the simulation.
      seed: of the lead times.
    """
    rng = np.random.default_rng(seed)
    mean, _ = national(problem, group)
    items, paths = len(mean), len(sample.weight)
    lead, share = np.asarray(depots.lead, float), np.asarray(depots.share, float)
    coming = np.zeros((periods + 1, len(share), items, paths), np.float32)
    row, column = np.indices((items, paths))
    path, on_way = np.roll(np.arange(paths), 1), np.zeros((items, paths))

    def past(age, path):
        t = (-1 - age) % problem.periods
        return np.rint(mean[:, sample.slot[path, t]] * sample.factor[path, t])

    def send(units, law, age, counted: bool = True):
        place = rng.random((items, paths)) * law.shape[1]
        wait = np.floor(law[row, place.astype(int)] + place % 1).astype(int)
        units = units * ((wait >= age) & (share.sum(axis=0) > 0)[:, None])
        when = np.clip(wait - age, 0, periods)
        for d, part in enumerate(_split(share, units * counted)):
            coming[when, d, row, column] += part
        return units

    ages = range(int(np.ceil(lead.max(initial=0))) + 1)
    base, above = depots.base, 0.0
    if base is None:
        for age in ages:
            on_way += send(past(age, path), lead, age)
    else:
        law = np.asarray(base.lead, float)
        far = range(max(len(ages), int(np.ceil(law.max())) + 1, OLDER))
        above, filled = np.zeros((items, paths)), {}
        for age in reversed(far):  # what a base sends too much adds up
            before, more = above, np.asarray(base.now(jnp.asarray(age)))[:, None]
            units = past(age, np.roll(path, age // problem.periods))
            above = np.maximum(before + more - units, 0) * (more > 0)
            filled[age] = units - more + above - before
            if age <= law.max(initial=0):  # the first period sends the youngest itself
                on_way += send(more + 0 * units, law, age, age > 0)
        for age in ages:
            on_way += send(filled[age], lead, age)
    level = np.asarray(depots.level[0], float)[:, None] + above
    left = np.maximum(level - on_way, 0)
    nodes = np.asarray(depots.source) >= 0
    want = np.repeat((target * nodes)[:, :, None], paths, axis=2)
    along = np.asarray(depots.along[:, 0], float)[..., None]
    given = divided(
        along, 0.0, want, left, lambda x: x.sum(axis=0), lambda x: x[None]
    )  # fmt: skip
    given = np.diff(np.floor(np.cumsum(given, axis=0) + 1e-6), axis=0, prepend=0.0)
    store = _split(share, np.maximum(left - given.sum(axis=0), 0))
    shelf = given + (target * ~nodes)[:, :, None]
    return Start(shelf, _upstream(store, coming))


def _upstream(store, coming) -> Upstream:
    full = lambda x: jnp.asarray(x, jnp.float32)
    return Upstream(full(store), full(coming), jnp.zeros(store.shape, jnp.float32))


def _split(share, units):
    """Whole units divided among depots by share, "depots items paths"."""
    until = np.floor(np.cumsum(share, axis=0)[:, :, None] * units + 0.5)
    return np.diff(until, axis=0, prepend=0.0)

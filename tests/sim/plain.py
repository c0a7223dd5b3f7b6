"""Systems of textbooks: a few nodes, one item, each node serving its own customers."""

import jax.numpy as jnp
import numpy as np

from meio_jax.sim.period import COSTS
from meio_jax.sim.policy import order_up_to
from meio_jax.sim.run import empty_state, no_limits, simulate_paths
from meio_jax.sim.step import DEFAULT
from meio_jax.sim.system import Limits, Paths, System


def plain_system(
    parent=(-1,), *, holding=(1.0,), transit=None, lost=0.0, wait=0.0, ages=1,
    patience=None, whole=True, items=1,
):  # fmt: skip
    """Nodes that serve their own demand, free of charge."""
    nodes = len(parent)
    patience = (-1 if wait else 0) if patience is None else patience
    wide = lambda x: jnp.broadcast_to(jnp.asarray(x, float), (items, nodes)).T
    each = lambda x: jnp.full(items, float(x))
    free = jnp.zeros((nodes, nodes))
    return System(
        place=jnp.arange(nodes), home=jnp.arange(nodes), holding=wide(holding),
        transit=wide(0.0 if transit is None else transit),
        unit_cost=jnp.where(jnp.eye(nodes) > 0, 0, jnp.inf), cost_per_weight=free,
        days_late=free, volume=each(1), weight=each(0), lost_cost=each(lost),
        late_cost=each(0), wait_cost=each(wait), parent=tuple(parent), whole=whole,
        patience=patience, ages=ages,
    )  # fmt: skip


def plain_run(
    system, level, demand, lead, *, echelon=False, phases=DEFAULT, limits=None,
    start=None,
):  # fmt: skip
    """Simulates one system from full shelves.

    Args:
      system: from `plain_system`.
      level: order-up-to level of each node.
      demand: units, "periods nodes paths" or with an axis of items before the paths.
      lead: lead time of each node, or an array "periods nodes paths".
      echelon: whether levels are those of echelons.
      phases: the chain of a period.
      limits: none unless given.
      start: stock on the shelf, units; what the levels say unless given.
    """
    demand = np.asarray(demand, float)
    demand = demand[:, :, None] if demand.ndim == 3 else demand
    periods, nodes, items, paths = demand.shape
    level = np.broadcast_to(np.asarray(level, float), (items, nodes)).T
    lead = np.asarray(lead, int)
    if lead.ndim == 1:
        lead = np.broadcast_to(lead[:, None], (periods, nodes, paths))
    policy = order_up_to(level[None], echelon=echelon)
    shelf = level if start is None else np.broadcast_to(start, (items, nodes)).T
    shelf = np.repeat(shelf[:, :, None], paths, 2)
    state = empty_state(system, jnp.asarray(shelf, float), int(lead.max()))
    regime = jnp.zeros((periods, paths), int)
    path = Paths(jnp.asarray(demand), jnp.asarray(lead), regime)
    limits = no_limits(nodes, periods) if limits is None else limits
    return simulate_paths(
        (system,), (policy,), limits, (path,), (state,), (None,), phases=phases
    )


def bounded(nodes, periods, *, storage=np.inf, inbound=np.inf, outbound=np.inf):
    """Capacities that are the same everywhere and always; nothing is paid for them."""
    full = lambda x: jnp.full((nodes, periods), float(x))
    free = jnp.zeros((nodes, periods))
    rooms = full(storage), full(inbound), full(outbound)
    return Limits(*rooms, free, jnp.zeros(nodes))


def mean_cost(trace, warm, parts=COSTS):
    """Mean cost of a period after `warm` ones and the standard error over paths."""
    rows = [COSTS.index(part) for part in parts]
    by_path = np.asarray(trace.ledgers[0].money)[warm:, rows].sum(axis=1).mean(axis=0)
    return by_path.mean(), by_path.std(ddof=1) / np.sqrt(len(by_path))

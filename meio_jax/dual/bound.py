"""The certified bound: the exact dual at given prices, all classes, chunk by chunk."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.lagrangian import exact_bound
from meio_jax.dual.rows import build_rows
from meio_jax.problem import Group, Problem, take_items
from meio_jax.scenarios.sample import Sample


def group_bound(
    problem: Problem,
    group: Group,
    index: int,
    sample: Sample,
    prices: Float[np.ndarray, "resources nodes periods"],
    targets: Float[np.ndarray, "items periods nodes"],
    *,
    buckets: int,
    atoms: int,
    stage: float,
    chunk: int = 8,
    batch: int = 64,
    dtype=jnp.float32,
    passes: int = 16,
) -> float:
    """Lower bound on the Lagrangian of a group at the prices, money, in float64.

    Scenarios are drawn anew for every batch of items and dropped after it: memory hangs
    on the batch, not on the catalogue.

    Args:
      problem: the problem.
      group: the group, with all classes of its demand.
      index: which group it is.
      sample: the scenarios.
      prices: money per unit of capacity at the group's nodes.
      targets: units, near the optimum at the prices.
      buckets: classes kept apart in a pool; more are tighter and slower.
      atoms: points kept per pool and bucket.
      stage: factor on the smoothing widths of the search for slopes.
      chunk: items worked on at once.
      batch: items drawn at once.
      passes: passes over the atoms to search for slopes; half of them to bound.
      dtype: of the search for slopes; the bound itself is float64.
    """
    total = 0.0
    count = len(group.items)
    chunk = min(chunk, count)
    batch = min(batch, -(-count // chunk) * chunk)
    for first in range(0, count, batch):
        last = min(first + batch, count)
        part = take_items(group, np.arange(first, last))
        rows = build_rows(
            problem, part, index, sample, count=buckets, atoms=atoms, chunk=chunk,
            chunks=batch // chunk, dtype=dtype,
        )  # fmt: skip
        pad = batch // chunk * chunk - (last - first)
        start = np.pad(targets[first:last], ((0, pad), (0, 0), (0, 0)))
        start = start.reshape(batch // chunk, -1, targets.shape[2])
        value = exact_bound(
            rows, jnp.asarray(prices), jnp.asarray(start, rows.atoms.dtype),
            jnp.asarray(stage, rows.atoms.dtype), passes=passes, cuts=passes // 2,
        )  # fmt: skip
        total += float(value)
    return total

"""One item at frozen prices, in one program: what an event waits for."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from meio_jax.dual.lagrangian import evaluate
from meio_jax.dual.prices import PASSES, TOLERANCE
from meio_jax.dual.rows import Rows, draft_rows, item_rows
from meio_jax.dual.use import window_tolls
from meio_jax.problem import Group, Problem
from meio_jax.recover.evaluate import Evaluator, chunk_outcome
from meio_jax.recover.round import carried, first_part
from meio_jax.recover.units import whole_optimum
from meio_jax.scenarios.sample import Sample

STEPS = 12  # single units from the rounded targets


class Search(NamedTuple):
    """How targets are searched for.

    Attributes:
      levels: buckets of a pool.
      atoms: points kept per pool and bucket.
      stage: factor on the smoothing widths.
      softness: temperature of the choice between nodes, money per unit.
      flows: whether prices bear on shipments.
      whole: whether targets are whole units.
    """

    levels: int
    atoms: int
    stage: float
    softness: float
    flows: bool
    whole: bool


class Wanted(NamedTuple):
    """What fulfilment wants of an item.

    Attributes:
      targets: order-up-to levels, units.
      rations: the same at rising charges on stock, none above one at a smaller charge.
      shipped: expected shipments of a period, units.
    """

    targets: Float[np.ndarray, "periods nodes"]
    rations: Float[np.ndarray, "points periods nodes"]
    shipped: Float[np.ndarray, "periods nodes"]


class Single:
    """Targets of one item of a group at a time; what hangs on no item is made once."""

    def __init__(
        self,
        problem: Problem,
        index: int,
        sample: Sample,
        prices: Float[np.ndarray, "resources nodes periods"],
        lift: float,
        search: Search,
    ):
        """Prepares a group.

        Args:
          problem: the problem, its groups with the classes that targets are planned on.
          index: which group.
          sample: the scenarios.
          prices: money per unit of capacity, of all nodes.
          lift: what fulfilment showed a shortage to cost, as a multiple of what the
            pools see.
          search: how targets are searched for.
        """
        network, self.search = problem.groups[index].network, search
        evaluator = Evaluator(problem, index, sample, chunk=1)
        self.source, self.periods = evaluator.source, problem.periods
        own = problem.paid(prices)[:, network.node]
        with jax.enable_x64(True):
            draft = draft_rows(
                problem, network, index, sample, count=search.levels, atoms=search.atoms
            )
            common = draft.common | {"lift": jnp.asarray(lift, jnp.float32)}
            toll = window_tolls(own, sample.window(index))
            self._shared = _Shared(
                draft.constants, common, jnp.asarray(own),
                jnp.asarray(network.tree.walk),
                jnp.asarray(evaluator.window), evaluator.constants(toll),
                jnp.asarray(search.stage, jnp.float32),
                jnp.asarray(search.stage * search.softness, jnp.float32),
            )  # fmt: skip
        self._run = partial(
            _run, static=tuple(draft.static.items()), sizes=tuple(draft.sizes.items()),
            flows=search.flows, whole=search.whole,
        )  # fmt: skip

    def best(self, group: Group, start, tilt) -> Float[np.ndarray, "periods nodes"]:
        """The item's best targets at the prices, whether or not they keep capacities.

        Args:
          group: the item, with its demand.
          start: targets to search from, periods by nodes, units.
          tilt: money per unit added to its charges there.
        """
        return self._found(group, start, tilt, None)

    def wanted(self, group: Group, start, tilt, shift, charges) -> Wanted:
        """What fulfilment wants of the item at no charge and at rising ones.

        Args:
          group: the item, with its demand.
          start: targets to search from, periods by nodes, units.
          tilt: money per unit added to its charges there.
          shift: units that its targets are off the best ones at the prices: what whole
            units and capacities took or gave.
          charges: money per unit of stock and period, rising.
        """
        more = np.asarray(shift, np.float32), np.asarray(charges, np.float32)
        return Wanted(*self._found(group, start, tilt, more))

    def _found(self, group: Group, start, tilt, more):
        items, cut = group.items, slice(self.periods)
        f = lambda x: np.asarray(x, np.float32)
        with jax.enable_x64(True):
            item = _Item(
                self.source.of(group)(0, 1), f(items.holding), f(items.penalty),
                f(items.weight), f(items.late_cost), f(items.volume),
                f(items.lower[:, cut]), f(items.upper[:, cut]), f(start), f(tilt),
                first_part(items.key),
            )  # fmt: skip
            found = self._run(item, more, self._shared)
        return jax.tree.map(lambda x: np.asarray(x, float), found)


class _Item(NamedTuple):
    """Arrays of one item, the first axis of all but the last ones being items."""

    slots: Any
    holding: Any
    penalty: Any
    weight: Any
    late_cost: Any
    volume: Any
    lower: Any
    upper: Any
    start: Any  # periods nodes
    tilt: Any
    part: Any  # the first remainder of rounding


class _Shared(NamedTuple):
    """What hangs on no item."""

    constants: tuple
    common: dict[str, Any]
    prices: Array
    walk: Array
    window: Array
    routes: tuple
    stage: Array
    softness: Array


@partial(jax.jit, static_argnames=("static", "sizes", "flows", "whole"))
def _run(item: _Item, more, shared: _Shared, *, static, sizes, flows, whole):
    """Best targets; with `more` the fields of `Wanted`."""
    own = item.weight, item.late_cost, item.volume, item.lower, item.upper
    made = item_rows(
        item.slots, jnp.ones(1, bool), item.holding, item.penalty, own,
        shared.constants, **dict(static),
    )  # fmt: skip
    rows = Rows(**{k: v[None] for k, v in made.items()}, **shared.common, **dict(sizes))
    rows = replace(rows, tilt=item.tilt[None])
    charges = jnp.zeros(1, rows.tilt.dtype)
    if more is not None:
        charges = jnp.concatenate([charges, more[1]])
    start = jnp.tile(item.start, (len(charges), 1))[None]
    y = evaluate(
        copied(rows, charges), shared.prices, start, shared.stage, shared.softness,
        flows=flows, curved=False, passes=PASSES, tolerance=TOLERANCE["float32"],
    ).target.reshape(len(charges), *item.start.shape)  # fmt: skip
    best = y[0]
    if whole:
        near = carried(
            best[None].astype(float), shared.walk, item.part, item.lower, item.upper
        )
        near = near.astype(best.dtype)
        best = whole_optimum(rows, near, shared.prices, steps=STEPS)[0]
    if more is None:
        return best
    targets = jnp.clip(best + more[0], item.lower[0], item.upper[0])
    rations = lax.cummin(jnp.concatenate([targets[None], y[1:]]))[1:]
    options = {k: dict(static)[k] for k in ("longest", "regimes")}
    left = chunk_outcome(
        item.slots, targets[None], item.weight, item.late_cost, item.penalty,
        shared.routes, **options,
    )["cell"]["left"]  # fmt: skip
    return targets, rations, (targets - left[0].sum(axis=1)) / shared.window


def copied(rows: Rows, charges: Float[Array, " copies"]) -> Rows:
    """An item's rows once for each charge added to it.

    Args:
      rows: of one item.
      charges: money per unit of stock.
    """
    count, cells = len(charges), rows.lower.shape[1]
    more = jnp.repeat(charges, cells)[None, :, None]
    item = {k: jnp.repeat(v, count, axis=1) for k, v in rows.by_item.items()}
    cell = {
        k: jnp.tile(v, (1, 1, count, *[1] * (v.ndim - 3)) if k == "atoms" else
                    (1, count, *[1] * (v.ndim - 2)))
        for k, v in rows.by_cell.items()
    }  # fmt: skip
    cell["tilt"] = cell["tilt"] + more
    return replace(rows, **item, **cell)

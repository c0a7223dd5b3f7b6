"""Demand of a chunk of items by slot and class, ready for the device."""

from copy import copy

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from meio_jax.problem import Group, Problem
from meio_jax.scenarios.sample import Sample, forecast_slots
from meio_jax.scenarios.split import share_table, split_units


def slot_numbers(problem: Problem, sample: Sample) -> Int[np.ndarray, "scenarios path"]:
    """Which slot each period of each scenario takes of what a `SlotSource` gives.

    Args:
      problem: where demand comes from.
      sample: the scenarios.
    """
    if problem.kind != "forecast":
        return sample.slot
    return np.arange(sample.slot.size).reshape(sample.slot.shape)


class SlotSource:
    """Gives the class demand of any chunk of a group's items.

    For history and the user's scenarios a slot is a period as it was, split into
    classes once per item; for forecasts every scenario and period is a slot of its own.
    """

    def __init__(self, problem: Problem, group: Group, sample: Sample):
        self.group, self.sample, self.kind = group, sample, problem.kind
        network = group.network
        self.regions = int(network.part_region.max()) + 1
        self.part, self.share = share_table(
            network.part_region, network.part_share, self.regions
        )
        self.classes = network.unit_cost.shape[1]
        self.slots = problem.slots
        self.slot = slot_numbers(problem, sample)

    def of(self, group: Group) -> "SlotSource":
        """The source of other items of the group's network.

        Args:
          group: the items, with their demand.
        """
        other = copy(self)
        other.group = group
        return other

    def __call__(self, first: int, last: int) -> Float[Array, "items slots classes"]:
        """Units of items `first` to `last - 1` in every slot."""
        drawn = (
            self._forecast(first, last)
            if self.kind == "forecast"
            else self._data(first, last)
        )
        if self.sample.scale == self.sample.spread == 1:
            return drawn
        count = 1 if self.kind == "history" else len(self.sample.weight)
        return self.sample.scale * _spread(drawn, self.sample.spread, count)

    def _cells(self, item: int):
        demand = self.group.demand
        cells = slice(demand.start[item], demand.start[item + 1])
        return demand.slot[cells], demand.region[cells], cells

    def _data(self, first, last):
        out = np.zeros((last - first, self.slots, self.classes), np.float32)
        network, demand = self.group.network, self.group.demand
        for k in range(first, last):
            slot, region, cells = self._cells(k)
            key = (self.sample.seed, int(self.group.items.key[k]))
            units = split_units(demand.quantity[cells], self.share[region], key=key)
            klass = network.part_class[self.part[region]]
            place = slot[:, None] * self.classes + klass
            total = np.bincount(place.ravel(), units.ravel(), out[0].size)
            out[k - first] = total.reshape(out[0].shape)
        return jnp.asarray(out)

    def _forecast(self, first, last):
        count, path = self.sample.slot.shape
        mean = np.zeros((last - first, path, self.regions), np.float32)
        std = np.zeros_like(mean)
        network, demand = self.group.network, self.group.demand
        period = self.sample.slot[0]
        for k in range(first, last):
            slot, region, cells = self._cells(k)
            table = np.zeros((2, self.slots, self.regions), np.float32)
            table[0, slot, region] = demand.quantity[cells]
            table[1, slot, region] = demand.std[cells]
            mean[k - first], std[k - first] = table[:, period]
        share = np.zeros((self.regions, self.classes), np.float32)
        part = network.part_class[self.part]
        np.add.at(share, (np.arange(self.regions)[:, None], part), self.share)
        seed = jax.random.key(self.sample.seed)
        name = self.group.items.key[first:last]
        halves = (jnp.asarray(h, jnp.uint32) for h in (name >> 32, name & 0xFFFFFFFF))
        fold = lambda high, low: jax.random.fold_in(jax.random.fold_in(seed, high), low)
        keys = jax.vmap(fold)(*halves)
        factor = jnp.asarray(self.sample.factor, jnp.float32)
        draws = _forecast_chunk(mean, std, share, factor, keys)
        return draws.reshape(last - first, count * path, self.classes)


def _spread(slots: Array, factor: float, count: int) -> Array:
    """Demand further from its mean, which stays: of a history over its slots, else over
    the scenarios of each period; none falls below 0."""
    each = slots.reshape(len(slots), count, -1, slots.shape[2])
    axis = 2 if count == 1 else 1
    mean = each.mean(axis=axis, keepdims=True)
    wide = jnp.maximum(mean + factor * (each - mean), 0)
    now = wide.mean(axis=axis, keepdims=True)
    return (wide * (mean / jnp.where(now > 0, now, 1))).reshape(slots.shape)


_forecast_chunk = jax.jit(jax.vmap(forecast_slots, in_axes=(0, 0, None, None, 0)))

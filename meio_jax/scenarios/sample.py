"""Which slots of demand, and which lead times, make up each scenario.

One scenario index is shared by all items: the weeks that a scenario is made of, its
common factor and the lead times of its orders are the same for every item, so shocks
that items share stay shared (Mak, Morton & Wood 1999 on what a sample can prove).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from meio_jax.problem import Network, Problem
from meio_jax.scenarios.regimes import check_regimes, load_order


class Sample(eqx.Module):
    """A set of scenarios.

    Attributes:
      slot: slot of demand that each period of each scenario takes, horizon and the
        periods after it that the last orders protect.
      weight: weights of the scenarios, summing to 1.
      lead: lead time of the order of each period, whole periods, by group and node.
      factor: common factor of all demand in a period; 1 except for forecasts.
      order: the scenarios of each period by their load: equal runs are its regimes.
      scale: factor on all demand that is drawn.
      spread: factor on its distance from its mean over the scenarios, which stays.
    """

    slot: Int[np.ndarray, "scenarios path"]
    weight: Float[np.ndarray, " scenarios"]
    lead: tuple[Int[np.ndarray, "nodes periods scenarios"], ...]
    factor: Float[np.ndarray, "scenarios path"]
    order: Int[np.ndarray, "periods scenarios"]
    seed: int = eqx.field(static=True)
    scale: float = eqx.field(static=True, default=1.0)
    spread: float = eqx.field(static=True, default=1.0)

    @property
    def longest(self) -> int:
        """Periods after the horizon that orders of the last period may protect."""
        return self.slot.shape[1] - self.lead[0].shape[1]

    def window(self, index: int) -> Float[np.ndarray, " nodes"]:
        """Mean periods that an order of each node of a group protects."""
        return 1 + self.lead[index].mean(axis=(1, 2))


def draw_sample(
    problem: Problem,
    *,
    count: int,
    seed: int,
    block: int = 4,
    recent: int = 0,
    common: float = 0.0,
    balanced: bool = False,
) -> Sample:
    """Scenarios: blocks of history, the user's own paths, or a common factor.

    History: moving blocks of whole periods, drawn with replacement and laid end to end
    (Kunsch 1989), the same for all items, so that the correlation between items, places
    and neighbouring weeks is the real one. The user's scenarios are used exactly as
    they are; past their last period the last is repeated.

    Balanced: for plans. Chance is drawn once, as a ring, and the scenarios are the ring
    from each of its places: what the orders of one period meet is then the same set of
    windows for every period, and targets differ between periods only where something
    else does. Blocks of history come from strata of equal length. One scenario alone is
    as random as without.

    Args:
      problem: the problem.
      count: scenarios; ignored where the user gave scenarios.
      seed: seed of all draws.
      block: periods in a block of history.
      recent: last periods of history to draw from; 0 for all.
      common: coefficient of variation of the factor common to a forecast's items.
      balanced: whether all periods see the same set of windows and lead times.

    Raises:
      InputError: the scenarios cannot be cut into the problem's regimes.
    """
    periods = problem.periods
    given = problem.kind == "scenarios"
    count = len(problem.weight) if given else count
    weight = problem.weight if given else np.full(count, 1 / count)
    check_regimes(problem.regimes, weight)
    leads = [
        _lead_times(
            g.network, periods, count, np.random.SeedSequence([seed, 1, k]), balanced
        )
        for k, g in enumerate(problem.groups)
    ]
    path = periods + max(int(lead.max(initial=0)) for lead in leads)
    factor = np.ones((count, path))
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 2])))
    if problem.kind == "history":
        use = min(recent, problem.slots) if recent else problem.slots
        block = min(block, use)
        if balanced:
            slot = _ring(rng, count, use, block)[_turns(count, path)]
        else:
            slot = moving_blocks(rng, use, block, count, path)
        slot = slot + problem.slots - use
    else:
        period = np.minimum(np.arange(path), problem.slots - 1)
        if given:
            length = problem.slots // count
            period = np.minimum(np.arange(path), length - 1)
            slot = np.arange(count)[:, None] * length + period
        else:
            slot = np.tile(period, (count, 1))
            if common > 0:
                shape = 1 / common**2
                factor = rng.gamma(shape, 1 / shape, size=(count, path))
    order = load_order(problem, slot, factor)
    return Sample(slot, weight, tuple(leads), factor, order, seed)


def given_sample(
    problem: Problem, slots: Int[np.ndarray, " path"], *, count: int, seed: int
) -> Sample:
    """The same given periods of history in every scenario; only lead times differ.

    Args:
      problem: the problem, with a history.
      slots: slots of the horizon's periods; the last one holds past it.
      count: scenarios.
      seed: seed of lead times, and of the split of demand into classes.
    """
    leads = tuple(
        _lead_times(
            g.network, problem.periods, count, np.random.SeedSequence([seed, 1, k]),
            False,
        )
        for k, g in enumerate(problem.groups)
    )  # fmt: skip
    more = max(int(lead.max(initial=0)) for lead in leads)
    slot = np.tile(np.pad(slots, (0, more), mode="edge"), (count, 1))
    factor = np.ones(slot.shape)
    order = load_order(problem, slot, factor)
    return Sample(slot, np.full(count, 1 / count), leads, factor, order, seed)


def seeds_of(seed: int, family: int, count: int) -> list[int]:
    """Seeds of a family: plans are made, chosen, judged and refined on draws of
    families 0, 1, 2 and 3, which share none; 0 is the seed itself.

    Args:
      seed: what the user gave.
      family: 1 to choose among plans, 2 to judge them, 3 to refine them.
      count: seeds wanted.
    """
    state = np.random.SeedSequence([seed, 16 + family]).generate_state(count, np.uint64)
    return [int(s) >> 2 for s in state]


def moving_blocks(
    rng: np.random.Generator, use: int, block: int, count: int, length: int
) -> Int[np.ndarray, "count length"]:
    """Paths of blocks of neighbouring periods, drawn with replacement (Kunsch 1989).

    Args:
      rng: of the draws.
      use: periods to draw from.
      block: periods of a block, no more than these.
      count: paths.
      length: periods of a path.
    """
    start = rng.integers(0, use - block + 1, size=(count, -(-length // block)))
    path = start[:, :, None] + np.arange(block)
    return path.reshape(count, -1)[:, :length]


def _ring(rng, count: int, use: int, block: int):
    """Slots of blocks laid end to end in random order, one from each stratum."""
    blocks = -(-count // block)
    place = (rng.permutation(blocks) + rng.random(blocks)) / blocks
    start = (place * (use - block + 1)).astype(int)
    return (start[:, None] + np.arange(block)).ravel()[:count]


def _turns(count: int, length: int):
    """Places on a ring, by scenario and period."""
    return (np.arange(count)[:, None] + np.arange(length)) % count


def _lead_times(network: Network, periods: int, count: int, sequence, balanced: bool):
    """Lead times of every order, as they were observed or else gamma, rounded up or
    down at random to whole periods so that the mean stays; the orders of all items that
    a truck brings share its draw."""
    rng = np.random.Generator(np.random.Philox(sequence))
    shape = (len(network.lead_mean), 1 if balanced else periods, count)
    mean = np.broadcast_to(network.lead_mean[:, None, None], shape)
    std = network.lead_std[:, None, None]
    random = (std > 0) & (mean > 0)
    k = np.where(random, (mean / np.where(random, std, 1)) ** 2, 1)
    drawn = rng.gamma(k, np.where(random, mean, 1) / k)
    drawn = np.where(random, drawn, mean)
    odd = rng.random(shape)
    for n, seen in enumerate(network.lead_seen):
        if len(seen):  # every one as often, as far as the draws go
            rank = np.argsort(rng.random(drawn[n].size)).reshape(shape[1:])
            drawn[n] = seen[rank * len(seen) // rank.size]
    leads = np.floor(drawn + odd).astype(int)
    return leads[:, 0, _turns(count, periods).T] if balanced else leads


def window_demand(
    slots: Float[Array, "slots classes"],
    slot: Int[Array, "scenarios path"],
    lead: Int[Array, "nodes periods scenarios"],
    home: Int[Array, " classes"],
    longest: int,
) -> Float[Array, "classes periods scenarios"]:
    """Demand of one item that the order of each period has to cover.

    The order of period `t` arrives after `L` periods and is followed by the next one a
    period later, so it protects the periods t to t + L (Snyder & Shen 2019, ch. 4). A
    class is covered by the orders of its home.

    Args:
      slots: units of each class in each slot.
      slot: the slot of each period of each scenario's path.
      lead: lead time of each node's order, periods.
      home: home node of each class.
      longest: the longest lead time.
    """
    periods = lead.shape[1]
    path = jnp.moveaxis(slots[slot], (0, 1, 2), (2, 1, 0))  # classes path scenarios
    if longest == 0:
        return path
    total = path[:, :periods]
    ahead = lead[home]
    for k in range(1, longest + 1):
        total = total + jnp.where(ahead >= k, path[:, k : k + periods], 0)
    return total


def forecast_slots(
    mean: Float[Array, "path regions"],
    std: Float[Array, "path regions"],
    share: Float[Array, "regions classes"],
    factor: Float[Array, "scenarios path"],
    key: Array,
) -> Float[Array, "scenarios path classes"]:
    """Gamma-Poisson demand of one item: whole units with the given mean and spread.

    A region's rate is mean * factor * gamma, the gamma with the variance that the
    Poisson law leaves over; its classes thin it. Where the spread is below Poisson's,
    the region's demand is normal, split in proportion and rounded up or down at random.

    Args:
      mean: expected units of each region.
      std: standard deviation of each region, units.
      share: share of a region's demand in each class.
      factor: common factor of each scenario and period.
      key: random key of the item, made of its name and the seed.
    """
    shape = (factor.shape[0], *mean.shape)
    gamma_key, poisson_key, normal_key, round_key = jax.random.split(key, 4)
    extra = jnp.maximum(std**2 - mean, 0) / jnp.maximum(mean, 1e-12) ** 2
    safe = jnp.clip(extra, 1e-6, 1e6)
    gamma = jax.random.gamma(gamma_key, 1 / safe, shape, mean.dtype) * safe
    level = mean * factor[:, :, None]
    rate = level * jnp.where(extra > 1e-6, gamma, 1)
    narrow = std**2 < 0.9 * mean
    poisson = jax.random.poisson(poisson_key, jnp.where(narrow, 0, rate) @ share)
    noise = std * jax.random.normal(normal_key, shape, mean.dtype)
    smooth = jnp.where(narrow, jnp.maximum(level + noise, 0), 0) @ share
    up = jax.random.uniform(round_key, smooth.shape, mean.dtype)
    return poisson.astype(mean.dtype) + jnp.floor(smooth + up)

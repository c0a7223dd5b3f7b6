"""Items that share one capacity: its exact price, over samples, without sorting them.

min sum_i E[h_i (x_i - D_i)^+ + p_i (D_i - x_i)^+]  s.t.  v . x <= C,  x >= 0, with S
equally likely samples of D_i. The cost of an item is piecewise linear: from its m-th to
its (m + 1)-th smallest sample (the 0-th is 0) a unit of capacity saves the worth

    (p_i - (h_i + p_i) m / S) / v_i,

so this is a continuous knapsack of items * S segments, and the price of the capacity is
the worth of the segment that is split (Dantzig 1957; Everett 1963 for the price). At a
price near that one only the segments beside each item's level matter: one look at the
samples finds these, and proves when they are enough.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Scalar = Float[Array, ""]
Items = Float[Array, " items"]
Samples = Float[Array, "items scenarios"]

NETWORK = 128  # more scenarios than this are sorted: a network would compile too long
SAMPLED = 32  # the search starts from the price of every 32nd item
FEW = 4096  # items whose search starts from a price of 0
MAX_LOOKS = 200  # a bisection is at the last digit by then


class CapacitatedNewsvendor(NamedTuple):
    """Levels that share a capacity, and what a unit of it is worth.

    Attributes:
      level: order-up-to levels x, units, >= 0; v . x = C where the price is above 0.
      price: dual price of the capacity, money per unit of it, >= 0: the least one at
        which the levels fit.
      cost: expected cost, money; d cost / d C = -price.
      bound: the dual function at the price, money: no levels that fit cost less;
        -infinity if not solved.
      use: v . x.
      leftover: expected units left of each item.
      shortage: expected units short of each item.
      looks: passes over all the samples.
      solved: whether price and levels are optimal; False for a negative capacity.
    """

    level: Items
    price: Scalar
    cost: Scalar
    bound: Scalar
    use: Scalar
    leftover: Items
    shortage: Items
    looks: Int[Array, ""]
    solved: Bool[Array, ""]


class Look(NamedTuple):
    """Levels at a price, and the samples beside them.

    Attributes:
      rank: the level is the rank-th smallest sample, 0 to S; the 0-th is 0.
      below: the (rank - 1)-th smallest sample; the level if there is none.
      level: the level, units.
      above: the (rank + 1)-th smallest sample; the level if there is none.
      leftover: expected units left at the level.
      shortage: expected units short at the level.
    """

    rank: Items
    below: Items
    level: Items
    above: Items
    leftover: Items
    shortage: Items


class Segments(NamedTuple):
    """Pieces of a continuous knapsack: worth of a unit of capacity, and capacity."""

    worth: Float[Array, "..."]
    size: Float[Array, "..."]


class Search(NamedTuple):
    """State of the search: the next price, the bracket, and the last look."""

    price: Scalar
    low: Scalar
    high: Scalar
    found: Scalar
    look: Look
    looks: Int[Array, ""]
    solved: Bool[Array, ""]


def merge_exchange(size: int) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, that sort when the smaller goes to i: Knuth, 5.2.2M."""
    pairs = []
    top = 1 << (size - 1).bit_length() >> 1
    p = top
    while p:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(size - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return pairs


def order_statistic(
    demand: Samples, rank: Int[Array, " items"]
) -> Float[Array, " items"]:
    """The rank-th smallest sample of each item, counted from 0.

    A sorting network of minima and maxima over columns, then a binary choice by the
    bits of the rank: straight-line code, one fused loop that vectorises over items.
    Columns keep both dimensions, for a reshape makes XLA split and repeat the fusion.
    """
    count = demand.shape[1]
    if count > NETWORK:
        found = jnp.take_along_axis(jnp.sort(demand, axis=1), rank[:, None], axis=1)
        return found[:, 0]
    column = [demand[:, i : i + 1] for i in range(count)]
    for i, j in merge_exchange(count):
        low, high = column[i], column[j]
        column[i], column[j] = jnp.minimum(low, high), jnp.maximum(low, high)
    bits = rank[:, None]
    while len(column) > 1:
        odd = bits & 1 == 1
        pairs = zip(column[::2], column[1::2], strict=False)
        rest = column[-1:] if len(column) % 2 else []
        column = [jnp.where(odd, b, a) for a, b in pairs] + rest
        bits = bits >> 1
    return column[0][:, 0]


def look_at(demand: Samples, h: Items, p: Items, v: Items, price: Scalar) -> Look:
    """The cheapest levels when a unit of the capacity costs `price`, the smallest ones.

    Args:
      demand: samples D, units, >= 0.
      h: holding cost, money per unit left over, >= 0.
      p: penalty, money per unit short; h + p > 0.
      v: capacity that a unit takes, > 0.
      price: money per unit of capacity, >= 0.
    """
    count = demand.shape[1]
    ratio = (p - price * v) / (h + p)
    rank = jnp.clip(jnp.ceil(ratio * count), 0, count)
    index = jnp.maximum(rank - 1, 0).astype(int)
    level = jnp.where(rank > 0, order_statistic(demand, index), 0)
    x = level[:, None]
    less, more = demand < x, demand > x
    lower = jnp.max(jnp.where(less, demand, 0), axis=1)
    upper = jnp.min(jnp.where(more, demand, jnp.inf), axis=1)
    radix = count + 1  # two counts in one sum: a pass over the samples less
    both = jnp.sum(jnp.where(less, 1.0, jnp.where(more, radix, 0.0)), axis=1)
    larger = jnp.floor(both / radix)
    smaller = both - radix * larger
    leftover = jnp.mean(jnp.maximum(x - demand, 0), axis=1)
    return Look(
        rank=rank,
        below=jnp.where(smaller < rank - 1, level, lower),
        level=level,
        above=jnp.where((count - larger > rank) | (larger == 0), level, upper),
        leftover=leftover,
        shortage=leftover + jnp.mean(demand, axis=1) - level,
    )


def look_in_chunks(
    demand: Samples, h: Items, p: Items, v: Items, price: Scalar, chunk: int
) -> Look:
    """`look_at` a chunk of items at a time; the last chunk overlaps the one before.

    There are two chunks at least: without a loop XLA would split the network.
    """
    items = demand.shape[0]
    chunk = min(chunk, -(-items // 2))

    def body(i, look):
        start = jnp.minimum(i * chunk, items - chunk)
        cut = lambda x: lax.dynamic_slice_in_dim(x, start, chunk)
        part = look_at(cut(demand), cut(h), cut(p), cut(v), price)
        put = lambda x, y: lax.dynamic_update_slice_in_dim(x, y, start, 0)
        return Look(*map(put, look, part))

    empty = Look(*[jnp.zeros_like(h)] * len(Look._fields))
    return lax.fori_loop(0, -(-items // chunk), body, empty)


def critical_price(segments: Segments, room: Scalar, guess: Scalar) -> Scalar:
    """The least price >= 0 at which the segments that are worth more fit into the room.

    Every step drops segments from the bracket [first, last] of worths that may be the
    price, so the answer is exact. Steps interpolate the use, or halve the bracket
    where interpolation did not.

    Args:
      segments: worth, money per unit of capacity, any sign; size, capacity, >= 0.
      room: capacity to fill; infinity if the room is below 0.
      guess: where to look first.
    """
    size = segments.size
    worth = jnp.where(size > 0, segments.worth, 0)
    dearer = lambda price: jnp.sum(jnp.where(worth > price, size, 0))
    total = dearer(0.0)
    first = jnp.min(jnp.where(worth > 0, worth, jnp.inf))
    last = jnp.maximum(jnp.max(worth), 0)
    first = jnp.where((total > room) & (room >= 0), first, last)

    def step(state):
        first, last, most, least, guess = state
        price = jnp.where((guess >= first) & (guess < last), guess, first)
        use = dearer(price)
        fits = use <= room
        down = jnp.max(jnp.where(worth <= price, worth, 0))
        up = jnp.min(jnp.where(worth > price, worth, jnp.inf))
        low, high = jnp.where(fits, first, up), jnp.where(fits, down, last)
        most, least = jnp.where(fits, most, use), jnp.where(fits, use, least)
        share = (most - room) / jnp.maximum(most - least, jnp.finfo(use.dtype).tiny)
        slow = high - low > (last - first) / 2
        return low, high, most, least, low + (high - low) * jnp.where(slow, 0.5, share)

    searching = lambda state: state[0] < state[1]
    state = (first, last, total, jnp.zeros_like(total), guess)
    _, last, *_ = lax.while_loop(searching, step, state)
    return jnp.where(room < 0, jnp.inf, jnp.where(total <= room, 0, last))


def segments_beside(look: Look, h: Items, p: Items, v: Items, count: int) -> Segments:
    """The segments below and above each level, rows of shape (2, items)."""
    size = jnp.stack([look.level - look.below, look.above - look.level]) * v
    worth = [(p - (h + p) * (look.rank + m) / count) / v for m in (-1, 0)]
    return Segments(jnp.stack(worth), size)


def search_step(
    demand: Samples, h: Items, p: Items, v: Items, capacity: Scalar, state: Search,
    chunk: int,
) -> Search:  # fmt: skip
    """Looks at the samples at a price; solved, or a bracket and a Newton step.

    The look knows two segments of each item. The price that they give is exact where
    no third one matters, [floor, ceiling); elsewhere its side narrows the bracket.
    """
    count = demand.shape[1]
    price = state.price
    look = look_in_chunks(demand, h, p, v, price, chunk)
    segments = segments_beside(look, h, p, v, count)
    room = capacity - v @ look.below
    found = critical_price(segments, room, price)
    spacing = (h + p) / (count * v)
    floor = jnp.maximum(jnp.max(segments.worth[1] - spacing), 0)
    ceiling = jnp.min(jnp.where(look.rank > 1, segments.worth[0] + spacing, jnp.inf))
    low = jnp.where(found >= ceiling, jnp.maximum(state.low, ceiling), state.low)
    high = jnp.where(found < floor, jnp.minimum(state.high, floor), state.high)
    slope = jnp.sum(v * (look.above - look.below) / (2 * spacing))
    newton = price + (v @ look.level - capacity) / slope
    halve = ~jnp.isfinite(newton) | (state.looks % 4 == 3)
    ahead = jnp.where(halve, (low + high) / 2, jnp.clip(newton, low, high))
    solved = (found >= floor) & (found < ceiling)
    return Search(ahead, low, high, found, look, state.looks + 1, solved)


def search(
    demand: Samples, h: Items, p: Items, v: Items, capacity: Scalar, start: Scalar,
    chunk: int,
) -> Search:  # fmt: skip
    """Looks at the samples until one look proves its price."""
    zero = jnp.zeros_like(start)
    state = Search(
        price=start, low=zero, high=jnp.max(p / v), found=zero,
        look=Look(*[jnp.zeros_like(h)] * len(Look._fields)),
        looks=jnp.array(0), solved=jnp.array(False),
    )  # fmt: skip
    step = lambda state: search_step(demand, h, p, v, capacity, state, chunk)
    going = lambda state: ~state.solved & (state.looks < MAX_LOOKS)
    return lax.while_loop(going, step, state)


def first_price(
    demand: Samples, h: Items, p: Items, v: Items, capacity: Scalar, chunk: int
) -> Scalar:
    """The price of every 32nd item with its share of the capacity; 0 if items are few.

    The share is that of the mean volume demanded in the first scenarios.
    """
    if demand.shape[0] < FEW:
        return jnp.zeros_like(capacity)
    some = slice(None, None, SAMPLED)
    volume = v * jnp.sum(demand[:, :8], axis=1)
    share = jnp.sum(volume[some]) / jnp.sum(volume)
    part = (demand[some], h[some], p[some], v[some])
    found = search(*part, capacity * share, jnp.zeros_like(capacity), chunk)
    return jnp.where(found.solved, found.found, 0)


def share_out(
    demand: Samples, h: Items, p: Items, v: Items, capacity: Scalar, state: Search
) -> tuple[Items, Items, Items]:
    """Levels at the price found, of which those that tie fill the capacity.

    Returns:
      Levels, and expected units left and short: linear between two samples.
    """
    price, look, count = state.found, state.look, demand.shape[1]
    down, up = segments_beside(look, h, p, v, count).worth

    def choose(down_taken, up_taken):
        level = jnp.where(down_taken, look.level, look.below)
        return jnp.where(up_taken, look.above, level)

    least, most = choose(down > price, up > price), choose(down >= price, up >= price)
    gap = v @ (most - least)
    share = (capacity - v @ least) / jnp.where(gap > 0, gap, 1)
    split = (price > 0) & (gap > 0)
    level = jnp.where(split, least + (most - least) * share, least)
    moved = level - look.level
    rank = jnp.where(moved > 0, look.rank, jnp.maximum(look.rank - 1, 0))
    more = moved * rank / count
    return level, look.leftover + more, look.shortage + more - moved


def capacitated_newsvendor(
    demand: Samples, h: Items, p: Items, v: Items, capacity: Scalar, chunk: int = 256
) -> CapacitatedNewsvendor:
    """The cheapest levels of items that share one capacity, and its price, exactly.

    Takes about one pass over the samples, in chunks, after a search over every 32nd
    item; memory beyond the samples is a few numbers an item. Items that tie at the
    price take the same share of their segments, so that v . x is the capacity.

    Args:
      demand: samples D, units, >= 0, equally likely; scenarios are common to items.
      h: holding cost, money per unit left over, >= 0.
      p: penalty, money per unit short; h + p > 0.
      v: capacity that a unit takes, > 0.
      capacity: >= 0; infinity for none. No levels fit below 0: `solved` is False.
      chunk: items a step looks at; a few hundred suit a CPU's cache, 1e5 a GPU.

    Returns:
      Levels, price, cost and bound, equal but for rounding. Cost and bound have the
      derivatives of the optimal cost in h, p, v and capacity (envelope theorem; at a
      kink, those of the levels and the price returned), and none in the samples.
    """
    fixed = lax.stop_gradient((demand, h, p, v, jnp.asarray(capacity)))
    state = search(*fixed, first_price(*fixed, chunk), chunk)
    level, leftover, shortage = share_out(*fixed, state)
    price = state.found
    use = v @ level
    binds = (price > 0) & state.solved
    slack = jnp.where(binds, price * (use - jnp.where(binds, capacity, 0)), 0)
    dual = h @ leftover + p @ shortage + slack
    return CapacitatedNewsvendor(
        level=level,
        price=price,
        cost=dual - lax.stop_gradient(slack),
        bound=jnp.where(state.solved, dual, -jnp.inf),
        use=use,
        leftover=leftover,
        shortage=shortage,
        looks=state.looks,
        solved=state.solved,
    )

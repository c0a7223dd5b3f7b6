"""Demand of a region split into classes, in whole units."""

import numpy as np
from jaxtyping import Float, Int


def split_units(
    quantity: Float[np.ndarray, " cells"],
    shares: Float[np.ndarray, "cells parts"],
    *,
    key: tuple[int, int],
) -> Float[np.ndarray, "cells parts"]:
    """Splits each quantity over parts: multinomially if whole, else in proportion.

    The draw hangs on the key alone (Philox, Salmon et al. 2011): the same item and seed
    give the same split in any chunk, order or process.

    Args:
      quantity: units, >= 0.
      shares: share of each part, rows summing to 1.
      key: seed and a number that names the item.
    """
    if shares.shape[1] == 1:
        return quantity[:, None].copy()
    whole = quantity == np.floor(quantity)
    out = quantity[:, None] * shares
    if whole.any():
        seed = np.array(key, dtype=np.uint64)
        draw = np.random.Generator(np.random.Philox(key=seed))
        out[whole] = draw.multinomial(quantity[whole].astype(np.int64), shares[whole])
    return out


def share_table(
    region: Int[np.ndarray, " parts"], share: Float[np.ndarray, " parts"], regions: int
) -> tuple[Int[np.ndarray, "regions slots"], Float[np.ndarray, "regions slots"]]:
    """Parts of each region as a table padded with part 0 at share 0.

    Returns:
      The parts of each region and their shares, renormalised to sum to 1.
    """
    count = np.bincount(region, minlength=regions)
    width = max(int(count.max(initial=0)), 1)
    order = np.argsort(region, kind="stable")
    column = np.arange(len(region)) - np.repeat(np.cumsum(count) - count, count)
    part = np.zeros((regions, width), int)
    table = np.zeros((regions, width))
    part[region[order], column] = order
    table[region[order], column] = share[order]
    total = table.sum(axis=1, keepdims=True)
    return part, table / np.where(total > 0, total, 1)

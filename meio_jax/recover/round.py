"""Whole targets from fractional ones, without losing the sums over pools."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int


def round_targets(
    target: Float[np.ndarray, "items periods nodes"],
    walk: Int[np.ndarray, " nodes"],
    key: Int[np.ndarray, " items"],
    lower: Float[np.ndarray, "items periods nodes"],
    upper: Float[np.ndarray, "items periods nodes"],
) -> Float[np.ndarray, "items periods nodes"]:
    """Rounds along the tree's walk, carrying what is left to the next node.

    Every pool is a run of the walk, so the stock under every pool is rounded up or down
    by less than a unit. The first remainder is a fixed fraction of the item's own, so
    that over many items no node gains or loses.

    Args:
      target: fractional targets, units.
      walk: nodes in depth-first order.
      key: number made of the item's name.
      lower: least target.
      upper: largest target.
    """
    return carried(target, walk, first_part(key), lower, upper)


def first_part(key: Int[np.ndarray, " items"]) -> Float[np.ndarray, "items 1 1"]:
    """The first remainder of each item's rounding, from 0 to 1.

    Args:
      key: number made of the item's name.
    """
    golden = key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # Knuth 6.4
    return ((golden >> np.uint64(11)) / 2.0**53)[:, None, None]


def carried(target: Any, walk: Any, part: Any, lower: Any, upper: Any) -> Any:
    """`round_targets` from given first remainders; NumPy or JAX arrays alike.

    Args:
      target: fractional targets, units.
      walk: nodes in depth-first order.
      part: as from `first_part`.
      lower: least target.
      upper: largest target.
    """
    xp = target.__array_namespace__()
    total = xp.cumsum(target[..., walk], axis=-1) + part
    first = xp.broadcast_to(part, total[..., :1].shape)
    total = xp.concatenate([first, total], axis=-1)
    whole = xp.diff(xp.floor(total + 1e-6), axis=-1)[..., xp.argsort(walk)]
    return xp.clip(whole, xp.ceil(lower - 1e-9), xp.floor(upper + 1e-9))

"""Whole targets from fractional ones, without losing the sums over pools."""

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
    golden = key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # Knuth 6.4
    offset = ((golden >> np.uint64(11)) / 2.0**53)[:, None, None]
    total = np.cumsum(target[..., walk], axis=-1) + offset
    total = np.concatenate([np.broadcast_to(offset, total[..., :1].shape), total], -1)
    whole = np.diff(np.floor(total + 1e-6), axis=-1)
    out = np.empty_like(target)
    out[..., walk] = whole
    return np.clip(out, np.ceil(lower - 1e-9), np.floor(upper + 1e-9))

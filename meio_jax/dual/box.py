"""The top of a concave quadratic over a box: the model problem of Newton's ascent."""

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " n"]


def maximise_box(
    slope: Vector,
    bend: Float[np.ndarray, "n n"],
    lower: Vector,
    upper: Vector,
    steps: int = 60,
) -> tuple[Vector, float]:
    """The d that maximises slope . d - d' bend d / 2 within bounds, and the maximum.

    Projected Newton: solve on the coordinates that are free to move, project, halve the
    step until it rises (Bertsekas, 1982); where it does not, a scaled slope step
    instead. Ends where no coordinate can improve, as a rule after a few steps. A bend
    that is not positive definite is lifted until it is.

    Args:
      slope: at d = 0.
      bend: symmetric, its diagonal positive.
      lower: least d, <= 0.
      upper: largest d, >= 0.
      steps: the most steps.
    """
    bend = _definite(bend)
    diagonal = np.diag(bend)
    rise = lambda d: float(slope @ d - d @ (bend @ d) / 2)
    move, best = np.zeros_like(slope), 0.0
    for _ in range(steps):
        here = slope - bend @ move
        held = ((move <= lower) & (here < 0)) | ((move >= upper) & (here > 0))
        free = np.flatnonzero(~held)
        if not free.size:
            break
        ahead = np.zeros_like(move)
        ahead[free] = np.linalg.solve(bend[np.ix_(free, free)], here[free])
        plain = np.where(held, 0, here / diagonal)
        for length, along in [(0.5**k, a) for a in (ahead, plain) for k in range(12)]:
            new = np.clip(move + length * along, lower, upper)
            value = rise(new)
            if value > best + 1e-4 * max(float(here @ (new - move)), 0):
                break
        else:
            break
        gained, move, best = value - best, new, value
        if gained <= 1e-12 * abs(best):
            break
    return move, best


def _definite(bend):
    """The bend with the least multiple of its diagonal, in steps, that it needs."""
    lift = 0.0
    while True:
        lifted = bend + np.diag(lift * np.diag(bend))
        try:
            np.linalg.cholesky(lifted)
        except np.linalg.LinAlgError:
            lift = max(4 * lift, 1e-3)
        else:
            return lifted

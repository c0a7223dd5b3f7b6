"""The top of a concave quadratic over a box: the model problem of Newton's ascent."""

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

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
    that is not positive definite on these gets multiples of its diagonal until it is.

    Coordinates are put in an order in which the bend is a narrow band (Cuthill & McKee,
    1969), as prices meet those of the same period and the next, and solved in the band.

    Args:
      slope: at d = 0.
      bend: symmetric, its diagonal positive.
      lower: least d, <= 0.
      upper: largest d, >= 0.
      steps: the most steps.
    """
    sparse = csr_array(bend)
    order = reverse_cuthill_mckee(sparse, symmetric_mode=True)
    sparse = sparse[order][:, order]
    slope, lower, upper = slope[order], lower[order], upper[order]
    found, lift = _climb(slope, sparse, lower, upper, steps), 0.0
    while found is None:
        lift = max(4 * lift, 1e-3)
        lifted = csr_array(sparse + diags_array(lift * sparse.diagonal()))
        found = _climb(slope, lifted, lower, upper, steps)
    move, best = np.empty_like(slope), found[1]
    move[order] = found[0]
    return move, best


def _climb(slope, bend, lower, upper, steps):
    """The maximum over the box; None where a bend that is met is not definite."""
    diagonal = bend.diagonal()
    move, best, here = np.zeros_like(slope), 0.0, slope
    for _ in range(steps):
        held = ((move <= lower) & (here < 0)) | ((move >= upper) & (here > 0))
        free = np.flatnonzero(~held)
        if not free.size:
            break
        own, old = bend[free][:, free], move[free]
        ahead = _solve(own, here[free])
        if ahead is None:
            return None
        for length, along in [
            (0.5**k, a) for a in (ahead, here[free] / diagonal[free]) for k in range(12)
        ]:
            new = np.clip(old + length * along, lower[free], upper[free])
            step = new - old
            gained = float(step @ (here[free] - own @ step / 2))
            if gained > 1e-4 * max(float(here[free] @ step), 0):
                break
        else:
            break
        move[free], best = new, best + gained
        here = slope - bend @ move
        if gained <= 1e-12 * abs(best):
            break
    return move, best


def _solve(matrix, right):
    """Solves a symmetric band by Cholesky; None where it is not definite."""
    entries = matrix.tocoo()
    below = entries.row - entries.col
    band = np.zeros((below.max(initial=0) + 1, len(right)))
    keep = below >= 0
    band[below[keep], entries.col[keep]] = entries.data[keep]
    try:
        factor = cholesky_banded(band, lower=True, check_finite=False)
    except LinAlgError:
        return None
    return cho_solve_banded((factor, True), right, check_finite=False)

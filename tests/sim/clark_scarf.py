"""Optimal echelon base-stock levels of serial systems, on a grid (Clark-Scarf 1960)."""

import numpy as np
from scipy import signal, stats


def clark_scarf(holding, penalty, demand, step):
    """Echelon levels S*, and the least cost per unit of time.

    The decomposition of Snyder & Shen (2019, ch. 6.2): with C_0(x) = (p + sum h) x^-,

        C_j(y) = E[h_j (y - D_j) + C_{j-1}(min(S_{j-1}, y - D_j))],  S_j its minimiser.

    Args:
      holding: echelon holding cost of each stage, downstream first.
      penalty: p, money per unit of backorders and unit of time.
      demand: law of each stage's lead-time demand, a frozen distribution of SciPy.
      step: of the grid; 1 for whole demand.
    """
    low = sum(law.ppf(1e-13) - law.isf(1e-13) for law in demand) - 1
    high = sum(law.isf(1e-13) for law in demand) + 1
    x = step * np.arange(np.floor(low / step), np.ceil(high / step))
    below, levels = (penalty + sum(holding)) * np.maximum(-x, 0), []
    for h, law in zip(holding, demand, strict=True):
        first, last = (np.floor(law.ppf(q) / step) for q in (1e-13, 1 - 1e-13))
        units = step * np.arange(first, last + 2)
        mass = -np.diff(law.sf(np.append(units, units[-1] + step) - step / 2))
        cost = signal.fftconvolve(h * x + below, mass / mass.sum(), "valid")
        x = x[len(mass) - 1 :] + units[0]
        best = cost.argmin()
        levels.append(float(x[best]))
        below = np.where(x < x[best], cost, cost[best])
    return levels, float(below[-1])


def normal(mean, sd):
    """A normal law."""
    return stats.norm(mean, sd)


def poisson(mean):
    """A Poisson law."""
    return stats.poisson(mean)

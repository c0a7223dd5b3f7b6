"""Paired statistics: policies that met the same paths."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

ByPath = Float[np.ndarray, " paths"]


class Interval(NamedTuple):
    """A mean over paths and its 95 % interval by Student's t; both ends are nan where
    there is one path."""

    mean: float
    low: float
    high: float


class Paired(NamedTuple):
    """A difference between two policies on the same paths.

    Attributes:
      difference: mean of the one less the other, and its interval.
      p: chance of a mean so far from 0 if there were no difference, two-sided, by
        Student's t; nan where there is one path.
      reduction: variance of the difference had the paths been independent, over that of
        the paired one: how many times fewer paths common chance takes.
    """

    difference: Interval
    p: float
    reduction: float


def interval(values: ByPath) -> Interval:
    """Mean over paths and its 95 % interval."""
    from scipy.stats import t

    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return Interval(mean, mean - half, mean + half)


def paired(one: ByPath, other: ByPath) -> Paired:
    """The first less the second, path by path."""
    from scipy.stats import t

    gap = np.asarray(one) - np.asarray(other)
    if len(gap) < 2:
        return Paired(interval(gap), np.nan, np.nan)
    spread = float(np.var(gap, ddof=1))
    apart = float(np.var(one, ddof=1) + np.var(other, ddof=1))
    if spread == 0:
        same = bool(np.mean(gap) == 0)
        return Paired(interval(gap), 1.0 if same else 0.0, np.inf)
    ratio = abs(np.mean(gap)) / np.sqrt(spread / len(gap))
    p = 2 * t.sf(ratio, len(gap) - 1)
    return Paired(interval(gap), float(p), apart / spread)


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Chances adjusted for many tests at once (Holm 1979): rejecting those below 5 %
    rejects a true one with a chance of at most 5 %. Those that are nan stay so."""
    p = np.asarray(p, float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    out = np.full(p.shape, np.nan)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return out

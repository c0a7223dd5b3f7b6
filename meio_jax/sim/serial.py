"""Serial systems: echelon base stock by newsvendors instead of Clark and Scarf."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Quantile = Callable[[float], float]


class EchelonLevels(NamedTuple):
    """Bounds of the best echelon base-stock levels and their mean, downstream first.

    Attributes:
      lower: no best level is below, units.
      upper: no best level is above.
      mean: Shang and Song's heuristic, halfway between; not rounded.
    """

    lower: Float[np.ndarray, " stages"]
    upper: Float[np.ndarray, " stages"]
    mean: Float[np.ndarray, " stages"]


def shang_song(
    quantiles: Sequence[Quantile],
    holding: Float[np.ndarray, " stages"],
    penalty: float,
) -> EchelonLevels:
    """Newsvendor bounds and heuristic of Shang & Song (2003).

    With h_j the echelon holding costs and D_j the demand over the lead times of stages
    1 to j, counted from downstream, the best level of echelon j lies between the
    quantiles of D_j at

        (p + sum_(i>j) h_i) / (p + sum_i h_i)  and
        (p + sum_(i>j) h_i) / (p + sum_(i>=j) h_i).

    At stage 1 they meet: both are the newsvendor with its local holding cost.

    Args:
      quantiles: of each stage, downstream first: the inverse of the distribution
        function of D_j, from `sample_quantile` or a distribution's `ppf`.
      holding: echelon holding costs, money per unit and period, > 0.
      penalty: money per unit and period that a customer waits, > 0.
    """
    above = np.cumsum(holding[::-1])[::-1]  # sums over i >= j
    reward = penalty + above - holding
    low, high = reward / (penalty + above[0]), reward / (penalty + above)
    pick = lambda ratios: np.array(
        [q(float(r)) for q, r in zip(quantiles, ratios, strict=True)], float
    )
    lower, upper = pick(low), pick(high)
    return EchelonLevels(lower, upper, (lower + upper) / 2)


def sample_quantile(demand: Float[np.ndarray, " samples"]) -> Quantile:
    """The smallest sample S with P(D <= S) >= ratio, as a function of the ratio.

    Args:
      demand: samples of the demand over the lead times of a stage and those below it.
    """
    ordered = np.sort(demand)

    def quantile(ratio: float) -> float:
        rank = int(np.ceil(ratio * len(ordered) - 1e-9)) - 1
        return float(ordered[min(max(rank, 0), len(ordered) - 1)])

    return quantile

"""What a solve gives and says: the plan as arrays, lines of the log, a place to go on
from."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from meio_jax.recover.certify import Certificate
from meio_jax.recover.evaluate import Outcome


class Progress(NamedTuple):
    """What a line of the solver's log says.

    Attributes:
      phase: "sample", "ascend", "correct", "exact", "repair", "refine", "certify" or
        "bound".
      evaluations: evaluations of the full dual so far.
      value: smoothed dual value, or the bound, or the plan's cost, or simulated cost
        while it is refined; money.
      violation: largest use above capacity, as a share of the capacity.
      slack: complementarity residual, as a share of the value.
      priced: capacities with a price.
      seconds: since the start.
    """

    phase: str
    evaluations: int
    value: float
    violation: float
    slack: float
    priced: int
    seconds: float


class Solution(NamedTuple):
    """Targets, prices and what they prove, as arrays.

    Attributes:
      status: "optimal_within_gap": within capacities and within the gap asked for;
        "gap_above_target": a feasible plan and a valid bound, further apart;
        "over_capacity": the repair did not end, `use` says where; "stopped": as these,
        but by the user or the time limit, prices not converged, the bound still valid.
      cost: expected cost of the plan under greedy fulfilment on the scenarios, money.
      certificate: what no plan of the model can cost less than, on these scenarios.
      free_value: smoothed dual at no price: what the plan would cost without
        capacities.
      prices: money per unit of capacity; storage, inbound, outbound of each regime.
      bound_prices: those at which the certificate was computed.
      use: use of each by the plan.
      targets: order-up-to levels of each group, units.
      outcomes: what they do.
      tolls: price of a window shipment in each regime that steers fulfilment, of each
        group.
      evaluations: of the full dual.
      lifts: factor of each group on the tree kernel's cost of a shortage in planning.
      rations: targets of each group at the charges asked for, units.
      overrides: what targets that the user fixed cost more than free ones of the same
        item and period, at the prices, money.
      kept: storage that the plan keeps free for what single paths hold above the mean,
        volume; cost, bound and repair are those of the rest.
      tilts: of each group, what greedy fulfilment charges a unit of a target above
        what the pools see, money per period: part of planning, never of the bound.
      history: lines of the log.
    """

    status: str
    cost: float
    certificate: Certificate
    free_value: float
    prices: Float[np.ndarray, "resources nodes periods"]
    bound_prices: Float[np.ndarray, "resources nodes periods"]
    use: Float[np.ndarray, "resources nodes periods"]
    targets: tuple[Float[np.ndarray, "items periods nodes"], ...]
    outcomes: tuple[Outcome, ...]
    tolls: tuple[Float[np.ndarray, "regimes nodes periods"], ...]
    evaluations: int
    lifts: tuple[float, ...]
    rations: tuple[Float[np.ndarray, "points items periods nodes"], ...]
    overrides: tuple[Float[np.ndarray, "items periods"], ...]
    kept: Float[np.ndarray, "nodes periods"]
    tilts: tuple[Float[np.ndarray, "items periods nodes"], ...]
    history: tuple[Progress, ...]

    @property
    def bound(self) -> float:
        """No plan of the model costs less, money; where the certificate is from a
        sample of items, with 97.5 % confidence."""
        return self.certificate.low

    @property
    def gap(self) -> float:
        """(cost - bound) / |cost|."""
        return (self.cost - self.bound) / max(abs(self.cost), 1e-12)


class Place(NamedTuple):
    """Where an ascent is, so that another can go on from there.

    Attributes:
      prices: money per unit of capacity, >= 0; 0 where there is no limit.
      bound_prices: where the ascent to the bound's prices begins.
      stage: stages of smoothing that are done.
      evaluations: of the full dual so far.
      lifts: factor of each group on the tree kernel's cost of a shortage; none where
        they are to be measured.
      tilts: of each group, what corrections added to the charges of targets, money per
        unit; none where rounds of correction begin from nothing.
      kept: storage kept free, volume; None where `tilts` are none.
    """

    prices: Float[np.ndarray, "resources nodes periods"]
    bound_prices: Float[np.ndarray, "resources nodes periods"]
    stage: int = 0
    evaluations: int = 0
    lifts: tuple[float, ...] = ()
    tilts: tuple[Float[np.ndarray, "items periods nodes"], ...] = ()
    kept: Float[np.ndarray, "nodes periods"] | None = None


Callback = Callable[[Progress], bool | None]
Targets = tuple[Float[np.ndarray, "items periods nodes"], ...]
Tolls = tuple[Float[np.ndarray, "regimes nodes periods"], ...]
Refine = Callable[[Targets, Tolls, Callable[[float], None]], Targets]

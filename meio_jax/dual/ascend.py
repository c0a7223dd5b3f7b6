"""Ways up the dual: semi-smooth Newton, and any optax optimiser, under one interface.

Each is `init`, `step`, `terminate` over a `State`: prices can be stepped by hand, saved
and warm-started. One step is one evaluation of the full dual.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax

from meio_jax.dual.prices import Dual, Point


class State(NamedTuple):
    """Where the ascent is.

    Attributes:
      point: the best point of the current stage.
      stage: which smoothing it is at.
      steps: evaluations so far, at this and earlier stages.
      stalled: steps in a row that did not improve.
      inner: the method's own state.
      evaluated: the last point looked at, whether it was kept or not.
    """

    point: Point
    stage: int
    steps: int
    stalled: int
    inner: Any
    evaluated: Point


class Residuals(NamedTuple):
    """How far a point is from the top, free of units.

    Attributes:
      violation: largest use above capacity, as a share of the capacity.
      slack: sum of price * |capacity - use|, as a share of the value: what the prices
        still promise or owe.
    """

    violation: float
    slack: float


def residuals(dual: Dual, point: Point) -> Residuals:
    """Scaled violation and complementarity of a point."""
    if not dual.limited.size:
        return Residuals(0.0, 0.0)
    over = float(np.max(point.slope / dual.scale, initial=0.0))
    slack = float(np.sum(point.price * np.abs(point.slope)))
    return Residuals(over, slack / max(abs(point.value), 1e-12))


class AbstractAscent(eqx.Module):
    """A way to raise the dual, through stages of ever less smoothing."""

    stages: eqx.AbstractVar[tuple[float, ...]]
    softness: eqx.AbstractVar[float]
    gap: eqx.AbstractVar[float]
    violation: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, dual: Dual, price, targets) -> State:
        """The state at a first price vector, after one evaluation."""

    @abc.abstractmethod
    def step(self, dual: Dual, state: State) -> State:
        """One evaluation of the dual further."""

    def terminate(self, dual: Dual, state: State) -> bool:
        """Whether the residuals are reached, or no longer fall, at the last stage."""
        return state.stage + 1 >= len(self.stages) and settled(self, dual, state)


def settled(method: AbstractAscent, dual: Dual, state: State) -> bool:
    """Whether a stage has reached its residuals, or has stopped to improve."""
    now = residuals(dual, state.point)
    good = now.violation <= method.violation and now.slack <= 0.2 * method.gap
    return good or state.stalled >= 6


def _look(method: AbstractAscent, dual: Dual, price, targets, stage, curved) -> Point:
    factor = method.stages[stage]
    return dual.at(
        price, targets, stage=factor, softness=method.softness * factor, curved=curved
    )


class Newton(AbstractAscent):
    """Projected semi-smooth Newton with Levenberg damping, the default.

    Solves max_d r . d - d' (A + damping D) d / 2 over prices >= 0, with r the scaled
    violation and A = -d use / d price of the smoothed dual, by active sets; keeps a
    step that rises, else damps more (Nocedal & Wright 2006, ch. 4, 16).

    Attributes:
      stages: factors on the smoothing width, falling.
      softness: temperature of the choice between nodes at stage factor 1, money.
      gap: stop when the complementarity residual is below a fifth of it.
      violation: stop when no use is above its capacity by this share.
    """

    stages: tuple[float, ...]
    softness: float
    gap: float = 5e-3
    violation: float = 1e-3

    def init(self, dual: Dual, price, targets) -> State:
        point = _look(self, dual, price, targets, 0, True)
        return State(point, 0, 1, 0, 0.3, point)

    def step(self, dual: Dual, state: State) -> State:
        point, damping = state.point, state.inner
        if settled(self, dual, state) and state.stage + 1 < len(self.stages):
            stage = state.stage + 1
            point = _look(self, dual, point.price, point.targets, stage, True)
            return State(point, stage, state.steps + 1, 0, 0.3, point)
        price, promised = _newton_move(dual, point, damping)
        new = _look(self, dual, price, state.evaluated.targets, state.stage, True)
        rises = float(new.slope @ (price - point.price)) >= 0
        better = rises or new.value > point.value
        ratio = (new.value - point.value) / max(promised, 1e-300)
        factor = 0.25 if ratio > 0.75 else 1.0 if ratio > 0.25 else 4.0
        damping = float(np.clip(damping * factor, 1e-6, 1e6))
        flat = new.value - point.value < 1e-6 * abs(point.value)
        stalled = state.stalled + 1 if flat else 0
        kept = new if better else point
        return State(kept, state.stage, state.steps + 1, stalled, damping, new)


def _newton_move(dual: Dual, point: Point, damping: float):
    scale = dual.scale
    slope = point.slope / scale
    bend = -point.jacobian / np.outer(scale, scale)
    bend = (bend + bend.T) / 2
    diagonal = np.maximum(np.diag(bend), 0)
    typical = diagonal[diagonal > 0].mean() if (diagonal > 0).any() else 1.0
    least = np.maximum(0.01 * typical, 1 / (scale * dual.worth))
    bend = bend + np.diag(damping * np.maximum(diagonal, least))
    bend[np.diag_indices_from(bend)] += 1e-9 * typical
    x = point.price * scale
    new = x.copy()
    for _ in range(8):
        model = slope - bend @ (new - x)
        free = np.flatnonzero((new > 0) | (model > 0))
        if not free.size:
            break
        move = np.linalg.solve(bend[np.ix_(free, free)], model[free])
        trial = new.copy()
        trial[free] = np.maximum(new[free] + move, 0)
        if np.allclose(trial, new, rtol=1e-9, atol=1e-12):
            break
        new = trial
    most = 0.5 * dual.worth * scale  # where use does not answer, steps have no end
    move = np.clip(new - x, -most, most)
    new = x + move
    return new / scale, float(slope @ move - move @ bend @ move / 2)


class FirstOrder(AbstractAscent):
    """Any optax optimiser on the scaled prices, projected to prices >= 0.

    Attributes:
      optimiser: optax transformation; it sees minus the scaled violation.
      stages: factors on the smoothing width, falling; one is enough.
      softness: temperature of the choice between nodes at stage factor 1, money.
      unit: money of a scaled price of 1: the optimiser's steps are in such units.
      gap: stop when the complementarity residual is below a fifth of it.
      violation: stop when no use is above its capacity by this share.
    """

    optimiser: optax.GradientTransformation
    stages: tuple[float, ...]
    softness: float
    unit: float
    gap: float = 5e-3
    violation: float = 1e-3

    def init(self, dual: Dual, price, targets) -> State:
        last = len(self.stages) - 1
        point = _look(self, dual, price, targets, last, False)
        inner = self.optimiser.init(jnp.asarray(price * dual.scale / self.unit))
        return State(point, last, 1, 0, inner, point)

    def step(self, dual: Dual, state: State) -> State:
        point = state.evaluated
        scaled = jnp.asarray(point.price * dual.scale / self.unit)
        uphill = jnp.asarray(-point.slope / dual.scale)
        update, inner = self.optimiser.update(uphill, state.inner, scaled)
        moved = np.maximum(np.asarray(optax.apply_updates(scaled, update)), 0)
        price = moved * self.unit / dual.scale
        new = _look(self, dual, price, point.targets, state.stage, False)
        return State(new, state.stage, state.steps + 1, 0, inner, new)

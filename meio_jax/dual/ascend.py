"""Ways up the dual: Newton, L-BFGS, and any optax optimiser, under one interface.

Each is `init`, `step`, `terminate` over a `State`: prices can be stepped by hand, saved
and warm-started. One step is one evaluation of the full dual.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from meio_jax.dual.box import maximise_box
from meio_jax.dual.prices import Dual, Point

CHEAP = 0.1  # share of the gap asked for that all residuals together may cost
EARLY = 10  # times as much before the last stage: the next one undoes what is better


class State(NamedTuple):
    """Where the ascent is.

    Attributes:
      point: the best point of the current stage.
      stage: which smoothing it is at.
      steps: evaluations so far, at this and earlier stages.
      stalled: steps in a row that neither improved nor could have by much.
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
      loss: the same, with use above capacity at no less than what holding alone
        costs: an estimate of the gap in which a small site weighs little.
    """

    violation: float
    slack: float
    loss: float


def residuals(dual: Dual, point: Point) -> Residuals:
    """Scaled violation and complementarity of a point."""
    if not dual.limited.size:
        return Residuals(0.0, 0.0, 0.0)
    over = float(np.max(point.slope / dual.scale, initial=0.0))
    slack = float(np.sum(point.price * np.abs(point.slope)))
    each = np.where(point.slope > 0, np.maximum(dual.charge, point.price), point.price)
    loss = float(np.sum(each * np.abs(point.slope)))
    size = max(abs(point.value), 1e-12)
    return Residuals(over, slack / size, loss / size)


class AbstractAscent(eqx.Module):
    """A way to raise the dual, through stages of ever less smoothing."""

    stages: eqx.AbstractVar[tuple[float, ...]]
    softness: eqx.AbstractVar[float]
    gap: eqx.AbstractVar[float]
    violation: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, dual: Dual, price, targets, stage: int = 0) -> State:
        """The state at a first price vector, after one evaluation; from prices that are
        near the top already, begin at the last stage."""

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
    cheap = CHEAP * (1 if state.stage + 1 == len(method.stages) else EARLY)
    return good or now.loss <= cheap * method.gap or state.stalled >= 6


def _look(method: AbstractAscent, dual: Dual, price, targets, stage, curved) -> Point:
    factor = method.stages[stage]
    return dual.at(
        price, targets, stage=factor, softness=method.softness * factor, curved=curved
    )


class Trust(NamedTuple):
    """How far Newton's model is believed.

    Attributes:
      reach: largest step of each price, as a share of price + `Dual.charge`.
      refused: Jacobian at the last point if that was refused, else empty.
    """

    reach: Float[np.ndarray, " capacities"]
    refused: Float[np.ndarray, "rows capacities"]


class Newton(AbstractAscent):
    """Projected semi-smooth Newton, a reach of its own for every price; the default.

    Maximises the quadratic model, slope . d + d' J d / 2, over prices >= 0 and steps
    within reach; keeps a step that rises (Nocedal & Wright 2006, ch. 4, 16). Kinks of
    few items at small sites spoil the model for their own prices alone: those whose
    slope turned against the step reach less far next time, whether it was kept or not.
    After a refusal the model bends by the mean of the Jacobians at both ends; after a
    second one all prices reach half as far.

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

    def init(self, dual: Dual, price, targets, stage: int = 0) -> State:
        point = _look(self, dual, price, targets, stage, True)
        return State(point, stage, 1, 0, _trusting(np.ones_like(point.price)), point)

    def step(self, dual: Dual, state: State) -> State:
        point, trust = state.point, state.inner
        if settled(self, dual, state) and state.stage + 1 < len(self.stages):
            stage = state.stage + 1
            point = _look(self, dual, point.price, point.targets, stage, True)
            reach = np.clip(trust.reach, 0.03, 0.3)
            return State(point, stage, state.steps + 1, 0, _trusting(reach), point)
        unit = point.price + dual.charge
        move, promised = _newton_move(point, trust, unit)
        price = np.maximum(point.price + move * unit, 0)
        new = _look(self, dual, price, state.evaluated.targets, state.stage, True)
        rise = new.value - point.value
        better = rise > 0 or float(new.slope @ (price - point.price)) >= 0
        kept_promise = rise / max(promised, 1e-300)
        reach = _reach(trust.reach, move, unit, point, new, kept_promise)
        if trust.refused.size and not better:  # twice in a row
            reach = np.minimum(reach, np.maximum(0.5 * np.abs(move), 1e-6))
        trust = Trust(reach, trust.refused[:0] if better else new.jacobian)
        flat = max(rise, promised) < 1e-6 * abs(point.value)
        stalled = state.stalled + 1 if flat else state.stalled if rise <= 0 else 0
        kept = new if better else point
        return State(kept, state.stage, state.steps + 1, stalled, trust, new)


def _trusting(reach) -> Trust:
    return Trust(reach, np.zeros((0, reach.size)))


def _newton_move(point: Point, trust: Trust, unit):
    """Best step of the model within reach, in units of `unit`, and its rise."""
    jacobian = point.jacobian
    if trust.refused.size:
        jacobian = (jacobian + trust.refused) / 2
    bend = -(jacobian + jacobian.T) / 2 * np.outer(unit, unit)
    diagonal = np.maximum(np.diag(bend), 0)
    typical = diagonal[diagonal > 0].mean() if (diagonal > 0).any() else 1.0
    bend[np.diag_indices_from(bend)] += 1e-3 * np.maximum(diagonal, 1e-3 * typical)
    lower = np.maximum(-trust.reach, -point.price / unit)
    return maximise_box(point.slope * unit, bend, lower, trust.reach)


def _reach(reach, move, unit, point: Point, new: Point, ratio: float):
    """Less reach where the slope turned against the step by half of what it was, or of
    what the step should have changed it by; more where the reach held a step back that
    kept its promise."""
    own = np.abs(np.diag(point.jacobian) * move * unit)
    much = 0.5 * np.maximum(np.abs(point.slope), own)
    turned = (new.slope * move < 0) & (np.abs(new.slope) > much)
    size = np.abs(move)
    short = ~turned & (size >= 0.99 * reach)
    less = np.maximum(0.4 * size, 1e-4)
    more = np.minimum(2 * reach, 3) if ratio > 0.25 else reach
    if ratio < 0 and not turned.any():
        return np.minimum(reach, np.maximum(0.5 * size, 1e-4))
    return np.where(turned & (size > 1e-9), less, np.where(short, more, reach))


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

    def init(self, dual: Dual, price, targets, stage: int = -1) -> State:
        stage %= len(self.stages)
        point = _look(self, dual, price, targets, stage, False)
        inner = self.optimiser.init(jnp.asarray(price * dual.scale / self.unit))
        return State(point, stage, 1, 0, inner, point)

    def step(self, dual: Dual, state: State) -> State:
        point = state.evaluated
        scaled = jnp.asarray(point.price * dual.scale / self.unit)
        uphill = jnp.asarray(-point.slope / dual.scale)
        update, inner = self.optimiser.update(uphill, state.inner, scaled)
        moved = np.maximum(np.asarray(optax.apply_updates(scaled, update)), 0)
        price = moved * self.unit / dual.scale
        new = _look(self, dual, price, point.targets, state.stage, False)
        return State(new, state.stage, state.steps + 1, 0, inner, new)


class Memory(NamedTuple):
    """What L-BFGS remembers, in scaled prices.

    Attributes:
      steps: the last differences of scaled prices, the newest last.
      turns: those of the scaled slopes, their sign such that step . turn > 0.
      length: of the step to try next, as a share of the quasi-Newton step.
    """

    steps: tuple[Float[np.ndarray, " capacities"], ...]
    turns: tuple[Float[np.ndarray, " capacities"], ...]
    length: float


class LBFGS(AbstractAscent):
    """Projected limited-memory BFGS with backtracking: no Jacobian is computed.

    Prices are measured in `Dual.charge`. A step is one trial of the line search, from
    the best point, along the quasi-Newton direction of the prices that are free to move
    (Nocedal & Wright 2006, alg. 7.4), projected to prices >= 0.

    Attributes:
      stages: factors on the smoothing width; the last is used.
      softness: temperature of the choice between nodes at stage factor 1, money.
      gap: stop when the complementarity residual is below a fifth of it.
      violation: stop when no use is above its capacity by this share.
      memory: pairs that are kept.
    """

    stages: tuple[float, ...]
    softness: float
    gap: float = 5e-3
    violation: float = 1e-3
    memory: int = 12

    def init(self, dual: Dual, price, targets, stage: int = -1) -> State:
        stage %= len(self.stages)
        point = _look(self, dual, price, targets, stage, False)
        return State(point, stage, 1, 0, Memory((), (), 1.0), point)

    def step(self, dual: Dual, state: State) -> State:
        point, memory, unit = state.point, state.inner, dual.charge
        slope = point.slope * unit
        free = (point.price > 0) | (slope > 0)
        ahead = _two_loops(memory, np.where(free, slope, 0)) * free
        if not memory.steps:  # a first step as long as a typical charge
            ahead = ahead / max(float(np.abs(ahead).max()), 1e-300)
        price = np.maximum(point.price + memory.length * ahead * unit, 0)
        new = _look(self, dual, price, state.evaluated.targets, state.stage, False)
        step = (price - point.price) / unit
        rise = new.value - point.value
        better = rise >= 1e-4 * float(slope @ step)
        turn = slope - new.slope * unit
        steps, turns = memory.steps, memory.turns
        if step @ turn > 1e-10 * np.linalg.norm(step) * np.linalg.norm(turn):
            steps = (*steps, step)[-self.memory :]
            turns = (*turns, turn)[-self.memory :]
        length = 1.0 if better else 0.4 * memory.length
        if length < 1e-4:  # forget what leads nowhere
            steps, turns, length = (), (), 0.1
        stalled = state.stalled + 1 if rise < 1e-6 * abs(point.value) else 0
        kept = new if better else point
        inner = Memory(steps, turns, length)
        return State(kept, state.stage, state.steps + 1, stalled, inner, new)


def _two_loops(memory: Memory, slope):
    """The inverse of the remembered curvature times the slope."""
    ahead, shares = slope.copy(), []
    pairs = list(zip(memory.steps, memory.turns, strict=True))
    for step, turn in reversed(pairs):
        share = step @ ahead / (step @ turn)
        shares.append(share)
        ahead = ahead - share * turn
    if pairs:
        step, turn = pairs[-1]
        ahead = ahead * (step @ turn) / (turn @ turn)
    for (step, turn), share in zip(pairs, reversed(shares), strict=True):
        ahead = ahead + step * (share - turn @ ahead / (step @ turn))
    return ahead

"""How the cost of greedy fulfilment (K3) answers to targets, on given scenarios."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from meio_jax.kernels.marginal import stock_slopes
from meio_jax.recover.evaluate import Evaluator, by_regime, pair_pay

GOLDEN, PLASTIC = 0.6180339887, 0.7548776662  # steps of an even spread in two axes


def greedy_slopes(
    evaluator: Evaluator,
    target: Float[np.ndarray, "items periods nodes"],
    toll: Float[np.ndarray, "regimes nodes periods"],
    worth: Float[np.ndarray, "items periods regimes nodes"],
) -> Float[np.ndarray, "items periods nodes"]:
    """Derivative in the targets of expected shipping, lateness, lost sales and `worth`
    of what is left, money per unit and period.

    Backwards through the order of fulfilment (`stock_slopes`). Demand is whole and so
    are the kinks: the slope is averaged over half a unit to each side, another offset
    in every scenario and node; below half a unit it is that of the first unit.

    Args:
      evaluator: of a group on a sample.
      target: order-up-to levels, units, >= 0.
      toll: price of a window shipment, which steers fulfilment and is not charged.
      worth: money per unit left, of either sign.
    """
    constants = evaluator.constants(toll)
    count, chunk = len(target), evaluator.chunk
    run = partial(_slopes, longest=evaluator.sample.longest, regimes=evaluator.regimes)

    def part(_, span):
        real = max(span[1] - span[0], 0)
        rest = np.zeros((chunk, *worth.shape[1:]), np.float32)
        rest[:real] = worth[span[0] : span[1]]
        found = run(*evaluator.inputs(span, target), jnp.asarray(rest), constants)
        return np.asarray(found, float)[:real]

    found = evaluator.crew.each(part, evaluator.spans())
    return evaluator.crew.gather(np.concatenate(found), count, chunk)


@partial(jax.jit, static_argnames=("longest", "regimes"))
def _slopes(
    slots, target, weight, late_cost, penalty, worth, constants, *, longest, regimes
):
    demand, share = by_regime(slots, constants, longest, regimes)
    *_, klass, node, used, unit_cost, per_weight, days_late = constants
    services = unit_cost, per_weight, days_late
    count, periods, nodes = target.shape
    draw = GOLDEN * jnp.arange(demand.shape[3])
    shake = (PLASTIC * jnp.arange(nodes)[:, None] + draw) % 1 - 0.5

    def period(part):  # and regime
        demand, target, worth, klass, node, used = part
        demand = jnp.moveaxis(demand, 1, 0)  # classes items scenarios
        pay = pair_pay(services, node, klass, used, weight, late_cost)
        stock = jnp.maximum(target, 0.5).T[:, :, None] + shake[:, None]
        slope = stock_slopes(stock, demand, klass, node, pay, penalty, worth.T)
        return (slope @ share).T

    target = jnp.repeat(target, regimes, axis=1)
    worth = worth.reshape(count, periods * regimes, nodes)
    cells = zip((demand, target, worth), (2, 1, 1), strict=True)
    parts = (jnp.moveaxis(x, axis, 0) for x, axis in cells)
    found = lax.map(period, (*parts, klass, node, used))
    found = found.reshape(periods, regimes, count, nodes).sum(axis=1)
    return jnp.moveaxis(found, 0, 1)

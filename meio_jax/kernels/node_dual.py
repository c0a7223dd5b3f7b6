"""K2: the dual of the transportation problem needs one multiplier per node.

Stock `y` at nodes serves classes of demand at a cost or not at all. By linear duality

    Q(y, D) = max_{pi >= 0} sum_q D_q min(p, min_n (c_nq + pi_n)) - sum_n pi_n y_n

so that any multipliers give a lower bound and the best ones the recourse itself;
`pi_n` is what one more unit at node `n` saves (Dantzig 1963, ch. 14). With the targets
free as well, min_y a.y + E Q(y, D) over a box has the dual

    max_{pi(w) >= 0} E sum_q D_q min(p, min_n (c_nq + pi_n))
                     + sum_n min_y (a_n - E pi_n) y

in which no target appears: multipliers bound every plan of the item.

Both are solved by a primal-dual interior-point method (Mehrotra 1992). Demand rows are
eliminated one by one, each scenario leaves one matrix of the nodes, and the mean of
their inverses moves the targets (Birge & Qi 1988): a step costs about what a pass over
the costs of all classes does, and 12 to 20 steps reach the optimum. Values are always
those of the formulas above, valid wherever the method stopped.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Scalar = Float[Array, ""]

STEPS = 24
BACK = 0.95  # share of the way to the nearest bound that a step goes


class ItemDual(NamedTuple):
    """The optimum of one item at its charges, from both sides.

    Attributes:
      bound: no targets in the box cost less, money.
      price: pi, money per unit of stock at a node, >= 0.
      target: targets, units; interior, off the optimum by what `gap` says.
      shipped: expected units that each node ships.
      below: targets that stay under their upper end: their mean price may not exceed
        the charge, which whoever rounds `price` restores with `admissible`.
      gap: the most that the bound may be below the optimum, money: complementarity and
        what it would cost to mend flows that do not add up.
      steps: steps taken.
    """

    bound: Scalar
    price: Float[Array, "draws nodes"]
    target: Float[Array, " nodes"]
    shipped: Float[Array, "draws nodes"]
    below: Bool[Array, " nodes"]
    gap: Scalar
    steps: Int[Array, ""]


class _State(NamedTuple):
    """Primal and dual iterates, and the slacks of the box."""

    price: Float[Array, "draws nodes"]
    value: Float[Array, "draws classes"]  # what a unit of demand costs, from below
    flow: Float[Array, "draws nodes classes"]
    unmet: Float[Array, "draws classes"]
    left: Float[Array, "draws nodes"]
    target: Float[Array, " nodes"]
    over_lower: Float[Array, " nodes"]  # multipliers of the box
    over_upper: Float[Array, " nodes"]


class _Data(NamedTuple):
    """What does not change while the method runs, unusable entries masked."""

    demand: Float[Array, "draws classes"]
    prob: Float[Array, " draws"]
    cost: Float[Array, "draws nodes classes"]
    penalty: Scalar
    charge: Float[Array, " nodes"]
    lower: Float[Array, " nodes"]
    upper: Float[Array, " nodes"]
    moves: Bool[Array, " nodes"]  # targets that the box leaves free
    can: Bool[Array, "draws nodes classes"]
    has: Bool[Array, "draws classes"]
    stocked: Bool[Array, " nodes"]  # those that may hold anything


def item_dual(
    demand: Float[Array, "draws classes"],
    prob: Float[Array, " draws"],
    cost: Float[Array, "draws nodes classes"],
    penalty: Scalar,
    charge: Float[Array, " nodes"],
    lower: Float[Array, " nodes"],
    upper: Float[Array, " nodes"],
    target: Float[Array, " nodes"],
    tolerance: float = 1e-6,
    steps: int = STEPS,
) -> ItemDual:
    """Minimises charge.y + E Q(y, D) over a box, exactly, and proves it.

    Args:
      demand: window demand of each scenario, units, >= 0; classes without demand may
        pad.
      prob: weight of each scenario, summing to 1.
      cost: money per unit, prices of shipments included; inf where there is no service.
      penalty: money per unit not served.
      charge: money per unit of target: holding and prices of capacity.
      lower: least target, >= 0.
      upper: largest target, finite; where it is the least target, that is given.
      target: where to start.
      tolerance: complementarity at which to stop, as a share of the cost.
      steps: most steps.
    """
    data = _prepare(demand, prob, cost, penalty, charge, lower, upper)
    state = _begin(data, target)
    worth = _worth(data, state)

    def again(carry):
        _, best, count, stuck, idle = carry
        return (
            (best.gap > tolerance * worth) & (count < steps) & (stuck < 2) & (idle < 4)
        )

    def step(carry):
        state, best, count, stuck, idle = carry
        new, went = _step(data, state)
        sound = jax.tree.reduce(
            lambda a, b: a & jnp.all(jnp.isfinite(b)), new, jnp.ones((), bool)
        )
        state = jax.tree.map(lambda a, b: jnp.where(sound, a, b), new, state)
        seen = _look(data, state)
        better = sound & (seen.gap < best.gap)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), seen, best)
        stuck = jnp.where(sound, jnp.where(went < 0.02, stuck + 1, 0), 2)
        return state, best, count + 1, stuck, jnp.where(better, 0, idle + 1)

    zero = jnp.zeros((), jnp.int32)
    first = state, _look(data, state), zero, zero, zero
    _, best, count, _, _ = lax.while_loop(again, step, first)
    price = _everywhere(data, best, cost)
    price = admissible(price, prob, charge, best.below)
    bound = item_bound(price, demand, prob, cost, penalty, charge, lower, upper)
    target = jnp.where(data.moves, best.target, data.lower)
    return ItemDual(bound, price, target, best.shipped, best.below, best.gap, count)


def node_dual(
    demand: Float[Array, " classes"],
    stock: Float[Array, " nodes"],
    cost: Float[Array, "nodes classes"],
    penalty: Scalar,
    tolerance: float = 1e-6,
    steps: int = STEPS,
) -> tuple[Scalar, Float[Array, " nodes"]]:
    """The recourse Q(y, D) of a scenario from below, and multipliers that prove it.

    Args:
      demand: units of each class.
      stock: units at each node.
      cost: money per unit; inf where a node cannot serve a class. May be negative.
      penalty: money per unit not served.
      tolerance: complementarity at which to stop, as a share of the cost.
      steps: most steps.

    Returns:
      A lower bound on Q(y), the optimum to the tolerance, and pi: -pi is a subgradient
      of Q in the stock. At a kink, where several are optimal, it is one of their middle
      (the analytic centre).
    """
    one = jnp.ones(1, demand.dtype)
    found = item_dual(
        demand[None], one, cost[None], penalty, jnp.zeros_like(stock), stock, stock,
        stock, tolerance, steps,
    )  # fmt: skip
    return found.bound, found.price[0]


def served_value(
    price: Float[Array, " nodes"],
    demand: Float[Array, " classes"],
    cost: Float[Array, "nodes classes"],
    penalty: Scalar,
) -> Scalar:
    """sum_q D_q min(p, min_n (c_nq + pi_n)): what demand costs where stock has a price.

    Args:
      price: pi, money per unit of stock at a node, >= 0.
      demand: units.
      cost: money per unit of serving a class from a node; inf where it cannot.
      penalty: money per unit not served.
    """
    cheapest = jnp.minimum((cost + price[:, None]).min(axis=0), penalty)
    return jnp.sum(jnp.where(demand > 0, demand * cheapest, 0))


def item_bound(
    price: Float[Array, "draws nodes"],
    demand: Float[Array, "draws classes"],
    prob: Float[Array, " draws"],
    cost: Float[Array, "draws nodes classes"],
    penalty: Scalar,
    charge: Float[Array, " nodes"],
    lower: Float[Array, " nodes"],
    upper: Float[Array, " nodes"],
) -> Scalar:
    """What multipliers prove on min charge.y + E Q(y, D) over the box.

    Valid for any price >= 0, computed in the dtype of the arguments.
    """
    served = jax.vmap(served_value, (0, 0, 0, None))(price, demand, cost, penalty)
    rest = charge - prob @ price
    rest = jnp.where(jnp.abs(rest) < 1e-12 * jnp.abs(charge), 0, rest)  # rounding
    edge = jnp.where(rest >= 0, lower, upper)
    return prob @ served + jnp.sum(jnp.where(rest == 0, 0, rest * edge))


def admissible(
    price: Float[Array, "draws nodes"],
    prob: Float[Array, " draws"],
    charge: Float[Array, " nodes"],
    below: Bool[Array, " nodes"],
) -> Float[Array, "draws nodes"]:
    """Multipliers lowered in proportion so that their mean is at most the charge, at
    nodes whose target is under its upper end and whose charge is positive."""
    mean = prob @ price
    high = below & (mean > charge) & (charge > 0)
    return price * jnp.where(high, charge / jnp.where(mean > 0, mean, 1), 1)


class _Seen(NamedTuple):
    """What is kept of the best state: in float32 the last is not always the best."""

    price: Float[Array, "draws nodes"]
    value: Float[Array, "draws classes"]
    target: Float[Array, " nodes"]
    shipped: Float[Array, "draws nodes"]
    below: Bool[Array, " nodes"]
    gap: Scalar


def _look(data: _Data, s: _State) -> _Seen:
    """A state and what its multipliers may be off by: complementarity, for units sent
    from nowhere or to nobody the dearest that a unit can be, and charges not paid for:
    the last two are rounding, which in float32 grows as complementarity falls."""
    gap, _, z = _gap(data, s)
    shipped = s.flow.sum(axis=2)
    over = jnp.maximum(shipped - s.target, 0).sum(axis=1)
    miss = jnp.where(data.has, data.demand - s.flow.sum(axis=1) - s.unmet, 0)
    dearest = jnp.maximum(data.penalty, 0) - jnp.minimum(data.cost.min(), 0)
    gap = gap + dearest * (data.prob @ (over + jnp.abs(miss).sum(axis=1)))
    unpaid = data.charge - data.prob @ s.price - s.over_lower + s.over_upper
    gap = gap + jnp.where(data.moves, jnp.abs(unpaid), 0) @ s.target
    full = s.over_upper * (data.upper - data.lower) > (data.prob @ s.price) * z.upper
    return _Seen(s.price, s.value, s.target, shipped, data.moves & ~full, gap)


def _worth(data: _Data, s: _State) -> Scalar:
    """The size of the cost, money: what demand and the targets for it come to."""
    total = data.demand.sum(axis=1)
    useful = jnp.maximum(total.max(), data.lower) + 1e-3 * s.target
    useful = jnp.minimum(s.target, useful)
    served = data.demand * jnp.abs(jnp.minimum(data.penalty, s.value))
    return data.prob @ served.sum(axis=1) + jnp.abs(data.charge) @ useful + 1e-12


def _prepare(demand, prob, cost, penalty, charge, lower, upper) -> _Data:
    stocked = upper > 0
    can = (demand[:, None, :] > 0) & (cost < penalty) & stocked[None, :, None]
    moves = upper > lower * (1 + 1e-9) + 1e-12
    cost = jnp.where(can, cost, 0)
    has = demand > 0
    return _Data(
        demand, prob, cost, penalty, charge, lower, upper, moves, can, has, stocked
    )


def _begin(data: _Data, target) -> _State:
    """An interior start: dual feasible, primal positive."""
    draws, nodes, _ = data.can.shape
    dtype = data.demand.dtype
    least = jnp.min(jnp.where(data.can, data.cost, data.penalty))
    span = 0.1 * jnp.maximum(data.penalty - least, 1e-3 * jnp.abs(data.penalty) + 1e-9)
    price = jnp.full((draws, nodes), span, dtype)
    cheapest = jnp.where(data.can, data.cost, jnp.inf).min(axis=1) + span
    value = jnp.where(data.has, jnp.minimum(cheapest, data.penalty) - span, 0)
    ways = data.can.sum(axis=1) + 1
    even = data.demand / ways
    typical = (data.prob @ data.demand).sum() / nodes
    room = 0.01 * (data.upper - data.lower)
    inside = jnp.clip(target, data.lower + room, data.upper - room)
    rest = data.charge - data.prob @ price
    low = jnp.maximum(rest, 0) + 0.1 * jnp.abs(data.charge).mean() + 1e-9
    target = jnp.where(data.moves, inside, data.lower)
    flow = jnp.where(data.can, even[:, None, :], 0)
    unmet = jnp.where(data.has, even, 1)
    left = jnp.maximum(target - flow.sum(axis=2), 0.3 * typical + 0.05)
    return _State(price, value, flow, unmet, left, target, low, low - rest)


class _Slacks(NamedTuple):
    flow: Float[Array, "draws nodes classes"]
    unmet: Float[Array, "draws classes"]
    lower: Float[Array, " nodes"]
    upper: Float[Array, " nodes"]


def _slacks(data: _Data, s: _State) -> _Slacks:
    """Dual slack of every flow and shortage, and room of the targets in the box."""
    flow = data.cost + s.price[:, :, None] - s.value[:, None, :]
    return _Slacks(
        jnp.where(data.can, flow, 1),
        jnp.where(data.has, data.penalty - s.value, 1),
        jnp.where(data.moves, s.target - data.lower, 1),
        jnp.where(data.moves, data.upper - s.target, 1),
    )


def _products(data: _Data, s: _State, z: _Slacks):
    """Complementarity products, zero where there is no pair."""
    return (
        jnp.where(data.can, s.flow * z.flow, 0),
        jnp.where(data.has, s.unmet * z.unmet, 0),
        jnp.where(data.stocked, s.left * s.price, 0),
        jnp.where(data.moves, s.over_lower * z.lower, 0),
        jnp.where(data.moves, s.over_upper * z.upper, 0),
    )


def _total(data: _Data, products) -> Scalar:
    flow, unmet, left, low, high = products
    inside = flow.sum(axis=(1, 2)) + unmet.sum(axis=1) + left.sum(axis=1)
    return data.prob @ inside + low.sum() + high.sum()


def _gap(data: _Data, s: _State):
    """Complementarity of a state, and its products and slacks."""
    z = _slacks(data, s)
    products = _products(data, s, z)
    return _total(data, products), products, z


def _step(data: _Data, s: _State) -> tuple[_State, Scalar]:
    """One predictor-corrector step and the smaller of its two lengths."""
    gap, products, z = _gap(data, s)
    count = data.prob @ (data.can.sum(axis=(1, 2)) + data.has.sum(axis=1)) + (
        data.stocked.sum() + 2 * data.moves.sum()
    )
    solve = _newton(data, s, z)
    ahead = solve(jax.tree.map(jnp.negative, products))
    primal, dual = _lengths(data, s, z, ahead)
    there = _move(s, ahead, primal, dual)
    seen = _gap(data, there)[0]
    centre = gap / count * jnp.clip(seen / gap, 0, 1) ** 3
    bent = _bent(data, ahead)
    aim = jax.tree.map(lambda p, b: centre - p - b, products, bent)
    move = solve(aim)
    primal, dual = (BACK * x for x in _lengths(data, s, z, move))
    primal, dual = jnp.minimum(primal, 1), jnp.minimum(dual, 1)
    return _move(s, move, primal, dual), jnp.minimum(primal, dual)


def _bent(data: _Data, d: _State):
    """Second-order part of the complementarity of a move (Mehrotra 1992)."""
    slope = d.price[:, :, None] - d.value[:, None, :]
    return (
        d.flow * slope, -d.unmet * d.value, d.left * d.price,
        d.over_lower * d.target, -d.over_upper * d.target,
    )  # fmt: skip


def _newton(data: _Data, s: _State, z: _Slacks):
    """The linear system at a state, factored once: complementarity aims to a move."""
    ratio = jnp.where(data.can, s.flow / z.flow, 0)
    short = jnp.where(data.has, s.unmet / z.unmet, 0)
    spare = s.left / s.price
    whole = jnp.where(data.has, ratio.sum(axis=1) + short, 1)
    miss = jnp.where(data.has, data.demand - s.flow.sum(axis=1) - s.unmet, 0)
    lack = s.target - s.flow.sum(axis=2) - s.left
    share = ratio / whole[:, None, :]
    multiply = lambda a, b: jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
    matrix = -multiply(share, jnp.swapaxes(ratio, 1, 2))
    diagonal = jnp.where(data.stocked, ratio.sum(axis=2) + spare, 1)
    eye = jnp.eye(diagonal.shape[1], dtype=diagonal.dtype)
    inverse = _inverse(matrix + eye * diagonal[:, :, None])
    alive = data.stocked.astype(inverse.dtype)
    inverse = inverse * alive[:, None] * alive[None, :]
    box = s.over_lower / z.lower + s.over_upper / z.upper
    bend = jnp.einsum("w,wab->ab", data.prob, inverse)
    both = data.moves[:, None] & data.moves[None, :]
    bend = jnp.where(both, bend, 0) + jnp.diag(jnp.where(data.moves, box, 1))

    def solve(aim) -> _State:
        flow, unmet, left, low, high = aim
        e, eu = jnp.where(data.can, flow / z.flow, 0), unmet / z.unmet
        b = jnp.where(data.has, miss - eu - e.sum(axis=1), 0)
        g = e.sum(axis=2) + left / s.price - lack
        g = g + multiply(share, b[:, :, None])[:, :, 0]
        base = multiply(inverse, g[:, :, None])[:, :, 0]
        pull = data.prob @ base + low / z.lower - high / z.upper
        target = jnp.linalg.solve(bend, jnp.where(data.moves, pull, 0))
        target = jnp.where(data.moves, target, 0)
        price = base - multiply(inverse, target)
        answer = multiply(price[:, None, :], ratio)[:, 0]
        value = jnp.where(data.has, (b + answer) / whole, 0)
        slope = jnp.where(data.can, price[:, :, None] - value[:, None, :], 0)
        return _State(
            price, value, e - ratio * slope, eu + short * value,
            jnp.where(data.stocked, left / s.price - spare * price, 0), target,
            (low - s.over_lower * target) / z.lower,
            (high + s.over_upper * target) / z.upper,
        )  # fmt: skip

    return solve


def _inverse(matrix: Float[Array, "draws n n"]) -> Float[Array, "draws n n"]:
    """Inverses of M-matrices by Gauss & Jordan in place, all draws at once; no pivots,
    since they are symmetric with dominant diagonals (Higham 2002, ch. 9)."""

    def sweep(k, a):
        pivot = a[:, k, k][:, None]
        row, column = a[:, k] / pivot, a[:, :, k]
        a = a - column[:, :, None] * row[:, None, :]
        a = a.at[:, k].set(row).at[:, :, k].set(-column / pivot)
        return a.at[:, k, k].set(1 / pivot[:, 0])

    return lax.fori_loop(0, matrix.shape[1], sweep, matrix)


def _lengths(data: _Data, s: _State, z: _Slacks, d: _State) -> tuple[Scalar, Scalar]:
    """How far the primal and the dual side can go, at most 1 / BACK of the move."""

    def room(at, move, mask):
        down = mask & (move < 0)
        far = jnp.where(down, -at / jnp.where(down, move, -1), jnp.inf)
        return far.min()

    stocked = jnp.broadcast_to(data.stocked, d.left.shape)
    slope = d.price[:, :, None] - d.value[:, None, :]
    primal = jnp.stack([
        room(s.flow, d.flow, data.can), room(s.unmet, d.unmet, data.has),
        room(s.left, d.left, stocked), room(z.lower, d.target, data.moves),
        room(z.upper, -d.target, data.moves),
    ]).min()  # fmt: skip
    dual = jnp.stack([
        room(z.flow, slope, data.can), room(z.unmet, -d.value, data.has),
        room(s.price, d.price, stocked),
        room(s.over_lower, d.over_lower, data.moves),
        room(s.over_upper, d.over_upper, data.moves),
    ]).min()  # fmt: skip
    most = 1 / BACK
    return jnp.minimum(primal, most), jnp.minimum(dual, most)


def _move(s: _State, d: _State, primal, dual) -> _State:
    return _State(
        s.price + dual * d.price,
        s.value + dual * d.value,
        s.flow + primal * d.flow,
        s.unmet + primal * d.unmet,
        s.left + primal * d.left,
        s.target + primal * d.target,
        s.over_lower + dual * d.over_lower,
        s.over_upper + dual * d.over_upper,
    )


def _everywhere(data: _Data, s: _Seen, cost):
    """Multipliers of all nodes: one that may hold nothing asks what it would save."""
    saved = s.value[:, None, :] - cost
    saved = jnp.where(data.has[:, None, :], saved, 0).max(axis=2)
    return jnp.where(data.stocked, s.price, jnp.maximum(saved, 0))

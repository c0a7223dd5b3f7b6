"""K1: one pool of stock, several delivery speeds, on a tree of pools.

The recourse of one item and window is a transportation problem: nodes hold `y`, classes
of demand are served at a cost or not at all. On a laminar family of pools it is bounded
below, in closed form, by one-dimensional convex terms:

    Q(y) >= sum_q q_0 D_q
            + sum_v sum_j (w_(v,j) - w_(v,j+1)) (D_v^(1..j) - Y_v)^+

Here `Y_v` is the stock under pool `v` and `q_l` the cheapest service of class `q` from
outside its pool of level `l - 1`, so that `w = q_(l+1) - q_l >= 0` is what it costs not
to be served inside the pool. The classes of a pool are sorted by `w`, the largest
first, and `D_v^(1..j)` is the demand of the first `j` of them. A unit not served inside
`v` costs at least `q_(l+1)`, and no more than `Y_v` units are: minimising the linear
form over that contra-polymatroid gives the formula (Edmonds, 1970). It is exact for one
class with costs that depend on the level alone.

Classes of a pool with nearly the same `w` share a bucket; with the least `w` of its
members a bucket keeps the bound, with the mean it estimates the cost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]


class PoolTerms(NamedTuple):
    """Moments of the demand above the stock of each pool, per bucket.

    Attributes:
      shortage: E (D - Y)^+, units.
      tail: P(D > Y).
      density: -d tail / d Y, per unit.
      around: the same over a window `WIDE` times as wide: where the demand lies.
    """

    shortage: Float[Array, "pools buckets"]
    tail: Float[Array, "pools buckets"]
    density: Float[Array, "pools buckets"]
    around: Float[Array, "pools buckets"]


WIDE = 6.0


def pool_terms(
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    stock: Float[Array, " pools"],
    width: Float[Array, " pools"],
) -> PoolTerms:
    """Smoothed shortage of each pool and bucket, and its first two derivatives.

    The hinge (D - Y)^+ is averaged over Y +- width, so it is convex and continuously
    differentiable, and lies above the hinge by at most width / 4. Atoms without demand
    are left out: smoothing would ask for stock against them.

    Args:
      atoms: cumulated demand of the first buckets of a pool, units.
      prob: weight of each atom, summing to 1.
      stock: stock under each pool, units.
      width: half width of the smoothing, units, > 0.
    """
    hinges = every_hinge(*atoms.shape[1:])
    terms = hinge_terms(hinges, atoms.reshape(len(atoms), -1), prob, stock, width)
    return PoolTerms(*map(hinges.spread, terms))


def every_hinge(pools: int, buckets: int) -> "Hinges":
    """A hinge for every bucket of every pool."""
    count = pools * buckets
    return Hinges(
        jnp.repeat(jnp.arange(pools), buckets), jnp.arange(count).reshape(pools, -1)
    )


class Hinges(NamedTuple):
    """Which buckets of which pools have demand of their own.

    Attributes:
      pool: the pool of each hinge.
      place: the hinge of each bucket, those past a pool's last class being its last;
        one past the last hinge for a pool without classes.
    """

    pool: Int[Array, " hinges"]
    place: Int[Array, "pools buckets"]

    def spread(self, x: Float[Array, "*some hinges"]) -> Float[Array, "*some p b"]:
        """What every hinge has, by pool and bucket; 0 for pools without classes."""
        x = jnp.concatenate([x, jnp.zeros_like(x[..., :1])], axis=-1)
        return x[..., self.place]

    def gather(self, x: Float[Array, "pools buckets"]) -> Float[Array, " hinges"]:
        """Sums of what the buckets of each hinge have: the transpose of `spread`."""
        total = jnp.zeros(self.pool.size + 1, x.dtype).at[self.place].add(x)
        return total[:-1]


def hinge_terms(
    hinges: Hinges,
    atoms: Float[Array, "atoms hinges"],
    prob: Float[Array, " atoms"],
    stock: Float[Array, " pools"],
    width: Float[Array, " pools"],
) -> PoolTerms:
    """`pool_terms` by hinge, in loops over all hinges at once."""
    stock, half = stock[hinges.pool], width[hinges.pool]
    inverse = 0.5 / half

    def add(total, atom):
        demand, p = atom
        p = jnp.where(demand > 0, p, 0)
        above = demand - stock
        share = jnp.clip(above * inverse + 0.5, 0, 1)
        shortage = half * share * share + jnp.maximum(above - half, 0)
        inside = jnp.where((share > 0) & (share < 1), p, 0)
        near = jnp.where(jnp.abs(above) < WIDE * half, p, 0)
        new = p * shortage, p * share, inside, near
        return tuple(t + x for t, x in zip(total, new, strict=True)), None

    zero = jnp.zeros(atoms.shape[1:], atoms.dtype)
    sums, _ = lax.scan(add, (zero,) * 4, (atoms, prob))
    return PoolTerms(sums[0], sums[1], sums[2] * inverse, sums[3] * inverse / WIDE)


def exact_terms(
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    stock: Float[Array, " pools"],
) -> tuple[Float[Array, "pools buckets"], Float[Array, "pools buckets"]]:
    """Unsmoothed E (D - Y)^+ and P(D > Y), the right derivative's size."""
    stock = stock[:, None]

    def add(total, atom):
        demand, p = atom
        above = demand.astype(total[0].dtype) - stock
        short = total[0] + p * jnp.maximum(above, 0)
        return (short, total[1] + jnp.where(above > 0, p, 0)), None

    zero = jnp.zeros(atoms.shape[1:], prob.dtype)
    return lax.scan(add, (zero, zero), (atoms, prob))[0]


def tree_inverse(
    same: Float[Array, "levels nodes nodes"],
    pool_of: Int[Array, "levels nodes"],
    curvature: Float[Array, " pools"],
    diagonal: Float[Array, " nodes"],
    free: Float[Array, " nodes"],
    right: Float[Array, " nodes"],
) -> Float[Array, " nodes"]:
    """Solves (diag + sum_v curvature_v 1_v 1_v') x = right on the free nodes.

    One rank-one correction per pool, from the nodes up (Sherman & Morrison, 1950): no
    matrix is built. The level of the nodes is in `diagonal`.

    Args:
      same: 1 where two nodes share a pool of a level.
      pool_of: the pool of each node at each level.
      curvature: second derivative of each pool's term, >= 0.
      diagonal: > 0; curvature of the node's own term and damping.
      free: 1 for nodes that may move, else 0.
      right: the right-hand side.
    """
    x, z = free * right / diagonal, free / diagonal
    for level in range(1, same.shape[0]):
        bend = curvature[pool_of[level]]
        factor = bend * z / (1 + bend * (same[level] @ z))
        x, z = x - factor * (same[level] @ x), z - factor * (same[level] @ z)
    return x


class TreeShape(NamedTuple):
    """The tree as the kernels use it.

    Attributes:
      member: 1 where a pool holds a node.
      pool_of: the pool of each node at each level.
      same: 1 where two nodes share a pool of a level.
    """

    member: Float[Array, "pools nodes"]
    pool_of: Int[Array, "levels nodes"]
    same: Float[Array, "levels nodes nodes"]


class TreeSolution(NamedTuple):
    """Targets that minimise the smoothed cost, and the terms there.

    Attributes:
      target: y, units.
      terms: the pools' terms at the targets.
      free: 1 where a target is inside its bounds.
      slope: derivative of the cost in the targets, money per unit.
      residual: largest projected derivative left, as a share of the largest charge.
      passes: passes over the atoms that it took.
    """

    target: Float[Array, " nodes"]
    terms: PoolTerms
    free: Float[Array, " nodes"]
    slope: Float[Array, " nodes"]
    residual: Scalar
    passes: Int[Array, ""]


def minimise(
    shape: TreeShape,
    atoms: Float[Array, "... hinges"],
    prob: Float[Array, " atoms"],
    drop: Float[Array, "pools buckets"],
    charge: Float[Array, " nodes"],
    lower: Float[Array, " nodes"],
    upper: Float[Array, " nodes"],
    width: Float[Array, " pools"],
    pull: Float[Array, " nodes"],
    anchor: Float[Array, " nodes"],
    start: Float[Array, " nodes"],
    tolerance: float = 1e-2,
    passes: int = 24,
    hinges: Hinges | None = None,
) -> TreeSolution:
    """Minimises charge . y + sum_v sum_j drop_(v,j) E (D_v^(1..j) - Y_v)^+ over a box.

    With a pull, pull . (y - anchor)^2 / 2 is added: where only the stock of a pool
    matters, and not which of its nodes holds it, the anchor decides.

    Projected semi-smooth Newton; each step minimises a quadratic model over the box.
    The model bends by the local density and, damped in Levenberg's way, by the density
    around, since between two demands that have been seen the local one is zero. The
    first-order condition is a multi-level critical ratio,
    a_n = sum_(v over n) sum_j drop_(v,j) P(D_v > Y_v).

    Args:
      shape: the tree.
      atoms: cumulated demand of each pool's buckets, units.
      prob: weight of each atom.
      drop: fall of the weights from a bucket to the next, money per unit, >= 0.
      charge: money per unit of y: holding and capacity prices.
      lower: least target.
      upper: largest target, finite where the charge may be negative.
      width: half width of the smoothing of each pool.
      pull: money per squared unit, >= 0.
      anchor: targets to be pulled to, units.
      start: where to start.
      tolerance: residual at which to stop.
      passes: the most passes over the atoms.
      hinges: which buckets the atoms are of; they then have an axis of hinges in place
        of those of pools and buckets.
    """
    if hinges is None:
        hinges = every_hinge(*atoms.shape[1:])
        atoms = atoms.reshape(len(atoms), -1)
    own, fall = jnp.arange(len(shape.member)), hinges.gather(drop)
    by_pool = (hinges.pool[:, None] == own).astype(fall.dtype)
    scale = jnp.maximum(jnp.max(jnp.abs(charge)), 1e-9)
    nodes = start.shape[0]
    above = shape.member[nodes:]  # pools of more than one node
    least = 1e-3 * (shape.member.T @ (drop.sum(axis=1) / width)) / len(shape.pool_of)
    least = least + 1e-6 * scale

    def look(y):
        terms = hinge_terms(hinges, atoms, prob, shape.member @ y, width)
        slope = charge - shape.member.T @ ((fall * terms.tail) @ by_pool)
        slope = slope + pull * (y - anchor)
        value = charge @ y + fall @ terms.shortage
        value = value + pull @ (y - anchor) ** 2 / 2
        free = ((y > lower) | (slope < 0)) & ((y < upper) | (slope > 0))
        free = free.astype(y.dtype)
        return value, slope, terms, free, jnp.max(jnp.abs(slope * free)) / scale

    def again(state):
        _, (_, _, _, _, residual), _, count = state
        return (residual > tolerance) & (count < passes)

    def step(state):
        y, here, damping, count = state
        value, slope, terms, _, _ = here
        bend = (fall * (terms.density + damping * terms.around)) @ by_pool
        diagonal = bend[:nodes] + pull + (damping + 1e-3) * least

        def improve(_, new):  # the model's box-constrained minimum, by active sets
            move = new - y
            model = slope + diagonal * move + above.T @ (bend[nodes:] * (above @ move))
            free = ((new > lower) | (model < 0)) & ((new < upper) | (model > 0))
            free = free.astype(y.dtype)
            move = tree_inverse(shape.same, shape.pool_of, bend, diagonal, free, -model)
            return jnp.clip(new + move, lower, upper)

        new = lax.fori_loop(0, 3, improve, y)
        there = look(new)
        better = (there[1] @ (new - y) <= 0) | (there[0] < value)
        keep = lambda a, b: jnp.where(better, a, b)
        here = jax.tree.map(keep, there, here)
        damping = jnp.clip(jnp.where(better, damping / 3, damping * 4), 1e-6, 1e3)
        return keep(new, y), here, damping, count + 1

    start = jnp.clip(start, lower, upper)
    state = (start, look(start), jnp.ones((), start.dtype), jnp.ones((), jnp.int32))
    y, here, _, count = lax.while_loop(again, step, state)
    _, slope, terms, free, residual = here
    terms = PoolTerms(*map(hinges.spread, terms))
    return TreeSolution(y, terms, free, slope, residual, count)


def dual_value(
    shape: TreeShape,
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    drop: Float[Array, "pools buckets"],
    charge: Float[Array, " nodes"],
    lower: Float[Array, " nodes"],
    upper: Float[Array, " nodes"],
    slope: Float[Array, " pools"],
    guess: Float[Array, " pools"],
    spread: Float[Array, " pools"],
    target: Float[Array, " nodes"],
    cuts: int = 10,
) -> Scalar:
    """A lower bound on the exact minimum of the tree cost over the box, by Fenchel.

    Any slopes `theta >= 0`, one per pool, split the problem into one newsvendor per
    pool with holding cost `theta_v`, and into the nodes' linear rests:

        min >= sum_v min_(Y >= 0) [theta_v Y + sum_j drop E (D - Y)^+]
               + sum_n min_(lower <= y <= upper) (a_n - sum_(v over n) theta_v) y

    with equality at the best slopes. The newsvendors are bounded below by tangents at
    both ends of a shrinking bracket (Kelley, 1960), so the value never exceeds the
    minimum, whatever the slopes and however few the cuts.

    Args:
      shape: the tree.
      atoms: cumulated demand of each pool's buckets, units.
      prob: weight of each atom, float64.
      drop: fall of the weights, money per unit, >= 0; of a bound kernel.
      charge: money per unit of y.
      lower: least target.
      upper: largest target; inf only where the rest cannot be negative.
      slope: theta, money per unit; those of the smoothed solution are best.
      guess: stock under each pool near which the newsvendors' optima lie.
      spread: how near, units.
      target: targets that gave the slopes: those inside their bounds let their own pool
        take up what the slopes leave, those at a bound keep it as their rest.
      cuts: passes over the atoms.
    """
    theta = _admissible(
        shape, jnp.maximum(slope, 0), charge, target > lower, target >= upper
    )
    rest = charge - shape.member.T @ theta
    rest = jnp.where(jnp.abs(rest) < 1e-9 * jnp.abs(charge), 0, rest)  # rounding
    at = jnp.where(rest >= 0, lower, upper)
    nodes = jnp.sum(jnp.where(rest == 0, 0, rest * jnp.where(rest == 0, 0, at)))

    def tangent(y):
        shortage, tail = exact_terms(atoms, prob, y)
        value = theta * y + (drop * shortage).sum(axis=1)
        return value, theta - (drop * tail).sum(axis=1)

    def meet(ends):  # where the tangents cross, and their value there
        low, f_low, g_low, high, f_high, g_high = ends
        steep = jnp.where(g_high > g_low, g_high - g_low, 1)
        y = low + jnp.clip(
            (f_low - f_high + g_high * (high - low)) / steep, 0, high - low
        )
        return y, f_low + g_low * (y - low)

    def cut(k, ends):
        low, f_low, g_low, high, f_high, g_high = ends
        near = guess + jnp.where(k == 0, -spread, spread)
        later = jnp.where(k % 3 == 1, (low + high) / 2, meet(ends)[0])
        y = jnp.clip(jnp.where(k < 2, near, later), low, high)
        f, g = tangent(y)
        left = g < 0
        pick = lambda a, b: jnp.where(left, a, b)
        lows = pick(y, low), pick(f, f_low), pick(g, g_low)
        return *lows, pick(high, y), pick(f_high, f), pick(g_high, g)

    low = jnp.zeros_like(theta)
    high = jnp.max(atoms, axis=(0, 2)).astype(theta.dtype)
    at_zero, slope_zero = tangent(low)
    ends = (low, at_zero, slope_zero, high, theta * high, theta)
    bottom = meet(lax.fori_loop(0, cuts, cut, ends))[1]
    return jnp.where(slope_zero >= 0, at_zero, bottom).sum() + nodes


def _admissible(shape, theta, charge, above, at_upper):
    """Slopes that leave no negative rest to a node below its upper bound, and no rest
    at all to a node strictly inside its bounds."""
    levels = shape.pool_of.shape[0]
    taken = jnp.zeros_like(charge)
    for level in range(levels - 1, 0, -1):
        left = jnp.where(at_upper, jnp.inf, jnp.maximum(charge - taken, 0))
        room = jnp.where(shape.same[level] > 0, left[None, :], jnp.inf).min(axis=1)
        per_node = jnp.minimum(theta[shape.pool_of[level]], room)
        theta = theta.at[shape.pool_of[level]].set(per_node)
        taken = taken + per_node
    left = jnp.maximum(charge - taken, 0)
    own = theta[shape.pool_of[0]]
    own = jnp.where(at_upper, own, jnp.where(above, left, jnp.minimum(own, left)))
    return theta.at[shape.pool_of[0]].set(own)


class UnitMoves(NamedTuple):
    """What a unit more, a unit less, or a unit moved would cost at whole targets.

    Attributes:
      more: change of the cost by one unit more at a node, money.
      less: change of the cost by one unit less at a node, money; inf at zero.
      move: by moving a unit from the second node to the first.
    """

    more: Float[Array, " nodes"]
    less: Float[Array, " nodes"]
    move: Float[Array, "nodes nodes"]


def unit_moves(
    shape: TreeShape,
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    drop: Float[Array, "pools buckets"],
    charge: Float[Array, " nodes"],
    target: Float[Array, " nodes"],
) -> UnitMoves:
    """Exact changes of the tree cost by single units, over {+-e_n, e_m - e_n}.

    The tree cost is M-natural-convex: targets that none of these moves improves are
    optimal among all whole targets (Murota 2003, thm 6.26).

    Args:
      shape: the tree.
      atoms: cumulated demand of each pool's buckets, units.
      prob: weight of each atom.
      drop: fall of the weights, money per unit.
      charge: money per unit of y.
      target: whole targets, units.
    """
    stock = (shape.member @ target)[:, None]

    def add(total, atom):
        demand, p = atom
        here = jnp.maximum(demand - stock, 0)
        up = here - jnp.maximum(demand - stock - 1, 0)
        down = jnp.maximum(demand - stock + 1, 0) - here
        return (total[0] + p * up, total[1] + p * down), None

    zero = jnp.zeros(atoms.shape[1:], atoms.dtype)
    (saved, lost), _ = lax.scan(add, (zero, zero), (atoms, prob))
    up = -(drop * saved).sum(axis=1)[shape.pool_of]  # levels nodes
    down = (drop * lost).sum(axis=1)[shape.pool_of]
    apart = 1 - shape.same
    gain = jnp.einsum("lm,lmn->mn", up, apart) + jnp.einsum("ln,lmn->mn", down, apart)
    move = gain + charge[:, None] - charge[None, :]
    has = target >= 1
    less = jnp.where(has, down.sum(axis=0) - charge, jnp.inf)
    return UnitMoves(
        charge + up.sum(axis=0), less, jnp.where(has[None, :], move, jnp.inf)
    )


def unit_change(
    shape: TreeShape,
    hinges: Hinges,
    atoms: Float[Array, "atoms hinges"],
    prob: Float[Array, " atoms"],
    fall: Float[Array, " hinges"],
    charge: Float[Array, " nodes"],
    target: Float[Array, " nodes"],
    *,
    less: bool,
) -> Float[Array, " nodes"]:
    """Exact change of the tree cost by a unit more at each node, or by one less; that
    is inf where there is less than a unit.

    Args:
      shape: the tree.
      hinges: which buckets the atoms are of.
      atoms: cumulated demand, units.
      prob: weight of each atom.
      fall: of the weights at each hinge, money per unit.
      charge: money per unit of y.
      target: whole targets, units.
      less: a unit less, not one more.
    """
    stock = (shape.member @ target)[hinges.pool]
    stock = stock - 1 if less else stock

    def add(total, atom):
        demand, p = atom
        apart = jnp.clip(demand - stock, 0, 1)  # of the shortages a unit apart
        return total + p * apart, None

    saved, _ = lax.scan(add, jnp.zeros(atoms.shape[1:], atoms.dtype), (atoms, prob))
    by_pool = hinges.pool[:, None] == jnp.arange(len(shape.member))
    worth = (fall * saved) @ by_pool.astype(saved.dtype) @ shape.member
    return jnp.where(target >= 1, worth - charge, jnp.inf) if less else charge - worth


def absence_cost(
    shape: TreeShape,
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    drop: Float[Array, "pools buckets"],
    charge: Float[Array, " nodes"],
    target: Float[Array, " nodes"],
) -> Float[Array, " nodes"]:
    """Rise of the exact tree cost when a node alone is emptied, for each node.

    The other nodes keep their targets: where they would be raised, it rises by less.

    Args:
      shape: the tree.
      atoms: cumulated demand of each pool's buckets, units.
      prob: weight of each atom.
      drop: fall of the weights, money per unit.
      charge: money per unit of y.
      target: y, units.
    """
    stock = (shape.member @ target)[shape.pool_of]  # levels nodes
    left = stock - target

    def add(total, atom):
        demand, p = atom
        demand = demand[shape.pool_of]
        short = jnp.maximum(demand - left[..., None], 0)
        return total + p * (short - jnp.maximum(demand - stock[..., None], 0)), None

    zero = jnp.zeros((*stock.shape, atoms.shape[2]), atoms.dtype)
    missed = lax.scan(add, zero, (atoms, prob))[0]
    return (drop[shape.pool_of] * missed).sum(axis=(0, 2)) - charge * target


def descend(
    shape: TreeShape,
    atoms: Float[Array, "atoms pools buckets"],
    prob: Float[Array, " atoms"],
    drop: Float[Array, "pools buckets"],
    charge: Float[Array, " nodes"],
    lower: Float[Array, " nodes"],
    upper: Float[Array, " nodes"],
    start: Float[Array, " nodes"],
    steps: int,
) -> Float[Array, " nodes"]:
    """Whole targets by steepest descent over single units from whole targets.

    Args:
      shape: the tree.
      atoms: cumulated demand of each pool's buckets, units.
      prob: weight of each atom.
      drop: fall of the weights, money per unit.
      charge: money per unit of y.
      lower: least target.
      upper: largest target.
      start: whole targets within the bounds.
      steps: most steps; the optimum if it takes fewer.
    """
    nodes = start.shape[0]
    tiny = 1e-6 * jnp.max(jnp.abs(charge))

    def step(state):
        y, _, count = state
        moves = unit_moves(shape, atoms, prob, drop, charge, y)
        can_more, can_less = y + 1 <= upper, y - 1 >= lower
        more = jnp.where(can_more, moves.more, jnp.inf)
        less = jnp.where(can_less, moves.less, jnp.inf)
        swap = jnp.where(can_more[:, None] & can_less[None, :], moves.move, jnp.inf)
        all_moves = jnp.concatenate([more, less, swap.reshape(-1)])
        best = jnp.argmin(all_moves)
        pair = jnp.maximum(best - 2 * nodes, 0)
        to = jnp.where(
            best < nodes, best, jnp.where(best < 2 * nodes, -1, pair // nodes)
        )
        off = jnp.where(
            best < nodes, -1, jnp.where(best < 2 * nodes, best - nodes, pair % nodes)
        )
        place = jnp.arange(nodes)
        new = y + (place == to) - (place == off)
        better = all_moves[best] < -tiny
        return jnp.where(better, new, y), ~better, count + 1

    state = (start, jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    return lax.while_loop(lambda s: ~s[1] & (s[2] < steps), step, state)[0]

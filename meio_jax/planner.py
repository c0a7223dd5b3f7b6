"""The main job on arrays: prices by dual ascent, a bound, a plan within capacity."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from meio_jax.config import Solver
from meio_jax.dual.ascend import LBFGS, AbstractAscent, FirstOrder, Newton, residuals
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import Rows, build_rows, spread_rows
from meio_jax.dual.strata import sample_problem
from meio_jax.dual.stream import Streamed, in_cells, pinned, with_charge, with_lift
from meio_jax.dual.use import use_charges, window_tolls
from meio_jax.horizon import Horizon, alike, first_period
from meio_jax.mesh import chunk_items, crew_for
from meio_jax.network import coarsen
from meio_jax.problem import Group, Problem, take_items
from meio_jax.recover.assortment import choose_items
from meio_jax.recover.certify import certify, sound_prices
from meio_jax.recover.evaluate import Evaluator, node_use, violation
from meio_jax.recover.room import room_kept, swings
from meio_jax.recover.settle import Recovery
from meio_jax.recover.sharpen import sharpen
from meio_jax.recover.slopes import greedy_slopes
from meio_jax.recover.units import (
    absence_costs,
    best_whole,
    cell_costs,
    shortage_cost,
)
from meio_jax.scenarios.sample import Sample
from meio_jax.solution import Callback, Place, Progress, Refine, Solution

CLASSES = 128  # demand classes of a group that plans and prices are made on
SMALL = 60_000  # cells times nodes times classes
SMALL_ROUNDS = 60  # of exact solutions there
PROBES = 12  # roundings tried in small problems
LIFTS = 2  # rounds of calibration
MOST_LIFT = 8.0
STEPS = 4  # of the ascent in a round of corrections
SETTLED = 0.02  # of cost: corrections by less than this are the last
FIRST = 512  # items that prices are found on before all are looked at
MANY = 4  # times as many items are enough to do so
HELD = 2  # last rounds of corrections in which prices from a sample may move
NEAR = 0.9  # of its capacity: a flow that is looked at by greedy fulfilment
UNSEEN = 8.0  # the most times that a flow is what the tree kernel sees of it, or less
FOUND = 0.05  # shares that change by less are found
LEAST_RENT = 0.2  # of what a unit is charged, that corrections leave of it


def solve_problem(
    problem: Problem,
    sample: Sample,
    options: Solver,
    callback: Callback | None = None,
    *,
    start: Place | None = None,
    keep: Callable[[Place], None] | None = None,
    refine: Refine | None = None,
    charges: tuple[Float[np.ndarray, "points items"], ...] = (),
    joint: bool = False,
) -> Solution:
    """Prices, bound and plan of a problem on a sample of scenarios.

    Args:
      problem: the problem.
      sample: its scenarios.
      options: solver options.
      callback: called after every evaluation; returning True stops the ascent, and the
        plan is made from the prices reached.
      start: prices to climb from, at its stage of smoothing; else from no price.
      keep: called after every evaluation of the ascent with the best prices so far.
      refine: given the plan's targets, its tolls, and what to call with the money of
        every step, gives other whole targets. They are evaluated, and cut where they
        are above a capacity.
      charges: of each group, money per unit of stock and period that items pay where
        what they share is scarce, rising: `Solution.rations` are targets at these.
      joint: whether the processes of `mesh.join` share the items: all of them make this
        call with the same arguments, and all get the same solution.
    """
    solve = partial(
        _solve, sample=sample, options=options, charges=charges, joint=joint
    )
    with jax.enable_x64(True):
        if problem.periods > 1 and alike(problem, sample):
            one, seen = first_period(problem, sample)
            wide = Horizon(problem)
            found = wide.solution(
                solve(
                    one, sample=seen, callback=wide.callback(callback),
                    start=wide.start(start), keep=wide.keep(keep),
                    refine=wide.refine(refine),
                )
            )  # fmt: skip
            room = problem.inbound + 1e-9 * np.maximum(problem.inbound, 1)
            if (found.use[1] <= room).all():
                return found
            start = Place(
                found.prices, found.bound_prices, evaluations=found.evaluations,
                lifts=found.lifts, tilts=found.tilts, kept=found.kept,
            )  # fmt: skip
        return solve(problem, callback=callback, start=start, keep=keep, refine=refine)


def _solve(
    problem, *, sample, options, callback, start, keep, refine, charges, joint
) -> Solution:
    """As `solve_problem`, period by period."""
    count, items = options.sample_items, sum(len(g.items) for g in problem.groups)
    few, held = 0 < count < items, False
    if few and start is None:
        options = replace(options, corrections=0)
        start = _sampled(problem, sample, options, count, callback, joint)
        options = replace(options, max_evaluations=1)
    elif start is None and items >= MANY * FIRST and not is_small(problem):
        start = _sampled(problem, sample, options, FIRST, callback, joint)
        held = _rounds(options) > 0
    run = _Run(problem, sample, options, callback)
    run.held = held
    run.joint = joint
    run.begun, run.keep, run.refine = start, keep, refine
    run.charges = charges
    return run.solve()


def rows_for(problem: Problem, sample: Sample, options: Solver):
    """The rows that a solve would read, and the crew that works on them.

    Args:
      problem: the problem.
      sample: its scenarios.
      options: solver options.
    """
    run = _Run(problem, sample, options, None)
    run.prepare()
    return run.dual.rows, run.crew


def _sampled(problem, sample, options, count, callback, joint) -> Place:
    """Prices of a sample of the items, to plan all of them at: corrected ones where the
    options ask for corrections."""
    part = sample_problem(problem, count, sample.seed)
    told = callback and (lambda line: callback(line._replace(phase="sample")))
    run = _Run(part, sample, options, told)
    run.joint = joint
    run.prepare()
    state, _ = run._ascend(run._start())
    run.climbed, run.plain = state, run.dual.rows
    if _rounds(options):
        state = run._corrected(state)
    prices = run.dual.spread(state.point.price)
    nothing = [np.zeros(0, int) for _ in part.groups]
    proven = run._bound_prices(state, prices, nothing)
    stage = run.before + state.stage
    return Place(prices, proven, stage, run.dual.evaluations, run._lifts())


def targets_at(
    problem: Problem,
    sample: Sample,
    options: Solver,
    prices: Float[np.ndarray, "resources nodes periods"],
    tilts: tuple[Float[np.ndarray, "items periods nodes"], ...] = (),
) -> tuple[Float[np.ndarray, "items periods nodes"], ...]:
    """Targets that are best at given prices, whether or not they keep capacities.

    Under the tree kernel, with the lift and the choice of items that a plan has.

    Args:
      problem: the problem.
      sample: its scenarios.
      options: solver options.
      prices: money per unit of capacity; read where there is a limit.
      tilts: `Solution.tilts` of the plan that the prices are of: a corrected plan's
        prices mean little without them. None where there were no corrections.
    """
    with jax.enable_x64(True):
        times, moving = 1, (prices, *(np.swapaxes(x, 1, 2) for x in tilts))
        still = all((x == x[:, :, :1]).all() for x in moving)
        if still and alike(problem, sample):
            times = problem.periods
            problem, sample = first_period(problem, sample)
        run = _Run(problem, sample, options, None)
        run.prepare()
        now = slice(problem.periods)
        found = run.targets_at(prices[:, :, now], [x[:, now] for x in tilts])
        return tuple(np.repeat(y, times, axis=1) for y in found)


class _Run:
    """One solve: what its phases share."""

    def __init__(self, problem, sample, options, callback):
        self.problem, self.sample, self.options = problem, sample, options
        self.given = problem  # with all items everywhere
        self.callback, self.joint = callback, False
        self.begun: Place | None = None
        self.before = 0  # stages of smoothing that an earlier run has done
        self.held = False  # whether corrected prices of a sample are begun at
        self.keep: Callable[[Place], None] | None = None
        self.refine: Refine | None = None
        self.charges: tuple = ()
        self.free_value = 0.0  # of the dual, all items everywhere
        self.kept = np.zeros(problem.storage.shape)
        self.seen = np.ones(problem.capacities.shape)  # what K1 sees of flows, shares
        self.busy = bool(np.isfinite(problem.capacities[1:]).any())
        self.tilts = [np.zeros_like(g.items.lower) for g in problem.groups]
        self.begin = time.perf_counter()
        self.history: list[Progress] = []
        self.stopped = False

    def prepare(self) -> None:
        """Rows, dual, ascent and evaluators."""
        coarse = tuple(coarse_group(g) for g in self.problem.groups)
        self.planning = eqx.tree_at(lambda p: p.groups, self.problem, coarse)
        most = max(-(-len(g.items) // chunk_items()) for g in coarse)
        self.crew = crew_for(most, self.options.devices, joint=self.joint)
        rows = tuple(map(self._rows, range(len(coarse))))
        self.dual = Dual(self.planning, rows, self.crew)
        self.method = self._method()
        self.evaluators, self.quick = (
            tuple(
                Evaluator(problem, k, self.sample, crew=self.crew)
                for k in range(len(coarse))
            )
            for problem in (self.problem, self.planning)
        )

    def _rows(self, k: int) -> Rows | Streamed:
        """The rows of a group, held if they fit into half of the memory allowed."""
        options, items = self.options, len(self.planning.groups[k].items)

        def draw(*block):
            return spread_rows(
                self.planning, self.planning.groups[k], k, self.sample, self.crew,
                block=block or None, count=options.levels, atoms=options.atoms,
                dtype=self._dtype(),
            )  # fmt: skip

        allowed = options.memory_gb * 2**30 / 2 / len(self.planning.groups)
        if not allowed or self._small() or options.polish:
            return draw()
        hands = self.crew.hands
        one = sum(x.nbytes for x in jax.tree.leaves(draw(0, 1, hands))) / hands
        first, last = self.crew.own(-(-items // chunk_items()))
        if (last - first) * one <= allowed:
            return draw()
        # one is drawn beside the last
        each = max(int(allowed / 2 / one) // hands, 1) * hands
        nodes = len(self.planning.groups[k].network.node)
        return Streamed(lambda a, b: draw(a, b, each), last - first, each, nodes)

    def targets_at(self, prices, tilts):
        """Targets at the prices, to the last stage of smoothing, then whole."""
        dual, method, point = self.dual, self.method, self._start()
        if tilts:
            self._add(tilts)
        for stage in method.stages:
            point = dual.at(
                dual.gather(prices), point.targets, stage=stage,
                softness=method.softness * stage, curved=False,
            )  # fmt: skip
        return self._recovery(None).whole(prices, self._targets(point))

    def solve(self) -> Solution:
        """Every phase."""
        self.prepare()
        dual = self.dual
        point = self._start()
        self.plain = dual.rows
        if self._corrects() and self.begun and self.begun.tilts:
            self._bring(self.begun.tilts, self.begun.kept)
        state, free_value = self._ascend(point)
        self.climbed, dear = state, self._dear()
        if self._corrects() and not any(map(len, dear)):
            state = self._corrected(state)
        price, wanted = self._sharpen(state, dear)
        prices = dual.spread(price)
        recovery = self._recovery(state)
        small = self.options.whole_units and self._small() and dual.limited.size
        found = recovery.best(
            prices, wanted, probes=PROBES if small else 1, chain=self.options.chain
        )
        if self.refine is not None and not self._stop():
            tell = lambda cost: self._say("refine", cost, state)
            refined = self.refine(found.targets, found.tolls, tell)
            found = recovery.within(refined, found.tolls)
        _, _, targets, outcomes, tolls, use = found
        cost = sum(o.cost for o in outcomes)
        rations = self._rations(prices, targets)
        overrides = self._overrides(prices, targets)
        kernel = self._kernel_gap(prices, targets, use)
        bound_prices = self._bound_prices(state, prices, dear)
        bound_prices = sound_prices(self.given, bound_prices)
        certificate = certify(
            self._with_room(self.given), self.sample, bound_prices, targets, outcomes,
            use, count=self.options.certify, seed=self.sample.seed, dtype=self._dtype(),
            crew=self.crew,
        )  # fmt: skip
        self._say("bound", certificate.low, state)
        certificate = certificate._replace(kernel=kernel)
        status = self._status(cost, certificate.low, use)
        return Solution(
            status, cost, certificate, free_value, prices, bound_prices, use, targets,
            outcomes, tolls, dual.evaluations, self._lifts(), rations,
            overrides, self.kept, tuple(self.tilts), tuple(self.history),
        )  # fmt: skip

    def _dtype(self):
        """Small problems are planned in float64, to meet oracles to their digits."""
        return jnp.float64 if self._small() else jnp.float32

    def _small(self) -> bool:
        """Whether exact solutions of all cells cost next to nothing."""
        return is_small(self.problem)

    def _method(self) -> AbstractAscent:
        options, stages = self.options, stages_of(self.problem, self.options)
        softness = softness_of(self.problem)
        goal = min(options.gap, 5e-3), options.violation
        if options.method == "newton":
            return Newton(stages, softness, *goal)
        if options.method == "lbfgs":
            return LBFGS(stages, softness, *goal)
        optimiser = {"adam": optax.adam(0.3), "sgd": optax.sgd(1.0)}
        held = sum(
            float(g.items.holding.mean(axis=1).sum()) for g in self.problem.groups
        )
        return FirstOrder(
            optimiser=optimiser[options.method], stages=stages, softness=softness,
            unit=max(held, 1e-9), gap=goal[0], violation=goal[1],
        )  # fmt: skip

    def _start(self):
        """Targets at no price, lifted: prices to begin at belong to their lifts."""
        calibrate = self.options.calibrate
        known = self.begun.lifts if self.begun else ()
        if calibrate and len(known) == len(self.dual.rows):
            self._lift(known)
            calibrate = False
        point = self._free(self.dual.start())
        if calibrate:
            point = self._calibrate(point)
        self.free_value = point.value
        if np.isfinite(self.problem.item_limit).any():
            point = self._choose(point)
        self._carry(point)
        return point

    def _free(self, targets):
        """The dual at no price, searching from the given targets."""
        return self.dual.at(
            np.zeros(self.dual.limited.size), targets, stage=self.method.stages[0],
            softness=self.method.softness, curved=True,
        )  # fmt: skip

    def _choose(self, point):
        """Closes nodes that limit the number of items to all but the best ones, by what
        these save at no price; the bound stays that of the problem as given."""
        dual = self.dual
        benefit = tuple(
            self.dual.by_item(absence_costs(rows, y), k).sum(axis=1)
            for k, (rows, y) in enumerate(zip(dual.rows, point.targets, strict=True))
        )
        self.problem = choose_items(self.problem, benefit)
        self.planning = dual.problem = choose_items(self.planning, benefit)
        dual.rows = tuple(
            rows  # draws the new limits with everything else
            if isinstance(rows, Streamed)
            else replace(
                rows, upper=jnp.minimum(rows.upper, self.dual.by_cell(g.items.upper, k))
            )
            for k, (rows, g) in enumerate(
                zip(dual.rows, self.problem.groups, strict=True)
            )
        )
        return self._free(point.targets)

    def _ascend(self, point):
        """Climbs to the best prices; a keyboard interrupt stops and keeps them."""
        price = self._resume() if self.begun else point.price
        state = self.method.init(self.dual, price, point.targets)
        if self.begun and any(map(np.any, self.tilts)):
            self._see_flows(state, 1.0)
            if (self.seen != 1).any():
                state = self.method.init(self.dual, price, point.targets)
        value = point.value if self.begun else state.point.value
        self._say("ascend", value, state)
        free_value = self.free_value if self.problem is not self.given else value
        return self._climb(self.method, state, self._most()), free_value

    def _most(self) -> int:
        """Evaluations of the dual at most."""
        if self.held:
            return 1
        return self.options.max_evaluations * (3 if self._small() else 1)

    def _resume(self):
        """The prices to go on from; the stages of smoothing before theirs are done."""
        assert self.begun is not None
        stages = self.method.stages
        self.before = min(self.begun.stage, len(stages) - 1)
        self.method = replace(self.method, stages=stages[self.before :])
        return self.dual.gather(self.begun.prices)

    def _sharpen(self, state, chosen):
        """Prices and targets from exact solutions of the items that matter, and the
        tree kernel tilted so that its optimum is there too: it values single units."""
        dual, small = self.dual, self._small()
        if not sum(map(len, chosen)):
            return state.point.price, self._targets(state.point)

        def follow(price, point):
            return dual.at(
                price, point.targets, stage=self.method.stages[-1],
                softness=self.method.softness * self.method.stages[-1], curved=False,
            )  # fmt: skip

        def say(value, over, price) -> bool:
            self._say("exact", value, state, over, price)
            return self._stop()

        found = sharpen(
            self.planning, self.sample, dual, state.point, chosen, self.dual.by_item,
            follow, say, rounds=SMALL_ROUNDS if small else self.options.rounds,
            gap=1e-7 if small else 2e-4, dtype=self._dtype(),
            tolerance=1e-8 if small else 1e-5,
        )  # fmt: skip
        self._tilt(chosen, found)
        return found.price, found.targets

    def _corrected(self, state):
        """Prices and targets that fit greedy fulfilment: rounds of tilting the tree
        kernel to the slopes that K3 has at the targets, and of keeping room.

        The tree kernel bends much as K3 does, but its slopes are off by what pools do
        not see. With the difference added to the charges its optimum at the prices is
        K3's where the rounds settle; half of it a round, since kinks are near. Prices
        that a sample of the items was corrected at are held until the last rounds.
        """
        dual, last = self.dual, replace(self.method, stages=self.method.stages[-1:])
        swing = swings(self.given, self.sample)
        warm, rounds = any(map(np.any, self.tilts)), _rounds(self.options)
        for count in range(rounds):
            moves = not self.held or count >= rounds - HELD
            self._watch()
            if self._stop():
                break
            self._keep_room(state, swing, 0.5 if count or warm else 1.0)
            turned = self._see_flows(state, 0.5 if count else 1.0)
            more = self._misfit(state)
            targets = self._targets(state.point)
            moved = sum(np.abs(a * y).sum() for a, y in zip(more, targets, strict=True))
            self._add(more)
            state = last.init(dual, state.point.price, state.point.targets)
            for _ in range(STEPS if moves else 0):
                if last.terminate(dual, state):
                    break
                state = last.step(dual, state)
            self._say("correct", state.point.value, state)
            small = moved < SETTLED * abs(state.point.value) and turned < FOUND
            if moves and small:
                break
        return state

    def _corrects(self) -> bool:
        """Whether targets are to fit greedy fulfilment in rounds."""
        return _rounds(self.options) > 0 and not self._small()

    def _bring(self, tilts, kept) -> None:
        """Begins with the corrections and the room of an earlier plan."""
        self._add(tilts)
        self._hold_free(kept)

    def _add(self, more) -> None:
        """Adds to what targets are charged, money per unit, by group."""
        self.tilts = [a + b for a, b in zip(self.tilts, more, strict=True)]
        self.dual.rows = tuple(
            with_charge(rows, self.dual.by_cell(x, k).astype(rows.lift.dtype))
            for k, (rows, x) in enumerate(zip(self.dual.rows, more, strict=True))
        )

    def _added(self, state) -> float:
        """What corrections charge the targets of a state: no part of their cost."""
        y = self._targets(state.point)
        return sum(float((a * b).sum()) for a, b in zip(self.tilts, y, strict=True))

    def _misfit(self, state):
        """Half of what the slopes of greedy fulfilment are above those of the tree
        kernel, at the targets and prices of a state; by group.

        A share of what a unit is charged is left to it: with nothing to pay, a node
        would stock without end where others ask less of it than they do now.
        """
        paid, found = self._paid(self.dual.spread(state.point.price)), []
        for k, (group, k3) in enumerate(
            zip(self.planning.groups, self.quick, strict=True)
        ):
            own, items = paid[:, group.network.node], group.items
            stock, ship = use_charges(own, k3.window, items.volume)
            worth = items.holding[:, None, None] - ship
            y = self.dual.by_item(state.point.targets[k], k)
            slope = greedy_slopes(k3, y, window_tolls(own, k3.window), worth)
            seen = self.dual.by_item(state.point.tree_slope[k], k)
            charge = stock + ship.mean(axis=2)
            least = -(1 - LEAST_RENT) * (items.holding[:, None] + charge)
            more = (slope + charge - seen) / 2
            found.append(np.maximum(more, least - self.tilts[k]))
        return found

    def _keep_room(self, state, swing, share: float) -> None:
        """Moves the room kept free a share of the way to what prices ask for."""
        prices = self.dual.spread(state.point.price)
        shipped = tuple(
            np.einsum("i,itn->tn", g.items.volume, self.dual.by_item(s, k).sum(axis=2))
            for k, (g, s) in enumerate(
                zip(self.planning.groups, state.point.sent, strict=True)
            )
        )
        wanted = room_kept(self.given, swing, self.sample.weight, shipped, prices[0])
        self._hold_free(self.kept + share * (wanted - self.kept))

    def _hold_free(self, kept) -> None:
        self.kept = kept
        self.problem, self.planning = map(
            self._with_room, (self.problem, self.planning)
        )
        self.dual.problem = self.planning
        self._limit()

    def _limit(self) -> None:
        """Capacities as the tree kernel is to see them."""
        self.dual.capacity = self.dual.gather(self.planning.capacities * self.seen)

    def _see_flows(self, state, share: float) -> float:
        """Brings flow capacities a share of the way to what the tree kernel is to keep
        for greedy fulfilment to keep them.

        What spills from a home the kernel ships from no node in particular, so that it
        sees a part of the flows only; prices on that part have to hold the whole.
        Where nothing comes near a capacity all is left as it is. Gives the largest
        change of a share, in logarithms.
        """
        if not self.busy:
            return 0.0
        prices = self.dual.spread(state.point.price)
        targets, tolls = self._targets(state.point), self._recovery(state).tolls(prices)
        outcomes = tuple(map(lambda e, y, t: e(y, t), self.quick, targets, tolls))
        use = node_use(self.planning, outcomes, targets, self.dual.carried)[1:]
        capacity = self.planning.capacities[1:]
        near = (use > NEAR * capacity) | (prices[1:] > 0)
        self.busy = bool(near.any())
        if not self.busy:
            return 0.0
        least = np.where(np.isfinite(capacity), 0.01 * capacity, 1.0)
        own = np.maximum(self.dual.spread(state.point.use)[1:], least)
        seen = np.clip(own / np.maximum(use, least), 1 / UNSEEN, UNSEEN)
        turn = (seen / self.seen[1:]) ** share
        self.seen[1:] *= turn
        self._limit()
        return float(np.abs(np.log(turn[near])).max())

    def _with_room(self, problem):
        """The problem with the storage that may be planned on."""
        return eqx.tree_at(lambda p: p.storage, problem, self.given.storage - self.kept)

    def _paid(self, prices):
        """What the nodes' own uses pay at the prices of capacities."""
        return self.problem.paid(prices)

    def _dear(self):
        """The items of each group that make up the share of cost to be solved exactly,
        by the cost of serving and losing that the tree kernel sees."""
        worth = []
        share = 1.0 if self._small() else self.options.polish
        if not share:
            return [np.zeros(0, int) for _ in self.dual.rows]
        for rows, group in zip(self.dual.rows, self.planning.groups, strict=True):
            assert isinstance(rows, Rows)  # what is to be polished is held
            volume = np.asarray(rows.mean, float).sum(axis=(2, 3, 4)).reshape(-1)
            volume = self.crew.gather(volume, len(group.items), rows.volume.shape[1])
            worth.append(volume * group.items.penalty)
        every = np.concatenate(worth)
        order = np.argsort(-every, kind="stable")
        before = np.cumsum(every[order]) - every[order]
        taken = np.zeros(len(every), bool)
        taken[order] = before < share * every.sum()
        ends = np.cumsum([len(w) for w in worth])
        return [np.flatnonzero(t) for t in np.split(taken, ends[:-1])]

    def _tilt(self, chosen, found) -> None:
        """Adds to the charges what makes the exact targets optimal for the tree kernel
        at the exact prices."""
        dual = self.dual
        prices = self._paid(dual.spread(found.price))
        stage = self.method.stages[-1]
        tilted = []
        for k, (rows, items) in enumerate(zip(dual.rows, chosen, strict=True)):
            node = self.planning.groups[k].network.node
            target = self.dual.by_cell(found.targets[k], k)
            mask, rest = (
                np.zeros_like(found.targets[k]),
                np.zeros_like(found.targets[k]),
            )
            mask[items], rest[items] = 1, found.rest[k]
            held = pinned(rows, target)
            seen = dual.look(
                held, prices[:, node], target, stage, self.method.softness * stage
            )
            tilt = self.dual.by_cell(mask, k) * (
                self.dual.by_cell(rest, k) - seen.slope
            )
            tilted.append(replace(rows, tilt=tilt.astype(rows.tilt.dtype)))
        dual.rows = tuple(tilted)

    def _kernel_gap(self, prices, targets, use) -> float:
        """What targets cost above the best whole ones at the prices under the tilted
        tree kernel, unsmoothed, and what room that they leave is worth there."""
        paid, above = self._paid(prices), 0.0
        for k, (y, group) in enumerate(zip(targets, self.problem.groups, strict=True)):
            own = jnp.asarray(paid[:, group.network.node])
            rows, held = self.dual.rows[k], self.dual.by_cell(y, k)
            best = best_whole(rows, held, own)
            more = cell_costs(rows, held, own) - cell_costs(rows, best, own)
            above += float(np.asarray(more, float).sum())
        spare = np.maximum(self.planning.capacities - use, 0)
        value = self.dual.gather(prices) @ self.dual.gather(spare)
        return float(self.crew.totals(np.array(above))[0]) + float(value)

    def _bound_prices(self, state, prices, dear):
        """Prices to prove a bound at: those of exact rounds, else of the tree kernel
        without lifts, which raise prices above what the exact dual asks for."""
        lifts = self._lifts()
        if any(map(len, dear)) or max(lifts) == 1 or not self.dual.limited.size:
            return prices
        tilted, self.dual.rows = self.dual.rows, self.plain
        self._lift([1.0] * len(lifts))
        last = replace(self.method, stages=self.method.stages[-1:])
        price = self.climbed.point.price / max(lifts)
        if self.begun:
            price = self.dual.gather(self.begun.bound_prices)
        start = last.init(self.dual, price, state.point.targets)
        found = self._climb(last, start, max(self._most() // 2, 2), "certify")
        self.dual.rows = tilted
        self._lift(lifts)
        return self.dual.spread(found.point.price)

    def _climb(self, method, state, most, phase="ascend"):
        try:
            while not method.terminate(self.dual, state) and state.steps < most:
                self._watch()
                if self._stop():
                    break
                state = method.step(self.dual, state)
                self._say(phase, state.evaluated.value, state)
        except KeyboardInterrupt:
            self.stopped = True
        if self.stopped or phase != "ascend":
            return state
        return self._steadied(method, state, phase)

    def _steadied(self, method, state, phase):
        """The prices' means over time, of capacities that do not change, if the dual is
        no lower there.

        Where all periods are alike so are the best prices: the dual is concave, and at
        the mean of points that are each other's shifts it is no lower than at them.
        Newton's steps are cut price by price and do not keep that by themselves; prices
        that differ without a cause move targets, and stock cannot leave as they fall.
        """
        dual, point = self.dual, state.point
        capacity, full = self.planning.capacities, dual.spread(point.price)
        same = (capacity == capacity[:, :, :1]).all(axis=2)
        mean = np.where(same[:, :, None], full.mean(axis=2, keepdims=True), full)
        if np.allclose(mean, full, rtol=1e-6, atol=1e-12):
            return state
        stage = method.stages[state.stage]
        steady = dual.at(
            dual.gather(mean), point.targets, stage=stage,
            softness=method.softness * stage, curved=self._curved(),
        )  # fmt: skip
        if steady.value < point.value - 1e-9 * abs(point.value):
            return state
        state = state._replace(point=steady, evaluated=steady, steps=state.steps + 1)
        self._say(phase, steady.value, state)
        return state

    def _watch(self) -> None:
        """Stops when the time is up."""
        limit = self.options.time_limit
        self.stopped |= bool(limit and time.perf_counter() - self.begin > limit)

    def _stop(self) -> bool:
        """Whether to stop, as the first of many processes has it."""
        self.stopped = bool(self.crew.lead(np.array([self.stopped], float))[0])
        return self.stopped

    def _calibrate(self, point):
        """Lifts K1's cost of a shortage to the slope that greedy fulfilment shows.

        K1 sees only a part of what a shortage costs. A tenth more stock, on a sample of
        items, saves so much under K3 and so much under K1: their ratio lifts K1 in
        plans and prices, never in the bound.
        """
        trials = [self._trial(k) for k in range(len(self.dual.rows))]
        for _ in range(LIFTS):
            lifts = [
                trial(self.dual.by_item(y, k))
                for k, (trial, y) in enumerate(zip(trials, point.targets, strict=True))
            ]
            self._lift(lifts)
            point = self._free(point.targets)
        return point

    def _lifts(self) -> tuple[float, ...]:
        return tuple(float(rows.lift) for rows in self.dual.rows)

    def _lift(self, lifts) -> None:
        self.dual.rows = tuple(map(with_lift, self.dual.rows, lifts))

    def _trial(self, k):
        """What a tenth more stock saves under K3 over what it saves under K1."""
        group, count = self.planning.groups[k], self.options.levels
        chunk = min(chunk_items(), len(group.items))
        chunks = -(-len(group.items) // chunk)
        picked = np.unique(np.linspace(0, chunks - 1, min(chunks, 6)).astype(int))
        index = (picked[:, None] * chunk + np.arange(chunk)).ravel()
        index = index[index < len(group.items)]
        part = take_items(group, index)
        one = eqx.tree_at(lambda p: p.groups[k], self.planning, part)
        evaluator = Evaluator(one, k, self.sample)
        rows = build_rows(
            one, part, k, self.sample, count=count, atoms=self.options.atoms,
            dtype=self._dtype(), chunk=chunk, chunks=len(picked),
        )  # fmt: skip
        toll = np.zeros(
            (self.problem.regimes, len(group.network.node), self.problem.periods)
        )

        def ratio(targets) -> float:
            y = targets[index]
            device = in_cells(y, rows)
            held = np.einsum("in,itn->", part.items.holding, 0.1 * y)
            costs = [evaluator(y * f, toll).cost for f in (1.0, 1.1)]
            tree = [float(shortage_cost(rows, device * f)) for f in (1.0, 1.1)]
            saved, seen = costs[0] - costs[1] + held, tree[0] - tree[1]
            return float(np.clip(saved / max(seen, 1e-12), 1.0, MOST_LIFT))

        return ratio

    def _carry(self, point) -> None:
        """Stock that the first receipts build on: the user's, or what the first
        period's unconstrained targets would have left."""
        for k, group in enumerate(self.planning.groups):
            if group.stock is not None:
                left = group.stock.sum(axis=0)
            else:
                left = point.targets[k] - point.sent[k].sum(axis=2)
                rest = self.dual.by_item(left, k)
                left = rest[:, 0].sum(axis=0)
            self.dual.carried[group.network.node] += left

    def _recovery(self, state) -> Recovery:
        """What makes plans of the problem as it is now."""
        return Recovery(
            self.problem, self.dual, self.evaluators, self.quick,
            self.options.whole_units,
            lambda cost, over: self._say("repair", cost, state, over),
        )  # fmt: skip

    def _targets(self, point):
        """Targets of all items at a point of the dual, units."""
        parts = enumerate(point.targets)
        return tuple(self.dual.by_item(y, k) for k, y in parts)

    def _rations(self, prices, targets):
        """Targets at the charges, none above those at a smaller one."""
        stage, found, paid = self.method.stages[-1], [], self._paid(prices)
        for k, charges in enumerate(self.charges):
            rows, node = self.dual.rows[k], self.problem.groups[k].network.node
            y, parts = targets[k], []
            for charge in charges:
                more = self.dual.by_cell(
                    np.broadcast_to(charge[:, None, None], y.shape), k
                )
                part = self.dual.look(
                    with_charge(rows, more), paid[:, node], self.dual.by_cell(y, k),
                    stage, self.method.softness * stage, curved=self._curved(),
                )  # fmt: skip
                y = np.minimum(self.dual.by_item(part.target, k), y)
                parts.append(y)
            found.append(np.stack(parts))
        return tuple(found)

    def _curved(self) -> bool:
        """Whether the ascent's own program has second derivatives: to use it again is
        quicker than to compile one without."""
        return self.options.method == "newton"

    def _overrides(self, prices, targets):
        """What fixed targets cost at the prices, under the tree kernel."""
        found = []
        for k, group in enumerate(self.planning.groups):
            items = group.items
            fixed = (items.lower == items.upper) & (items.upper > 0)
            some = np.flatnonzero(fixed.any(axis=(1, 2)))
            cost = np.zeros(targets[k].shape[:2])
            if len(some):
                more = self._override(k, some, fixed[some], prices, targets[k][some])
                cost[some] = np.where(fixed[some].any(axis=2), more, 0)
            found.append(cost)
        return tuple(found)

    def _override(self, k, some, fixed, prices, targets):
        """What some items cost more with the targets than with those at the prices."""
        group, options = self.planning.groups[k], self.options
        rows = build_rows(
            self.planning, take_items(group, some), k, self.sample,
            count=options.levels, atoms=options.atoms, dtype=self._dtype(),
        )  # fmt: skip
        fill = lambda y: jnp.asarray(in_cells(y, rows))
        free, held = fill(fixed.astype(float)) > 0, fill(targets)
        most = 8 * rows.anchor.sum(axis=2, keepdims=True) + 20
        rows = replace(
            rows,
            lift=jnp.asarray(self._lifts()[k], rows.lift.dtype),
            lower=jnp.where(free, 0, rows.lower),
            upper=jnp.where(free, jnp.maximum(most, rows.upper), rows.upper),
        )
        own = jnp.asarray(self._paid(prices)[:, group.network.node])
        stage = self.method.stages[-1]
        best = self.dual.look(rows, own, held, stage, self.method.softness * stage)
        best = best_whole(rows, best.target, own)
        more = cell_costs(rows, held, own) - cell_costs(rows, best, own)
        return np.asarray(more, float).reshape(-1, self.problem.periods)[: len(some)]

    def _status(self, cost, bound, use) -> str:
        if violation(self.problem, use) > 0:
            return "over_capacity"
        if (cost - bound) <= self.options.gap * abs(cost):
            return "optimal_within_gap"
        return "stopped" if self.stopped else "gap_above_target"

    def _say(self, phase, value, state, over=None, price=None) -> None:
        price = state.point.price if price is None else price
        if phase in ("ascend", "correct") and any(map(np.any, self.tilts)):
            value -= self._added(state)
        now = residuals(self.dual, state.point)
        seen = residuals(self.dual, state.evaluated)
        line = Progress(
            phase, self.dual.evaluations, value,
            seen.violation if over is None else over, now.slack,
            int((price > 1e-9).sum()), time.perf_counter() - self.begin,
        )  # fmt: skip
        self.history.append(line)
        if self.keep is not None and phase in ("ascend", "exact"):
            prices, lifts = self.dual.spread(price), self._lifts()
            stage, count = self.before + state.stage, self.dual.evaluations
            self.keep(Place(prices, prices / max(lifts), stage, count, lifts))
        if self.callback is not None and self.callback(line):
            self.stopped = True


def _rounds(options: Solver) -> int:
    """Rounds of corrections: none beside exact solutions, nor without calibration, from
    whose slopes they would run away."""
    return options.corrections if options.calibrate and not options.polish else 0


def is_small(problem: Problem) -> bool:
    """Whether exact solutions of all cells cost next to nothing."""
    work = sum(len(g.items) * g.network.unit_cost.size for g in problem.groups)
    return work * problem.periods <= SMALL


def stages_of(problem: Problem, options: Solver) -> tuple[float, ...]:
    """Falling widths of the smoothing; small problems go on to narrow ones."""
    stages = tuple(options.smoothing)
    while is_small(problem) and stages[-1] > 0.03:
        stages = (*stages, 0.3 * stages[-1])
    return stages


def softness_of(problem: Problem) -> float:
    """Temperature of the choice between nodes, money per unit, at stage 1."""
    costs = [
        g.network.unit_cost[np.isfinite(g.network.unit_cost)] for g in problem.groups
    ]
    every = np.concatenate(costs)
    return 0.02 * max(float(np.median(every)) if every.size else 0.0, 1e-3)


def coarse_group(group: Group, limit: int = CLASSES) -> Group:
    """The group with no more than `limit` demand classes."""
    network, items = group.network, group.items
    demand = group.demand
    regional = np.bincount(demand.region, demand.quantity, group.regions)
    volume = np.bincount(
        network.part_class,
        network.part_share * regional[network.part_region],
        len(network.home),
    )
    coarse = coarsen(
        network, volume, limit=limit, weight=float(np.median(items.weight)),
        late_cost=float(np.median(items.late_cost)),
        penalty=float(np.median(items.penalty)),
    )  # fmt: skip
    return eqx.tree_at(lambda g: g.network, group, coarse)

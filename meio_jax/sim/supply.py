"""Orders and receipts: what policies ask for, what suppliers send, what docks take."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from meio_jax.kernels.kinks import larger
from meio_jax.sim.passing import let_pass
from meio_jax.sim.period import Now, Period, World, changed, share_of
from meio_jax.sim.system import State, System, View


def look(system: System, state: State, period: Int[Array, ""]) -> View:
    """What a policy sees of a state."""
    coming = state.pipeline.sum(axis=0) + state.waiting
    asked = state.owed.sum(axis=0)
    backlog = jnp.zeros_like(asked)
    if len(state.backlog):
        backlog = jax.ops.segment_sum(
            state.backlog.sum(axis=0), system.home, len(system.parent)
        )
    owed, below = jnp.zeros_like(asked), state.on_hand + coming - backlog
    for parent, nodes in reversed(system.children.items()):
        index = np.array(nodes)
        owed = owed.at[parent].add(asked[index].sum(axis=0))
        below = below.at[parent].add(below[index].sum(axis=0))
    position = state.on_hand + coming + asked - owed - backlog
    return View(
        period, state.on_hand, coming + asked, owed, backlog, position, below + asked
    )


def order(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Policies order by what they see, nodes before their suppliers; unfilled orders of
    before grow older."""
    states, ledgers, orders = [], [], []
    every = zip(
        world.systems, world.policies, now, period.states, period.ledgers, strict=True
    )
    for system, policy, today, state, ledger in every:
        state = changed(state, owed=_older(state.owed))
        depths, placed = _depths(system), jnp.zeros_like(state.on_hand)
        wrong = (today.lead < 0) | (today.lead > len(state.pipeline))
        wrong = wrong.any(axis=(0, 1))
        for depth in reversed(range(int(depths.max()) + 1)):
            rows = _rows(np.flatnonzero(depths == depth))
            units = policy.order(look(system, state, today.period))[rows]
            fine = (units >= 0) & (units < jnp.inf)
            wrong |= ~fine.all(axis=(0, 1))
            units = jnp.where(fine, units, 0)
            units = jnp.ceil(units - 1e-4) if system.whole else units
            placed = placed.at[rows].set(units)
            if depth:
                state = changed(state, owed=state.owed.at[0, rows].add(units))
        states.append(state)
        orders.append(_outside(system, placed))
        ledgers.append(
            ledger._replace(
                ordered=placed.sum(axis=1), wrong=wrong.astype(placed.dtype)
            )
        )
    return period._replace(
        states=tuple(states), ledgers=tuple(ledgers), orders=tuple(orders)
    )


def receive(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Suppliers send, and what is due arrives: those nearest to the outside first."""
    states, sent = list(period.states), list(period.orders)
    got = [jnp.zeros_like(x.on_hand) for x in states]
    depths = [_depths(system) for system in world.systems]
    paths = got[0].shape[2]
    room = jnp.broadcast_to(
        period.rooms.inbound[:, None], (len(period.rooms.inbound), paths)
    )
    out = period.rooms.outbound
    for depth in range(max(int(d.max()) for d in depths) + 1):
        tier = [_rows(np.flatnonzero(d == depth)) for d in depths]
        due = [
            x.pipeline[0, rows] + x.waiting[rows] + _after(0, units[rows], n.lead[rows])
            for x, units, n, rows in zip(states, sent, now, tier, strict=True)
        ]
        place = [s.place[rows] for s, rows in zip(world.systems, tier, strict=True)]
        near, (room, out) = let_pass(
            world.systems, tier, due, (room, out), now[0].period
        )
        taken, room = admit(world.systems, place, near, room, now[0].period)
        for k, (system, rows) in enumerate(zip(world.systems, tier, strict=True)):
            state = changed(
                states[k],
                on_hand=states[k].on_hand.at[rows].add(taken[k]),
                waiting=states[k].waiting.at[rows].set(due[k] - taken[k]),
            )
            got[k] = got[k].at[rows].set(taken[k])
            for parent in np.flatnonzero(depths[k] == depth).tolist():
                if parent in system.children:
                    share = share_of(system, now[k].period)
                    state, units = _supply(system, state, parent, share)
                    sent[k] = sent[k].at[_rows(system.children[parent])].set(units)
            states[k] = state
    moved, ledgers = [], []
    for k, (system, state) in enumerate(zip(world.systems, states, strict=True)):
        moved.append(
            changed(state, pipeline=_move(state.pipeline, sent[k], now[k].lead))
        )
        held = state.on_hand + state.deferred
        volume = jnp.einsum("i,nip->np", system.volume, held)
        ledgers.append(
            period.ledgers[k]._replace(received=got[k].sum(axis=1), volume=volume)
        )
    return period._replace(
        states=tuple(moved), ledgers=tuple(ledgers),
        orders=tuple(map(jnp.zeros_like, got)),
        rooms=period.rooms._replace(outbound=out),
    )  # fmt: skip


def _rows(nodes) -> np.ndarray | slice:
    """Nodes as a slice where they are one, which XLA need not gather."""
    nodes = np.asarray(nodes)
    if len(nodes) and np.array_equal(nodes, np.arange(nodes[0], nodes[-1] + 1)):
        return slice(int(nodes[0]), int(nodes[-1]) + 1)
    return nodes


def _depths(system: System) -> np.ndarray:
    depth = np.zeros(len(system.parent), int)
    for node, parent in enumerate(system.parent):
        depth[node] = depth[parent] + 1 if parent >= 0 else 0
    return depth


def _outside(system: System, units):
    outside = np.array(system.parent) < 0
    return units * outside[:, None, None].astype(units.dtype)


def _after(steps, units, lead):
    """What of the units arrives so many periods after it was sent."""
    return jnp.where(lead == steps, units, 0)


def _move(pipeline, sent, lead):
    """The pipeline when the next period starts: what was sent in this one joins it."""
    left = [*pipeline[1:], jnp.zeros_like(sent)]
    return jnp.stack([x + _after(k + 1, sent, lead) for k, x in enumerate(left)])


def _supply(system: System, state: State, parent: int, share):
    """A supplier sends what it owes, the oldest orders first, as far as stock goes."""
    rows = _rows(system.children[parent])
    stock, owed = state.on_hand[parent], state.owed
    units = jnp.zeros_like(owed[0, rows])
    for age in reversed(range(len(owed))):
        want = jnp.moveaxis(owed[age, rows], 1, 0)  # items children paths
        sent = jnp.moveaxis(share(stock, want), 0, 1)
        stock = stock - sent.sum(axis=0)
        owed = owed.at[age, rows].add(-sent)
        units = units + sent
    on_hand = state.on_hand.at[parent].set(stock)
    return changed(state, on_hand=on_hand, owed=owed), units


def admit(systems: tuple[System, ...], places, due, room, period):
    """What docks take of what is due at some nodes, and the room that is left.

    Buildings are shared by systems and docks by items, in proportion to what is due.

    Args:
      systems: whose nodes they are.
      places: building of each of these nodes, by system.
      due: units, "nodes items paths", by system.
      room: units that each building still takes, "buildings paths".
      period: which.
    """
    total = jnp.zeros_like(room)
    most = [units.sum(axis=1) for units in due]
    for place, units in zip(places, most, strict=True):
        total = total.at[place].add(units)
    over = total > room
    part = jnp.where(over, room, 1) / jnp.where(over, total, 1)
    taken = []
    for system, place, want, units in zip(systems, places, due, most, strict=True):
        cut = units * part[place]
        cut = jnp.floor(cut + 1e-3) if system.whole else cut
        cut = jnp.where(over[place], cut, units)
        room = larger(room.at[place].add(-cut), 0.0)  # real units round
        taken.append(share_of(system, period)(cut, want))
    return taken, room


def _older(ages):
    """The ages a period later; what has the last age keeps it."""
    if len(ages) == 1:
        return ages
    last = ages[-2:].sum(axis=0, keepdims=True)
    return jnp.concatenate([jnp.zeros_like(last), ages[:-2], last])

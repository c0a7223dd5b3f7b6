"""One period as a chain of phases: order, receive, sell, charge.

The conventions of the default chain: orders are placed at the start of a period by
what is on hand and on order, nodes before their suppliers, who see them; what was sent
`lead` periods ago arrives, suppliers before those that they supply, so that a lead of 0
arrives at once; demand comes by slots of the period and is served greedily; what is
left is charged. Textbooks that order after demand put the phases in another order
(`AFTER_DEMAND`).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.fulfill import Routes, fulfill, share_out, share_whole, take
from meio_jax.kernels.orders import (
    Orders,
    Served,
    Tries,
    by_class,
    by_item,
    fulfill_orders,
)
from meio_jax.sim.policy import AbstractPolicy, at_period
from meio_jax.sim.system import State, System, View


class Now(NamedTuple):
    """One period's inputs to one system.

    Attributes:
      period: which period.
      demand: units of each class, or orders of the parts of the period.
      lead: periods until what is sent now arrives.
      regime: regime of load.
      routes: the order in which fulfilment tries pairs in each regime, by class where
        demand is orders; None where every class is served by its home alone.
    """

    period: Int[Array, ""]
    demand: Float[Array, "classes items paths"] | Orders
    lead: Int[Array, "nodes paths"]
    regime: Int[Array, " paths"]
    routes: Routes | Tries | None


class Rooms(NamedTuple):
    """Capacities of one period, as `Limits`; what is shipped is taken off."""

    storage: Float[Array, " buildings"]
    inbound: Float[Array, " buildings"]
    outbound: Float[Array, "buildings paths"]
    overage: Float[Array, " buildings"]
    waiting: Float[Array, " buildings"]


class Ledger(NamedTuple):
    """What a period costs one system and what happens in it, on every path.

    Attributes:
      money: of each part of `COSTS`.
      demand: units of each class.
      served: units shipped of each class, deferred ones included.
      on_time: units of each class that keep their promise: of what is shipped in a
        period, those who waited for stock count as the late ones first.
      local: units of each class shipped from its home.
      near: units of each class shipped from its home's first pool, the home included.
      ordered: units ordered by each node.
      received: units received by each node.
      shipped: units shipped to customers by each node.
      on_hand: units at each node when charged.
      volume: volume on hand after receipts.
      wrong: whether an order was negative or not finite, or a lead time negative or
        longer than the state's pipeline.
    """

    money: Float[Array, "costs paths"]
    demand: Float[Array, "classes paths"]
    served: Float[Array, "classes paths"]
    on_time: Float[Array, "classes paths"]
    local: Float[Array, "classes paths"]
    near: Float[Array, "classes paths"]
    ordered: Float[Array, "nodes paths"]
    received: Float[Array, "nodes paths"]
    shipped: Float[Array, "nodes paths"]
    on_hand: Float[Array, "nodes paths"]
    volume: Float[Array, "nodes paths"]
    wrong: Float[Array, " paths"]


COSTS = (
    "holding", "transit", "waiting", "shipping", "late", "lost", "backorder", "overage",
)  # fmt: skip


class Period(NamedTuple):
    """All systems in one period: what phases hand on to each other.

    Attributes:
      states: of each system.
      ledgers: of each system, so far.
      orders: placed outside and not sent yet, by system.
      rooms: capacities, and what of outbound is left.
    """

    states: tuple[State, ...]
    ledgers: tuple[Ledger, ...]
    orders: tuple[Float[Array, "nodes items paths"], ...]
    rooms: Rooms


class World(NamedTuple):
    """What does not change in a period: systems, their policies, how demand comes.

    Attributes:
      systems: coupled by the buildings that they share.
      policies: of each system.
      slots: parts of a period in which its demand comes.
    """

    systems: tuple[System, ...]
    policies: tuple[AbstractPolicy, ...]
    slots: int = 1


Phase = Callable[[World, tuple[Now, ...], Period], Period]


def start_period(world: World, states, rooms: Rooms) -> Period:
    """A period of which nothing has happened yet."""
    paths = states[0].on_hand.shape[2]
    room = jnp.broadcast_to(rooms.outbound[:, None], (len(rooms.storage), paths))
    ledgers = tuple(_blank(s, x) for s, x in zip(world.systems, states, strict=True))
    orders = tuple(jnp.zeros_like(x.on_hand) for x in states)
    return Period(states, ledgers, orders, rooms._replace(outbound=room))


def _blank(system: System, state: State) -> Ledger:
    dtype, paths = state.on_hand.dtype, state.on_hand.shape[2]
    classes, nodes = len(system.home), len(state.on_hand)
    by_class, by_node = jnp.zeros((classes, paths), dtype), jnp.zeros((nodes, paths))
    by_node = by_node.astype(dtype)
    money = jnp.zeros((len(COSTS), paths), dtype)
    return Ledger(
        money, demand=by_class, served=by_class, on_time=by_class, local=by_class,
        near=by_class, ordered=by_node, received=by_node, shipped=by_node,
        on_hand=by_node, volume=by_node, wrong=jnp.zeros(paths, dtype),
    )  # fmt: skip


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
        state = _replace(state, owed=_older(state.owed))
        depths, placed = _depths(system), jnp.zeros_like(state.on_hand)
        wrong = ((today.lead < 0) | (today.lead > len(state.pipeline))).any(axis=0)
        for depth in reversed(range(int(depths.max()) + 1)):
            rows = _rows(np.flatnonzero(depths == depth))
            units = policy.order(look(system, state, today.period))[rows]
            fine = (units >= 0) & (units < jnp.inf)
            wrong |= ~fine.all(axis=(0, 1))
            units = jnp.where(fine, units, 0)
            units = jnp.ceil(units - 1e-4) if system.whole else units
            placed = placed.at[rows].set(units)
            if depth:
                state = _replace(state, owed=state.owed.at[0, rows].add(units))
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
    for depth in range(max(int(d.max()) for d in depths) + 1):
        tier = [_rows(np.flatnonzero(d == depth)) for d in depths]
        due = [
            x.pipeline[0, rows] + x.waiting[rows] + _after(0, units[rows], n.lead[rows])
            for x, units, n, rows in zip(states, sent, now, tier, strict=True)
        ]
        taken, room = _admit(world, tier, due, room, now[0].period)
        for k, (system, rows) in enumerate(zip(world.systems, tier, strict=True)):
            state = _replace(
                states[k],
                on_hand=states[k].on_hand.at[rows].add(taken[k]),
                waiting=states[k].waiting.at[rows].set(due[k] - taken[k]),
            )
            got[k] = got[k].at[rows].set(taken[k])
            for parent in np.flatnonzero(depths[k] == depth).tolist():
                if parent in system.children:
                    share = _share(system, now[k].period)
                    state, units = _supply(system, state, parent, share)
                    sent[k] = sent[k].at[_rows(system.children[parent])].set(units)
            states[k] = state
    moved, ledgers = [], []
    for k, (system, state) in enumerate(zip(world.systems, states, strict=True)):
        moved.append(
            _replace(state, pipeline=_move(state.pipeline, sent[k], now[k].lead))
        )
        held = state.on_hand + state.deferred
        volume = jnp.einsum("i,nip->np", system.volume, held)
        ledgers.append(
            period.ledgers[k]._replace(received=got[k].sum(axis=1), volume=volume)
        )
    return period._replace(
        states=tuple(moved), ledgers=tuple(ledgers),
        orders=tuple(map(jnp.zeros_like, got)),
    )  # fmt: skip


def _rows(nodes) -> np.ndarray | slice:
    """Nodes as a slice where they are one, which XLA need not gather."""
    nodes = np.asarray(nodes)
    if len(nodes) and np.array_equal(nodes, np.arange(nodes[0], nodes[-1] + 1)):
        return slice(int(nodes[0]), int(nodes[-1]) + 1)
    return nodes


def _share(system: System, period) -> Callable[[Array, Array], Array]:
    """How what is scarce is shared; odd units go round by the golden ratio."""
    if not system.whole:
        return share_out
    return lambda most, want: share_whole(most, want, _turn(period, want.dtype))


def _turn(period, dtype):
    return jnp.mod(period * jnp.asarray(0.6180339887, dtype), 1)


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
    return jnp.where((lead == steps)[:, None, :], units, 0)


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
    return _replace(state, on_hand=on_hand, owed=owed), units


def _admit(world: World, tier, due, room, period):
    """What docks take of what is due at some nodes, and the room that is left.

    Buildings are shared by systems and docks by items, in proportion to what is due.
    """
    total = jnp.zeros_like(room)
    most = [units.sum(axis=1) for units in due]
    for system, units, rows in zip(world.systems, most, tier, strict=True):
        total = total.at[system.place[rows]].add(units)
    over = total > room
    part = jnp.where(over, room, 1) / jnp.where(over, total, 1)
    taken = []
    for system, want, units, rows in zip(world.systems, due, most, tier, strict=True):
        place = system.place[rows]
        cut = units * part[place]
        cut = jnp.floor(cut + 1e-3) if system.whole else cut
        cut = jnp.where(over[place], cut, units)
        room = jnp.maximum(room.at[place].add(-cut), 0)  # real units round
        taken.append(_share(system, period)(cut, want))
    return taken, room


def sell(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Deferred shipments leave, then demand is served slot by slot; what finds stock
    but no room to be shipped is deferred, what finds no stock waits or is lost."""
    period = _send_deferred(world, now, period)

    def part(period, slot):
        for k, system in enumerate(world.systems):
            demand = _part(now[k], slot, world.slots)
            period = _serve(
                system, world.policies[k], now[k]._replace(demand=demand), k, period
            )
        return period, None

    if world.slots == 1:
        period, _ = part(period, 0)
    else:
        period, _ = lax.scan(part, period, jnp.arange(world.slots))
    states, ledgers = [], []
    for system, state, ledger in zip(
        world.systems, period.states, period.ledgers, strict=True
    ):
        if system.patience > 0:
            state, gone = _give_up(state)
            lost = _money("lost", system.lost_cost @ gone.sum(axis=0))
            ledger = ledger._replace(money=ledger.money + lost)
        states.append(state)
        ledgers.append(ledger)
    return period._replace(states=tuple(states), ledgers=tuple(ledgers))


def _part(now: Now, slot, slots: int):
    """The demand of a part of a period."""
    if not isinstance(now.demand, Orders):
        return _slot(now.demand, slot, slots, now.period) if slots > 1 else now.demand
    if len(now.demand.lane) != slots:
        raise ValueError("orders are laid out for another number of slots")
    return jax.tree.map(lambda x: x[slot], now.demand)


def _slot(demand, slot, slots: int, period):
    """The part of a period's demand that comes in a slot: each unit in one of them,
    whole units whole, by systematic sampling, the same for all paths."""
    key = jax.random.fold_in(jax.random.key(0), period)
    start = jax.random.uniform(key, (*demand.shape[:2], 1), demand.dtype)
    until = lambda k: jnp.floor(demand * (k / slots) + start)
    whole = demand == jnp.floor(demand)
    return jnp.where(whole, until(slot + 1) - until(slot), demand / slots)


def _send_deferred(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Shipments put off before take room first; those put off again pay again."""
    states, ledgers, room = [], [], period.rooms.outbound
    for system, today, state, ledger in zip(
        world.systems, now, period.states, period.ledgers, strict=True
    ):
        share = _share(system, today.period)
        sent = share(room[system.place], state.deferred)
        units = sent.sum(axis=1)
        room = room.at[system.place].add(-units)
        states.append(_replace(state, deferred=state.deferred - sent))
        ledgers.append(ledger._replace(shipped=ledger.shipped + units))
    rooms = period.rooms._replace(outbound=room)
    return period._replace(states=tuple(states), ledgers=tuple(ledgers), rooms=rooms)


class _Sale(NamedTuple):
    """What a slot ships: units by node, class and promise, and money.

    Unmet units are by class, or of all classes where demand is orders.
    """

    left: Float[Array, "nodes items paths"]
    unmet: Float[Array, "asked items paths"]
    room: Float[Array, "nodes paths"]
    deferred: Float[Array, "nodes items paths"]
    shipped: Float[Array, "nodes paths"]
    served: Float[Array, "classes paths"]
    on_time: Float[Array, "classes paths"]
    local: Float[Array, "classes paths"]
    near: Float[Array, "classes paths"]
    shipping: Float[Array, " paths"]
    late: Float[Array, " paths"]


def _serve(system, policy, now: Now, k: int, period: Period) -> Period:
    state, ledger = period.states[k], period.ledgers[k]
    room, backlog = period.rooms.outbound[system.place], state.backlog
    if isinstance(now.demand, Orders):
        sale = _on_orders(system, policy, now, state.on_hand, room)
        demand = by_class(now.demand, len(system.home), room.shape[1])
        fresh, waited = sale.unmet, jnp.zeros((1, 1, 1), room.dtype)
    else:
        asked = now.demand + backlog.sum(axis=0)
        if now.routes is None:
            sale = _at_home(system, now, state.on_hand, asked, room)
        else:
            sale = _on_routes(system, policy, now, state.on_hand, asked, room)
        met, demand = asked - sale.unmet, now.demand.sum(axis=1)
        backlog = _take_oldest(backlog, met)
        waited = (state.backlog - backlog).sum(axis=0)
        fresh = now.demand - (met - waited)
    money = _money("shipping", sale.shipping) + _money("late", sale.late)
    if system.patience == 0:
        money += _money("lost", system.lost_cost @ fresh.sum(axis=0))
    else:
        backlog = backlog.at[0].add(fresh)
    state = _replace(
        state, on_hand=sale.left, backlog=backlog,
        deferred=state.deferred + sale.deferred,
    )  # fmt: skip
    ledger = ledger._replace(
        money=ledger.money + money,
        demand=ledger.demand + demand,
        served=ledger.served + sale.served,
        on_time=ledger.on_time + jnp.maximum(sale.on_time - waited.sum(axis=1), 0),
        local=ledger.local + sale.local,
        near=ledger.near + sale.near,
        shipped=ledger.shipped + sale.shipped,
    )
    rooms = period.rooms
    rooms = rooms._replace(outbound=rooms.outbound.at[system.place].set(sale.room))
    put = lambda values, value: (*values[:k], value, *values[k + 1 :])
    return period._replace(
        states=put(period.states, state), ledgers=put(period.ledgers, ledger),
        rooms=rooms,
    )  # fmt: skip


def _at_home(system: System, now: Now, stock, asked, room) -> _Sale:
    """Every class is one node's own: no search, no order among classes."""
    if len(system.home) != len(stock):
        raise ValueError("without routes every node has one class, in the same order")
    ready = take(stock, asked)
    sent = _share(system, now.period)(room, ready)
    pay = _pay(system, jnp.arange(len(stock)), jnp.arange(len(stock)))
    units, sold = sent.sum(axis=1), ready.sum(axis=1)
    return _Sale(
        stock - ready, asked - ready, room - units, ready - sent, units, sold, units,
        sold, sold, jnp.einsum("ni,nip->p", pay, ready), jnp.zeros_like(units[0]),
    )  # fmt: skip


def _pay(system: System, node, klass):
    """Money per unit of each pair and item."""
    pair = (system.unit_cost, system.cost_per_weight, system.days_late)
    pair = tuple(x[node, klass][:, None] for x in pair)
    return serve_cost(pair, system.weight[None], system.late_cost[None])


def _on_routes(system, policy, now: Now, stock, asked, room) -> _Sale:
    """Greedy fulfilment in each regime of load; paths of other regimes stand still."""
    routes = now.routes
    assert isinstance(routes, Routes)
    regimes, sale, share = len(routes.klass), None, _share(system, now.period)
    for k in range(regimes):
        route = jax.tree.map(lambda x, k=k: x[k], routes)
        here = (now.regime == k).astype(stock.dtype)
        want = asked if regimes == 1 else asked * here
        part = _route(system, policy, now.period, route, stock, want, room, share)
        if sale is not None:
            add = jax.tree.map(jnp.add, part, sale)
            part = add._replace(left=part.left, room=part.room)
        sale, stock, room = part, part.left, part.room
    assert sale is not None
    return sale


def _route(system, policy, period, route: Routes, stock, want, room, share) -> _Sale:
    pay = _pay(system, route.node, route.klass)
    pay = jnp.where(route.used[:, None], pay, jnp.inf)
    away = (route.level > 0)[:, None]
    kept = at_period(policy.reserve, period)
    keep = jnp.where(away, kept[route.node], 0).astype(stock.dtype)
    lost = jnp.maximum(system.lost_cost, jnp.where(system.wait_cost > 0, jnp.inf, 0))
    late = system.late_cost

    def tell(sent, pay):
        return sent.sum(axis=0), pay @ sent, late @ sent

    ship = lambda stock, want, room: fulfill(
        stock, want, route.klass, route.node, pay, lost, keep, tell, room, share
    )
    now = ship(stock, want, room)
    short = jnp.any((now.room < 1) & jnp.any(now.left > 0, axis=1))
    nothing = now._replace(told=jax.tree.map(jnp.zeros_like, now.told))
    later = lax.cond(
        short & jnp.any(now.unmet > 0),
        lambda: ship(now.left, now.unmet, jnp.full_like(room, jnp.inf))._replace(
            room=now.room
        ),
        lambda: nothing,
    )
    by_class = lambda x: jax.ops.segment_sum(x, route.klass, len(system.home))
    units, paid, dues = now.told
    more, paid_more, dues_more = later.told
    days = system.days_late[route.node, route.klass][:, None]
    sold, on_time = units + more, jnp.where(days > 0, 0, units)
    late = (days * (dues + dues_more)).sum(axis=0)
    return _Sale(
        later.left, later.unmet, now.room, now.left - later.left,
        jax.ops.segment_sum(units, route.node, len(stock)),
        by_class(sold), by_class(on_time), by_class(jnp.where(away, 0, sold)),
        by_class(jnp.where((route.level > 1)[:, None], 0, sold)),
        (paid + paid_more).sum(axis=0) - late, late,
    )  # fmt: skip


def _on_orders(system, policy, now: Now, stock, room) -> _Sale:
    """Greedy fulfilment of orders; what finds stock but no room is deferred."""
    if system.patience:
        raise ValueError("orders are lost where they find no stock: patience must be 0")
    tries = now.routes
    assert isinstance(tries, Tries)
    assert isinstance(now.demand, Orders)
    service = jnp.stack(
        [system.unit_cost, system.cost_per_weight, system.days_late], axis=-1
    )
    service = jnp.where(jnp.isfinite(service[..., :1]), service, 0)
    item = jnp.stack([system.weight, system.late_cost, system.lost_cost], axis=1)
    none = jnp.zeros((len(system.home), room.shape[1]), stock.dtype)
    turn = _turn(now.period, stock.dtype) if system.whole else None
    kept = at_period(policy.reserve, now.period)

    def attempt(state, room):
        stock, orders, needed = state
        levels = tries.turn.shape[1]
        done = lax.cond(
            needed,
            lambda: fulfill_orders(
                stock, orders, tries, service, item, kept, room, turn
            ),
            lambda: Served(
                stock, orders, jnp.stack([by_class(orders, *none.shape)] * levels),
                none, none[0], none[0], room,
            ),
        )  # fmt: skip
        short = jnp.any((done.room < 1) & jnp.any(done.left > 0, axis=1))
        needed = short & jnp.any(done.orders.units > 0)
        return (done.left, done.orders, needed), done._replace(orders=None)

    orders = now.demand._replace(units=now.demand.units.astype(stock.dtype))
    rooms = jnp.stack([room, jnp.full_like(room, jnp.inf)])
    state = stock, orders, jnp.asarray(True)
    (left, orders, _), done = lax.scan(attempt, state, rooms)
    # a level's share of what is unmet before it, of both attempts
    asked = by_class(now.demand, *none.shape)
    before = jnp.stack([asked, done.unmet[0, -1]])
    up_to = lambda level: (before - done.unmet[:, level]).sum(axis=0)
    near = min(1, done.unmet.shape[1] - 1)
    late = done.late.sum(axis=0)
    return _Sale(
        left, by_item(orders, *stock.shape[1:])[None], done.room[0],
        done.left[0] - left, (stock - done.left[0]).sum(axis=1),
        up_to(-1), done.prompt[0], up_to(0), up_to(near),
        done.paid.sum(axis=0) - late, late,
    )  # fmt: skip


def charge(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Costs of what is on hand, on its way, outside, deferred and waited for."""
    rooms, ledgers = period.rooms, []
    limit = rooms.storage[:, None]
    volume = jnp.zeros_like(rooms.outbound)
    for system, ledger in zip(world.systems, period.ledgers, strict=True):
        volume = volume.at[system.place].add(ledger.volume)
    over = rooms.overage @ jnp.maximum(volume - limit, 0)
    for k, (system, state, ledger) in enumerate(
        zip(world.systems, period.states, period.ledgers, strict=True)
    ):
        held = state.on_hand + state.deferred
        outside = state.waiting.sum(axis=1)
        late = system.days * (system.late_cost @ state.deferred.sum(axis=0))
        money = (
            _money("holding", jnp.einsum("ni,nip->p", system.holding, held))
            + _money(
                "transit", jnp.einsum("ni,lnip->p", system.transit, state.pipeline)
            )
            + _money("waiting", rooms.waiting[system.place] @ outside)
            + _money("late", late)
            + _money("backorder", system.wait_cost @ state.backlog.sum(axis=(0, 1)))
        )
        if k == 0:
            money += _money("overage", over)
        ledgers.append(
            ledger._replace(money=ledger.money + money, on_hand=held.sum(axis=1))
        )
    return period._replace(ledgers=tuple(ledgers))


def settle(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Customers who wait get what has arrived since demand was served."""
    for k, system in enumerate(world.systems):
        demand = now[k].demand
        if isinstance(demand, Orders):
            continue  # nobody waits
        today = now[k]._replace(demand=jnp.zeros_like(demand))
        period = _serve(system, world.policies[k], today, k, period)
    return period


DEFAULT: tuple[Phase, ...] = (order, receive, sell, charge)
AFTER_DEMAND: tuple[Phase, ...] = (sell, order, receive, settle, charge)


def _money(part: str, amount):
    """A column of costs with one part in it."""
    row = COSTS.index(part)
    return jnp.zeros((len(COSTS), *amount.shape), amount.dtype).at[row].set(amount)


def _replace(state: State, **changes) -> State:
    return State(**{**vars(state), **changes})


def _older(ages):
    """The ages a period later; what has the last age keeps it."""
    if len(ages) == 1:
        return ages
    last = ages[-2:].sum(axis=0, keepdims=True)
    return jnp.concatenate([jnp.zeros_like(last), ages[:-2], last])


def _take_oldest(ages, units):
    """What is left of each age when units are taken, the oldest first."""
    if not len(ages):
        return ages
    left = []
    for age in reversed(range(len(ages))):
        taken = take(ages[age], units)
        units = units - taken
        left.append(ages[age] - taken)
    return jnp.stack(left[::-1])


def _give_up(state: State):
    """Customers who have waited as long as they will leave; the others wait on."""
    backlog = state.backlog
    kept = jnp.concatenate([jnp.zeros_like(backlog[:1]), backlog[:-1]])
    return _replace(state, backlog=kept), backlog[-1]

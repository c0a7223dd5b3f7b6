"""Demand by parts of a period: served, deferred, waiting or lost."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.fulfill import Routes, fulfill, take
from meio_jax.kernels.orders import (
    Orders,
    Served,
    Tries,
    by_class,
    by_item,
    fulfill_orders,
)
from meio_jax.sim.period import (
    Now,
    Period,
    World,
    changed,
    money_of,
    share_of,
    turn_of,
)
from meio_jax.sim.policy import at_period
from meio_jax.sim.system import State, System


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
            lost = money_of("lost", system.lost_cost @ gone.sum(axis=0))
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
        share = share_of(system, today.period)
        sent = share(room[system.place], state.deferred)
        units = sent.sum(axis=1)
        room = room.at[system.place].add(-units)
        states.append(changed(state, deferred=state.deferred - sent))
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
    money = money_of("shipping", sale.shipping) + money_of("late", sale.late)
    if system.patience == 0:
        money += money_of("lost", system.lost_cost @ fresh.sum(axis=0))
    else:
        backlog = backlog.at[0].add(fresh)
    state = changed(
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
    sent = share_of(system, now.period)(room, ready)
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
    regimes, sale, share = len(routes.klass), None, share_of(system, now.period)
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
    turn = turn_of(now.period, stock.dtype) if system.whole else None
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


def settle(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Customers who wait get what has arrived since demand was served."""
    for k, system in enumerate(world.systems):
        demand = now[k].demand
        if isinstance(demand, Orders):
            continue  # nobody waits
        today = now[k]._replace(demand=jnp.zeros_like(demand))
        period = _serve(system, world.policies[k], today, k, period)
    return period


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
    return changed(state, backlog=kept), backlog[-1]

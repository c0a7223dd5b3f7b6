"""The phase in which depots order from vendors and send nodes what they ask for."""

import jax.numpy as jnp
from jax import lax

from meio_jax.sim.depots import Depots, Upstream, split_orders, whole_orders
from meio_jax.sim.period import DepotLedger, Now, Period, World, changed, money_of
from meio_jax.sim.supply import admit, look
from meio_jax.supply.ration import divided


def feed(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Orders to vendors, what of them arrives, and what depots send of it.

    Comes after nodes have ordered and before they receive: of what a node asks for it
    is sent what its depot has; what is left is asked for again in the next period, as
    its position is below its target. What nodes get from outside is not touched.
    """
    masks, above, bought, base, due = [], [], [], [], []
    for system, depots, today, state in zip(
        world.systems, world.depots, now, period.states, strict=True
    ):
        mask = _mask(depots)
        position = look(system, state, today.period).position
        assert state.above is not None
        assert today.vendor is not None
        upstream, sure = _base(
            depots, mask, position, today.period, state.above, today.vendor
        )
        units, upstream = _order(
            depots, mask, position, today.period, upstream, today.vendor
        )
        masks.append(mask)
        above.append(upstream)
        bought.append(units)
        base.append(sure)
        due.append(upstream.coming[today.period] + upstream.waiting)
    place = [depots.place for depots in world.depots]
    room = period.rooms.inbound[:, None] + jnp.zeros_like(due[0][0, :1])
    taken, _ = admit(world.systems, place, due, room, now[0].period)
    states, orders, ledgers = list(period.states), list(period.orders), []
    volume = jnp.zeros_like(room)
    for k, (system, depots) in enumerate(zip(world.systems, world.depots, strict=True)):
        state, t = states[k], now[k].period
        upstream = _received(above[k], t, due[k], taken[k])
        held = state.on_hand + state.pipeline.sum(axis=0) + state.waiting
        sent = _send(depots, masks[k], t, upstream.store, held, orders[k], system.whole)
        fed = masks[k].sum(axis=0)[:, :, None]
        store = upstream.store - _total(masks[k], sent)
        orders[k] = orders[k] * (1 - fed) + sent
        states[k] = changed(
            state, above=Upstream(store, upstream.coming, upstream.waiting)
        )
        space = jnp.einsum("i,dip->dp", system.volume, store)
        volume = volume.at[depots.place].add(space)
        money = money_of("holding", jnp.einsum("di,dip->p", depots.holding, store))
        money += money_of("buying", depots.premium @ bought[k])
        ledger = period.ledgers[k]
        ledgers.append(
            ledger._replace(
                money=ledger.money + money,
                ordered=orders[k].sum(axis=1),
                depots=DepotLedger(
                    (bought[k] + base[k]).sum(axis=0)[None],
                    taken[k].sum(axis=1),
                    store.sum(axis=1),
                    space,
                    sent.sum(axis=(0, 1))[None],
                ),
            )
        )
    rooms = period.rooms
    over = rooms.overage @ jnp.maximum(volume - rooms.storage[:, None], 0)
    ledgers[0] = ledgers[0]._replace(money=ledgers[0].money + money_of("overage", over))
    return period._replace(
        states=tuple(states), orders=tuple(orders), ledgers=tuple(ledgers)
    )


def _mask(depots: Depots):
    """1 where a depot supplies an item to a node, "depots nodes items"."""
    rows = jnp.arange(len(depots.place))[:, None, None]
    return (depots.source[None] == rows).astype(depots.share.dtype)


def _total(mask, units):
    """Units of nodes, "nodes items paths", over those of each depot."""
    return jnp.stack([(row[:, :, None] * units).sum(axis=0) for row in mask])


def _spread(mask, values):
    """Every node's value of its depot; 0 where it has none."""
    rows = zip(mask, values, strict=True)
    return sum(row[:, :, None] * value for row, value in rows)


def _order(depots: Depots, mask, position, period, above: Upstream, chance):
    """What is ordered from vendors now, and the depots with it on its way.

    The lead time of an order is a quantile of its vendor's law, the same for all
    policies, rounded up or down at random so that its mean stays.
    """
    echelon = above.store + above.on_order + _total(mask, position)
    outside = (position * (1 - mask.sum(axis=0))[:, :, None]).sum(axis=0)
    units = whole_orders(depots, period, echelon.sum(axis=0) + outside)
    split = split_orders(depots, units, echelon)
    return units, _under_way(above, split, depots.lead, chance, period)


def _base(depots: Depots, mask, position, period, above: Upstream, chance):
    """The depots with what a vendor sends in every period on its way, and how much."""
    if depots.base is None:
        return above, 0.0
    units = depots.base.now(period)[:, None] + jnp.zeros_like(chance)
    echelon = above.store + above.on_order + _total(mask, position)
    split = split_orders(depots, units, echelon)
    return _under_way(above, split, depots.base.lead, chance, period), units


def _under_way(above: Upstream, split, law, chance, period) -> Upstream:
    """The depots with orders on their way."""
    draws = law.shape[1]
    place = jnp.minimum(jnp.floor(chance * draws), draws - 1)
    lead = jnp.take_along_axis(law, place.astype(int), axis=1)
    lead = jnp.floor(lead + (chance * draws - place))
    arrival = jnp.minimum(period + lead, len(above.coming) - 1)
    when = jnp.arange(len(above.coming), dtype=arrival.dtype)[:, None, None]
    coming = above.coming + jnp.where(when == arrival, 1, 0)[:, None] * split
    return Upstream(above.store, coming, above.waiting)


def _received(above: Upstream, period, due, taken) -> Upstream:
    coming = above.coming.at[period].set(0)
    return Upstream(above.store + taken, coming, due - taken)


def _send(depots: Depots, mask, period, stock, held, asked, whole: bool):
    """What depots send of what is asked for; whole units stay whole."""
    want = asked * mask.sum(axis=0)[:, :, None]
    last = depots.along.shape[1] - 1
    along = depots.along[:, jnp.minimum(period, last), :, :, None]

    def scarce():
        given = divided(
            along, held, want, stock, lambda x: _total(mask, x),
            lambda x: _spread(mask, x),
        )  # fmt: skip
        return _whole(mask, given) if whole else given

    short = (_total(mask, want) > stock).any()
    return lax.cond(short, scarce, lambda: want)


def _whole(mask, given):
    """Whole units whose running sums over a depot's nodes are those given, cut."""

    def step(left, node):
        row, units = node
        total = units + (row[:, :, None] * left).sum(axis=0)
        out = jnp.floor(total + 1e-3)
        return jnp.where(row[:, :, None] > 0, total - out, left), out

    none = jnp.zeros((len(mask), *given.shape[1:]), given.dtype)
    return lax.scan(step, none, (jnp.moveaxis(mask, 1, 0), given))[1]

"""One period as a chain of phases: order, receive, sell, charge.

The conventions of the default chain: orders are placed at the start of a period by
what is on hand and on order, nodes before their suppliers, who see them; what was sent
`lead` periods ago arrives, suppliers before those that they supply, so that a lead of 0
arrives at once; demand comes by slots of the period and is served greedily; what is
left is charged. Textbooks that order after demand put the phases in another order
(`AFTER_DEMAND`). Where depots with decisions of their own supply the nodes, they order
and send between the nodes' orders and receipts (`DEPOTS`).
"""

import jax.numpy as jnp

from meio_jax.kernels.kinks import larger
from meio_jax.sim.feed import feed
from meio_jax.sim.period import Now, Period, Phase, World, money_of
from meio_jax.sim.sell import sell, settle
from meio_jax.sim.supply import order, receive


def charge(world: World, now: tuple[Now, ...], period: Period) -> Period:
    """Costs of what is on hand, on its way, outside, deferred and waited for."""
    rooms, ledgers = period.rooms, []
    limit = rooms.storage[:, None]
    volume = jnp.zeros_like(rooms.outbound)
    for system, ledger in zip(world.systems, period.ledgers, strict=True):
        volume = volume.at[system.place].add(ledger.volume)
    over = rooms.overage @ larger(volume - limit, 0.0)
    for k, (system, state, ledger) in enumerate(
        zip(world.systems, period.states, period.ledgers, strict=True)
    ):
        held = state.on_hand + state.deferred
        outside = state.waiting.sum(axis=1)
        late = system.days * (system.late_cost @ state.deferred.sum(axis=0))
        money = (
            money_of("holding", jnp.einsum("ni,nip->p", system.holding, held))
            + money_of(
                "transit", jnp.einsum("ni,lnip->p", system.transit, state.pipeline)
            )
            + money_of("waiting", rooms.waiting[system.place] @ outside)
            + money_of("late", late)
            + money_of("backorder", system.wait_cost @ state.backlog.sum(axis=(0, 1)))
        )
        if k == 0:
            money += money_of("overage", over)
        ledgers.append(
            ledger._replace(money=ledger.money + money, on_hand=held.sum(axis=1))
        )
    return period._replace(ledgers=tuple(ledgers))


DEFAULT: tuple[Phase, ...] = (order, receive, sell, charge)
DEPOTS: tuple[Phase, ...] = (order, feed, receive, sell, charge)
AFTER_DEMAND: tuple[Phase, ...] = (sell, order, receive, settle, charge)

"""What targets and shipments use of the capacities, cell by cell, and what it costs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Use(NamedTuple):
    """Use of one resource by every item and period.

    Attributes:
      resource: 0 storage, 1 inbound, 2 and on the outbound of each regime.
      later: periods after the cell's own in which it is used.
      amount: volume of storage, else units; inbound may be negative: what is left of a
        period need not be bought in the next.
    """

    resource: int
    later: int
    amount: Float[np.ndarray, "items periods nodes"]


def cell_use(
    volume: Float[np.ndarray, " items"],
    on_hand: Float[np.ndarray, "items periods nodes"],
    target: Float[np.ndarray, "items periods nodes"],
    sent: Float[np.ndarray, "items periods regimes nodes"],
) -> tuple[Use, ...]:
    """What each item and period uses, short of the first period's starting stock.

    Args:
      volume: of a unit.
      on_hand: stock when a period starts, units; the rest of a target is on its way.
      target: units.
      sent: shipments of a period in each regime, times the regime's share, units.
    """
    left = sent.sum(axis=2) - target  # what the next order need not bring
    stored = volume[:, None, None] * on_hand
    outbound = (Use(2 + k, 0, sent[:, :, k]) for k in range(sent.shape[2]))
    return Use(0, 0, stored), Use(1, 0, target), Use(1, 1, left), *outbound


def on_hand(
    window: Float[np.ndarray, " nodes"],
    target: Float[np.ndarray, "items periods nodes"],
    sent: Float[np.ndarray, "items periods regimes nodes"],
) -> Float[np.ndarray, "items periods nodes"]:
    """Stock when a period starts: of the periods that an order protects, all but one
    period's shipments are on their way."""
    return target - (window - 1) * sent.sum(axis=2)


def total_use(uses: tuple[Use, ...]) -> Float[np.ndarray, "resources nodes periods"]:
    """Use by all items together."""
    _, periods, nodes = uses[0].amount.shape
    total = np.zeros((1 + max(u.resource for u in uses), nodes, periods))
    for resource, later, amount in uses:
        total[resource, :, later:] += amount.sum(axis=0).T[:, : periods - later]
    return total


def use_cost(
    uses: tuple[Use, ...], prices: Float[np.ndarray, "resources nodes periods"]
) -> Float[np.ndarray, "items periods"]:
    """What the uses of each item and period cost at the prices, money."""
    total = np.zeros(uses[0].amount.shape[:2])
    for resource, later, amount in uses:
        price = np.pad(prices[resource].T[later:], ((0, later), (0, 0)))
        total += (amount * price).sum(axis=2)
    return total


def use_charges(
    prices: Float[np.ndarray, "resources nodes periods"],
    window: Float[np.ndarray, " nodes"],
    volume: Float[np.ndarray, " items"],
) -> tuple[
    Float[np.ndarray, "items periods nodes"],
    Float[np.ndarray, "items periods regimes nodes"],
]:
    """What a unit of a target, and a window shipment in each regime, pay for what they
    use, money: as `lagrangian.charges`, without holding.

    Args:
      prices: storage, inbound and the outbound of each regime, money per unit.
      window: mean periods that an order of each node protects.
      volume: of a unit of each item.
    """
    later = np.pad(prices[1][:, 1:], ((0, 0), (0, 1))).T
    room = volume[:, None, None] * prices[0].T
    ship = np.moveaxis(prices[2:], 2, 0) + later[:, None]
    ship = ship - (window - 1) * room[:, :, None]
    return room + prices[1].T - later, ship / window


def window_tolls(
    prices: Float[np.ndarray, "resources nodes periods"],
    window: Float[np.ndarray, " nodes"],
) -> Float[np.ndarray, "regimes nodes periods"]:
    """Price of a window shipment in each regime from each node in each period.

    What is shipped uses outbound now and inbound when it is bought again.

    Args:
      prices: storage, inbound and the outbound of each regime, money per unit.
      window: mean periods that an order of each node protects.
    """
    later = np.pad(prices[1][:, 1:], ((0, 0), (0, 1)))
    return (prices[2:] + later) / window[:, None]

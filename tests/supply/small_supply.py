"""Small supplies made in code: depots, lanes, offers, state."""

import numpy as np

from meio_jax.supply.chain import Lanes, Offers, Supply
from meio_jax.supply.levels import Choice, Curve


def lanes(
    depots: int, nodes: int, *, lead=0.0, capacity=np.inf, multiple=1.0, cost=1.0
):
    full = lambda x: np.broadcast_to(np.asarray(x, float), (depots, nodes)).copy()
    none = np.zeros((depots, nodes))
    return Lanes(
        full(cost), none, none, full(lead), full(capacity), full(multiple),
        np.full((depots, nodes), -1),
    )  # fmt: skip


def offers(
    item, depots: int, *, lead=2.0, cost=1.0, least=0.0, multiple=1.0, capacity=np.inf,
    review=1, vendor=None,
):  # fmt: skip
    item = np.asarray(item, int)
    full = lambda x: np.broadcast_to(np.asarray(x, float), item.shape).copy()
    return Offers(
        item, np.arange(len(item)) if vendor is None else np.asarray(vendor),
        np.ones((len(item), depots), bool), full(cost),
        np.repeat(full(lead)[:, None], 8, axis=1), full(least), full(multiple),
        full(capacity), np.full(len(item), review), np.full(len(item), -1),
        np.zeros(len(item)),
    )  # fmt: skip


def supply(items: int, depots: int, nodes: int, periods: int, **given) -> Supply:
    made = {
        "depot": np.arange(depots),
        "lanes": lanes(depots, nodes),
        "offers": offers(np.arange(items), depots),
        "holding": np.full((items, depots), 0.1),
        "stock": None,
        "due": np.zeros((items, depots, periods)),
        "vendor": np.full((items, nodes), -1),
        "unit_cost": np.ones((items, nodes)),
    }
    return Supply(**made | given)


def curve(targets, price=4.0) -> Curve:
    """Rationing in proportion, at a price that falls evenly."""
    y = np.asarray(targets, float)[None] * np.array([0, 0.5, 1.0]).reshape(3, 1, 1, 1)
    stock = y.sum(axis=3).transpose(1, 2, 0)
    return Curve(np.tile([price, price / 2, 0], (y.shape[1], 1)), y, stock)


def choice(offer, level) -> Choice:
    level = np.asarray(level, float)
    none = np.zeros(level.shape)
    return Choice(np.asarray(offer), level, none, none, np.full(len(level), np.inf))

"""A catalogue made in code: any number of items on a seeded network of buildings.

Big buildings stand at random places of a square land, small same-day sites beside the
densest regions. Customers want a unit within two days or on the same day; what a
building can promise and what shipping costs hang on the distance.
"""

import numpy as np

from meio_jax.network import build_network
from meio_jax.problem import Demand, Group, Items, Problem

LAND = 3_000.0  # km, side of the square
REACH = 60.0  # km of a same-day route
SPEEDS = (0.85, 0.15)  # share of two-day and of same-day orders
LATE = 0.4  # money per unit and day late


def network(nodes: int, regions: int, seed: int = 0):
    """Three of four buildings big, the others same-day sites; two speeds.

    Args:
      nodes: buildings.
      regions: regions of demand.
      seed: of places and shares.

    Returns:
      The network and each region's share of demand.
    """
    rng = np.random.default_rng([seed, nodes, regions])
    town = rng.uniform(0, LAND, (regions, 2))
    share = rng.dirichlet(np.full(regions, 2.0))
    big = max(3 * nodes // 4, 1)
    place = rng.uniform(0, LAND, (nodes, 2))
    densest = np.argsort(-share)[np.arange(nodes - big) % regions]
    place[big:] = town[densest] + rng.normal(0, 10, (nodes - big, 2))
    apart = np.linalg.norm(place[:, None] - town[None], axis=2)
    standard = 4.0 + 2.5e-3 * apart
    standard[big:] = np.where(apart[big:] < 150, 3.5, np.inf)
    days = np.maximum(np.ceil(apart / 800) - 2, 0)
    fast = np.where(apart < REACH, 5.0 + 0.02 * apart, standard + 1.0)
    late = np.where(apart < REACH, 0, 1 + days)
    volume = np.concatenate([share * s for s in SPEEDS])
    return build_network(
        node=np.arange(nodes), unit_cost=np.hstack([standard, fast]),
        cost_per_weight=0.2 * np.hstack([apart, apart]) / LAND,
        days_late=np.hstack([days, late]), region=np.tile(np.arange(regions), 2),
        speed=np.repeat([0, 1], regions), share=np.repeat(SPEEDS, regions),
        volume=volume, weight=1.0, late_cost=LATE,
        lead_mean=np.full(nodes, 1.0), lead_std=np.zeros(nodes),
    ), share  # fmt: skip


def histories(rate, share, slots: int, seed: int) -> Demand:
    """Poisson units of every item and slot, each of a region drawn by its share; only
    cells with demand are kept.

    Args:
      rate: mean units of each item in a period.
      share: of each region.
      slots: periods of history.
      seed: of the draws.
    """
    rng = np.random.default_rng([seed, 7])
    units = rng.poisson(np.repeat(rate, slots))
    row = np.repeat(np.arange(len(units)), units)
    region = np.searchsorted(np.cumsum(share), rng.random(len(row)))
    place = row * len(share) + np.minimum(region, len(share) - 1)
    place, count = np.unique(place, return_counts=True)
    row, region = np.divmod(place, len(share))
    item, slot = np.divmod(row, slots)
    start = np.searchsorted(item, np.arange(len(rate) + 1))
    slot, region = slot.astype(np.int32), region.astype(np.int32)
    quantity = count.astype(np.float32)
    return Demand(start, slot, region, quantity, np.zeros_like(quantity))


def problem(
    items: int,
    *,
    nodes: int = 40,
    periods: int = 13,
    regions: int = 60,
    slots: int = 52,
    season: float = 0.0,
    seed: int = 0,
) -> Problem:
    """Items with Poisson histories under storage, inbound and outbound capacities.

    Rates are lognormal: half of the items sell fewer than 20 units a period. Storage
    holds a period's own demand and one root of the window's, of every item; a tenth of
    the buildings has three quarters of that. Flows have 15 % to spare.

    Args:
      items: number of items.
      nodes: buildings.
      periods: planned.
      regions: of demand.
      slots: periods of history.
      season: share by which every capacity swings over the periods; where it does not,
        all periods are alike and one is planned for all.
      seed: of everything.
    """
    made, share = network(nodes, regions, seed)
    rng = np.random.default_rng([seed, 1])
    rate = rng.lognormal(np.log(20.0), 1.0, items)
    volume = rng.lognormal(np.log(0.02), 0.6, items)
    value = rng.lognormal(np.log(25.0), 0.8, items)
    cube = items, periods, nodes
    catalogue = Items(
        position=np.arange(items), key=rng.integers(0, 2**62, items), volume=volume,
        weight=rng.lognormal(0.0, 0.5, items), penalty=8.0 + 0.4 * value,
        late_cost=np.full(items, LATE),
        holding=np.repeat(0.005 * value[:, None], nodes, axis=1),
        lower=np.broadcast_to(0.0, cube), upper=np.broadcast_to(np.inf, cube),
    )  # fmt: skip
    own = np.zeros(nodes)
    by_part = share[made.part_region] * made.part_share
    np.add.at(own, made.home[made.part_class], by_part)
    flow = 1.15 * np.maximum(own, 0.2 / nodes) * rate.sum()
    window = 2 * rate[:, None] * own  # a period of lead time and one more
    stock = volume @ (window / 2 + np.sqrt(window) + 0.2 / nodes)
    stock = stock * np.where(np.arange(nodes) % 10 == 9, 0.75, 1.0)
    swing = 1 - season * np.sin(np.arange(periods))
    over = lambda x: x[:, None] * swing
    return Problem(
        groups=(Group(made, catalogue, histories(rate, share, slots, seed), None),),
        storage=over(stock), inbound=over(flow), outbound=over(flow),
        item_limit=np.full((nodes, periods), np.inf), weight=np.zeros(0),
        kind="history", slots=slots,
    )  # fmt: skip

"""From whom to buy each item and up to which level, within what depots can hold.

One problem an item, offer and period (`kernels.buy`), coupled by the room of depots,
their docks and the budget, whose prices climb on the exact concave dual by L-BFGS-B:
its slope is use less capacity. A depot's room has one price over the horizon, since
levels above a lead time of months cannot follow weeks; docks and budget have one a
period.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from meio_jax.kernels.buy import Ration, Terms, buy_cost, order_up_to
from meio_jax.problem import Group
from meio_jax.supply.chain import Limits, Supply
from meio_jax.supply.draws import LeadDemand

POINTS = 8  # of the price of rationing
BATCH = 64  # offers solved at once
EVALUATIONS = 60  # of the dual at most
CLOSE = 2e-3  # share of a capacity that levels keep below it, and prices aim within


def charges_of(group: Group) -> Float[np.ndarray, "points items"]:
    """Prices of rationing to find targets at, money per unit and period: from next to
    nothing to what a lost unit costs, in even ratios."""
    items = group.items
    top = np.maximum(items.penalty, 1e-9)
    low = np.clip(0.25 * items.holding.mean(axis=1), 1e-4 * top, 0.5 * top)
    step = np.linspace(0, 1, POINTS)[:, None]
    return low * (top / low) ** step


class Curve(NamedTuple):
    """How stock of a group's items is rationed.

    Attributes:
      price: of allocatable stock, money per unit and period, descending to 0.
      target: units of each node at these prices.
      stock: their sum.
    """

    price: Float[np.ndarray, "items points"]
    target: Float[np.ndarray, "points items periods nodes"]
    stock: Float[np.ndarray, "items periods points"]


def curve_of(
    targets: Float[np.ndarray, "items periods nodes"],
    rations: Float[np.ndarray, "points items periods nodes"],
    charges: Float[np.ndarray, "points items"],
) -> Curve:
    """Targets along the price of allocatable stock, from none to those of the plan.

    Args:
      targets: of the plan, units: at no price of rationing.
      rations: at the charges; at the last one nothing is stocked.
      charges: as from `charges_of`.
    """
    y = np.concatenate([0 * targets[None], rations[-2::-1], targets[None]])
    price = np.concatenate([charges[::-1], 0 * charges[:1]])
    return Curve(price.T, y, y.sum(axis=3).transpose(1, 2, 0))


def lost_part(group: Group, wait: Float[np.ndarray, " offers"]):
    """The part of a price of rationing that counts while an order is on its way.

    The fulfilment layer spreads a penalty over the m periods that its orders protect;
    here L more are protected. With backorders the penalty is that of every period and
    counts in full. With lost sales it is p / (L + m), the lower end of the bracket of
    Huh et al. (2009), which is best as p grows: it is within two units of the best
    base-stock levels of lost-sales systems (`tests/kernels/test_buy.py`), and cheaper
    than the bracket's middle where lead times are long (`experiments/layers`).

    Args:
      group: lost sales, or customers who wait.
      wait: mean periods from an order to what it serves.
    """
    if group.waits:
        return np.ones_like(wait)
    spread = group.network.spread
    return np.minimum(spread / (wait + spread), 1)


class Case(NamedTuple):
    """The buying problems of one group, offers leading.

    Attributes:
      demand: of lead times, units.
      arrival: period that each draw serves.
      prob: of draws.
      stock: points of the price of rationing of each offer's item, units.
      price: at these, money per unit and period.
      part: of the price that counts.
      reserve: money per unit and period kept at depots.
      share: of an order that goes to each depot.
      mean: mean demand of a period less what a base sends, units.
      spent: money per period for that.
      start: inventory position when the plan starts, units; nan where not known.
      unit_cost: money per unit.
      volume: of a unit.
      depot: position of each depot among all.
      typical: period that an order of each period serves, mostly; the last for later.
      inside: 1 where that is within the horizon.
    """

    demand: Float[np.ndarray, "offers periods draws"]
    arrival: Int[np.ndarray, "offers periods draws"]
    prob: Float[np.ndarray, " draws"]
    stock: Float[np.ndarray, "offers periods points"]
    price: Float[np.ndarray, "offers points"]
    part: Float[np.ndarray, " offers"]
    reserve: Float[np.ndarray, " offers"]
    share: Float[np.ndarray, "offers depots"]
    mean: Float[np.ndarray, "offers periods"]
    spent: Float[np.ndarray, " offers"]
    start: Float[np.ndarray, " offers"]
    unit_cost: Float[np.ndarray, " offers"]
    volume: Float[np.ndarray, " offers"]
    depot: Int[np.ndarray, " depots"]
    typical: Int[np.ndarray, "offers periods"]
    inside: Float[np.ndarray, "offers periods"]

    def take(self, chosen: Int[np.ndarray, " chosen"]) -> "Case":
        """The chosen offers alone."""
        same = {"prob", "depot"}
        rows = {k: v[chosen] for k, v in self._asdict().items() if k not in same}
        return self._replace(**rows)


def make_case(
    group: Group,
    supply: Supply,
    lead: LeadDemand,
    curve: Curve,
    share: Float[np.ndarray, "offers depots"],
) -> Case:
    """The buying problems of a group.

    Args:
      group: the group.
      supply: what lies above it.
      lead: demand over the offers' lead times.
      curve: how stock is rationed below.
      share: of an order that goes to each depot.
    """
    offers, items = supply.offers, group.items
    item = offers.item
    wait = offers.lead.mean(axis=1) + (offers.review - 1) / 2
    start = np.full(len(items), np.nan)
    spent = offers.rate * offers.unit_cost[offers.base] if offers.size else wait
    periods = lead.mean.shape[1]
    when = np.arange(periods) + np.median(lead.wait, axis=1).astype(int)[:, None]
    if supply.stock is not None and group.stock is not None:
        start = supply.stock.sum(1) + supply.due.sum((1, 2)) + group.stock.sum(1)
    return Case(
        lead.demand, lead.arrival, lead.prob, curve.stock[item], curve.price[item],
        lost_part(group, wait), (share * supply.holding[item]).sum(axis=1), share,
        lead.mean - offers.rate[:, None], spent, start[item], offers.unit_cost,
        items.volume[item], supply.depot,
        np.minimum(when, periods - 1), (when < periods).astype(float),
    )  # fmt: skip


class Charge(NamedTuple):
    """What prices of depots and of the budget add to the terms of a case.

    Attributes:
      reserve: money per unit and period kept at depots.
      level: money per unit of the level.
      base: money that does not hang on levels.
    """

    reserve: Float[np.ndarray, "offers periods"]
    level: Float[np.ndarray, "offers periods"]
    base: float


class Bought(NamedTuple):
    """`kernels.buy.Buy` of every offer and period, on the host."""

    level: Float[np.ndarray, "offers periods"]
    cost: Float[np.ndarray, "offers periods"]
    kept: Float[np.ndarray, "offers periods"]


def best_levels(case: Case, charge: Charge | None = None) -> Bought:
    """The best level of every offer and period; the fields have these axes. Where all
    periods are alike one is solved."""
    f = lambda x: jnp.asarray(x, jnp.float32)
    none = np.zeros(case.mean.shape)
    reserve, level = (charge.reserve, charge.level) if charge else (none, none)
    hangs = case.demand, case.stock, reserve, level  # on the period
    same = all((x == x[:, :1]).all() for x in hangs)
    cut = np.s_[:, :1] if same else np.s_[:]
    found = _levels(
        f(case.demand[cut]), jnp.asarray(case.arrival[cut]), f(case.prob),
        f(case.stock), f(case.price),
        f(np.broadcast_to(case.part[:, None], none.shape)[cut]),
        f(case.reserve[:, None] + reserve[cut]), f(level[cut]),
    )  # fmt: skip
    wide = lambda x: np.broadcast_to(np.asarray(x, float), none.shape).copy()
    return Bought(*map(wide, found))


def level_costs(case: Case, period: int, level: Float[np.ndarray, " offers"]):
    """C of a level of each offer in a period, money per period."""
    f = lambda x: jnp.asarray(x, jnp.float32)
    arrival = case.arrival[:, period]
    stock = np.take_along_axis(case.stock, arrival[:, :, None], axis=1)
    price = np.broadcast_to(case.price[:, None], stock.shape)
    terms = Terms(f(case.part), f(case.reserve), f(0 * case.part))
    found = _costs(
        f(level), f(case.demand[:, period]), f(case.prob), Ration(f(stock), f(price)),
        terms,
    )  # fmt: skip
    return np.asarray(found, float)


@jax.jit
def _levels(demand, arrival, prob, stock, price, part, reserve, charge):
    def one(demand, arrival, stock, price, part, reserve, charge):
        def period(demand, arrival, part, reserve, charge):
            points = stock[arrival]
            ration = Ration(points, jnp.broadcast_to(price, points.shape))
            terms = Terms(part, reserve, charge)
            return order_up_to(demand, prob, ration, terms, jnp.asarray(1e9))

        return jax.vmap(period)(demand, arrival, part, reserve, charge)

    rows = demand, arrival, stock, price, part, reserve, charge
    return lax.map(lambda row: one(*row), rows, batch_size=BATCH)


_costs = jax.jit(jax.vmap(buy_cost, (0, 0, None, 0, 0)))


class Choice(NamedTuple):
    """What to hold above the nodes of a group.

    Attributes:
      offer: of each item; -1 where it has none.
      level: echelon order-up-to level: all that is on hand and on order, at depots and
        below, units.
      kept: units expected to stay at depots when an order's time comes.
      cost: of scarcity and of what is kept, money per period.
      rival: what the next best offer costs more, purchases included, money per period;
        inf where there is no other.
    """

    offer: Int[np.ndarray, " items"]
    level: Float[np.ndarray, "items periods"]
    kept: Float[np.ndarray, "items periods"]
    cost: Float[np.ndarray, "items periods"]
    rival: Float[np.ndarray, " items"]


class Prices(NamedTuple):
    """Prices of what is limited above fulfilment, money per unit of it; and uses."""

    price: Limits
    use: Limits


def choose(
    cases: tuple[Case, ...],
    items: tuple[Int[np.ndarray, " offers"], ...],
    counts: tuple[int, ...],
    limits: Limits,
    unreached: tuple[Float[np.ndarray, " offers"], ...],
    frozen: Limits | None = None,
) -> tuple[tuple[Choice, ...], Prices]:
    """Offers and levels of all items at prices at which depots and budget suffice.

    Each item takes the offer that costs least a period at no price: purchases, scarcity
    and what is kept; one that reaches more of the demand goes first. Levels then keep
    within the limits in expectation, as far as orders that are still to be placed can.

    Args:
      cases: of each group.
      items: item of each offer.
      counts: items of each group.
      limits: of depots and budget.
      unreached: units a period that an offer cannot bring to where they are asked for.
      frozen: prices to choose levels at, instead of seeking them.
    """
    picked, rivals, free = [], [], []
    for case, item, count, lost in zip(cases, items, counts, unreached, strict=True):
        every = best_levels(case)
        worth = case.unit_cost * case.mean.mean(axis=1) + every.cost.mean(axis=1)
        worth = worth + case.spent
        offer, rival = _cheapest(item, worth + 1e3 * case.price[:, 0] * lost, count)
        picked.append(offer)
        rivals.append(rival)
        free.append(Bought(*(x[offer[offer >= 0]] for x in every)))
    chosen = tuple(
        case.take(offer[offer >= 0]) for case, offer in zip(cases, picked, strict=True)
    )
    if frozen is None:
        price, buys = _climb(chosen, limits, tuple(free))
    elif not any(x.any() for x in frozen):
        buys = tuple(free)
        price = Prices(frozen, use_of(chosen, buys, limits))
    else:
        charges = [charge_of(case, _one_row(frozen)) for case in chosen]
        buys = tuple(map(best_levels, chosen, charges))
        price = Prices(frozen, use_of(chosen, buys, limits))
    found = []
    for buy, offer, rival, case in zip(buys, picked, rivals, chosen, strict=True):
        parts = np.zeros((3, len(offer), case.mean.shape[1]))
        parts[:, offer >= 0] = buy.level, buy.kept, buy.cost
        found.append(Choice(offer, parts[0], parts[1], parts[2], rival))
    return tuple(found), price


def _cheapest(item, worth, count: int):
    """The offer of least worth of each item, and what the next one costs more."""
    order = np.lexsort((worth, item))
    item, worth = item[order], worth[order]
    first = np.diff(item, prepend=-1) != 0
    offer, rival = np.full(count, -1), np.full(count, np.inf)
    offer[item[first]] = order[first]
    second = ~first & np.r_[False, first[:-1]]
    least = np.zeros(count)
    least[item[first]] = worth[first]
    rival[item[second]] = worth[second] - least[item[second]]
    return offer, rival


def use_of(cases, buys, limits: Limits) -> Limits:
    """What levels use of depots and budget, in expectation."""
    storage, inbound = (np.zeros(limits.storage.shape) for _ in range(2))
    budget = np.zeros(limits.budget.shape)
    for case, buy in zip(cases, buys, strict=True):
        order = orders_of(case, buy.level)
        budget += case.unit_cost @ order
        row, column = np.nonzero(case.share > 0)
        depot = case.depot[column][:, None]
        part = case.share[row, column][:, None]
        when = case.typical[row]
        np.add.at(inbound, (depot, when), part * (case.inside * order)[row])
        kept = case.volume * buy.kept.mean(axis=1)
        storage[case.depot] += (case.share.T @ kept)[:, None]
    return Limits(storage, inbound, budget)


def orders_of(case: Case, level) -> Float[np.ndarray, "offers periods"]:
    """Expected orders: what brings the position of the period before to the level."""
    before = np.roll(level - case.mean, 1, axis=1)
    unknown = level[:, 0] - case.mean.mean(axis=1)
    before[:, 0] = np.where(np.isnan(case.start), unknown, case.start)
    return level - before


def charge_of(case: Case, price: Limits) -> Charge:
    """What prices add to the terms of a case: the transpose of `use_of`."""
    when = case.typical
    room = price.storage[case.depot].sum(axis=1)  # one price, in one of the periods
    reserve = case.volume[:, None] * (case.share @ room)[:, None]
    reserve = np.broadcast_to(reserve, when.shape)
    dock = np.einsum("od,otd->ot", case.share, price.inbound[case.depot].T[when])
    dock = case.inside * dock
    money = dock + case.unit_cost[:, None] * price.budget
    after = np.roll(money, -1, axis=1)
    after[:, -1] = 0
    order = orders_of(case, np.zeros(case.mean.shape))
    return Charge(reserve, money - after, float((money * order).sum()))


def _climb(cases, limits: Limits, free: tuple[Bought, ...]):
    """Prices at which the limits are kept, and levels at them.

    Args:
      cases: of each group.
      limits: of depots and budget.
      free: levels at no price.
    """
    from scipy.optimize import minimize

    periods = len(limits.budget)
    least = np.full(limits.storage.shape, np.inf)  # the one row of a depot's room
    least[:, :1] = limits.storage.min(axis=1, initial=np.inf)[:, None]
    limits = limits._replace(storage=least)
    join = lambda x: np.concatenate([part.ravel() for part in x])
    full = (1 - CLOSE) * join(limits)
    weight = np.concatenate([np.full(x.size, k) for x, k in (
        (limits.storage, periods), (limits.inbound, 1), (limits.budget, 1)
    )])  # fmt: skip
    kept = np.flatnonzero(np.isfinite(full))
    weight = weight[kept]  # what a price is paid for: room in every period
    sizes = [x.size for x in limits]
    cuts = np.cumsum(sizes)[:-1]

    def spread(price) -> Limits:
        every = np.zeros(full.size)
        every[kept] = price
        parts = np.split(every, cuts)
        return Limits(*(p.reshape(x.shape) for p, x in zip(parts, limits, strict=True)))

    def look(price):
        charges = [charge_of(case, spread(price)) for case in cases]
        buys = tuple(map(best_levels, cases, charges))
        use = use_of(cases, buys, limits)
        value = sum(b.cost.sum() + c.base for b, c in zip(buys, charges, strict=True))
        slope = weight * (join(use)[kept] - full[kept])
        return value - (weight * price) @ full[kept], slope, buys, use

    zero, use = np.zeros(len(kept)), use_of(cases, free, limits)
    value = sum(b.cost.sum() for b in free)
    slope = weight * (join(use)[kept] - full[kept])
    scale = weight * np.maximum(np.abs(full[kept]), 1e-9)
    if not kept.size or (slope <= 0).all():
        return _all_periods(spread(zero), use), free
    unit = max(abs(value), 1e-9) / scale  # prices and slopes of the size of 1
    most = join(_dearest(cases, limits))[kept] / unit

    class Best:  # the optimiser asks for values and slopes apart
        price, seen = zero, (value, slope, free, use)

        def __call__(self, x):
            if not np.array_equal(x, self.price):
                self.price, self.seen = x.copy(), look(x * unit)
            v, g, *_ = self.seen
            return -v / (unit[0] * scale[0]), -g / scale

    best = Best()
    found = minimize(
        best, zero, jac=True, method="L-BFGS-B", bounds=[(0.0, m) for m in most],
        options={"maxfun": EVALUATIONS, "gtol": CLOSE / 2, "ftol": 0.0},
    )  # fmt: skip
    if not np.array_equal(best.price, found.x):
        best(found.x)
    _, _, buys, use = best.seen
    return _all_periods(spread(found.x * unit), use), buys


def _one_row(price: Limits) -> Limits:
    """Prices with that of a depot's room in one of the periods."""
    room = np.zeros(price.storage.shape)
    room[:, :1] = price.storage[:, :1]
    return price._replace(storage=room)


def _dearest(cases, limits: Limits) -> Limits:
    """Prices above which nothing at all is bought: what no level can keep, such as
    orders that are placed, has this price."""
    worth = max((float(c.price[:, 0].max(initial=0)) for c in cases), default=0.0)
    least = lambda x: min((float(y[y > 0].min(initial=np.inf)) for y in x), default=1.0)
    by_volume = worth / least([c.volume for c in cases])
    by_cost = worth / least([c.unit_cost for c in cases])
    many = len(limits.budget)
    of = lambda x, price: np.full(x.shape, many * price)
    return Limits(
        of(limits.storage, by_volume), of(limits.inbound, worth),
        of(limits.budget, by_cost),
    )  # fmt: skip


def _all_periods(price: Limits, use: Limits) -> Prices:
    """Prices and uses with that of a depot's room in every period."""
    room = np.broadcast_to(price.storage[:, :1], price.storage.shape)
    return Prices(price._replace(storage=room), use)

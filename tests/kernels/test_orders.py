"""K3 by orders ships what the scan over all pairs ships."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from tiny_networks import CLASSES, NODES, random_recourse

from meio_jax.kernels.cost import serve_cost
from meio_jax.kernels.fulfill import Routes, fulfill, greedy_routes, share_whole
from meio_jax.kernels.orders import (
    Orders,
    Tries,
    fulfill_orders,
    list_tries,
    pack_orders,
)

ITEMS, PATHS, REGIMES, LEVELS = 5, 6, 2, 5
TURN = 0.37
NO_LIMIT = np.full((NODES, PATHS), np.inf)


def batches(demand, regime):
    """Orders of dense demand "classes items paths" in batches of one shape: the classes
    in no order, each in two batches of other paths, with many that are empty."""
    lane = np.arange(ITEMS * PATHS).reshape(ITEMS, PATHS).T
    index = np.stack(np.meshgrid(np.arange(CLASSES), range(REGIMES), (0, 1)))
    index = np.random.default_rng(0).permutation(index.reshape(3, -1), axis=1)
    klass, kind, half = index
    lane = np.stack([lane[k::2].ravel() for k in half])
    units = demand.reshape(len(demand), -1)[klass[:, None], lane]
    units = np.where(regime[lane % PATHS] == kind[:, None], units, 0)
    return Orders(klass, kind, lane, units)


def widest(tries):
    """The same with room for all nodes, so that one program does for all networks."""
    wide = lambda x: np.pad(
        x, [(0, 0)] * (x.ndim - 1) + [(0, NODES - x.shape[-1])], constant_values=NODES
    )
    return Tries(tries.turn, wide(tries.own), wide(tries.far))


class Case:
    """Stock, demand, costs and tolls of a random network."""

    def __init__(self, seed, share, whole=True, reserve=False):
        rng = np.random.default_rng(seed)
        recourse = random_recourse(seed)
        self.home, ring = recourse.home, recourse.ring
        usable = np.isfinite(recourse.cost)
        noise = lambda top: np.where(usable, rng.uniform(0, top, usable.shape), 0)
        days = np.where(rng.random(usable.shape) < 0.5, 0, noise(2))
        self.services = recourse.cost, noise(0.3), days
        self.weight, self.late = rng.uniform(0, 2, (2, ITEMS))
        self.penalty = recourse.penalty * rng.uniform(0.3, 1.3, ITEMS)
        draw = rng.integers if whole else rng.uniform
        self.stock = draw(0, 9, (NODES, ITEMS, PATHS)) * 1.0
        demand = draw(0, 5, (CLASSES, ITEMS, PATHS)) * 1.0
        self.demand = np.where(rng.random(demand.shape) < share, demand, 0)
        self.keep = rng.integers(0, 4, (NODES, ITEMS)) * (1.0 if reserve else 0.0)
        toll = rng.uniform(0, 1.5, (REGIMES, NODES))
        typical = serve_cost(self.services, 1.0, 1.0)
        worst = float(self.penalty.max())
        self.routes = greedy_routes(typical, worst, ring, toll)
        self.regime = rng.integers(0, REGIMES, PATHS)

    @property
    def whole(self):
        return (self.stock == np.floor(self.stock)).all()

    def dense(self, room=None):
        """Left, unmet, units by pair of each regime, room left."""
        stock, parts, room = self.stock, [], room
        unmet = np.zeros_like(self.demand)
        for k in range(REGIMES):
            few = NODES * CLASSES - self.routes.klass.shape[1]
            route = Routes(*(np.pad(x[k], (0, few)) for x in self.routes))
            pair = [x[route.node, route.klass][:, None] for x in self.services]
            pay = serve_cost(pair, self.weight[None], self.late[None])
            pay = np.where(route.used[:, None], pay, np.inf)
            keep = np.where(route.level[:, None] > 0, self.keep[route.node], 0)
            here = self.regime == k
            done = (dense_whole if self.whole else dense)(
                stock, self.demand * here, route.klass, route.node, pay, self.penalty,
                keep, room,
            )  # fmt: skip
            parts.append((route, pay, np.asarray(done.told)))
            stock, unmet = done.left, unmet + done.unmet
            room = None if room is None else done.room
        return np.asarray(stock), np.asarray(unmet), parts, room

    def by_orders(self, room=NO_LIMIT):
        services = np.nan_to_num(np.stack(self.services, -1), posinf=0)
        tries = widest(list_tries(self.routes, NODES, CLASSES, LEVELS))
        item = np.stack([self.weight, self.late, self.penalty], axis=1)
        return sparse(
            self.stock, batches(self.demand, self.regime), tries, services, item,
            self.keep, room, TURN if self.whole else None,
        )  # fmt: skip


def spread(orders):
    """Orders as dense units."""
    total = np.zeros((CLASSES, ITEMS * PATHS))
    klass = np.broadcast_to(np.asarray(orders.klass)[:, None], orders.lane.shape)
    np.add.at(total, (klass, np.asarray(orders.lane)), np.asarray(orders.units))
    return total.reshape(CLASSES, ITEMS, PATHS)


@jax.jit
def dense(stock, demand, klass, node, pay, penalty, keep, room):
    tell = lambda sent, pay: sent
    return fulfill(stock, demand, klass, node, pay, penalty, keep, tell, room)


@jax.jit
def dense_whole(stock, demand, klass, node, pay, penalty, keep, room):
    tell = lambda sent, pay: sent
    share = lambda most, want: share_whole(most, want, TURN)
    return fulfill(stock, demand, klass, node, pay, penalty, keep, tell, room, share)


sparse = jax.jit(fulfill_orders)
cases = st.builds(
    Case, st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 1.0]), st.booleans(),
    st.booleans(),
)  # fmt: skip


@given(cases)
def test_orders_ship_what_all_pairs_ship(case):
    left, unmet, parts, _ = case.dense()
    done = case.by_orders()
    close = assert_array_equal if case.whole else partial_close
    close(done.left, left)
    close(spread(done.orders), unmet)
    close(done.unmet[-1], unmet.sum(axis=1))
    paid, late = np.zeros((2, PATHS))
    prompt, level = np.zeros((CLASSES, PATHS)), np.zeros((9, CLASSES, PATHS))
    for route, pay, sent in parts:
        days = case.services[2][route.node, route.klass]
        paid += np.einsum("ki,kip->p", np.where(pay < case.penalty, pay, 0), sent)
        late += np.einsum("k,i,kip->p", days, case.late, sent)
        on_time = np.where(days[:, None] > 0, 0, sent.sum(axis=1))
        np.add.at(prompt, route.klass, on_time)
        np.add.at(level, (route.level, route.klass), sent.sum(axis=1))
    assert_allclose(done.paid, paid, rtol=1e-9, atol=1e-9)
    assert_allclose(done.late, late, rtol=1e-9, atol=1e-9)
    close(done.prompt, prompt)
    after = case.demand.sum(axis=1) - np.cumsum(level, axis=0)[: len(done.unmet)]
    close(done.unmet, after[: len(done.unmet)])


def partial_close(actual, desired):
    assert_allclose(actual, desired, atol=1e-9)


@given(cases, st.integers(0, 12))
def test_items_share_room_as_they_do_over_all_pairs(case, most):
    room = np.random.default_rng(most).integers(0, most + 1, (NODES, PATHS)) * 1.0
    left, unmet, _, rest = case.dense(room)
    done = case.by_orders(room)
    close = assert_array_equal if case.whole else partial_close
    close(done.left, left)
    close(spread(done.orders), unmet)
    close(done.room, rest)


def money(stock, keep, room, units, services, item, tries, orders):
    """What is paid, and some worth of what is left, kept and on time."""
    done = fulfill_orders(
        stock, orders._replace(units=units), tries, services, item, keep, room
    )
    rng = np.random.default_rng(9)
    worth = lambda x: (rng.uniform(0, 1, x.shape) * x).sum()
    told = done.left, done.prompt, done.room, done.unmet, done.late
    return done.paid.sum() + sum(map(worth, told))


amount, slope = jax.jit(money), jax.jit(jax.grad(money, argnums=range(6)))


def slope_case(case, keep, room):
    """Arguments of `money`."""
    services = np.nan_to_num(np.stack(case.services, -1), posinf=0)
    item = np.stack([case.weight, case.late, case.penalty], axis=1)
    tries = widest(list_tries(case.routes, NODES, CLASSES, LEVELS))
    orders = batches(case.demand, case.regime)
    return case.stock, keep, room, orders.units, services, item, tries, orders


@pytest.mark.parametrize("seed", range(6))
def test_slope_is_that_of_differences(seed):
    rng = np.random.default_rng(seed)
    case = Case(seed, 0.5, whole=False)
    keep = rng.uniform(0, 3, (NODES, ITEMS))
    room = rng.uniform(2, 20, (NODES, PATHS))
    at = slope_case(case, keep, room)
    for k, part in enumerate(slope(*at)):
        way = rng.uniform(-1, 1, at[k].shape) * (at[k] > 0)
        moved = lambda by, k=k, way=way: (*at[:k], at[k] + by * way, *at[k + 1 :])
        ends = [amount(*moved(by)) for by in (1e-6, -1e-6)]
        by_steps = (ends[0] - ends[1]) / 2e-6
        assert_allclose((part * way).sum(), by_steps, rtol=1e-5, atol=1e-6)
        assert np.abs(part).max() > 1e-3


def test_no_stock_flows_to_empty_orders():
    # Of items without stock and orders a unit more would be left: its slope is its
    # worth there, although batches with orders of other items have room for these.
    case = Case(3, 0.5, whole=False)
    case.stock[:, :2] = case.demand[:, :2] = 0
    found = slope(*slope_case(case, case.keep, NO_LIMIT))[0]
    worth = np.random.default_rng(9).uniform(0, 1, case.stock.shape)
    assert_allclose(found[:, :2], worth[:, :2])


def test_packed_orders_are_all_there():
    rng = np.random.default_rng(1)
    steps, classes, paths, items = 3, 4, 5, 200
    some = rng.random((steps, classes, paths, items)) < 0.2
    step, klass, path, item = np.nonzero(some)
    regime = np.zeros(len(step), int)
    units = rng.integers(1, 9, len(step)) * 1.0
    packed = pack_orders(
        step, klass, regime, path, item, units, steps=steps, paths=paths
    )
    packed = Orders(*map(np.asarray, packed))
    total = np.zeros((steps, classes, items * paths))
    at = np.arange(steps)[:, None, None], packed.klass[:, :, None], packed.lane
    np.add.at(total, at, packed.units)
    expected = np.zeros_like(total)
    expected[step, klass, item * paths + path] = units
    assert_array_equal(total, expected)
    on = np.where(packed.units > 0, packed.lane % paths, -1)
    for t in range(steps):  # a class and path in one batch, in order
        places = [(k, p) for k, row in zip(packed.klass[t], on[t], strict=True)
                  for p in set(row[row >= 0])]  # fmt: skip
        assert len(places) == len(set(places))
        assert all((np.diff(row[row >= 0]) >= 0).all() for row in on[t])

"""Receipts that pass through another node: prices, use, plans; against plain limits."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from four_buildings import NODES, PERIODS, options, problem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.dual.ascend import Newton
from meio_jax.dual.implicit import price_slopes, settle
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import build_rows
from meio_jax.dual.use import total_use
from meio_jax.horizon import alike
from meio_jax.planner import solve_problem
from meio_jax.recover.chain import raise_targets
from meio_jax.recover.evaluate import node_use, outcome_use, violation
from meio_jax.recover.statistical import carried_stock
from meio_jax.scenarios.sample import draw_sample

VIA = np.array([-1, 0, 0, -1])  # two nodes behind the first one
SMOOTH = {"stage": 1.0, "softness": 0.1}
money = st.floats(0, 5)


def behind(**rooms):
    """The four buildings, two of them supplied through the first."""
    return replace(problem(**rooms), via=VIA)


@given(
    arrays(float, (4, NODES, PERIODS), elements=money),
    arrays(float, (4, NODES, PERIODS), elements=money),
)
def test_what_uses_pay_is_what_capacities_earn(prices, use):
    made = replace(behind(), regimes=2)
    paid = (made.paid(prices) * use).sum()
    assert_allclose(paid, (prices * made.with_passing(use)).sum(), atol=1e-9)
    assert_array_equal(problem().paid(prices), prices)
    assert_array_equal(problem().with_passing(use), use)


def dual_of(regimes):
    """Dual of the four buildings, with stock to start from."""
    made = replace(behind(inbound=110.0, outbound=100.0), regimes=regimes)
    sample = draw_sample(made, count=16, seed=0)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=8, atoms=16, dtype=jnp.float64, chunk=4
    )
    dual = Dual(made, (rows,))
    dual.carried = np.full(NODES, 10.0)
    return dual


@pytest.fixture(scope="module")
def case():
    return dual_of(1)


@pytest.fixture(scope="module")
def top(case):
    method = Newton((1.0,), 0.1, gap=1e-4, violation=1e-4)
    state = method.init(case, np.zeros(case.limited.size), case.start())
    for _ in range(30):
        state = method.step(case, state)
    return settle(case, state.point.price, state.point.targets, **SMOOTH)


def test_the_dual_climbs_to_complementary_prices(case, top):
    priced = top.price > 0
    assert_allclose(top.slope[priced], 0, atol=1e-6)
    assert top.slope.max() < 1e-6
    node = case.limited[priced] // PERIODS % NODES
    kind = case.limited[priced] // (NODES * PERIODS)
    assert ((kind > 0) & (node == 0)).any()  # what passes is paid for


@pytest.mark.parametrize("regimes", [1, 2])
def test_slope_and_jacobian_are_derivatives(regimes):
    case = dual_of(regimes)
    rng = np.random.default_rng(1)
    price = rng.uniform(0, 0.1, case.limited.size)
    look = lambda p, start, **more: case.at(
        p, start, **SMOOTH, tolerance=1e-11, around=0.0, **more
    )
    start = look(price, case.start(), curved=True).targets
    point = look(price, start, curved=True)
    assert_allclose(point.jacobian, point.jacobian.T, atol=1e-9)
    step = 1e-6 * rng.standard_normal(price.size)
    up, down = (look(price + way * step, start, curved=False) for way in (1, -1))
    assert_allclose(up.value - down.value, 2 * step @ point.slope, rtol=1e-4)
    moved = (up.use - down.use) / 2
    off = moved - point.jacobian @ step
    assert np.abs(off).max() < 1e-3 * np.abs(moved).max()


def test_prices_answer_to_capacities_as_solving_again_does(case, top):
    slopes = price_slopes(case, top)
    size = np.abs(slopes).max()
    for k in np.flatnonzero(top.price > 0)[::3]:
        step = 1e-4 * np.eye(case.limited.size)[k]
        again = [
            settle(case.with_capacity(case.capacity + way * step), top.price,
                   top.targets, **SMOOTH).price
            for way in (1, -1)
        ]  # fmt: skip
        by_steps = (again[0] - again[1]) / 2e-4
        assert_allclose(slopes[:, k], by_steps, rtol=1e-3, atol=1e-3 * size)


def closed(made):
    """The problem whose first node holds nothing."""
    group = made.groups[0]
    upper = group.items.upper.copy()
    upper[:, :, 0] = 0
    items = replace(group.items, upper=upper)
    return replace(made, groups=(replace(group, items=items),))


@pytest.mark.parametrize("resource", ["inbound", "outbound"])
def test_a_dock_on_the_way_is_as_a_dock_of_its_own(resource):
    # node 1 behind node 0, which holds nothing: a limit there is one on receipts of 1
    none = np.full((NODES, PERIODS), np.inf)
    base = closed(problem())
    base = replace(base, inbound=none, outbound=none)
    way, own = none.copy(), none.copy()
    way[0], own[1] = 30.0, 30.0
    through = replace(base, via=np.array([-1, 0, -1, -1]), **{resource: way})
    plain = replace(base, inbound=own)
    sample = draw_sample(base, count=16, seed=0)
    found, same = (solve_problem(x, sample, options()) for x in (through, plain))
    assert_allclose(found.cost, same.cost, rtol=1e-6)
    assert_allclose(found.bound, same.bound, rtol=1e-4)
    assert_array_equal(found.targets[0], same.targets[0])
    row = ("storage", "inbound", "outbound").index(resource)
    assert found.prices[row, 0].max() > 0.01
    assert_allclose(found.prices[row, 0], same.prices[1, 1], rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module", params=[True, False])
def solved(request):
    """A plan of the four buildings with a narrow way to two of them."""
    made = behind(inbound=60.0, outbound=70.0)
    sample = draw_sample(made, count=16, seed=0)
    chosen = replace(options(), chain=request.param)
    return made, sample, solve_problem(made, sample, chosen)


def test_plans_keep_the_capacities_that_what_passes_uses(solved):
    made, _, found = solved
    assert violation(made, found.use) == 0
    assert found.bound <= found.cost
    own = total_use(outcome_use(made.groups[0], found.outcomes[0], found.targets[0]))
    own[1, :, 0] -= carried_stock(made, found.outcomes, found.targets, found.use)
    for k in (1, 2):
        passed = own[1, [1, 2]].sum(axis=0)
        assert_allclose(found.use[k, 0], own[k, 0] + passed, atol=1e-9)
        assert_allclose(found.use[k, 1:], own[k, 1:], atol=1e-9)
    assert found.prices[1:, 0].max() > 0.01
    full = (found.use / made.capacities)[1:, 0].max()
    assert 0.97 < full <= 1


def test_a_way_that_is_counted_costs_more_and_more_room_on_it_less(solved):
    made, sample, found = solved
    free = solve_problem(replace(made, via=None), sample, options())
    wide = made.inbound.copy()
    wide[0] += 40
    wider = solve_problem(replace(made, inbound=wide), sample, options())
    assert free.cost < found.cost
    assert free.bound < found.bound
    assert wider.bound < found.bound


def test_the_period_is_not_taken_alone():
    made = problem()
    sample = draw_sample(made, count=16, seed=0, balanced=True)
    assert alike(made, sample)
    assert not alike(behind(), sample)


def test_raised_targets_leave_the_way_within_its_capacities(solved):
    made, _, found = solved
    low = np.repeat(found.targets[0][:, :1], PERIODS, axis=1)
    low[:, 1:, 1:3] = np.maximum(low[:, 1:, 1:3] - 3, 0)  # these alone are raised
    carried = carried_stock(made, found.outcomes, found.targets, found.use)
    none = np.full_like(made.storage, np.inf)
    free = replace(made, storage=none, inbound=none, outbound=none)
    use = node_use(free, found.outcomes, (low,), carried)
    room = none.copy()
    room[0] = use[1, 0] + 4
    tight = replace(free, inbound=room)
    shipped = (np.zeros_like(low),)  # so that every target is to be the one before
    ships = tuple(np.zeros_like(o.empty) for o in found.outcomes)
    behind = []
    for at in (free, tight):
        (raised,) = raise_targets(at, (low,), shipped, use, ships, whole=True)
        more = (raised - low).sum(axis=0).T  # nodes periods
        change = np.zeros_like(use)
        change[1] = more
        change[1, :, 1:] -= more[:, :-1]
        after = use + at.with_passing(change)
        assert (after[1] <= at.inbound + 1e-6).all()
        behind.append(more[1:3].sum())
    assert 0 < behind[1] < behind[0]

"""Simulations of a whole decision: vendors, depots, nodes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tiny_folder import added, options, write

import meio_jax as meio
from meio_jax.config import Scenarios
from meio_jax.sim.buying import pooled
from meio_jax.sim.start import steady_start
from meio_jax.supply.levels import charges_of
from meio_jax.supply.plan import Below, plan_supply
from meio_jax.tables import examine
from meio_jax.tables.build import build
from meio_jax.tables.echelons import bought_arrays
from meio_jax.tables.outcome import targets_array
from meio_jax.tables.supply import build_supply

VENDORS = (
    "vendor,item,node,lead_time,lead_time_std,unit_cost", "ACME,A,DC,2,1,5",
    "ACME,B,DC,3,1,7.5", "BEST,C,DC,1,0,20", "FAST,C,DC,0,0,30",
)  # fmt: skip
PATHS = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables, their plan and what it does beside a baseline."""
    folder = write(tmp_path_factory.mktemp("layered"), added("vendors.csv", *VENDORS))
    tables, config = meio.read(folder), options()
    plan = meio.solve(tables, config=config)
    return tables, plan, meio.simulate(tables, [plan, "base_stock"], paths=PATHS)


@pytest.fixture(scope="module")
def arrays(made):
    """The problem of the tables, what lies above it, and the plan's targets."""
    tables, plan, _ = made
    examined = examine(tables, options())
    problem, labels = build(examined.tables, examined.calendar)
    supplies, limits = build_supply(examined.tables, labels, problem.groups, 0.0)
    return problem, labels, supplies, limits, targets_array(plan, problem, labels, "p")


def values(outcome, policy="plan"):
    rows = outcome.kpis[outcome.kpis["policy"] == policy]
    return rows.set_index("metric")["value"]


def test_depots_hold_stock_and_buy_what_is_sold(made):
    *_, outcome = made
    assert outcome.facts["depots"]
    for policy in outcome.policies:
        found = values(outcome, policy)
        assert found["depot stock units"] > 0
        sold = (
            found["fill rate"]
            * outcome.service.query("region == 'all'")["demand"].iloc[0]
        )
        assert_allclose(found["bought units per period"], sold, rtol=0.2)
    parts = [m for m in values(outcome).index if m.endswith(" cost per period")]
    assert_allclose(values(outcome)[parts].sum(), values(outcome)["cost per period"])


def test_without_depots_nodes_never_wait_for_stock(made):
    tables, plan, outcome = made
    free = meio.simulate(
        tables, [plan], paths=PATHS, config=options("simulate.depots=false")
    )
    assert not free.facts["depots"]
    assert "depot stock units" not in values(free)
    assert values(free)["fill rate"] >= values(outcome)["fill rate"]
    assert (
        values(free)["holding cost per period"]
        < values(outcome)["holding cost per period"]
    )


def test_less_bought_is_less_served(made):
    tables, plan, outcome = made
    less = plan.echelons.assign(echelon_level=0.7 * plan.echelons["echelon_level"])
    poor = meio.simulate(tables, [replace(plan, echelons=less)], paths=PATHS)
    assert values(poor)["fill rate"] < values(outcome)["fill rate"] - 0.02
    assert values(poor)["depot stock units"] < values(outcome)["depot stock units"]


def test_a_dearer_vendor_is_paid_for(made):
    tables, plan, _ = made
    swap = plan.echelons.assign(vendor=plan.echelons["vendor"].astype(str))
    rows = swap["item"] == "C"
    swap.loc[rows, ["vendor", "unit_cost", "lead_time"]] = "FAST", 30.0, 0.0
    dear = meio.simulate(tables, [replace(plan, echelons=swap), plan], paths=PATHS)
    assert "buying cost per period" in values(dear).index
    assert values(dear)["buying cost per period"] > 10 * 8  # 10 more a unit
    assert "buying cost per period" not in values(dear, "plan 2")


def test_a_saved_plan_says_all_that_is_decided(made, arrays, tmp_path):
    _, plan, _ = made
    problem, labels, supplies, limits, targets = arrays
    loaded = meio.load(plan.save(tmp_path / "run"))
    here, there = (
        bought_arrays(p, problem, labels, supplies, targets) for p in (plan, loaded)
    )
    for mine, other in zip(here, there, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert_array_equal(a, b)
    # oracle: the levels follow from targets, curves and shipments
    shipped = plan.targets.assign(order_up_to=plan.targets["cycle_stock"])
    flow = targets_array(replace(plan, targets=shipped), problem, labels, "p")
    charges = tuple(map(charges_of, problem.groups))
    curves = [np.concatenate([b.along[-2:0:-1], b.along[:1]]) for b in here]
    below = tuple(map(Below, targets, curves, charges, flow))
    again = plan_supply(problem, supplies, limits, below, options().scenarios)
    for mine, group in zip(here, again.groups, strict=True):
        assert_array_equal(mine.offer, group.choice.offer)
        assert_array_equal(mine.level, group.choice.level)
        assert_array_equal(mine.source, group.ways.source)
        assert_allclose(mine.share, group.ways.share)
        assert_allclose(mine.along, group.curve.target)


def test_practice_buys_from_the_cheapest_within_the_depots_room(arrays):
    problem, _, supplies, limits, targets = arrays
    buy = lambda x: pooled(problem, supplies, x, targets, Scenarios())
    free, none = (
        buy(limits),
        buy(limits._replace(storage=np.zeros_like(limits.storage))),
    )
    half = buy(limits._replace(storage=np.minimum(limits.storage, 8.0)))
    for supply, much, little, some, y in zip(
        supplies, free, none, half, targets, strict=True
    ):
        offers = supply.offers
        assert_array_equal(much.offer, [0, 1, 2])
        for i, k in enumerate(much.offer):
            assert offers.unit_cost[k] == offers.unit_cost[offers.item == i].min()
        assert (little.level <= some.level).all()
        assert (some.level <= much.level).all()
        assert some.level.sum() < much.level.sum()
        assert_allclose(much.along[-1], y)
        assert (little.level >= 0).all()


def test_a_steady_start_is_on_its_level(made, arrays):
    from meio_jax.scenarios.sample import draw_sample
    from meio_jax.sim.buying import Buying, depots_of

    _, plan, _ = made
    problem, labels, supplies, _, targets = arrays
    sample = draw_sample(problem, count=40, seed=3)
    arrays_ = bought_arrays(plan, problem, labels, supplies, targets)
    for group, supply, bought, y in zip(
        problem.groups, supplies, arrays_, targets, strict=True
    ):
        made_ = depots_of(supply, Buying(*bought), len(labels.nodes))
        shelf = y[:, 0].T
        start = steady_start(problem, group, sample, made_, shelf, 5, seed=[1])
        above = start.above
        total = np.asarray(above.store.sum(0) + above.coming.sum((0, 1)))
        total = total + start.shelf.sum(axis=0)
        on_way = np.asarray(above.coming.sum((0, 1)))
        level = bought.level[:, 0][:, None]
        assert_array_equal(total, np.maximum(level, on_way))
        assert (start.shelf <= shelf[:, :, None]).all()
        # a period's demand is ordered in each period: Little's law
        lead = supply.offers.lead[bought.offer].mean(axis=1)
        assert_allclose(on_way.mean(axis=1), (1 + lead) * [16, 20, 24], rtol=0.15)

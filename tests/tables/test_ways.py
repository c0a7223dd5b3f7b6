"""Same-day sites that lanes lead to from an FC alone: the way through it."""

import pytest
from folders import small, write
from numpy.testing import assert_allclose
from tiny_folder import options, tiny
from tiny_folder import write as write_tiny

from meio_jax.api import simulate, solve
from meio_jax.config import Config
from meio_jax.explain import explain
from meio_jax.onepass import Pass
from meio_jax.rebuild import made_from
from meio_jax.tables import examine, read
from meio_jax.tables.build import build
from meio_jax.tables.supply import build_supply

NODES = ("SD01,same_day,small;big,1,100", "SD02,same_day,small;big,1,100")
LANES = ("FC01,SD01,1,0.1", "FC02,SD01,1,0.05", "FC02,SD02,2,0.1")
OPTIONS = "SD01,North,1-day,1,14,1", "SD02,West,1-day,1,14,1"


def folder(*lanes) -> dict[str, str]:
    """The small folder with two same-day sites."""
    more = {"nodes.csv": NODES, "lanes.csv": lanes, "ship_options.csv": OPTIONS}
    files = small()
    return files | {k: files[k] + "\n".join(rows) + "\n" for k, rows in more.items()}


def built(path):
    examined = examine(read(path), Config())
    assert not examined.faults.errors, examined.faults
    problem, labels = build(examined.tables, examined.calendar)
    supplies, _ = build_supply(examined.tables, labels, problem.groups, 0.0)
    return problem, labels, supplies


def test_the_cheapest_way_of_all_is_taken_with_its_lead_times(tmp_path):
    problem, labels, supplies = built(write(tmp_path, folder(*LANES)))
    at = labels.nodes.index
    assert problem.via is not None
    assert problem.via[at("FC01")] == problem.via[at("FC02")] == -1
    assert problem.via[at("SD01")] == at("FC01")  # 0.2 + 0.1 against 0.3 + 0.05
    assert problem.via[at("SD02")] == at("FC02")
    for group, supply in zip(problem.groups, supplies, strict=True):
        place = group.network.node.tolist()
        for name, lead in (("SD01", 1 + 1), ("SD02", 2 + 2)):
            n = place.index(at(name))
            assert_allclose(group.network.lead_mean[n], lead)
            assert_allclose(supply.lanes.lead[0, n], lead)
            through = problem.via[at(name)]
            if through in place:
                assert place[supply.lanes.via[0, n]] == through


def test_where_a_depot_leads_to_all_nothing_passes(tmp_path):
    direct = "IN01,SD01,3,0.9", "IN01,SD02,3,0.9"
    problem, *_ = built(write(tmp_path / "both", folder(*LANES, *direct)))
    assert problem.via is None
    problem, *_ = built(write(tmp_path / "none", small()))
    assert problem.via is None


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """The tiny folder with a same-day site behind EAST, room to ship for a half."""
    root = tmp_path_factory.mktemp("ways")

    def run(name, *rows, stock=()):
        files = tiny()
        if stock:
            files["inventory.csv"] = "\n".join(("item,node,on_hand", *stock)) + "\n"
        files["nodes.csv"] += "SD,same_day,0.02,40\n"
        files["lanes.csv"] += "EAST,SD,1,0.05\n"
        files["ship_options.csv"] += "SD,North,ground,0.5\n"
        head, *_ = files["capacities.csv"].splitlines()
        files["capacities.csv"] = "\n".join([head, *rows]) + "\n"
        path = write_tiny(root / name, files)
        return solve(path, config=options()), path

    return run


@pytest.mark.slow
def test_a_plan_pays_for_the_way_and_keeps_it_within_its_room(solved):
    free, _ = solved("free", "EAST,outbound,,9999")
    tight, path = solved("tight", "EAST,outbound,,30")
    assert free.cost < tight.cost
    assert free.bound < tight.bound
    rows = tight.prices[
        (tight.prices["node"] == "EAST") & (tight.prices["resource"] == "outbound")
    ]
    assert rows["price"].max() > 0.01
    assert (rows["use"] <= rows["capacity"] + 1e-9).all()
    # the site's shipments are what passes: a plan without them would use less
    sold = lambda p: p.targets.groupby("node")["cycle_stock"].sum()
    assert sold(tight)["SD"] < sold(free)["SD"]
    told = explain(tight, "B", "SD", tight.targets["period"].iloc[0], tables=path)
    assert "inbound" in str(told)


@pytest.mark.slow
def test_a_simulation_ships_and_passes_no_more_than_there_is_room_for(solved):
    tight, path = solved("again", "EAST,outbound,,30")
    found = simulate(path, [tight], paths=16)
    rows = found.use[(found.use["node"] == "EAST")]
    rows = rows[rows["resource"] == "outbound"]
    assert len(rows)
    assert (rows["share_above"] == 0).all()


@pytest.mark.slow
def test_one_pass_at_the_plans_prices_is_the_plans_bound(solved):
    stock = "A,SD,9", "B,EAST,20", "C,WEST,5"
    plan, path = solved("stocked", "EAST,outbound,,30", "EAST,inbound,,45", stock=stock)
    config = options()
    look = Pass(plan, made_from(plan, path, config)[1], config)
    assert look.exact
    assert_allclose(look.value, plan.bound, rtol=1e-4)

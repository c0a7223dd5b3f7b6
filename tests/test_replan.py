"""Single items at frozen prices: without a cause nothing moves, with one it does."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from tiny_folder import WEEKS, added, options, write

import meio_jax
from meio_jax.api import solve
from meio_jax.dual.use import window_tolls
from meio_jax.faults import InputError
from meio_jax.planner import targets_at
from meio_jax.problem import take_items
from meio_jax.recover.evaluate import Evaluator

OFFERS = (
    "vendor,item,node,lead_time,unit_cost", "ACME,A,DC,1,5", "ACME,B,DC,1,7.5",
    "BEST,C,DC,1,20",
)  # fmt: skip
STOCK = ("item,node,on_hand", "A,DC,30", "A,EAST,12", "B,DC,40", "C,WEST,9")
CONFIG = options("solver.calibrate=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    files = added("vendors.csv", *OFFERS) | {"inventory.csv": "\n".join(STOCK) + "\n"}
    return write(tmp_path_factory.mktemp("replan") / "data", files)


@pytest.fixture(scope="module")
def plan(folder):
    return solve(folder, config=CONFIG)


@pytest.fixture(scope="module")
def replan(plan, folder):
    return meio_jax.Replanner(plan, folder)


@pytest.mark.parametrize("item", ["A", "B", "C"])
def test_without_an_event_an_item_does_what_the_plan_says(replan, plan, item):
    found = replan(item)
    assert_array_equal(found.targets["order_up_to"], found.targets["previous"])
    theirs = plan.targets[plan.targets["item"] == item]
    both = found.targets.merge(theirs, on=["node", "period"])
    assert_array_equal(both["order_up_to_x"], both["order_up_to_y"])
    for table in ("buys", "transfers"):
        own = getattr(plan, table)
        own = own[own["item"] == item].reset_index(drop=True)
        made = getattr(found, table)
        assert_frame_equal(made, own, check_dtype=False)
    assert found.seconds > 0


def test_the_best_response_is_that_of_the_planner_at_these_prices(replan):
    name, demand = "B", 1.3
    k, i = replan.place[name]
    group, _ = replan._one(k, i, demand, {})
    alone = replace(replan.problem, groups=(group,))
    expected = targets_at(alone, replan.sample, CONFIG.solver, replan.prices)[0][0]
    best = replan.targets(name, demand=demand) - replan.before[k][i] + replan.best[name]
    assert np.abs(best - expected).max() <= 1
    assert_allclose(best.sum(), expected.sum(), atol=2)


def test_targets_follow_demand(replan):
    for item in "ABC":
        less, more = (replan.targets(item, demand=f).sum() for f in (0.6, 1.5))
        assert less < replan.targets(item).sum() < more
    assert replan.targets("A", demand=0.0).sum() == 0


def test_stock_that_was_counted_is_ordered_less(replan):
    found = {units: replan("A", on_hand={"DC": units}) for units in (0, 30, 60)}
    first = {u: p.buys[p.buys["order_period"] == WEEKS[0]] for u, p in found.items()}
    bought = {u: rows["quantity"].sum() for u, rows in first.items()}
    assert bought[0] - 30 == bought[30] == bought[60] + 30
    sent = [p.transfers["quantity"].sum() for p in found.values()]
    assert sent[0] < sent[1] <= sent[2]
    for p in found.values():
        assert_array_equal(p.targets["order_up_to"], p.targets["previous"])


def test_one_item_alone_is_taken_out_whole(replan):
    group = take_items(replan.coarse[0], np.array([1]))
    assert len(group.items) == 1
    assert replan.place["B"] == (0, 1)


@pytest.mark.parametrize(
    ("item", "event", "said"),
    [
        ("AA", {}, "item: 'AA' is not in the plan"),
        ("A", {"demand": -1.0}, "demand = -1.0: must be 0 or more"),
        ("A", {"on_hand": {"EST": 3}}, "'EST' is not in the plan"),
        ("A", {"on_hand": {"EAST": -3}}, "on_hand of 'EAST' is -3: must be 0 or more"),
        ("A", {"demand": float("nan")}, "demand = nan"),
    ],
)
def test_bad_events_are_refused(replan, item, event, said):
    with pytest.raises(InputError) as caught:
        replan(item, **event)
    assert said in str(caught.value)


def test_the_answer_to_a_what_if_can_be_replanned(plan, folder):
    """Its tables are those of the folder with the changes that were asked."""
    asked = {("EAST", "storage"): "-50%"}
    changes = {"lead_time": ["lanes:+1"]}
    made = meio_jax.what_if(plan, asked, changes=changes, solve=True).plan
    again = meio_jax.Replanner(made, folder)
    room = again.problem.storage[again.labels.nodes.index("EAST")]
    assert_array_equal(room, 30)
    for item in "ABC":
        found = again(item).targets
        assert_array_equal(found["order_up_to"], found["previous"])


def test_a_plan_of_other_tables_is_refused(plan, tmp_path):
    with pytest.raises(InputError, match="other tables"):
        meio_jax.Replanner(plan, write(tmp_path / "other"))


def test_what_fulfilment_wants_is_what_the_evaluator_counts(replan):
    replan("B", demand=1.3)
    below, (k, i) = replan.curves["B"][1], replan.place["B"]
    group, _ = replan._one(k, i, 1.3, {})
    problem = eqx.tree_at(lambda p: p.groups, replan.problem, replan.coarse)
    network = group.network
    toll = window_tolls(replan.prices[:, network.node], replan.sample.window(k))
    count = Evaluator(problem, k, replan.sample).of_items(group)
    assert_allclose(count(below.targets, toll).shipped, below.shipped, rtol=1e-5)
    assert below.shipped.sum() > 0
    along = np.concatenate([below.targets, below.rations[:, 0]])
    assert (np.diff(along, axis=0) <= 0).all()
    assert along[-1].sum() < along[0].sum()

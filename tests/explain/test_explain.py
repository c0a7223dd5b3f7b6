"""Explanations of all targets of a plan: they add up, and each step is what it says."""

import math
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose
from small_plan import ITEMS, LIFT, NODES, folder_of_all_kinds, make_plan
from tiny_folder import WEEKS, tiny, write

import meio_jax as meio
from meio_jax.cli import main
from meio_jax.dual.rows import build_rows
from meio_jax.explain.explain import find_item, prepared
from meio_jax.explain.steps import explain_item
from meio_jax.recover.units import _cells
from meio_jax.scenarios.load import SlotSource
from meio_jax.scenarios.sample import draw_sample, window_demand


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A plan, its run folder, and what it was made from."""
    root = tmp_path_factory.mktemp("explain")
    plan = make_plan(write(root / "data", folder_of_all_kinds()))
    return plan, plan.save(root / "run"), prepared(plan)


@pytest.fixture(scope="module")
def found(made):
    """The steps of every item."""
    return {i: explain_item(made[2], *find_item(made[2], i)) for i in ITEMS}


def test_steps_add_up_to_every_target(made, found):
    plan, _, built = made
    table = plan.targets.set_index(["item", "node", "period"])["order_up_to"]
    seen = 0
    for item, steps in found.items():
        group = built.problem.groups[steps.group]
        for node in group.network.node:
            explained = plan.explain(item, built.labels.nodes[node])
            for reason in explained.reasons:
                target = table[item, explained.node, reason.period]
                assert reason.target == target == reason.steps[-1].level
                assert_allclose(math.fsum(s.change for s in reason.steps), target)
                levels = [s.level for s in reason.steps]
                assert_allclose(np.cumsum([s.change for s in reason.steps]), levels)
                seen += 1
    assert seen == len(table) == len(ITEMS) * len(NODES) * len(WEEKS)


def test_the_last_cost_is_the_one_that_plans_are_made_on(made, found):
    built = made[2]
    for steps in found.values():
        rows, nodes = steps.cost.rows, built.problem.groups[steps.group].network.node
        prices = built.prices[:, nodes]
        assert (prices > 0).all()
        assert steps.lifted == (steps.group == 0)
        assert float(rows.lift) == (LIFT if steps.lifted else 1)
        item = {name: value[0] for name, value in rows.by_item.items()}
        charge, drop = _cells(rows, jnp.asarray(prices), item)
        last = steps.cost.at(prices, len(steps.cost.pool_of) - 1, lifted=steps.lifted)
        tilt = built.tilts[steps.group][steps.row]
        assert tilt.any() == steps.lifted
        assert_allclose(last.charge, charge + tilt, rtol=1e-12)
        assert_allclose(last.drop, drop, rtol=1e-5, atol=1e-5)  # home by a soft minimum


def test_an_item_alone_meets_the_scenarios_that_it_was_planned_on(made, found):
    built = made[2]
    for k, group in enumerate(built.coarse):
        rows = build_rows(
            built.problem, group, k, built.sample, count=built.config.solver.levels,
            atoms=64,
            dtype=jnp.float64, chunk=1,
        )  # fmt: skip
        for steps in (s for s in found.values() if s.group == k):
            assert_allclose(
                rows.pool_atoms()[steps.row], steps.cost.rows.pool_atoms()[0]
            )


def test_the_scenarios_are_those_that_plans_are_made_on(made):
    built = made[2]
    options = built.config.scenarios
    sample = draw_sample(
        built.problem, count=options.count, seed=options.seed, block=options.block,
        recent=options.recent, common=options.common, balanced=True,
    )  # fmt: skip
    for mine, theirs in zip(built.sample.lead, sample.lead, strict=True):
        assert mine.std() > 0
        assert_allclose(mine, theirs)
    assert_allclose(built.sample.order, sample.order)


def test_economics_is_the_newsvendor_of_the_nodes_own_demand(made, found):
    built, seen = made[2], 0
    for steps in found.values():
        group, row = built.problem.groups[steps.group], steps.row
        network, items = group.network, group.items
        assert len(network.home) > 2  # classes of several speeds at a node
        late = items.late_cost[row] * network.days_late
        cost = network.unit_cost + items.weight[row] * network.cost_per_weight + late
        lost = items.penalty[row] - np.minimum(cost.min(axis=0), items.penalty[row])
        demand = class_demand(built, steps)
        for t, n in np.ndindex(len(WEEKS), len(NODES)):
            own = network.home == n
            ranked = np.sort(demand[own, t].sum(axis=0))
            assert steps.steps[0].level[t, n] == pytest.approx(ranked.mean())
            volume = demand[own].mean(axis=(1, 2)) + 1e-12
            margin = volume @ lost[own] / volume.sum()
            ratio = margin / (margin + items.holding[row, n])
            rank = math.ceil(ratio * ranked.size - 1e-9) - 1
            assert steps.steps[1].level[t, n] == ranked[max(rank, 0)]
            seen += 1
    assert seen == len(ITEMS) * len(NODES) * len(WEEKS)


def class_demand(built, steps):
    """Demand of every class in each period and scenario."""
    group = built.coarse[steps.group]
    source = SlotSource(built.problem, group, built.sample)
    drawn = window_demand(
        source(steps.row, steps.row + 1)[0], source.slot,
        jnp.asarray(built.sample.lead[steps.group]), jnp.asarray(group.network.home),
        built.sample.longest,
    )  # fmt: skip
    return np.asarray(drawn, float)


def test_whole_units_are_the_best_response_to_the_other_nodes(made, found):
    for steps in found.values():
        cost, rows = steps.cost, steps.cost.rows
        prices = made[2].prices[:, made[2].problem.groups[steps.group].network.node]
        last = cost.at(prices, len(cost.pool_of) - 1, lifted=steps.lifted)
        level = {s.name: s.level for s in steps.steps}["whole units"]
        for t, n in np.ndindex(len(WEEKS), len(NODES)):
            tries = np.tile(cost.targets[t], (int(cost.most[t, n]) + 3, 1))
            tries[:, n] = np.arange(len(tries))
            costs = tree_cost(rows, last.charge[t], last.drop[t], t, tries)
            assert costs[int(level[t, n])] <= costs.min() + 1e-9


def test_the_last_unit_saves_what_taking_it_away_costs(made, found):
    for steps in found.values():
        cost, rows = steps.cost, steps.cost.rows
        last = cost.at(
            prices_of(made, steps), len(cost.pool_of) - 1, lifted=steps.lifted
        )
        for t, n in np.ndindex(len(WEEKS), len(NODES)):
            less = cost.targets[t] - (np.arange(len(NODES)) == n)
            tries = np.stack([cost.targets[t], less])
            costs = tree_cost(rows, last.charge[t], last.drop[t], t, tries)
            saved = costs[1] - costs[0] + last.charge[t, n]
            has = cost.targets[t, n] >= 1
            assert steps.gain[:, t, n].sum() == pytest.approx(has * saved, abs=1e-9)


def prices_of(made, steps):
    """The plan's prices at the nodes of an item."""
    return made[2].prices[:, made[2].problem.groups[steps.group].network.node]


def tree_cost(rows, charge, drop, t, tries):
    """K1 in numpy: charges, and what is short in the pools, for rows of targets."""
    stock = tries @ np.asarray(rows.shape.member).T
    short = np.maximum(
        np.asarray(rows.pool_atoms())[0, :, t] - stock[:, None, :, None], 0
    )
    return tries @ charge + np.einsum(
        "yspb,s,pb->y", short, np.asarray(rows.prob), drop
    )


def test_limits_of_a_target_are_said(made):
    plan = made[0]
    fixed = plan.explain("A", "WEST", WEEKS[1]).reasons[0]
    assert (fixed.target, fixed.held_by) == (7, "fixed")
    assert "fixed at 7 by you" in str(plan.explain("A", "WEST", WEEKS[1]))
    assert fixed.steps[-1].change == 0
    capped = plan.explain("C", "EAST")
    assert all(r.target <= 4 and r.steps[-2].level <= 4 for r in capped.reasons)
    assert "max_stock 4" in str(capped)
    idle = plan.explain("D", "EAST")
    assert all(r.demand == 0 == r.steps[-2].level for r in idle.reasons)
    assert "no demand is nearest to EAST" in str(idle)
    assert "a unit waited for 3.00" in str(plan.explain("B", "EAST"))


def test_the_last_unit_and_the_price_of_storage(made, found):
    for item in found:
        for reason in made[0].explain(item, "EAST").reasons:
            total = math.fsum(reason.last_unit.values())
            assert total == pytest.approx(1) or total == 0
            assert set(reason.last_unit) == {"own", "nation"}
            assert reason.per_price <= 0 < reason.price_step
    assert (
        min(r.per_price for i in ITEMS for r in made[0].explain(i, "EAST").reasons) < 0
    )
    some = [g for s in found.values() for g in s.gain.sum(axis=0).ravel()]
    assert max(some) > 0


def test_since_an_earlier_plan(made):
    plan, *_ = made
    row = plan.prices[(plan.prices["node"] == "EAST")].index[0]
    prices, targets = plan.prices.copy(), plan.targets.copy()
    period = str(prices.loc[row, "period"])
    storage = (prices["resource"] == "storage") & (prices["node"] == "EAST")
    prices.loc[storage, "price"] = 5.0
    targets["order_up_to"] += 3
    earlier = replace(plan, prices=prices, targets=targets)
    reason = plan.explain("A", "EAST", period, since=earlier).reasons[0]
    assert reason.since[0] == reason.target + 3
    words = " ".join(reason.notes)
    assert f"earlier plan {reason.target + 3:,.0f} (-3)" in words
    assert "storage price fell from 5.00 to" in words
    level = {s.name: s.level for s in reason.steps}["whole units"]
    assert reason.since[1] < level  # at a price that prices it out
    same = plan.explain("A", "EAST", period, since=plan).reasons[0]
    assert "(0): no price at EAST moved" in " ".join(same.notes)
    none = replace(plan, targets=plan.targets[plan.targets["item"] != "A"])
    lines = plan.explain("A", "EAST", period, since=none).reasons[0].notes
    assert "the earlier plan has no such target" in lines[-1]


def test_an_explanation_prints_and_becomes_a_table(made):
    explained = made[0].explain("A", "EAST")
    text = str(explained)
    assert all(len(line) <= 92 for line in text.splitlines())
    assert text.startswith(f"A at EAST, {WEEKS[0]}: order up to ")
    assert text == repr(explained)
    assert "Steps are in this fixed order" in text
    frame = explained.to_frame()
    sums = frame.groupby("period")["change"].sum()
    assert_allclose(sums[list(WEEKS)], [r.target for r in explained.reasons])
    page = explained._repr_html_()
    assert "<table" in page
    assert "fitted to capacity" in page


WRONG = [
    (("F", "EAST"), "no item 'F' in the plan\n    Known: A, B, C, D, E"),
    (("A", "EAT"), "no node 'EAT' in the plan; did you mean 'EAST'"),
    (("A", "DC"), "no node 'DC' in the plan\n    Known: EAST, WEST"),
    (("A", "EAST", "2026-01-13"), "no period '2026-01-13' in the plan; did you mean"),
]


@pytest.mark.parametrize(("names", "text"), WRONG)
def test_unknown_names_get_one_clear_message(made, names, text):
    with pytest.raises(meio.InputError, match=text):
        made[0].explain(*names)


def test_other_tables_are_refused(made, tmp_path):
    plan = made[0]
    with pytest.raises(meio.InputError, match="no longer there"):
        plan.explain("A", "EAST", tables=tmp_path / "gone")
    other = write(tmp_path / "data", folder_of_all_kinds() | {
        "lanes.csv": tiny()["lanes.csv"].replace("0.2", "0.7")
    })  # fmt: skip
    with pytest.raises(meio.InputError, match="was made from other tables"):
        plan.explain("A", "EAST", tables=other)
    lacking = replace(plan, targets=plan.targets[
        (plan.targets["item"] != "A") | (plan.targets["node"] != "WEST")])  # fmt: skip
    with pytest.raises(meio.InputError, match="node 'WEST' may not hold item 'A'"):
        lacking.explain("A", "WEST")


def test_the_command_prints_the_explanation(made):
    plan, run, _ = made
    words = ["explain", str(run), "--item", "A", "--node", "EAST"]
    answer = CliRunner().invoke(
        main, [*words, "--period", WEEKS[0], "--since", str(run)]
    )
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == str(plan.explain("A", "EAST", WEEKS[0], since=plan)) + "\n"
    wrong = CliRunner().invoke(main, [*words[:-1], "EASTT"])
    assert wrong.exit_code == 2
    assert "did you mean 'EAST'" in wrong.stderr

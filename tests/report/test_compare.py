"""Runs side by side: totals, prices, and which targets moved."""

import re
from dataclasses import replace

import numpy as np
import pytest
from page_reader import Page, numbers

from meio_jax.report import Run, html


@pytest.fixture(scope="module")
def other(made):
    """A run that costs more, with other prices and two targets changed."""
    plan = made.plan
    kpis, targets, prices = plan.kpis.copy(), plan.targets.copy(), plan.prices.copy()
    kpis.loc[kpis["metric"] == "cost per period", "value"] += 25
    targets.loc[targets.index[3], "order_up_to"] += 7
    targets.loc[targets.index[5], "order_up_to"] -= 2
    prices["price"] *= 2
    plan = replace(plan, kpis=kpis, targets=targets, prices=prices)
    return Run("last week", plan, made.outcome)


@pytest.fixture(scope="module")
def page(made, other):
    return Page(html([made.run, other]))


def test_totals_stand_side_by_side(made, page):
    assert page.tables["compare-table"][0] == ["metric", "run", "last week"]
    rows = {row[0]: row[1:] for row in page.tables["compare-table"][1]}
    cost = made.plan.cost / 3
    found = [numbers(cell)[0] for cell in rows["cost a week, USD"]]
    assert found == pytest.approx([cost, cost + 25], rel=6e-3)
    assert rows["status"] == [made.plan.status] * 2
    says = page.says["compare"]
    assert says.startswith("run costs least, ")
    assert re.search(r"last week costs 25(\.0)? more than run\.$", says)


def test_the_dearest_prices_stand_side_by_side(made, page):
    prices = made.plan.prices
    money = (prices["price"] * prices["capacity"]).groupby(
        [prices["node"], prices["resource"]]
    )
    expected = money.sum().sort_values(ascending=False)
    expected = expected[expected > 0]
    rows = page.tables["compare-prices"][1]
    assert [tuple(row[:2]) for row in rows] == list(expected.index)
    for row, value in zip(rows, expected, strict=True):
        found = [numbers(cell)[0] for cell in row[2:]]
        assert found == pytest.approx([value, 2 * value], rel=6e-3)


def test_what_moved_is_counted_and_listed(made, page):
    many = len(made.plan.targets)
    share = 100 * 2 / many
    says = page.says["stability"]
    assert says.startswith(f"2 of {many} targets in both runs differ ({share:.1f} %)")
    assert "went down by 5 units, 9 units were moved" in says
    changes = [numbers(x)[0] for x in page.column("movers-table", "change")]
    assert changes == [-7, 2]
    row = made.plan.targets.iloc[3]
    first = page.tables["movers-table"][1][0]
    assert first[:3] == [row["item"], row["node"], row["period"]]
    assert numbers(first[4])[0] == row["order_up_to"]
    assert page.pictures["stability"][0] == says


def test_both_runs_are_in_the_trade_off(made, page):
    assert {"run", "last week", "base_stock_lost (run)"} <= set(
        page.pictures["trade"][1]
    )


def test_the_same_targets_move_nothing(made):
    page = Page(html([made.run, replace(made.run, name="twin")]))
    many = len(made.plan.targets)
    assert page.says["stability"].startswith(f"0 of {many} targets")
    assert "stability" not in page.pictures


def test_runs_of_other_items_share_no_target(made):
    targets = made.plan.targets.assign(item="Z")
    other = Run("other", replace(made.plan, targets=targets))
    page = Page(html([made.run, other]))
    assert "share no item, node and period" in page.says["stability"]


def test_three_runs_are_compared_without_a_histogram(made, other):
    third = replace(other, name="third")
    page = Page(html([made.run, other, third]))
    assert page.tables["compare-table"][0] == ["metric", "run", "last week", "third"]
    assert "stability" not in page.says


def test_runs_of_other_tables_are_told(made, other):
    facts = other.plan.facts | {"input_digest": "else"}
    changed = replace(other, plan=replace(other.plan, facts=facts))
    page = Page(html([made.run, changed]))
    assert "made from different tables" in page.notes["compare"]
    kpis = changed.plan.kpis
    assert np.isfinite(kpis["value"]).all()

"""The page of a run: its sentences say what the tables hold, and it stands alone."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from page_reader import Page, numbers
from tiny_folder import added, options, write

import meio_jax as meio
from meio_jax.report import Run, html
from meio_jax.report.run import FULL

PICTURES = {
    "waterfall", "capacity", "prices", "value", "speeds", "trade", "search",
}  # fmt: skip
PARTS = PICTURES | {"kpis", "exceptions", "lists", "proof", "made", "glossary"}


def same(text: str, expected: list[float]) -> None:
    """The numbers of a sentence are the expected ones, to the figures shown."""
    found = numbers(text)
    assert len(found) == len(expected), (text, expected)
    assert_allclose(found, expected, rtol=6e-3, atol=0.051)


def kpi(made, policy: str, metric: str = "cost per period", column: str = "value"):
    table = made.outcome.kpis.set_index(["policy", "metric"])
    return float(table.loc[(policy, metric), column])


def dearest(prices):
    """Node and resource worth most at their prices, over the horizon."""
    money = (prices["price"] * prices["capacity"]).groupby(
        [prices["node"], prices["resource"]]
    )
    return money.sum().idxmax()


def test_the_page_has_its_parts_and_each_picture_its_sentence(made):
    page = made.page
    assert set(page.says) | {"proof", "made", "glossary"} == PARTS
    assert {key for key in page.pictures if key} == PICTURES
    for key, (label, texts) in page.pictures.items():
        assert label == page.says[key]
        assert texts  # drawn as text, so that it can be read and found
    sections = [a for tag, a in page.tags if tag == "section"]
    for attrs in sections:
        assert attrs["aria-labelledby"] == f"{attrs['id']}-title"
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert all(a["role"] == "img" for tag, a in page.tags if tag == "svg")


def test_ids_are_unique_and_links_lead_somewhere(made):
    ids = [attrs["id"] for _, attrs in made.page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [a["href"] for _, a in made.page.tags if "href" in a]
    assert {"#main", "#capacity", "#glossary"} <= set(links)
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_page_needs_nothing_else(made):
    assert "://" not in made.text
    assert "@import" not in made.text
    assert not re.search(r"url\((?!#)", made.text)
    for tag, attrs in made.page.tags:
        assert tag not in {"img", "link", "iframe", "object", "embed", "base"}
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")


def test_the_head_says_what_the_run_is_worth(made):
    plan, head = made.plan, made.page.text[""]
    facts = plan.facts["certificate"]
    assert facts["items"] == facts["of"]
    assert f"saves more than {100 * plan.gap:.2f} % of this plan's cost" in head
    assert "the same scenarios (proven)" in head
    cost = plan.cost / 3
    assert f"plan cost a week, USD{cost:,.0f}" in head or f"{cost:.1f}" in head
    assert "3 items · 2 nodes · 3 weeks" in head
    made_at = plan.facts["made"][:10]
    assert made_at in head


def test_what_is_proven_adds_up(made):
    plan = made.plan
    proof = plan.facts["certificate"]
    shares = [100 * proof[k] / plan.cost for k in ("model", "fulfilment")]
    text = made.page.text["proof"]
    apart = text.split("Gap, taken apart")[1]
    assert_allclose(numbers(apart)[:2], shares, atol=6e-3)


def test_each_certificate_says_what_it_promises(made):
    facts = made.outcome.facts
    proof = made.page.text["proof"]
    assert f"{facts['hindsight']:,.0f} USD a week: nobody could pay less" in proof
    assert "certificate B" not in proof
    law = {"bound": 5000.0, "bound_error": 250.0, "cost": 6000.0, "cost_error": 40.0}
    outcome = replace(made.outcome, facts=facts | {"certificate": law})
    proof = Page(html([Run("run", made.plan, outcome)])).text["proof"]
    assert "4,750 USD a week: under the law" in proof
    assert "expected at 6,000 ± 40." in proof


def test_a_refined_plan_says_so(made):
    refined = {"before": 1500.0, "after": 1400.0, "checks": []}
    facts = made.plan.facts | {"refinement": refined}
    last = made.plan.metrics[-1]
    steps = (*made.plan.metrics, last | {"phase": "refine", "value": 9e9})
    page = Page(html([Run("run", replace(made.plan, facts=facts, metrics=steps))]))
    assert "by simulation: 1,500 to 1,400 USD a week" in page.notes["search"]
    assert not any("9,000,000" in text for text in page.pictures["search"][1])


def test_the_plan_is_set_against_the_first_baseline(made):
    other = made.outcome.policies[1]
    low, high = (kpi(made, other, column=f"difference_{x}") for x in ("low", "high"))
    base, gap = kpi(made, other), -kpi(made, other, column="difference")
    says = made.page.says["kpis"]
    assert f"than {other} (" in says or f"difference to {other}," in says
    clear = low > 0 or high < 0
    middle = 100 * abs(gap) / base if clear else base
    same(says, [12, kpi(made, "plan"), middle, gap, 95, -high, -low])
    assert made.page.says["kpis"] in made.page.text[""]


def test_the_metrics_are_those_of_the_simulation(made):
    names, rows = made.page.tables["kpi-table"]
    first, second, third = made.outcome.policies
    assert names == [
        "metric", "plan", second, f"plan less {second}", "p", third,
        f"plan less {third}", "p",
    ]  # fmt: skip
    cost = next(row for row in rows if row[0] == "cost a week, USD")
    half = (kpi(made, first, column="high") - kpi(made, first, column="low")) / 2
    assert numbers(cost[1]) == [round(kpi(made, first)), round(half)]
    same(cost[5], [kpi(made, third), numbers(cost[5])[1]])
    gap = [-kpi(made, third, column=f"difference{x}") for x in ("", "_high", "_low")]
    same(cost[6], gap)
    served = next(row for row in rows if row[0] == "served (fill rate)")
    rate = 100 * kpi(made, second, "fill rate")
    assert numbers(served[2])[0] == pytest.approx(rate, abs=0.051)
    gap = -100 * kpi(made, second, "fill rate", "difference")
    assert numbers(served[3])[0] == pytest.approx(gap, abs=0.051)
    assert served[3].endswith("points")
    assert len(rows) == made.outcome.kpis["metric"].nunique()


def test_the_waterfall_names_the_largest_step(made):
    other = made.outcome.policies[1]
    parts = {
        metric.removesuffix(" cost per period"): -kpi(made, other, metric, "difference")
        for metric in made.outcome.kpis["metric"].unique()
        if metric.endswith(" cost per period")
    }
    largest = max(parts, key=lambda k: abs(parts[k]))
    total = -kpi(made, other, column="difference")
    says = made.page.says["waterfall"]
    assert f"what differs most is {largest} (" in says
    same(says, [abs(total), parts[largest]])
    assert ("less" if total < 0 else "more") in says
    shown = made.page.pictures["waterfall"][1]
    assert {*parts, "all"} <= set(shown)
    assert sum(parts.values()) == pytest.approx(total)


def test_the_heat_map_names_what_is_full(made):
    prices = made.plan.prices
    full = prices[prices["utilization"] >= FULL]
    assert len(full) > 0
    says = made.page.says["capacity"]
    assert f"{len(full)} of {len(prices)} capacities are full, none is exceeded" in says
    dear = prices[prices["price"] > 1e-9]
    dear = dear.assign(money=dear["price"] * dear["capacity"])
    order = dear.groupby(["node", "resource"])["money"].sum().sort_values()
    known = set(zip(full["node"], full["resource"], strict=True))
    node, resource = next(k for k in reversed(order.index) if k in known)
    assert says.startswith(f"{node} {resource} is full in ")
    at = full[(full["node"] == node) & (full["resource"] == resource)]
    for period in at["period"] if len(at) < 3 else []:
        assert period in says or " to " in says
    assert ("all 3 weeks" in says) == (len(at) == 3)


def test_the_dearest_unit_of_room_is_named(made):
    prices = made.plan.prices
    node, resource = dearest(prices)
    mine = prices[(prices["node"] == node) & (prices["resource"] == resource)]
    says = made.page.says["prices"]
    assert f"of {node} {resource} is worth up to" in says
    priced = int((prices["price"] > 1e-9).sum())
    tail = says[says.index("worth up to") :]
    found = numbers(tail)
    assert found[0] == pytest.approx(mine["price"].max(), rel=6e-3)
    assert found[-2:] == [priced, len(prices)]


def test_ten_per_cent_is_worth_what_the_bound_proves(made):
    prices = made.plan.prices.copy()
    prices["bound_price"] *= 0.6  # the bound has prices of its own
    slack = made.plan.cost - made.plan.bound
    page = Page(html([Run("run", replace(made.plan, prices=prices))]))
    money = prices["price"] * prices["capacity"]
    proven = prices["bound_price"] * prices["capacity"]
    keys = [prices["node"], prices["resource"]]
    sums = pd.DataFrame({"m": money, "p": proven}).groupby(keys).sum()
    sums = sums[sums["m"] > 0].sort_values("m", ascending=False)
    _, rows = page.tables["value-table"]
    assert [tuple(row[:2]) for row in rows] == list(sums.index)
    for row, (m, p) in zip(rows, sums.to_numpy(), strict=True):
        shown = [numbers(cell)[0] for cell in row[2:]]
        expected = [0.1 * m, slack + 0.1 * p, max(0.1 * p - slack, 0)]
        assert_allclose(shown, expected, rtol=6e-3, atol=1e-3)
    best = sums.iloc[0]
    found = numbers(page.says["value"])
    assert found[:2] == [10, pytest.approx(0.1 * best["m"], rel=6e-3)]
    assert found[2:4] == [3, pytest.approx(slack + 0.1 * best["p"], rel=6e-3)]


def test_the_slowest_service_is_named(made):
    table = made.outcome.service
    slow = table.assign(speed="overnight", on_promise_rate=0.25, fill_rate=0.75)
    slow["low"], slow["high"] = 0.2, 0.3
    service = pd.concat([table, slow], ignore_index=True)
    outcome = replace(made.outcome, service=service)
    page = Page(html([Run("run", made.plan, outcome)]))
    assert page.says["speeds"].startswith("25.0 % of overnight units come on promise")
    same(page.says["speeds"], [25, 2, 75])
    drawn = set(page.pictures["speeds"][1])
    assert {"ground", "overnight", *made.outcome.policies} <= drawn


def test_the_cheapest_and_the_kindest_policy_are_named(made):
    policies = made.outcome.policies
    cheap = min(policies, key=lambda p: kpi(made, p))
    kind = max(policies, key=lambda p: kpi(made, p, "on promise rate"))
    says = made.page.says["trade"]
    assert says.startswith(f"Cheapest: {cheap}, ")
    expected = [kpi(made, cheap), 100 * kpi(made, cheap, "on promise rate")]
    if kind != cheap:
        assert f"most on promise: {kind}, " in says
        expected += [100 * kpi(made, kind, "on promise rate"), kpi(made, kind)]
    same(says, expected)


def test_exceptions_are_counted_and_the_dearest_comes_first(made):
    targets = made.plan.targets.copy()
    pairs = targets.drop_duplicates(["item", "node"])  # in their first period
    a, b, c = pairs.index[[0, 2, 5]]
    targets["expected_fill_rate"] = 1.0
    targets.loc[[a, b], "expected_fill_rate"] = 0.42, 0.7
    targets.loc[[a, b], "shortage_cost"] = 1234.0, 0.5
    targets["days_of_supply"] = 20.0
    targets.loc[c, ["days_of_supply", "holding_cost"]] = 80.0, 6.0
    page = Page(html([Run("run", replace(made.plan, targets=targets))]))
    column = lambda name: page.column("exceptions-table", name)
    assert column("kind") == ["short", "excess", "short"]
    assert [numbers(m)[0] for m in column("USD a week")] == [1234, 3, 0.5]
    row, long = targets.loc[a], targets.loc[c]
    first = (
        f"{row['item']} at {row['node']}, {row['period']}: its target of "
        f"{row['order_up_to']:.0f} covers 42 % of the node's own demand."
    )
    assert column("what")[0] == first
    assert page.says["exceptions"] == (
        f"3 exceptions (2 short, 1 excess). The dearest: {first}"
    )
    assert column("what")[1] == (
        f"{long['item']} at {long['node']}, {long['period']}: its target of "
        f"{long['order_up_to']:.0f} lasts 80 days, the median is 20."
    )


def test_stock_that_comes_too_late_is_an_exception(tmp_path):
    """Two weeks on the way and nothing there: the demand of two weeks is late."""
    stock = ("item,node,on_hand", "A,DC,500", "B,DC,500", "C,DC,500", "B,WEST,40")
    plan = meio.solve(
        write(tmp_path / "data", added("inventory.csv", *stock)), config=options()
    )
    table = plan.targets.set_index(["item", "node", "period"])
    late, ships = table["late"].unstack(), table["cycle_stock"].unstack()
    far, wish = late.loc["A", "WEST"], ships.loc["A", "WEST"]
    assert_allclose(far.iloc[:2].cumsum(), wish.iloc[:2].cumsum(), atol=0.5)
    assert far.iloc[2] == 0
    assert (late.loc["B", "WEST"] == 0).all()
    table = plan.exceptions.set_index("kind")
    row = table.loc["late"].query("item == 'A' and node == 'WEST'").iloc[0]
    assert (row["quantity"], row["period"]) == (far.sum(), "2026-01-05")
    assert row["money"] == pytest.approx(9 * far.sum() / 3)  # a lost sale costs 9
    assert row["sentence"] == (
        f"A at WEST, 2026-01-05 to 2026-01-12: {far.sum():.0f} units to be shipped "
        "come too late, with all orders placed."
    )


def test_stock_of_items_is_drawn_and_folded_away(made):
    weeks, share = ("2026-01-05", "2026-01-12"), np.array([0.0, 4, 5, 8, 9])
    fan = lambda item, low: SimpleNamespace(
        item=item, node="EAST", periods=weeks, unit="week", target=np.array([9.0, 12]),
        on_hand=low + np.stack([share, share + 1], axis=1), received=np.array([3.0, 0]),
        paths=64,
    )  # fmt: skip
    run = replace(made.run, fans=(fan("A<b>", 0.0), fan("B", 2.0)))
    text = html([run])
    page = Page(text)
    assert page.says["fans"] == (
        "2 items that ship most, each at the node that ships most of it, on 64 fresh "
        "paths. 1 of them run out in some week on one path of twenty."
    )
    assert {key for key in page.pictures if key} == PICTURES | {"fans"}
    assert page.pictures["fans"][0] == (
        "B at EAST: target 10 on average, median stock 71 % of it"
    )
    folded = text[text.index("<details>") : text.index("</details>")]
    assert folded.count("<svg") == 2
    assert "A&lt;b&gt; at EAST" in folded
    assert len(folded) < 2 * 12_000
    steady = replace(run, fans=(fan("B", 2.0),))
    assert (
        Page(html([steady]))
        .says["fans"]
        .endswith("None runs out in any week on more than one path of twenty.")
    )


def test_nodes_close_to_each_other_share_a_label(made):
    places = {"EAST": (40.0, -74.0), "WEST": (40.1, -74.2), "DC": (35.0, -110.0)}
    plan = replace(made.plan, facts=made.plan.facts | {"places": places})
    stock = plan.targets.groupby("node")["expected_on_hand"].sum()
    first, second = stock.sort_values(ascending=False).index
    drawn = Page(html([Run("run", plan)])).pictures["places"][1]
    assert f"{first}, {second}" in drawn


def test_warnings_of_the_check_are_exceptions(tmp_path):
    files = added("capacities.csv", "WEST,inbound,2026-01-12,0")
    plan = meio.solve(write(tmp_path / "data", files), config=options())
    again = meio.load(plan.save(tmp_path / "run"))
    for table in (plan.exceptions, again.exceptions):
        (row,) = table[table["kind"] == "data"].to_dict("records")
        assert (row["node"], row["quantity"], row["money"]) == ("WEST", 1, 0)
        assert row["sentence"].startswith("capacities.csv:3: capacity = 0: nothing can")


def test_stock_above_storage_on_half_of_the_paths_is_an_exception(made):
    use = made.outcome.use
    often = use[(use["policy"] == "plan") & (use["share_above"] >= 0.5)]
    kinds = made.page.column("exceptions-table", "kind")
    assert kinds.count("over on paths") == len(
        often[["node", "resource"]].drop_duplicates()
    )
    assert "over on paths" in kinds


def test_the_money_of_targets_adds_up(made):
    targets, kpis = made.plan.targets, made.plan.kpis.set_index("metric")["value"]
    holding = targets["holding_cost"].sum() / 3
    assert holding == pytest.approx(kpis["holding cost per period"], rel=1e-4)
    lost = targets["shortage_cost"].sum() / 3
    assert lost >= kpis["lost sales cost per period"] * (1 - 1e-6)
    full = targets["expected_fill_rate"] > 1 - 1e-9
    assert_allclose(targets["shortage_cost"][full], 0, atol=1e-6)


def test_the_targets_to_act_on_are_listed(made):
    targets = made.plan.targets
    first = targets[targets["period"] == "2026-01-05"]
    page = made.page
    same(
        page.says["lists"].removeprefix("What to act on in 2026-01-05"),
        [first["order_up_to"].sum(), (first["order_up_to"] > 0).sum()],
    )
    shown = zip(
        page.column("targets-table", "item"), page.column("targets-table", "node"),
        page.column("targets-table", "order up to"), strict=True,
    )  # fmt: skip
    expected = first.set_index(["item", "node"])["order_up_to"].to_dict()
    assert {(i, n): numbers(x)[0] for i, n, x in shown} == expected
    assert len(page.tables["prices-table"][1]) == len(made.plan.prices)
    missed = [numbers(x)[0] for x in page.column("service-table", "not on promise")]
    assert missed == sorted(missed, reverse=True)


def test_the_search_ends_at_cost_and_bound(made):
    plan = replace(made.plan, bound=0.8 * made.plan.cost)
    page = Page(html([Run("run", plan)]))
    many = max(step["evaluations"] for step in plan.metrics)
    found = numbers(page.says["search"])
    expected = [many, plan.facts["seconds"], plan.cost, 20, plan.bound]
    assert_allclose(found, expected, rtol=6e-3, atol=0.006)
    assert {f"plan {plan.cost:,.0f}", f"bound {plan.bound:,.0f}"} <= set(
        page.pictures["search"][1]
    )


def test_the_same_run_gives_the_same_bytes(made):
    assert html([made.run]) == made.text
    assert html([replace(made.run)]) == made.text


HOSTILE = {
    "A": "<script>alert(1)</script>",
    "B": "{{ 7 * 7 }} $x^2$ _b & \"q\" 'r'",
    "C": "長い品名 " + "x" * 300,
    "EAST": '"><img src=x onerror=alert(1)>',
    "WEST": "$x^2$ </style></svg></title>Ünïcode שלום",
    "North": "<b>North</b>",
    "ground": "</script><script>alert(2)</script>",
    "base_stock_lost": "<i>base</i>",
}


def renamed(made) -> Run:
    """The run with other names."""
    swap = lambda frame: frame.replace(HOSTILE)
    plan, outcome = made.plan, made.outcome
    facts = plan.facts | {"name": "<u>name</u>", "device": "<cpu>"}
    places = {"EAST": [40.0, -75.0], "WEST": [35.0, -118.0]}
    facts["places"] = {HOSTILE[node]: place for node, place in places.items()}
    plan = replace(
        plan, facts=facts,
        **{k: swap(getattr(plan, k)) for k in ("targets", "prices", "service")},
    )  # fmt: skip
    tables = ("kpis", "service", "use", "by_path")
    outcome = replace(outcome, **{k: swap(getattr(outcome, k)) for k in tables})
    return Run("<em>run</em>", plan, outcome)


def test_hostile_names_are_harmless_and_readable(made):
    page = Page(html([renamed(made)]))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == tags.count("style") == 1
    assert not {"img", "b", "i", "u", "em"} & set(tags)
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    items = page.column("targets-table", "item")
    assert {HOSTILE[k] for k in "ABC"} == set(items)
    assert HOSTILE["ground"] in page.says["speeds"]
    assert {"places", *PARTS} <= {*page.says, "proof", "made", "glossary"}
    drawn = "".join(page.pictures["capacity"][1])
    assert '"><img src=x' in drawn  # as text, shortened
    assert "$x^2$ </style>" in drawn  # and not as a formula


def test_nodes_with_coordinates_are_on_the_map(made):
    places = {"EAST": [40.0, -75.0], "WEST": [35.0, -118.0]}
    plan = replace(made.plan, facts=made.plan.facts | {"places": places})
    page = Page(html([Run("run", plan)]))
    stock = plan.targets.groupby("node")["expected_on_hand"].sum() / 3
    most, total = stock.idxmax(), stock.sum()
    assert page.says["places"].startswith(f"{most} holds most: ")
    share = 100 * stock.max() / total
    same(page.says["places"], [stock.max(), total, share, 3, 2])
    assert {"EAST", "WEST"} <= set(page.pictures["places"][1])


def test_without_a_simulation_the_page_is_whole(made):
    page = Page(html([Run("run", made.plan)]))
    missing = {"waterfall", "speeds", "trade"}
    assert {*page.says, "proof", "made", "glossary"} == PARTS - missing
    assert "It was not simulated" in page.says["kpis"]
    same(page.says["kpis"], [made.plan.cost / 3])
    shown = page.column("kpi-table", "plan")
    assert len(shown) == len(made.plan.kpis)
    assert "on paths" not in page.says["exceptions"]


def test_without_a_baseline_there_is_no_difference(made):
    keep = lambda frame: frame[frame["policy"] == "plan"].reset_index(drop=True)
    tables = {k: keep(getattr(made.outcome, k)) for k in ("kpis", "service", "use")}
    page = Page(html([Run("run", made.plan, replace(made.outcome, **tables))]))
    assert "waterfall" not in page.says
    assert page.says["kpis"].endswith("no baseline was simulated beside it.")
    assert page.tables["kpi-table"][0] == ["metric", "plan"]


def test_a_single_path_has_no_intervals(made):
    table = made.outcome.kpis.copy()
    ends = ["low", "high", "difference_low", "difference_high", "p"]
    table[ends] = np.nan
    page = Page(html([Run("run", made.plan, replace(made.outcome, kpis=table))]))
    assert "nan" not in page.text["kpis"]
    assert "±" not in "".join(page.column("kpi-table", "plan"))
    assert "95 % interval" not in page.says["kpis"]


def test_without_prices_nothing_is_dear(made):
    prices = made.plan.prices.assign(
        price=0.0, bound_price=0.0, utilization=0.5, use=1.0
    )
    page = Page(html([Run("run", replace(made.plan, prices=prices))]))
    assert page.says["prices"] == "No capacity binds: the price of all 7 is 0."
    assert page.says["value"].startswith("No capacity has a price")
    assert "None of 7 capacities is full" in page.says["capacity"]
    assert set(page.pictures) == {"capacity", "search"}


def test_without_capacities_the_page_is_whole(made):
    plan = replace(made.plan, prices=made.plan.prices.iloc[:0])
    page = Page(html([Run("run", plan)]))
    assert page.says["capacity"] == "No capacity is limited: nothing can be full."
    assert page.says["prices"] == "No capacity is limited: there are no prices."
    assert "prices-table" not in page.tables
    assert set(page.pictures) == {"search"}


def test_one_item_in_one_period(made):
    only = lambda f: f[(f["item"] == "A") & (f["period"] == "2026-01-05")]
    prices = made.plan.prices
    plan = replace(
        made.plan, targets=only(made.plan.targets),
        prices=prices[prices["period"] == "2026-01-05"],
    )  # fmt: skip
    page = Page(html([Run("run", plan)]))
    assert set(page.column("targets-table", "item")) == {"A"}
    assert "least later" not in page.tables["targets-table"][0]
    assert "1 week" in page.says["value"]


STATUSES = {
    "optimal_within_gap": "the gap is within what was asked",
    "gap_above_target": "Solved, gap above what was asked",
    "stopped": "Stopped early",
    "over_capacity": "Does not fit",
}


@pytest.mark.parametrize("status", STATUSES)
def test_the_status_is_said_in_words(made, status):
    page = Page(html([Run("run", replace(made.plan, status=status))]))
    assert STATUSES[status] in page.text[""]
    assert page.text["made"].count(status) == 1


def test_what_is_exceeded_is_said(made):
    prices = made.plan.prices.copy()
    at = prices.index[2]
    prices.loc[at, ["use", "utilization"]] = prices.loc[at, "capacity"] * 1.25, 1.25
    prices.loc[at, "price"] = 2.0
    plan = replace(made.plan, status="over_capacity", prices=prices)
    page = Page(html([Run("run", plan)]))
    row = prices.loc[at]
    assert page.says["capacity"].startswith(
        f"1 of 7 capacities is exceeded, most {row['node']} {row['resource']} in "
        f"{row['period']} (125.0 % of it)"
    )
    kinds = page.column("exceptions-table", "kind")
    money = page.column("exceptions-table", "USD a week")[kinds.index("over capacity")]
    assert numbers(money)[0] == pytest.approx(0.5 * row["capacity"], rel=6e-3)


def test_a_closed_node_in_use_has_no_percentage(made):
    prices = made.plan.prices.copy()
    prices.loc[prices.index[0], ["use", "capacity"]] = 3.0, 0.0
    prices.loc[prices.index[0], "utilization"] = np.inf
    page = Page(html([Run("run", replace(made.plan, prices=prices))]))
    assert "which is closed" in page.says["capacity"]
    assert "inf" not in page.says["capacity"]


def test_without_a_bound_nothing_is_proven(made):
    plan = replace(made.plan, bound=-math.inf)
    page = Page(html([Run("run", plan)]))
    assert "No bound was proven" in page.text[""]
    assert "nothing is proven, as there is no bound" in page.says["value"]
    assert "inf" not in page.says["value"] + page.says["search"]
    assert "+10 % saves at most" not in page.tables["prices-table"][0]


def test_a_run_before_targets_had_money_is_shown(made):
    targets = made.plan.targets.drop(columns=["holding_cost", "shortage_cost"])
    page = Page(html([Run("run", replace(made.plan, targets=targets))]))
    assert "items are left out" in page.notes["exceptions"]
    assert "exceptions-table" not in page.tables
    assert len(page.tables["targets-table"][1]) == 6


def flagship(made) -> Run:
    """A run as large as the flagship: 2,000 items, 36 nodes, 13 weeks."""
    items, nodes, periods = 2000, 36, 13
    rng = np.random.default_rng(0)
    shape = items * nodes * periods
    label = lambda word, n: np.array([f"{word}-{k:05}" for k in range(n)])
    weeks = np.array(
        [f"2026-{1 + k // 4:02}-{1 + k % 4 * 7:02}" for k in range(periods)]
    )
    i, n, t = np.unravel_index(np.arange(shape), (items, nodes, periods))
    level = rng.gamma(0.5, 200, shape).round()
    text = lambda names, code: pd.Categorical.from_codes(code, names).astype(str)
    targets = pd.DataFrame({
        "item": text(label("item", items), i), "node": text(label("node", nodes), n),
        "period": text(weeks, t), "order_up_to": level,
        "safety_stock": 0.5 * level, "cycle_stock": 0.3 * level,
        "pipeline_stock": 0.2 * level, "expected_on_hand": 0.8 * level,
        "expected_fill_rate": rng.random(shape), "days_of_supply": level + 1,
        "holding_cost": 0.01 * level, "shortage_cost": rng.random(shape),
        "held_by": "economics",
    })  # fmt: skip
    k, n, t = (x.ravel() for x in np.indices((3, nodes, periods)))
    resource = np.array(["storage", "inbound", "outbound"])
    use = rng.random(len(k)) * 1.005
    price = rng.random(len(k)) * (use > 0.5)
    prices = pd.DataFrame({
        "node": label("node", nodes)[n], "resource": resource[k], "period": weeks[t],
        "price": price, "use": 1e4 * use, "capacity": 1e4, "utilization": use,
        "value_plus_10pct": 1e3 * price, "value_minus_10pct": 0.0, "bound_price": price,
    })  # fmt: skip
    place = lambda: [float(rng.uniform(25, 48)), float(rng.uniform(-120, -75))]
    facts = made.plan.facts | {
        "places": {str(n): place() for n in label("node", nodes)}
    }
    service = pd.concat([made.plan.service] * 400, ignore_index=True)
    plan = replace(
        made.plan, targets=targets, prices=prices, service=service, facts=facts
    )
    return Run("flagship", plan)


def test_the_page_of_a_large_run_is_small_and_says_what_it_leaves_out(made):
    run = flagship(made)
    text = html([run])
    assert len(text.encode()) < 2e6
    page = Page(text)
    rows = len(page.tables["targets-table"][1])
    assert rows == 1000
    left_out = 2000 * 36 - rows
    assert (
        f"{left_out:,} targets of 2026-01-01 with less money are not"
        in page.notes["lists"]
    )
    assert "936,000" in page.notes["lists"]
    assert "targets.parquet" in page.notes["lists"]
    hidden = len(run.plan.prices) - len(page.tables["prices-table"][1])
    assert f"{hidden:,} more, worth less, are in prices.parquet" in page.notes["lists"]
    assert len(page.tables["exceptions-table"][1]) == 50

"""Buys and transfers of plans: they balance, and answer to stock, offers and limits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from tiny_folder import WEEKS, added, options, tiny, write

from meio_jax.api import solve
from meio_jax.faults import InputError
from meio_jax.plan import load
from meio_jax.tables import check_folder

HEAD = "vendor,item,node,lead_time,lead_time_std,unit_cost,moq,order_multiple,capacity"
OFFERS = (
    HEAD, "ACME,A,DC,1,0.5,5,,,", "ACME,B,DC,2,1,7.5,,,", "BEST,C,DC,1,0,20,,4,",
    "SLOW,A,DC,4,2,4.99,,,",
)  # fmt: skip
STOCK = (
    "item,node,period,on_hand,on_order",
    "A,DC,,30,0", "A,EAST,,12,0", f"A,DC,{WEEKS[1]},0,25", f"B,EAST,{WEEKS[0]},4,6",
)  # fmt: skip


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """Solves the tiny folder with offers and more files."""
    root = tmp_path_factory.mktemp("supply")

    def run(name, *changes, offers=OFFERS, **files):
        given = added("vendors.csv", *offers)
        given |= {f"{k}.csv": "\n".join(v) + "\n" for k, v in files.items()}
        return solve(write(root / name, given), config=options(*changes))

    return run


@pytest.fixture(scope="module")
def plan(solved):
    return solved("plain")


@pytest.fixture(scope="module")
def stocked(solved):
    return solved("stocked", inventory=STOCK)


def bought(plan, item, week=None):
    rows = plan.buys[plan.buys["item"] == item]
    return rows if week is None else rows[rows["order_period"] == WEEKS[week]]


def test_every_item_is_bought_from_one_vendor_and_sent_on(plan):
    vendors = plan.buys.groupby("item")["vendor"].unique()
    assert vendors["B"].tolist() == ["ACME"]
    assert vendors["C"].tolist() == ["BEST"]
    assert (plan.buys["node"] == "DC").all()
    assert set(plan.transfers["destination"]) == {"EAST", "WEST"}
    assert (plan.transfers["source"] == "DC").all()
    for table in (plan.buys, plan.transfers):
        assert (table["quantity"] > 0).all()
        assert (table["quantity"] == table["quantity"].round()).all()


def test_costs_are_quantities_times_unit_costs(plan):
    cost = plan.buys["item"].map({"A": 5, "B": 7.5, "C": 20}).astype(float)
    cost = np.where(plan.buys["vendor"] == "SLOW", 4.99, cost)
    assert_allclose(plan.buys["cost"], plan.buys["quantity"] * cost)
    lane = plan.transfers["destination"].map({"EAST": 0.2, "WEST": 0.3}).astype(float)
    assert_allclose(plan.transfers["cost"], plan.transfers["quantity"] * lane)
    kpis = plan.kpis.set_index("metric")["value"]
    assert_allclose(kpis["buying cost per period"], plan.buys["cost"].sum() / 3)
    assert_allclose(kpis["transfer cost per period"], plan.transfers["cost"].sum() / 3)


def test_arrivals_are_orders_and_their_lead_times(plan):
    rows = bought(plan, "B")
    after = [*WEEKS, "+1", "+2", "+3"]
    for order, arrival in zip(
        rows["order_period"], rows["arrival_period"], strict=True
    ):
        assert after.index(arrival) == after.index(order) + 2
    rows = plan.transfers[plan.transfers["destination"] == "WEST"]
    for ship, arrival in zip(rows["ship_period"], rows["arrival_period"], strict=True):
        assert after.index(arrival) == after.index(ship) + 2


def test_orders_are_whole_packs(plan):
    rows = bought(plan, "C")
    assert len(rows)
    assert (rows["quantity"] % 4 == 0).all()


def test_the_first_order_brings_the_position_to_the_level(stocked):
    # A has 30 + 25 at the DC and 12 at EAST
    first = bought(stocked, "A", 0)
    assert_allclose(first["quantity"], first["echelon_level"] - 30 - 25 - 12)
    first = bought(stocked, "B", 0)
    assert_allclose(first["quantity"], first["echelon_level"] - 4 - 6)


def test_transfers_are_what_targets_ask_for_or_what_there_is(stocked):
    target = stocked.targets.set_index(["item", "node", "period"])["order_up_to"]
    sent = stocked.transfers.set_index(["item", "destination", "ship_period"])[
        "quantity"
    ]
    first = [sent.get(("A", node, WEEKS[0]), 0) for node in ("EAST", "WEST")]
    want = [target["A", "EAST", WEEKS[0]] - 12, target["A", "WEST", WEEKS[0]]]
    assert sum(first) == min(sum(want), 30)
    assert ("B", "WEST", WEEKS[0]) not in sent.index  # the DC has none, two weeks off
    reasons = stocked.transfers.set_index(["item", "ship_period"])["reason"]
    if sum(want) > 30:
        assert "less than asked for" in reasons["A", WEEKS[0]].tolist()


def test_more_stock_is_bought_less_of(stocked, solved):
    more = (*STOCK, "A,WEST,,40,0")
    plan = solved("more", inventory=more)
    units = lambda p: bought(p, "A")["quantity"].sum()
    assert units(stocked) - 40 <= units(plan) < units(stocked)


def test_a_budget_is_kept_where_it_can_be(solved, stocked):
    free = stocked.buys.groupby("order_period")["cost"].sum()
    money = 0.6 * free.iloc[0]
    plan = solved("budget", f"problem.budget={money}", inventory=STOCK)
    rows = plan.depots[plan.depots["resource"] == "budget"].set_index("period")
    assert_allclose(rows["capacity"], money)
    assert rows["price"].iloc[0] > 0
    assert rows["use"].iloc[0] <= 1.02 * money
    spent = plan.buys.groupby("order_period")["cost"].sum().iloc[0]
    assert spent <= 1.1 * money  # whole units and packs
    assert spent < 0.7 * free.iloc[0]


def test_the_room_of_a_depot_has_a_price(solved, plan):
    room = plan.depots[plan.depots["resource"] == "storage"]["use"].iloc[0]
    assert room > 0
    nodes = tiny()["nodes.csv"].replace("DC,dc,0.01,", f"DC,dc,0.01,{0.5 * room:.3f}")
    tight = solved("room", nodes=nodes.splitlines())
    rows = tight.depots[tight.depots["resource"] == "storage"]
    assert (rows["price"] > 0).all()
    assert (rows["use"] <= 1.02 * rows["capacity"]).all()  # three items, whole levels
    assert tight.buys["echelon_level"].sum() < plan.buys["echelon_level"].sum()


def test_a_slower_vendor_is_taken_when_it_is_cheap_enough(plan, solved):
    assert bought(plan, "A")["vendor"].unique().tolist() == ["ACME"]
    cheap = [row.replace("4.99", "1.00") for row in OFFERS]
    assert bought(solved("cheap", offers=cheap), "A")["vendor"].unique() == ["SLOW"]


def test_vendors_that_deliver_to_nodes_are_ordered_from_directly(solved):
    lanes = ["source,destination,lead_time", "DC,EAST,1"]
    offers = (*OFFERS, "NEAR,A,WEST,1,0,5,,,", "NEAR,B,WEST,1,0,7.5,,,")
    plan = solved("direct", offers=offers, lanes=lanes)
    rows = plan.buys[plan.buys["node"] == "WEST"]
    assert set(rows["item"]) >= {"A", "B"}
    assert rows.loc[rows["item"] == "A", "vendor"].unique().tolist() == ["NEAR"]
    assert set(plan.transfers["destination"]) == {"EAST"}


def test_without_vendors_depots_send_whatever_is_asked_for(tmp_path):
    plan = solve(write(tmp_path, tiny()), config=options())
    assert plan.buys.empty
    assert len(plan.transfers)
    assert (plan.transfers["reason"] == "order up to the level").all()


def test_buys_and_transfers_come_back_from_a_run(stocked, tmp_path):
    again = load(stocked.save(tmp_path / "run"))
    for name in ("buys", "transfers", "depots"):
        assert_frame_equal(
            getattr(again, name), getattr(stocked, name), check_dtype=False
        )


@pytest.mark.parametrize(
    ("table", "rows", "said"),
    [
        ("vendors", (HEAD, "ACME,A,DC,,0,5,,,"), "lead_time is empty"),
        ("vendors", (HEAD, "ACME,A,DC,1,0,5,40,,30"), "moq = 40 is above capacity"),
        ("vendors", (HEAD, "ACME,A,DC,1,0,5,10,7,12"), "no multiple of order_multiple"),
        ("vendors", (HEAD, "ACME,A,DC,1,0,5,,12,9"), "order_multiple = 12 is above"),
        ("vendors", (HEAD, "ACME,A,DC,-1,0,5,,,"), "lead_time = -1"),
        ("inventory", (STOCK[0], "A,DC,,-3,0"), "on_hand = -3"),
        ("inventory", (STOCK[0], "A,DC,,3,-1"), "on_order = -1"),
        ("inventory", (STOCK[0], "A,DC,,,2"), "on_hand is empty"),
        (
            "inventory", (STOCK[0], "A,DC,,3,0", f"A,DC,{WEEKS[1]},4,0"),
            "on_hand of item 'A' at 'DC' is also given at inventory.csv:2",
        ),
    ],
)  # fmt: skip
def test_bad_offers_and_stock_are_refused(table, rows, said, tmp_path):
    folder = write(tmp_path, added("vendors.csv", *OFFERS) | {
        f"{table}.csv": "\n".join(rows) + "\n"
    })  # fmt: skip
    faults = check_folder(folder)
    assert said in str(faults)
    with pytest.raises(InputError):
        solve(folder)


def test_a_plan_made_from_another_says_what_moved(plan, solved, tmp_path):
    folder = write(tmp_path / "data", added("vendors.csv", *OFFERS))
    same = solve(folder, config=options(), start=plan)
    targets = same.targets
    assert_allclose(targets["previous"], plan.targets["order_up_to"])
    move = (targets["order_up_to"] - targets["previous"]).abs()
    value = same.kpis.set_index("metric")["value"]
    assert_allclose(value["targets moved"], (move > 0).mean())
    assert_allclose(
        value["moved since previous"], move.sum() / targets["order_up_to"].sum()
    )
    assert value["targets moved"] < 0.5  # the same tables: it does not jump
    assert plan.targets["previous"].isna().all()


def test_an_override_says_what_it_costs(tmp_path):
    head = "item,node,period,quantity,reason"

    def run(name, quantity):
        row = f"B,EAST,{WEEKS[1]},{quantity},asked for by the site"
        files = added("fixed_targets.csv", head, row)
        return solve(write(tmp_path / name, files), config=options())

    free = solve(write(tmp_path / "free", tiny()), config=options())
    usual = free.targets.set_index(["item", "node", "period"])["order_up_to"]
    best = int(usual["B", "EAST", WEEKS[1]])
    costs = []
    for more in (0, 6):
        plan = run(str(more), best + more)
        rows = plan.targets[plan.targets["override_cost"] != 0]
        value = plan.kpis.set_index("metric")["value"]["override cost per period"]
        assert_allclose(value, plan.targets["override_cost"].sum() / 3, atol=1e-9)
        assert set(rows["held_by"]) <= {"fixed"}
        costs.append(value)
    assert costs[1] > costs[0] >= -0.2  # what it was anyway costs next to nothing
    assert not free.targets["override_cost"].any()

"""Where to look first: what is over, short or lies too long, by money."""

from __future__ import annotations

import pandas as pd

from meio_jax.report.parts import Part, table
from meio_jax.report.run import OVER, Frame, Run
from meio_jax.report.words import amount, count, percent, several, whole

MOST, EACH = 50, 10  # rows in all; the dearest of each kind that are among them
MOVED = 0.2  # of the earlier target, from which a move is told
LONG = 2.0  # days of supply from so many medians on are excess
COLUMNS = ("kind", "item", "node", "period", "quantity", "money", "sentence")


def exceptions(run: Run) -> Part:
    """The part that lists exceptions.

    Args:
      run: the run.
    """
    found = all_exceptions(run)
    title = "Where to look first"
    notes = _notes(run)
    if not len(found):
        says = "Nothing is over capacity, short or held for long."
        return Part("exceptions", title, says, notes=notes)
    shown = top(found)
    first = shown.iloc[0]
    kinds = found["kind"].value_counts(sort=False)
    words = ", ".join(f"{many:,} {kind}" for kind, many in kinds.items())
    says = (
        f"{count(len(found), 'exception')} ({words}). The dearest: {first['sentence']}"
    )
    forms = {
        "kind": ("kind", str),
        "money": (f"{run.currency} a {run.period}", amount),
        "sentence": ("what", str),
        "item": ("item", str),
        "node": ("node", str),
        "period": (run.period, str),
    }
    rest = ""
    if len(found) > len(shown):
        rest = (
            f"{len(found) - len(shown):,} more are not shown: all follow from "
            "targets.parquet and prices.parquet."
        )
    listed = table(
        "exceptions-table", f"The {len(shown)} that matter most, by money", shown,
        forms, searched=True, rest=rest,
    )  # fmt: skip
    return Part("exceptions", title, says, tables=(listed,), notes=notes)


def _notes(run: Run) -> tuple[str, ...]:
    notes = [
        "short: what own demand above the target costs if no other node ships it (the "
        "most it can cost). excess: holding cost of stock beyond "
        f"{LONG:g} times the median days of supply. over capacity: at the "
        "plan's price of the capacity; on paths: of the busiest path of twenty. moved: "
        f"more than {MOVED:.0%} since the earlier plan; what it costs to hold. late: "
        "what the node is expected to ship and has not yet, if demand is as expected; "
        "the most it can cost, over the periods of the plan. data: warnings of the "
        "check.",
    ]
    if "shortage_cost" not in run.plan.targets:
        notes.append(
            "The run is older than the money of its targets: items are left out."
        )
    return tuple(notes)


def all_exceptions(run: Run) -> Frame:
    """Every exception, the dearest first.

    Args:
      run: the run.
    """
    parts = [_over(run), _over_on_paths(run)]
    parts.append(_data(run))
    if "late_cost" in run.plan.targets:
        parts.append(_late(run))
    if "shortage_cost" in run.plan.targets:
        parts += [_short(run), _excess(run), _moved(run)]
    rows = [row for part in parts for row in part]
    found: Frame = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    order = ["money", "kind", "item", "node"]
    return found.sort_values(order, ascending=[False, True, True, True], kind="stable")


def top(found: Frame) -> Frame:
    """The dearest, and of each kind its dearest.

    Args:
      found: exceptions, the dearest first.
    """
    must = found.groupby("kind", sort=False).head(EACH).index
    rest = found.index.difference(must, sort=False)[: max(MOST - len(must), 0)]
    return found.loc[found.index.isin(must) | found.index.isin(rest)]


def _over(run: Run):
    rows = run.prices
    rows = rows[rows["utilization"] > OVER]
    for r in rows.itertuples():
        above = r.use - r.capacity
        yield (
            "over capacity", "", r.node, str(r.period), above, above * r.price,
            f"{r.node} {r.resource} is {amount(above)} "
            f"{several(run.unit(r.resource))} above its "
            f"capacity of {amount(r.capacity)} in {r.period}.",
        )  # fmt: skip


def _over_on_paths(run: Run):
    """Storage that binds and that stock on half of the paths is above."""
    if run.outcome is None:
        return
    use = run.outcome.use
    use = use[(use["policy"] == run.policies[0]) & (use["share_above"] >= 0.5)]
    price = run.prices[["node", "resource", "period", "price"]]
    rows = use.merge(price, on=["node", "resource", "period"])
    rows["money"] = rows["price"] * (rows["high"] - rows["capacity"])
    for _, mine in rows.groupby(["node", "resource"], sort=False):
        r = mine.loc[mine["money"].idxmax()]
        above = r["high"] - r["capacity"]
        yield (
            "over on paths", "", r["node"], str(r["period"]), above, r["money"],
            f"{r['node']} {r['resource']} is above its capacity on "
            f"{percent(r['share_above'], 0)} of the paths in {r['period']}, on the "
            f"busiest of twenty by {amount(above)} "
            f"{several(run.unit(r['resource']))}.",
        )  # fmt: skip


def _short(run: Run):
    """Items at nodes whose own demand is above their targets, in the worst period."""
    rows = run.plan.targets
    rows = rows[(rows["shortage_cost"] > 0) & (rows["expected_fill_rate"] < 0.9)]
    worst = rows.groupby(["item", "node"], sort=False)["shortage_cost"].idxmax()
    for r in rows.loc[worst].itertuples():
        yield (
            "short", str(r.item), str(r.node), str(r.period), r.order_up_to,
            r.shortage_cost,
            f"{r.item} at {r.node}, {r.period}: its target of {whole(r.order_up_to)} "
            f"covers {percent(r.expected_fill_rate, 0)} of the node's own demand.",
        )  # fmt: skip


def _late(run: Run):
    """Items at nodes whose stock comes too late: all periods of it, and the money of
    them divided by the periods of the plan."""
    rows = run.plan.targets
    rows = rows[rows["late"] >= 1]
    for (item, node), mine in rows.groupby(["item", "node"], sort=False):
        units, when = mine["late"].sum(), sorted(map(str, mine["period"]))
        money = mine["late_cost"].sum() / len(run.periods)
        span = when[0] if len(when) == 1 else f"{when[0]} to {when[-1]}"
        yield (
            "late", str(item), str(node), when[0], units, money,
            f"{item} at {node}, {span}: {count(int(units), 'unit')} to be shipped "
            f"{'comes' if units == 1 else 'come'} too late, with all orders placed.",
        )  # fmt: skip


def _data(run: Run):
    """Warnings of the check of the tables; nobody knows what they cost."""
    for fault in run.plan.facts.get("warnings", ()):
        item, node, period = fault["about"]
        more = f" ({fault['more']:,} more like it)" if fault["more"] else ""
        yield (
            "data", item, node, period, 1 + fault["more"], 0.0,
            f"{fault['place']}: {fault['text']}{more}. {fault['hint']}.",
        )  # fmt: skip


def _excess(run: Run):
    """Items at nodes whose stock lasts far longer than is usual here."""
    rows = run.plan.targets
    usual = rows["days_of_supply"].median()
    rows = rows[(rows["days_of_supply"] > LONG * usual) & (rows["holding_cost"] > 0)]
    money = rows["holding_cost"] * (1 - LONG * usual / rows["days_of_supply"])
    rows = rows.assign(money=money)
    worst = rows.groupby(["item", "node"], sort=False)["money"].idxmax()
    for r in rows.loc[worst].itertuples():
        yield (
            "excess", str(r.item), str(r.node), str(r.period), r.order_up_to, r.money,
            f"{r.item} at {r.node}, {r.period}: its target of {whole(r.order_up_to)} "
            f"lasts {whole(r.days_of_supply)} days, the median is {whole(usual)}.",
        )  # fmt: skip


def _moved(run: Run):
    """Targets that are far from those of the earlier plan, in the period that moved
    most; none where there was no plan."""
    rows = run.plan.targets
    if "previous" not in rows:
        return
    rows = rows[rows["previous"].notna()]
    move = rows["order_up_to"] - rows["previous"]
    rows = rows.assign(move=move)
    rows = rows[(move.abs() >= 2) & (move.abs() > MOVED * rows["previous"])]
    left = rows["safety_stock"].clip(lower=1e-9)
    unit = (rows["holding_cost"] / left).where(rows["safety_stock"] > 1e-6, 0.0)
    rows = rows.assign(money=rows["move"].abs() * unit)
    worst = rows.groupby(["item", "node"], sort=False)["money"].idxmax()
    for r in rows.loc[worst].itertuples():
        yield (
            "moved", str(r.item), str(r.node), str(r.period), r.move, r.money,
            f"{r.item} at {r.node}, {r.period}: its target moved from "
            f"{whole(r.previous)} to {whole(r.order_up_to)}.",
        )  # fmt: skip

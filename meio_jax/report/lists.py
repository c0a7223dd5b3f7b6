"""Tables of a run, cut to what matters most in money, with where the rest is."""

from __future__ import annotations

import math

from meio_jax.report.parts import Part, Table, table
from meio_jax.report.run import Frame, Run
from meio_jax.report.words import amount, count, percent, whole

TARGETS, PRICES, SERVICE, ORDERS = 1000, 1200, 400, 300  # rows shown at most


def lists(run: Run) -> Part:
    """The part with orders, transfers, targets, prices and service.

    Args:
      run: the run.
    """
    first = run.periods[0] if run.periods else ""
    says = (
        f"What to act on in {first}: "
        f"{whole(_first(run)['order_up_to'].sum())} units as targets of "
        f"{count(int((_first(run)['order_up_to'] > 0).sum()), 'item-node pair')}."
    )
    buys = _of_first(run, run.plan.buys, "order_period")
    if len(buys):
        says += (
            f" {whole(buys['quantity'].sum())} units to buy for "
            f"{amount(buys['cost'].sum())} {run.currency}."
        )
    tables = orders(run), transfers(run), targets(run), prices(run), service(run)
    shown = tuple(t for t in tables if t.rows)
    return Part("lists", "Orders, targets, prices, service", says, tables=shown)


def _of_first(run: Run, table: Frame, column: str) -> Frame:
    """The rows of the first period."""
    first = run.periods[0] if run.periods else ""
    return table[table[column].astype(str) == first]


def orders(run: Run) -> Table:
    """Orders of the first period, the dearest first.

    Args:
      run: the run.
    """
    rows = _of_first(run, run.plan.buys, "order_period")
    forms = {
        "vendor": ("vendor", str),
        "item": ("item", str),
        "node": ("to", str),
        "arrival_period": (f"arrives (+: {run.period}s past the plan)", str),
        "quantity": ("units", whole),
        "cost": (f"cost, {run.currency}", amount),
        "echelon_level": ("up to, everywhere", whole),
        "reason": ("reason", str),
    }
    return _dearest(run, rows, forms, "orders", "Orders to vendors", "buys.parquet")


def transfers(run: Run) -> Table:
    """Transfers of the first period, the dearest first.

    Args:
      run: the run.
    """
    rows = _of_first(run, run.plan.transfers, "ship_period")
    forms = {
        "source": ("from", str),
        "destination": ("to", str),
        "item": ("item", str),
        "arrival_period": (f"arrives (+: {run.period}s past the plan)", str),
        "quantity": ("units", whole),
        "cost": (f"cost, {run.currency}", amount),
        "reason": ("reason", str),
    }
    name = "transfers.parquet"
    return _dearest(run, rows, forms, "transfers", "Transfers to nodes", name)


def _dearest(run: Run, rows: Frame, forms, name: str, what: str, file: str) -> Table:
    """The rows of the first period that cost most."""
    rows = rows.sort_values(["cost", "quantity"], ascending=False, kind="stable")
    shown = rows.head(ORDERS)
    first = run.periods[0] if run.periods else ""
    hidden = len(rows) - len(shown)
    rest = f"{hidden:,} more of {first}, and all later ones, are in {file}."
    return table(
        f"{name}-table", f"{what}, {first}", shown, forms, searched=True,
        rest=rest if hidden else "",
    )  # fmt: skip


def _first(run: Run) -> Frame:
    table = run.plan.targets
    return table[table["period"].astype(str) == run.periods[0]]


def targets(run: Run) -> Table:
    """Targets of the first period, the dearest in stock and shortage first.

    Args:
      run: the run.
    """
    rows = _first(run).copy()
    by = ["holding_cost", "shortage_cost"]
    known = [name for name in by if name in rows]
    rows["rank"] = rows[known].sum(axis=1) if known else rows["expected_on_hand"]
    rows = rows.sort_values("rank", ascending=False, kind="stable")
    shown = _ranged(run, rows.head(TARGETS))
    all_rows, hidden = len(run.plan.targets), len(rows) - len(shown)
    forms = {
        "item": ("item", str),
        "node": ("node", str),
        "order_up_to": ("order up to", whole),
        "safety_stock": ("safety", amount),
        "cycle_stock": ("cycle", amount),
        "pipeline_stock": ("pipeline", amount),
        "expected_fill_rate": ("fill rate", lambda x: percent(x, 0)),
        "days_of_supply": ("days of supply", whole),
        "holding_cost": (f"holding, {run.currency}", amount),
        "shortage_cost": (f"short at most, {run.currency}", amount),
        "low": ("least later", whole),
        "high": ("most later", whole),
        "held_by": ("held by", str),
    }
    forms = {name: form for name, form in forms.items() if name in shown}
    rest = (
        f"{hidden:,} targets of {run.periods[0]} with less money are not shown; all "
        f"{all_rows:,} of all {count(len(run.periods), run.period)} are in "
        "targets.parquet."
    )
    return table(
        "targets-table", f"Targets of {run.periods[0]}, units; money a {run.period}",
        shown, forms, searched=True, rest=rest if all_rows > len(shown) else "",
    )  # fmt: skip


def _ranged(run: Run, shown: Frame) -> Frame:
    """The rows with the least and the most of their targets in later periods."""
    later = run.plan.targets[["item", "node", "period", "order_up_to"]]
    later = later[later["period"].astype(str) != run.periods[0]]
    if not len(later):
        return shown
    later = later[later["item"].isin(shown["item"])]
    ends = later.groupby(["item", "node"])["order_up_to"].agg(low="min", high="max")
    return shown.merge(ends.reset_index(), on=["item", "node"], how="left")


def prices(run: Run) -> Table:
    """Capacities, the dearest first.

    Args:
      run: the run.
    """
    rows = run.prices.sort_values(
        ["money", "utilization"], ascending=False, kind="stable"
    )
    shown = rows.head(PRICES)
    forms = {
        "node": ("node", str),
        "resource": ("resource", str),
        "period": (run.period, str),
        "price": ("price", lambda x: "0" if x < 1e-9 else amount(x)),
        "use": ("use", amount),
        "capacity": ("capacity", amount),
        "utilization": ("use / capacity", percent),
        "money": ("price x capacity", lambda x: "0" if x < 1e-9 else amount(x)),
    }
    if math.isfinite(run.slack):
        forms["value_plus_10pct"] = ("+10 % saves at most", amount)
        forms["value_minus_10pct"] = ("-10 % costs at least", amount)
    hidden = len(rows) - len(shown)
    rest = f"{hidden:,} more, worth less, are in prices.parquet." if hidden else ""
    caption = f"Prices of capacities, {run.currency} per unit and {run.period}"
    return table("prices-table", caption, shown, forms, searched=True, rest=rest)


def service(run: Run) -> Table:
    """Service of the plan by region, speed and size class, most missed units first.

    Args:
      run: the run.
    """
    rows = run.plan.service.copy()
    rows["missed"] = rows["demand"] - rows["on_promise"]
    rows = rows.sort_values("missed", ascending=False, kind="stable")
    shown = rows.head(SERVICE)
    forms = {
        "region": ("region", str),
        "speed": ("speed", str),
        "size_class": ("size class", str),
        "demand": ("demand", amount),
        "on_promise": ("on promise", amount),
        "missed": ("not on promise", amount),
        "on_promise_rate": ("on promise, share", percent),
        "fill_rate": ("fill rate", percent),
    }
    hidden = len(rows) - len(shown)
    rest = f"{hidden:,} more, that miss less, are in service.parquet." if hidden else ""
    caption = "Service on the plan's scenarios, units"
    return table("service-table", caption, shown, forms, searched=True, rest=rest)

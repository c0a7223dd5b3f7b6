"""Runs side by side: totals, prices, and how targets moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meio_jax.report.draw import MUTED, SERIES, draw
from meio_jax.report.metrics import COST, form_of, metric_title
from meio_jax.report.parts import Part, Table, table
from meio_jax.report.run import Frame, Run
from meio_jax.report.words import amount, change, count, percent, whole

LISTED, MOVERS = 12, 30
KEYS = ["item", "node", "period"]


def side_by_side(runs: Sequence[Run]) -> Part:
    """The part with totals and dearest prices of all runs.

    Args:
      runs: two or more.
    """
    first, *others = runs
    costs = [run.kpis[COST] for run in runs]
    low = int(np.argmin(costs))
    says = (
        f"{runs[low].name} costs least, {amount(costs[low])} {first.currency} a "
        f"{first.period} on its own scenarios; "
        + "; ".join(
            f"{run.name} {_against(cost - costs[0])} {first.name}"
            for run, cost in zip(others, costs[1:], strict=True)
        )
        + "."
    )
    notes = ["Each plan's totals on the scenarios that it was made on."]
    if len({run.plan.facts.get("input_digest") for run in runs}) > 1:
        notes.append("The runs were made from different tables.")
    return Part(
        "compare", "Runs side by side", says,
        tables=(_totals(runs), _prices(runs)), notes=tuple(notes),
    )  # fmt: skip


def _against(gap: float) -> str:
    if amount(gap) == "0":
        return "costs as much as"
    return f"costs {amount(abs(gap))} {'more' if gap > 0 else 'less'} than"


def _totals(runs: Sequence[Run]) -> Table:
    metrics = dict.fromkeys(m for run in runs for m in run.kpis.index)
    rows = [
        ("status", *(str(run.plan.status) for run in runs)),
        ("gap", *(percent(run.plan.gap, 2) for run in runs)),
    ]
    for metric in metrics:
        form = form_of(metric)
        values = (form(run.kpis.get(metric, np.nan)) for run in runs)
        rows.append((metric_title(metric, runs[0]), *values))
    columns = (("metric", False), *((run.name, True) for run in runs))
    return Table("compare-table", "Totals", columns, rows)


def _prices(runs: Sequence[Run]) -> Table:
    """Money of the dearest capacities of any run, over the horizon."""
    found = {}
    for k, run in enumerate(runs):
        for r in run.dearest(len(run.prices)).itertuples():
            found.setdefault((r.node, r.resource), [0.0] * len(runs))[k] = r.money
    order = sorted(found, key=lambda key: (-max(found[key]), key))[:LISTED]
    rows = [(node, resource, *map(amount, found[node, resource]))
            for node, resource in order]  # fmt: skip
    names = tuple((run.name, True) for run in runs)
    return Table(
        "compare-prices",
        f"Price times capacity over the horizon, {runs[0].currency}: the {len(rows)} "
        "dearest of any run",
        (("node", False), ("resource", False), *names), rows,
    )  # fmt: skip


def stability(new: Run, old: Run) -> Part:
    """The part that shows how targets differ between two runs.

    Args:
      new: the run of the page.
      old: the run that it is compared with.
    """
    title = f"Which targets differ from {old.name}?"
    moved = moves(new, old)
    if not len(moved):
        says = "The runs share no item, node and period: no target can be compared."
        return Part("stability", title, says)
    gap = moved["change"]
    other = int((gap != 0).sum())
    says = (
        f"{other:,} of {count(len(moved), 'target')} in both runs differ "
        f"({percent(other / len(moved))}); together they went "
        f"{'up' if gap.sum() >= 0 else 'down'} by {amount(abs(gap.sum()))} units, "
        f"{amount(gap.abs().sum())} units were moved."
    )
    forms = {
        "item": ("item", str),
        "node": ("node", str),
        "period": (new.period, str),
        "before": (old.name, whole),
        "after": (new.name, whole),
        "change": ("change", lambda x: change(whole(x)) if x else "0"),
    }
    size = gap.abs().sort_values(ascending=False, kind="stable")
    movers = moved.loc[size[size > 0].index[:MOVERS]]
    listed = table("movers-table", "Top movers, units", movers, forms, searched=True)
    svg = ""
    if other:
        svg = draw("stability", 2.8, says, lambda figure: _histogram(figure, gap))
    return Part("stability", title, says, svg, (listed,) if other else ())


def moves(new: Run, old: Run) -> Frame:
    """Targets of both runs: before, after and their change, units.

    Args:
      new: the run of the page.
      old: the other run.
    """
    pick = lambda run: run.plan.targets[[*KEYS, "order_up_to"]]
    both = pick(old).merge(pick(new), on=KEYS, suffixes=("_before", "_after"))
    both = both.rename(
        columns={"order_up_to_before": "before", "order_up_to_after": "after"}
    )
    both["change"] = both["after"] - both["before"]
    return both


def _histogram(figure, gap: Frame) -> None:
    ax = figure.subplots()
    moved = gap[gap != 0]
    step = max(np.ceil(float(np.quantile(moved.abs(), 0.98)) / 20), 1.0)
    edges = step * (np.arange(-20, 22) - 0.5)  # whole units amid the bars
    inside = moved.clip(edges[0] + step / 2, edges[-1] - step / 2)
    ax.hist(inside, bins=edges, color=SERIES[0])
    ax.axvline(0, color=MUTED, lw=0.8)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda x, _: whole(x))
    ax.set_xlabel("change of a target, units; the outermost bars hold what is beyond")
    ax.set_ylabel("targets that differ")
    ax.grid(axis="y")
    ax.spines["left"].set_visible(False)

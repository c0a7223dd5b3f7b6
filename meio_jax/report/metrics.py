"""What a simulation showed in numbers: metrics, differences, cost taken apart."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from meio_jax.report.draw import COLOURS, INK, MUTED, draw
from meio_jax.report.parts import Part, Table
from meio_jax.report.run import Run
from meio_jax.report.words import amount, change, count, percent, points, short

COST = "cost per period"
PROMISE = "on promise rate"
SHARES = ("rate", "share", "node-periods", "capacity, most", "capacity, mean")
TITLES = {
    "fill rate": "served (fill rate)",
    "on promise rate": "on promise",
    "local share": "from the home node",
    "in-region share": "from the region",
    "late share": "late",
    "unserved share": "not served",
    "stock units": "stock, units",
    "fullest capacity": "fullest capacity",
    "storage above capacity, most": "stock above storage, most",
    "storage above capacity, mean": "stock above storage, mean",
    "storage above capacity, share of node-periods": "stock above storage, how often",
    "target change rate": "targets move a period",
    "removals": "removals, item-node-periods",
}
SIMULATE = "meio simulate RUN puts it beside baselines on fresh paths."


class Gap(NamedTuple):
    """A difference with its interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def metric_title(metric: str, run: Run) -> str:
    """A metric in words, with its unit.

    Args:
      metric: its name in the tables.
      run: the run, for units.
    """
    if metric in TITLES:
        return TITLES[metric]
    if metric.endswith("cost per period"):
        return metric.replace("per period", f"a {run.period}, {run.currency}")
    return metric.replace("per period", f"a {run.period}")


def form_of(metric: str):
    """How values of a metric are written.

    Args:
      metric: its name in the tables.
    """
    shares = metric.endswith(SHARES) or metric == "fullest capacity"
    return percent if shares else amount


def difference(run: Run, policy: str, metric: str) -> Gap:
    """The plan less a policy: below 0 the plan has less.

    Args:
      run: a run with a simulation.
      policy: a policy other than the plan.
      metric: name of a metric.
    """
    table = run.simulated
    row = table.loc[(policy, metric)]
    return Gap(
        -row["difference"], -row["difference_high"], -row["difference_low"]
    )  # the table has the policy less the plan


def against(run: Run) -> str:
    """The plan's simulated cost beside the first baseline's, in a sentence.

    Args:
      run: a run with a simulation.
    """
    table = run.simulated
    paths = _paths(run)
    cost = table.loc[(run.policies[0], COST), "value"]
    says = f"On {paths} the plan costs {amount(cost)} {run.currency} a {run.period}"
    if len(run.policies) == 1:
        return f"{says}; no baseline was simulated beside it."
    other = run.policies[1]
    gap = difference(run, other, COST)
    base = table.loc[(other, COST), "value"]
    if math.isfinite(gap.low) and not gap.clear:
        verdict = f"no clear difference to {other}, which costs {amount(base)}"
    else:
        word = "less" if gap.value < 0 else "more"
        verdict = (
            f"{percent(abs(gap.value) / max(abs(base), 1e-12))} {word} than {other}"
        )
    interval = _interval(gap, amount).replace(", ", "; 95 % interval ", 1)
    return f"{says}: {verdict} (difference {interval})."


def _paths(run: Run) -> str:
    facts = run.outcome.facts
    if facts.get("weeks"):
        many = count(facts["paths"], "draw")
        return f"{' to '.join(facts['weeks'])} ({many} of lead times)"
    return count(facts["paths"], "fresh path")


def _interval(gap: Gap, form) -> str:
    if form is percent:
        written, unit = points, " points"
    else:
        most = max((abs(x) for x in gap if math.isfinite(x)), default=0.0)
        written, unit = partial(amount, like=most), ""
    if not math.isfinite(gap.low):
        return change(written(gap.value)) + unit
    ends = f"{written(gap.low)} to {written(gap.high)}"
    return f"{change(written(gap.value))}, {ends}{unit}"


def kpis(run: Run) -> Part:
    """The part with the table of metrics.

    Args:
      run: the run.
    """
    title = "Cost and service"
    if run.outcome is None:
        value = run.kpis
        rows = [(metric_title(m, run), form_of(m)(v)) for m, v in value.items()]
        says = (
            f"The plan costs {amount(value[COST])} {run.currency} a {run.period} on "
            "its own scenarios. It was not simulated: there is no baseline beside it."
        )
        columns = (("metric", False), ("plan", True))
        shown = Table("kpi-table", "Totals on the plan's scenarios", columns, rows)
        return Part("kpis", title, says, tables=(shown,), notes=(SIMULATE,))
    notes = (
        "Averages over the paths with 95 % intervals. Policies met the same paths, so "
        "that the difference (plan less policy) has an interval of its own, narrower "
        "than those of the averages. p: chance of such a difference by luck, "
        "adjusted for all that are shown (Holm).",
    )
    return Part("kpis", title, against(run), tables=(_kpi_table(run),), notes=notes)


def _kpi_table(run: Run) -> Table:
    table, (first, *others) = run.simulated, run.policies
    columns = [("metric", False), ("plan", True)]
    for policy in others:
        columns += [(policy, True), (f"plan less {policy}", True), ("p", True)]
    rows = []
    for metric in dict.fromkeys(table.index.get_level_values("metric")):
        form = form_of(metric)
        row = [metric_title(metric, run)]
        if (first, metric) in table.index:
            row.append(_mean(table.loc[(first, metric)], form))
        else:
            row.append(form(0.0))
        for policy in others:
            if (policy, metric) not in table.index:
                row += [form(0.0), "", ""]
                continue
            other = table.loc[(policy, metric)]
            gap = difference(run, policy, metric)
            row += [_mean(other, form), _interval(gap, form), _chance(other["p"])]
        rows.append(tuple(row))
    caption = f"Metrics of {count(len(run.policies), 'policy')} on {_paths(run)}"
    return Table("kpi-table", caption, tuple(columns), rows)


def _mean(row, form) -> str:
    value, half = row["value"], (row["high"] - row["low"]) / 2
    if not math.isfinite(half):
        return form(value)
    spread = form(half) if form is percent else amount(half, like=value)
    return f"{form(value)} ± {spread}"


def _chance(p: float) -> str:
    if not math.isfinite(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def waterfall(run: Run) -> Part | None:
    """The part that takes the difference in cost to the first baseline apart.

    Args:
      run: the run; None without a baseline.
    """
    if len(run.policies) < 2:
        return None
    other, title = run.policies[1], "Where does the difference in cost come from?"
    steps = _steps(run, other)
    total = difference(run, other, COST)
    dear = max(steps, key=lambda s: abs(s[1].value), default=None)
    says = (
        f"The plan costs {amount(abs(total.value))} {run.currency} a {run.period} "
        f"{'less' if total.value < 0 else 'more'} than {other}"
    )
    if not total.clear:
        says += ", which could be chance"
    if dear is not None:
        says += f"; what differs most is {dear[0]} ({change(amount(dear[1].value))})"
    says += "."
    svg = draw(
        "waterfall", 0.85 + 0.3 * (len(steps) + 1), says,
        lambda figure: _fall(figure, run, steps, total),
    )  # fmt: skip
    notes = (
        "Each bar begins where the one above it ends; left of 0 the plan is cheaper. "
        "Thin lines: 95 % intervals of the step, from paired paths.",
    )
    return Part("waterfall", title, says, svg, notes=notes)


def _steps(run: Run, other: str) -> list[tuple[str, Gap]]:
    """Parts of the cost in which plan and baseline differ."""
    table = run.simulated
    ends = f" {COST}"
    known = dict.fromkeys(m for _, m in table.index if m.endswith(ends))
    value = lambda policy, metric: (
        table.loc[(policy, metric), "value"] if (policy, metric) in table.index else 0.0
    )
    steps = []
    for metric in known:
        if (other, metric) in table.index:
            gap = difference(run, other, metric)
        else:
            gap = Gap(value(run.policies[0], metric), math.nan, math.nan)
        steps.append((metric.removesuffix(ends), gap))
    return steps


def _fall(figure, run: Run, steps, total: Gap) -> None:
    ax = figure.subplots()
    good, bad = COLOURS["c2"], COLOURS["c1"]
    base = 0.0
    rows = [*steps, ("all", total)]
    for place, (name, gap) in enumerate(rows):
        start = 0.0 if name == "all" else base
        colour = INK if name == "all" else good if gap.value < 0 else bad
        ax.barh(place, gap.value, left=start, color=colour, height=0.55)
        if math.isfinite(gap.low):
            ax.plot(
                [start + gap.low, start + gap.high], [place, place], color=INK,
                lw=1, marker="|", ms=6,
            )  # fmt: skip
        right = max(start, start + gap.value, start + _or(gap.high, gap.value))
        ax.annotate(
            change(amount(gap.value)), (right, place), xytext=(6, 0), va="center",
            textcoords="offset points", color=INK, fontsize=8,
        )  # fmt: skip
        base = start + gap.value
        if name != "all":
            ax.plot([base, base], [place, place + 1], color=MUTED, lw=0.6)
    ax.axvline(0, color=MUTED, lw=0.8)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], color=INK)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel(f"{run.currency} a {run.period}, plan less {short(run.policies[1])}")
    ax.margins(x=0.12)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other

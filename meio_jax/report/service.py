"""What a simulation showed of service: by speed, and against cost."""

from __future__ import annotations

from collections.abc import Sequence

from meio_jax.report.draw import GRID, INK, SERIES, SHAPES, draw
from meio_jax.report.metrics import COST, PROMISE
from meio_jax.report.parts import Part
from meio_jax.report.run import Frame, Run
from meio_jax.report.words import amount, count, percent, short, whole


def speeds(run: Run) -> Part | None:
    """The part that shows service by delivery speed.

    Args:
      run: the run; None without a simulation.
    """
    if run.outcome is None:
        return None
    table = run.outcome.service
    table = table[table["region"] == "all"]
    names = list(dict.fromkeys(table["speed"]))
    mine = table[table["policy"] == run.policies[0]].set_index("speed")
    worst = mine["on_promise_rate"].idxmin()
    row = mine.loc[worst]
    says = (
        f"{percent(row['on_promise_rate'])} of {worst} units come on promise, "
        f"least of {count(len(names), 'speed')}; {percent(row['fill_rate'])} are "
        "served at all."
    )
    high = 0.9 + 0.2 * len(names) * (1 + len(run.policies)) * 0.75
    svg = draw("speeds", high, says, lambda figure: _rates(figure, run, table, names))
    notes = (
        "Filled: on promise, with the 95 % interval of the average path's rate; "
        "hollow: served, late or not.",
    )
    return Part("speeds", "Service by speed", says, svg, notes=notes)


def _rates(figure, run: Run, table: Frame, names: Sequence[str]) -> None:
    ax = figure.subplots()
    policies = run.policies
    for k, policy in enumerate(policies):
        rows = table[table["policy"] == policy].set_index("speed").reindex(names)
        y = [j + (k - (len(policies) - 1) / 2) * 0.62 / len(policies)
             for j in range(len(names))]  # fmt: skip
        style = {"color": SERIES[k % 8], "marker": SHAPES[k % 10], "lw": 0, "ms": 5.5}
        ax.hlines(y, rows["low"], rows["high"], color=style["color"], lw=1.4)
        ax.plot(rows["on_promise_rate"], y, label=short(policy, 32), **style)
        ax.plot(rows["fill_rate"], y, mfc="none", **style)
    for j in range(1, len(names)):
        ax.axhline(j - 0.5, color=GRID, lw=0.6)
    ax.set_yticks(range(len(names)), [short(n) for n in names], color=INK)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.02)
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    figure.legend(
        loc="outside upper left", ncols=4, frameon=False, handletextpad=0.2, fontsize=8
    )


def trade(runs: Sequence[Run]) -> Part | None:
    """The part that shows cost against service, a point for each policy.

    Args:
      runs: all runs; None where none has a simulation.
    """
    points = [p for k, run in enumerate(runs) for p in _points(run, k, len(runs) > 1)]
    if not points:
        return None
    cheap = min(points, key=lambda p: p[1]["value"])
    kind = max(points, key=lambda p: p[2]["value"])
    says = (
        f"Cheapest: {cheap[0]}, {amount(cheap[1]['value'])} "
        f"{runs[0].currency} a {runs[0].period} with "
        f"{percent(cheap[2]['value'])} on promise; "
    )
    if cheap[0] == kind[0]:
        says += "none has more on promise."
    else:
        says += (
            f"most on promise: {kind[0]}, {percent(kind[2]['value'])} for "
            f"{amount(kind[1]['value'])}."
        )
    svg = draw("trade", 3.8, says, lambda figure: _scatter(figure, runs[0], points))
    notes = (
        "Up and left is better. Lines: 95 % intervals of each policy alone; paths that "
        "all policies share make them wide, so compare policies by the paired "
        "differences in the table of metrics.",
    )
    return Part("trade", "Cost against service", says, svg, notes=notes)


def _points(run: Run, k: int, several: bool):
    table = run.simulated
    for policy in run.policies:
        own = several and policy == run.policies[0]
        name = run.name if own else f"{policy} ({run.name})" if several else policy
        yield name, table.loc[(policy, COST)], table.loc[(policy, PROMISE)]


def _scatter(figure, run: Run, points) -> None:
    ax = figure.subplots()
    for k, (name, cost, rate) in enumerate(points):
        colour = SERIES[k % 8]
        ax.plot([cost["low"], cost["high"]], [rate["value"]] * 2, color=colour, lw=1)
        ax.plot([cost["value"]] * 2, [rate["low"], rate["high"]], color=colour, lw=1)
        ax.plot(
            cost["value"], rate["value"], SHAPES[k % 10], color=colour, ms=7,
            label=short(name, 40),
        )  # fmt: skip
    ax.yaxis.set_major_formatter(lambda x, _: f"{100 * x:.1f} %")
    ax.xaxis.set_major_formatter(lambda x, _: whole(x) if x >= 100 else amount(x))
    ax.set_xlabel(f"{run.currency} a {run.period}, simulated")
    ax.set_ylabel("units on promise")
    ax.grid()
    ax.margins(0.08)
    figure.legend(
        loc="outside upper left", ncols=3, frameon=False, handletextpad=0.2, fontsize=8
    )

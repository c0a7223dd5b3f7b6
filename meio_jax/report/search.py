"""How the search went: plan cost, bound and capacity, by evaluation of the dual."""

from __future__ import annotations

import math

import pandas as pd

from meio_jax.report.draw import COLOURS, GRID, MUTED, SERIES, draw
from meio_jax.report.parts import Part
from meio_jax.report.run import Frame, Run
from meio_jax.report.words import amount, count, percent

GUIDES = ("ascend", "exact", "certify")  # phases whose value is neither plan nor bound


def search(run: Run) -> Part | None:
    """The part that shows how plan and bound came together.

    Args:
      run: the run; None where it kept no metrics.
    """
    steps: Frame = pd.DataFrame(list(run.plan.metrics))
    if not len(steps):
        return None
    many = int(steps["evaluations"].max())
    seconds = run.plan.facts.get("seconds", float(steps["seconds"].max()))
    says = (
        f"After {count(many, 'evaluation')} of the dual and {amount(seconds)} seconds "
        f"the plan costs {amount(run.plan.cost)} {run.currency}"
    )
    if math.isfinite(run.plan.gap):
        says += (
            f", {percent(run.plan.gap, 2)} of it above the bound of "
            f"{amount(run.plan.bound)}"
        )
    says += "."
    searched = steps[steps["phase"] != "refine"]
    svg = draw("search", 4.2, says, lambda figure: _paint(figure, run, searched))
    notes = [
        "Grey: values of the smoothed, calibrated dual that the search climbs; they "
        "guide prices and are neither plan nor bound. Repairs try several targets at "
        "the same prices. Below: the most that use is above a capacity.",
    ]
    refined = run.plan.facts.get("refinement")
    if refined:
        notes.append(
            f"Then refined by simulation: {amount(refined['before'])} to "
            f"{amount(refined['after'])} {run.currency} a {run.period} on the paths "
            "that it was chosen on."
        )
    return Part("search", "How the search went", says, svg, notes=tuple(notes))


def _paint(figure, run: Run, steps: Frame) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    guides = steps[steps["phase"].isin(GUIDES)]
    repairs = steps[steps["phase"] == "repair"]
    for phase, rows in guides.groupby("phase", sort=False):
        upper.plot(rows["evaluations"], rows["value"], ".-", color=MUTED, lw=0.8)
        _name(upper, rows.iloc[0], f"dual, {phase}", MUTED, 8)
    upper.plot(repairs["evaluations"], repairs["value"], "o", color=SERIES[0], ms=4)
    right = float(steps["evaluations"].max())
    room = max(0.14 * (right - float(steps["evaluations"].min())), 1.0)
    _level(upper, run.plan.cost, right, room, "plan", SERIES[0])
    if math.isfinite(run.plan.bound):
        _level(upper, run.plan.bound, right, room, "bound", SERIES[1])
    upper.set_xlim(right=right + room)
    upper.yaxis.set_major_formatter(lambda x, _: amount(x))
    upper.set_ylabel(f"{run.currency} over the horizon")
    upper.margins(y=0.12)
    upper.grid(axis="y")
    lower.plot(steps["evaluations"], steps["violation"], ".", color=COLOURS["c2"])
    lower.set_yscale("symlog", linthresh=1e-3)
    lower.set_yticks([0, 0.01, 1], ["0 %", "1 %", "100 %"])
    lower.minorticks_off()
    lower.set_ylim(bottom=-2e-4)
    lower.set_ylabel("above capacity")
    lower.set_xlabel("evaluations of the dual")
    lower.grid(axis="y")
    for ax in (upper, lower):
        ax.spines["left"].set_color(GRID)
        ax.xaxis.get_major_locator().set_params(integer=True)


def _name(ax, row, text: str, colour: str, up: float) -> None:
    ax.annotate(
        text, (row["evaluations"], row["value"]), xytext=(0, up), color=colour,
        textcoords="offset points", ha="center", fontsize=7.5,
    )  # fmt: skip


def _level(ax, value: float, right: float, room: float, text: str, colour) -> None:
    ax.plot([right, right + room], [value] * 2, color=colour, lw=2)
    ax.annotate(
        f"{text} {amount(value)}", (right + room, value), xytext=(0, 4), color=colour,
        textcoords="offset points", ha="right", fontsize=8,
    )  # fmt: skip

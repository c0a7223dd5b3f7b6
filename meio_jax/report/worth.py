"""What capacities are worth: prices over time, and ten per cent more or less."""

from __future__ import annotations

import math

from meio_jax.report.draw import GRID, INK, MUTED, SERIES, SHAPES, apart, draw
from meio_jax.report.parts import Part, table
from meio_jax.report.run import Run
from meio_jax.report.words import amount, count, percent, short, spans, ticks

NAMED, LISTED = 10, 12


def prices(run: Run) -> Part:
    """The part that shows shadow prices over time.

    Args:
      run: the run.
    """
    title = "What is one more unit of room worth?"
    rows = run.prices
    able = rows[rows["resource"] != "items"]
    priced = able[able["price"] > 1e-9]
    if not len(priced):
        says = f"No capacity binds: the price of all {len(able):,} is 0."
        if not len(able):
            says = "No capacity is limited: there are no prices."
        return Part("prices", title, says)
    top = run.dearest(1).iloc[0]
    mine = priced[
        (priced["node"] == top["node"]) & (priced["resource"] == top["resource"])
    ]
    best = mine.loc[mine["price"].idxmax()]
    says = (
        f"One more {run.unit(top['resource'])} of {top['node']} {top['resource']} is "
        f"worth up to {amount(best['price'])} {run.currency} a {run.period}, "
        f"in {_when(run, mine, best['price'])}; {len(priced):,} of "
        f"{count(len(able), 'capacity')} "
        f"{'has' if len(priced) == 1 else 'have'} a price."
    )
    height = 3.6 if len(_panels(priced)) == 1 else 4.2
    named = run.dearest(NAMED)
    notes = (
        f"Named: the {len(named)} dearest, by price times capacity over the horizon; "
        "grey: the others. These are the prices that the plan was made at.",
    )
    paint = lambda figure: _lines(figure, run, priced, named)
    return Part("prices", title, says, draw("prices", height, says, paint), notes=notes)


def _when(run: Run, rows, price: float) -> str:
    at = rows.loc[rows["price"] >= price * (1 - 1e-6), "period"].astype(str).tolist()
    when = spans(run.periods, at)
    return f"{when} {run.period}s" if when.startswith("all ") else when


def _panels(priced) -> list[str]:
    return list(dict.fromkeys(priced["resource"]))


def _lines(figure, run: Run, priced, named) -> None:
    resources, periods = _panels(priced), run.periods
    axes = figure.subplots(1, len(resources), squeeze=False)[0]
    top = list(zip(named["node"], named["resource"], strict=True))
    for ax, resource in zip(axes, resources, strict=True):
        rows = run.prices[run.prices["resource"] == resource]
        series = rows.pivot_table(index="period", columns="node", values="price")
        series = series.reindex(periods)
        series = series.loc[:, series.max() > 1e-9]
        labels = []
        for node in series:
            values = series[node].to_numpy(float)
            if (node, resource) not in top:
                ax.plot(values, color=GRID, lw=1, zorder=1)
                continue
            rank = top.index((node, resource))
            style = {"color": SERIES[rank % len(SERIES)], "marker": SHAPES[rank]}
            ax.plot(values, lw=1.4, ms=3.5, zorder=3, **style)
            last = values[~_nan(values)][-1]
            labels.append((last, short(node, 20), style["color"]))
        high = float(series.max().max())
        spots = apart([y for y, *_ in labels], 0.052 * high)
        for spot, (_, name, colour) in zip(spots, labels, strict=True):
            ax.annotate(
                name, (len(periods) - 1, spot), xytext=(6, 0), color=colour,
                textcoords="offset points", va="center", annotation_clip=False,
                fontsize=7.5,
            )  # fmt: skip
        unit = run.unit(resource)
        ax.set_title(f"{resource}, {run.currency} per {unit} and {run.period}")
        step = -(-len(periods) // (13 // len(resources)))
        ax.set_xticks(range(0, len(periods), step), ticks(periods)[::step])
        ax.set_ylim(0, max(high * 1.08, *(s + 0.05 * high for s in spots), 1e-9))
        ax.grid(axis="y")
        ax.spines["left"].set_visible(False)


def _nan(values):
    return values != values


def value(run: Run) -> Part:
    """The part that shows what ten per cent more or less of a capacity does.

    Args:
      run: the run.
    """
    title = "What would 10 % more or less room do?"
    top = run.dearest(LISTED).reset_index(drop=True)
    horizon = f"over the {count(len(run.periods), run.period)} of the plan"
    if not len(top):
        says = "No capacity has a price: more of any is worth nothing in this plan."
        return Part("value", title, says)
    proof = 0.1 * top["proven"]
    top["about"] = 0.1 * top["money"]
    top["saves"] = proof + run.slack
    top["costs"] = (proof - run.slack).clip(lower=0)
    best = top.iloc[0]
    says = (
        f"10 % more of {best['node']} {best['resource']} is worth about "
        f"{amount(best['about'])} {run.currency} {horizon}"
    )
    if math.isfinite(run.slack):
        says += f"; proven: it saves at most {amount(best['saves'])}"
        if best["costs"] > 0:
            says += f", and 10 % less costs at least {amount(best['costs'])}."
        else:
            says += "; nothing is proven of 10 % less."
    else:
        says += "; nothing is proven, as there is no bound."
    notes = [
        "Bars: a tenth of the capacity at the plan's prices, an estimate. The proof "
        "is arithmetic on the bound: its own prices, and the gap between plan and "
        f"bound ({amount(run.slack)} {run.currency}) on top or off."
    ]
    if math.isfinite(run.slack) and run.slack > top["about"].max():
        share = percent(run.plan.gap, 2)
        notes.append(
            f"Here the gap ({share}) is more than any of the bars, so that the proof "
            "says little: a smaller gap makes it sharp."
        )
    forms = {
        "node": ("node", str),
        "resource": ("resource", str),
        "about": ("10 % is worth about", amount),
        "saves": ("+10 % saves at most", amount),
        "costs": ("-10 % costs at least", amount),
    }
    listed = table(
        "value-table",
        f"Ten per cent of a capacity, {run.currency} {horizon}",
        top,
        forms,
    )
    height = 0.75 + 0.235 * len(top)
    svg = draw("value", height, says, lambda figure: _bars(figure, run, top))
    return Part("value", title, says, svg, (listed,), tuple(notes))


def _bars(figure, run: Run, top) -> None:
    ax = figure.subplots()
    places = range(len(top))
    ax.barh(places, top["about"], color=SERIES[0], height=0.62)
    names = [
        f"{short(n)} {r}" for n, r in zip(top["node"], top["resource"], strict=True)
    ]
    ax.set_yticks(places, names, color=INK)
    ax.invert_yaxis()
    for place, money in zip(places, top["about"], strict=True):
        ax.annotate(
            amount(money), (money, place), xytext=(4, 0), textcoords="offset points",
            va="center", color=MUTED, fontsize=8,
        )  # fmt: skip
    ax.set_xlabel(f"{run.currency} over the horizon for a tenth of the capacity")
    ax.margins(x=0.08)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)

"""How full every capacity is: node by period, a panel for each resource."""

from __future__ import annotations

import numpy as np

from meio_jax.report.draw import COLOURS, MUTED, draw
from meio_jax.report.parts import Part
from meio_jax.report.run import FULL, OVER, Frame, Run
from meio_jax.report.words import count, percent, short, spans, ticks

STEPS = (0.5, 0.75, 0.9, FULL, OVER)  # upper ends of the classes of use
CLASSES = ("below 50 %", "50 to 75 %", "75 to 90 %", "90 to 99 %", "full", "above")
FILLS = tuple(COLOURS[n] for n in ("h0", "h1", "h2", "h3", "h4", "over"))
MOST = 40  # nodes drawn
WORDS = {"items": "different items"}


def heat(run: Run) -> Part:
    """The part that shows use over capacity.

    Args:
      run: the run.
    """
    title = "How full is what, and when?"
    table = run.prices
    if not len(table):
        says = "No capacity is limited: nothing can be full."
        return Part("capacity", title, says)
    says = _sentence(run, table)
    nodes = _fullest(table)
    notes = [
        "Expected use over capacity, on the scenarios of the plan. ■ full "
        f"({percent(FULL, 0)} or more); ▲ above the capacity; blank: no limit. "
        "On single paths use varies around this."
    ]
    left_out = table["node"].nunique() - len(nodes)
    if left_out:
        notes.append(
            f"The {len(nodes)} nodes with the fullest capacities; {left_out:,} more "
            "are in prices.parquet."
        )
    height = 1.2 + 0.155 * len(nodes)
    paint = lambda figure: _paint(figure, run, table, nodes)
    return Part(
        "capacity", title, says, draw("capacity", height, says, paint),
        notes=tuple(notes),
    )  # fmt: skip


def _sentence(run: Run, table: Frame) -> str:
    use, total = table["utilization"], len(table)
    top = table.loc[use.idxmax()]
    what = f"{top['node']} {WORDS.get(top['resource'], top['resource'])}"
    over, full = int((use > OVER).sum()), int(((use >= FULL) & (use <= OVER)).sum())
    if over:
        most = percent(top["utilization"]) if np.isfinite(top["utilization"]) else ""
        most = f" ({most} of it)" if most else ", which is closed"
        return (
            f"{over:,} of {total:,} capacities {'is' if over == 1 else 'are'} "
            f"exceeded, most {what} in {top['period']}{most}; {full:,} are full."
        )
    if not full:
        return (
            f"None of {count(total, 'capacity')} is full; the fullest is {what} "
            f"in {top['period']}, at {percent(top['utilization'])}."
        )
    node, resource = _lead(run, table)
    rows = table[(table["node"] == node) & (table["resource"] == resource)]
    full_in = rows.loc[rows["utilization"] >= FULL, "period"].astype(str).tolist()
    when = spans(run.periods, full_in)
    when = f"{when} {run.period}s" if when.startswith("all ") else when
    return (
        f"{node} {WORDS.get(resource, resource)} is full in {when}. "
        f"{full:,} of {total:,} capacities are full, none is exceeded."
    )


def _lead(run: Run, table: Frame) -> tuple[str, str]:
    """The dearest of the full capacities; without prices the fullest."""
    full = table[table["utilization"] >= FULL]
    keys = set(zip(full["node"], full["resource"], strict=True))
    dearest = run.dearest(len(table))
    for node, resource in zip(dearest["node"], dearest["resource"], strict=True):
        if (node, resource) in keys:
            return node, resource
    top = table.loc[table["utilization"].idxmax()]
    return top["node"], top["resource"]


def _fullest(table: Frame) -> list[str]:
    """Nodes to draw, in the order of the table."""
    use = table["utilization"].clip(upper=9)
    mean = use.groupby(table["node"]).max() + 1e-3 * use.groupby(table["node"]).mean()
    kept = set(mean.sort_values(ascending=False, kind="stable").index[:MOST])
    return [node for node in dict.fromkeys(table["node"]) if node in kept]


def _paint(figure, run: Run, table: Frame, nodes: list[str]) -> None:
    resources = list(dict.fromkeys(table["resource"]))
    axes = figure.subplots(1, len(resources), sharey=True, squeeze=False)[0]
    periods = run.periods
    for ax, resource in zip(axes, resources, strict=True):
        rows = table[(table["resource"] == resource) & table["node"].isin(nodes)]
        x = rows["period"].astype(str).map(periods.index).to_numpy(int)
        y = rows["node"].map(nodes.index).to_numpy(int)
        use = rows["utilization"].to_numpy(float)
        step = np.searchsorted(STEPS, use, side="right")
        step[(step == len(STEPS)) & (use <= OVER)] = len(STEPS) - 1
        for k, fill in enumerate(FILLS):
            _cells(ax, x[step == k], y[step == k], fill)
        _marks(ax, x[step == 4], y[step == 4], "s", COLOURS["onheat"])
        _marks(ax, x[step == 5], y[step == 5], "^", COLOURS["onheat"])
        _frame(ax, WORDS.get(resource, resource), periods, len(nodes))
    axes[0].set_yticks(range(len(nodes)), [short(node) for node in nodes])
    _legend(figure)


def _cells(ax, x, y, fill) -> None:
    """Rectangles as one path: a path each would be five times the bytes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(x):
        return
    corners = np.array([(0.04, 0.06), (0.96, 0.06), (0.96, 0.94), (0.04, 0.94)])
    at = np.stack([x, y], axis=1)[:, None] - 0.5 + corners[[0, 1, 2, 3, 0]]
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(x)
    ax.add_patch(PathPatch(Path(at.reshape(-1, 2), codes), facecolor=fill, lw=0))


def _marks(ax, x, y, shape, colour) -> None:
    if len(x):
        ax.plot(x, y, shape, color=colour, ms=3, mew=0)


def _frame(ax, title, periods, nodes) -> None:
    ax.set_title(title)
    step = -(-len(periods) // 8)
    names = ticks(periods)[::step]
    ax.set_xticks(range(0, len(periods), step), names, rotation=90)
    ax.set_xlim(-0.5, len(periods) - 0.5)
    ax.set_ylim(nodes - 0.5, -0.5)
    for side in ax.spines.values():
        side.set_visible(False)


def _legend(figure) -> None:
    from matplotlib.lines import Line2D

    marks = ("", "", "", "", "s", "^")
    swatch = lambda fill, mark: (
        Line2D([], [], marker="s", color=fill, ms=9, lw=0, mew=0),
        Line2D([], [], marker=mark, color=COLOURS["onheat"], ms=3, lw=0, mew=0),
    )
    figure.legend(
        [swatch(*pair) for pair in zip(FILLS, marks, strict=True)], CLASSES,
        loc="outside lower left", ncols=6, frameon=False, labelcolor=MUTED,
        handletextpad=0.2, columnspacing=1.2, fontsize=8,
    )  # fmt: skip

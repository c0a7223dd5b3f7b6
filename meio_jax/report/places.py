"""Where stock lies: nodes on a map, by how much they hold and how full they are."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from meio_jax.report.draw import INK, MUTED, PAPER, draw
from meio_jax.report.heat import CLASSES, FILLS, STEPS
from meio_jax.report.parts import Part
from meio_jax.report.run import OVER, Frame, Run
from meio_jax.report.words import amount, count, percent, short

NAMED = 12
NEAR = 0.05  # of the map's width or height: closer names share a label


def places(run: Run) -> Part | None:
    """The part with the map.

    Args:
      run: the run; None where it knows no coordinates, or no stock.
    """
    table = _nodes(run)
    if len(table) < 2 or table["stock"].sum() <= 0:
        return None
    top = table.loc[table["stock"].idxmax()]
    share = top["stock"] / table["stock"].sum()
    says = (
        f"{top['node']} holds most: {amount(top['stock'])} of "
        f"{amount(table['stock'].sum())} units ({percent(share)}), on average over "
        f"the {count(len(run.periods), run.period)}; the map has "
        f"{count(len(table), 'node')}."
    )
    notes = (
        "Area: units expected on hand. Colour and outline: use of the node's fullest "
        "capacity; full ones have a dark ring. North is up.",
    )
    height = _height(table)
    svg = draw("places", height, says, lambda figure: _paint(figure, table))
    return Part("places", "Where the stock lies", says, svg, notes=notes)


def _nodes(run: Run) -> Frame:
    known = run.plan.facts.get("places", {})
    stock = run.plan.targets.groupby("node")["expected_on_hand"].sum()
    stock = stock / max(len(run.periods), 1)
    use = run.prices.groupby("node")["utilization"].max()
    rows = [
        (node, lat, lon, float(stock.get(node, 0.0)), float(use.get(node, np.nan)))
        for node, (lat, lon) in known.items()
    ]
    return pd.DataFrame(rows, columns=pd.Index(["node", "lat", "lon", "stock", "use"]))


def _stretch(table: Frame) -> float:
    middle = math.radians(float(table["lat"].mean()))
    return 1 / max(math.cos(middle), 0.2)


def _height(table: Frame) -> float:
    wide = float(np.ptp(table["lon"])) + 4
    tall = (float(np.ptp(table["lat"])) + 4) * _stretch(table)
    return float(np.clip(8.2 * tall / wide, 2.5, 6.5)) + 0.4


def _labels(table: Frame, size: Frame) -> list[tuple[dict, float]]:
    """Texts with their places and the sizes of what they stand over; nodes whose texts
    would lie on each other share one, at the largest of them."""
    wide, tall = (max(float(np.ptp(table[c])), 1.0) for c in ("lon", "lat"))
    found: list[tuple[dict, float]] = []
    for row, points in zip(table.to_dict("records"), size, strict=False):
        for other, _ in found:
            apart = abs(row["lon"] - other["lon"]) / wide, row["lat"] - other["lat"]
            if apart[0] < NEAR and abs(apart[1]) / tall < NEAR:
                other["text"] += ", " + short(row["node"], 18)
                break
        else:
            found.append((row | {"text": short(row["node"], 18)}, points))
    return found


def _paint(figure, table: Frame) -> None:
    from matplotlib.lines import Line2D

    ax = figure.subplots()
    table = table.sort_values(["stock", "node"], ascending=[False, True])
    size = 16 + 900 * table["stock"] / max(table["stock"].max(), 1e-12)
    step = np.searchsorted(STEPS, table["use"].fillna(0.0), side="right")
    step[(step == len(STEPS)) & (table["use"] <= OVER)] = len(STEPS) - 1
    ring = [INK if k >= 4 else PAPER for k in step]
    ax.scatter(
        table["lon"], table["lat"], s=size, c=[FILLS[k] for k in step],
        edgecolors=ring, linewidths=0.9,
    )  # fmt: skip
    for row, points in _labels(table.head(NAMED), size):
        ax.annotate(
            row["text"], (row["lon"], row["lat"]), ha="center", va="bottom",
            xytext=(0, math.sqrt(points) / 2 + 1), textcoords="offset points",
            fontsize=7.5,
        )  # fmt: skip
    ax.set_aspect(_stretch(table))
    ax.margins(0.07)
    ax.grid()
    ax.xaxis.set_major_formatter(lambda x, _: f"{abs(x):.0f}° {'W' if x < 0 else 'E'}")
    ax.yaxis.set_major_formatter(lambda y, _: f"{abs(y):.0f}° {'S' if y < 0 else 'N'}")
    for side in ax.spines.values():
        side.set_visible(False)
    marks = [
        Line2D([], [], marker="o", lw=0, ms=8, color=fill,
               mec=INK if k >= 4 else PAPER)
        for k, fill in enumerate(FILLS)
    ]  # fmt: skip
    figure.legend(
        marks, CLASSES, loc="outside lower left", ncols=6, frameon=False,
        labelcolor=MUTED, handletextpad=0.2, columnspacing=1.2, fontsize=8,
    )  # fmt: skip

"""Pictures as SVG that takes its colours from the page, so that dark pages work."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

WIDTH = 9.0  # inches; the page shows every picture at its own width
NAMES = (
    "ink", "muted", "grid", "paper", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7",
    "h0", "h1", "h2", "h3", "h4", "over", "onheat",
)  # fmt: skip
COLOURS = {name: f"#0102{k + 16:02x}" for k, name in enumerate(NAMES)}
SERIES = tuple(COLOURS[f"c{k}"] for k in range(8))
SHAPES = "osD^vPX*<>"  # as many lines as are named in a picture differ in shape too
INK, MUTED, GRID, PAPER = (COLOURS[name] for name in NAMES[:4])
RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.bottom": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.color": MUTED,
    "ytick.left": False,
    "ytick.labelsize": 8,
}


def draw(
    key: str, height: float, says: str, paint: Callable[[Any], None], *,
    width: float = WIDTH,
) -> str:  # fmt: skip
    """The SVG of a picture.

    Args:
      key: name of the picture; the same key and picture give the same bytes.
      height: in inches.
      says: what the picture shows, for those who do not see it.
      paint: draws into a figure.
      width: in inches.
    """
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    stream = io.StringIO()
    rc: Any = RC | {"svg.hashsalt": key, "svg.id": key}
    with matplotlib.style.context(["default", rc]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the browser has the glyphs of all scripts
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _inlined(stream.getvalue(), says)


def _inlined(text: str, says: str) -> str:
    """What is left of an SVG file inside a page."""
    from markupsafe import escape

    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    head = f'<svg viewBox="{view[1]}" role="img" aria-label="{escape(says)}">'
    text = re.sub(r"\A<svg.*?>", lambda _: head, text, flags=re.S)
    text = text.replace("xlink:href", "href")
    used = set(re.findall(r"[\"(]#([\w.-]+)[\")]", text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(r' (?:d|x|y|transform|points)="[^"]*"', _rounded, text)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r"(font: [^;\"']*?px|font-family:) ?'DejaVu[^;\"]*", _family, text)
    return re.sub(r"\s*\n\s*", "\n", text)


def _rounded(match: re.Match[str]) -> str:
    return re.sub(r"-?\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}", match[0])


def _family(match: re.Match[str]) -> str:
    return f"{match[1]} var(--sans)"


def apart(places: list[float], least: float) -> list[float]:
    """Places moved up as little as needed to be `least` apart, in their order.

    Args:
      places: where labels would be.
      least: distance between two of them.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    out, floor = list(places), -float("inf")
    for k in order:
        out[k] = floor = max(places[k], floor + least)
    return out

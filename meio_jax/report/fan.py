"""The fan chart of one item at one node: target, stock on hand, arrivals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meio_jax.faults import Fault, Faults, InputError
from meio_jax.report.draw import COLOURS, RC, WIDTH
from meio_jax.report.parts import ADVICE, missing
from meio_jax.report.whole import replacing
from meio_jax.report.words import short, ticks

HEIGHT = 3.6
PALETTE = {  # of the page in the light, for a file that stands alone
    "ink": "#1b2430", "muted": "#5b6675", "grid": "#d9dee5", "paper": "#ffffff",
    "c0": "#0b64b0", "c1": "#c84e00", "h1": "#c9dff0", "h2": "#94c1e0",
}  # fmt: skip
KINDS = (".png", ".svg", ".pdf")


def save(fan: Any, path: str | Path) -> Path:
    """Writes the chart as a picture, whole or not at all.

    Args:
      fan: what it shows: item, node, periods, unit, target, on_hand (by share of the
        paths), received, paths.
      path: of the file, .png, .svg or .pdf; one that is there is replaced.

    Raises:
      InputError: the kind of picture is not known, it cannot be written, or matplotlib
        is not installed.
    """
    path = Path(path).resolve()
    if path.suffix.lower() not in KINDS:
        text = f"'{path.suffix}' is not a kind of picture that can be drawn"
        raise _refuse(str(path), text, f"Kinds: {', '.join(KINDS)}")
    if "matplotlib" in missing():
        raise _refuse("plot", "needs matplotlib, not installed here", ADVICE)
    with replacing(path, "P02") as held:
        _draw(fan, held)
    return path


def _draw(fan: Any, path: Path) -> None:
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    own = {COLOURS[name]: colour for name, colour in PALETTE.items()}
    rc: Any = {k: own.get(v, v) if isinstance(v, str) else v for k, v in RC.items()}
    rc |= {"svg.hashsalt": "fan", "figure.facecolor": PALETTE["paper"]}
    with matplotlib.style.context(["default", rc]):
        figure = Figure((WIDTH, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure, fan, PALETTE)
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
        data: Any = {dated: None} if dated else None
        figure.savefig(path, dpi=150, metadata=data)


def paint(
    figure: Any, fan: Any, colours: dict[str, str], *, small: bool = False
) -> None:
    """Draws the chart into a figure.

    Args:
      figure: an empty one.
      fan: what it shows.
      colours: by name: those of the page, or of a picture that stands alone.
      small: whether it is one of many, which are explained together.
    """
    ax = figure.subplots()
    at = list(range(len(fan.periods)))
    low, lower, middle, upper, high = fan.on_hand
    ax.fill_between(at, low, high, color=colours["h1"], lw=0, label="5 to 95 %")
    ax.fill_between(at, lower, upper, color=colours["h2"], lw=0, label="25 to 75 %")
    ax.plot(at, middle, color=colours["c0"], lw=1.4, label="median on hand")
    edges = [k - 0.5 for k in range(len(at) + 1)]
    ax.stairs(
        fan.target, edges, baseline=None, color=colours["c1"], lw=1.8, ls="--",
        label="target, order up to",
    )  # fmt: skip
    top = max(float(fan.target.max()), float(high.max()), 1.0)
    ax.set_ylim(-0.14 * top, 1.08 * top)
    arrivals = [(k, units) for k, units in enumerate(fan.received) if units >= 0.05]
    ax.vlines([k for k, _ in arrivals], -0.045 * top, 0, colors=colours["ink"], lw=1.2)
    if not small:
        for k, units in arrivals:
            ax.text(
                k, -0.06 * top, f"+{units:,.3g}", color=colours["muted"], fontsize=7.5,
                ha="center", va="top",
            )  # fmt: skip
    ax.axhline(0, color=colours["grid"], lw=0.8)
    ax.set_xlim(-0.5, len(at) - 0.5)
    words = ticks(list(fan.periods))
    if small:
        step = -(-len(at) // 5)
        ax.set_xticks(at[::step], words[::step])
        ax.set_title(f"{short(fan.item)} at {short(fan.node)}")
        return
    ax.set_xticks(at, words)
    ax.set_ylabel("units")
    ax.set_title(
        f"{short(fan.item)} at {short(fan.node)}: on hand at the end of a {fan.unit}, "
        f"{fan.paths:,} fresh paths; ticks: units that arrive, mean"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _refuse(place: str, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "P02", place, text, hint)]))

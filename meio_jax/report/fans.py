"""Stock of the largest items on fresh paths: a fan chart each, folded away."""

from __future__ import annotations

from functools import partial

from meio_jax.report.draw import COLOURS, draw
from meio_jax.report.fan import paint
from meio_jax.report.parts import Part
from meio_jax.report.run import Run
from meio_jax.report.words import count, percent, whole

WIDTH, HEIGHT = 4.4, 2.0  # inches: two stand side by side


def fans(run: Run) -> Part | None:
    """The part with the fan charts.

    Args:
      run: the run; None where it has none.
    """
    if not run.fans:
        return None
    low = [float(fan.on_hand[0].min()) for fan in run.fans]
    empty = sum(x < 1 for x in low)
    says = (
        f"{count(len(run.fans), 'item')} that ship most, each at the node that ships "
        f"most of it, on {run.fans[0].paths:,} fresh paths. "
    )
    says += (
        f"{empty:,} of them run out in some {run.period} on one path of twenty."
        if empty
        else f"None runs out in any {run.period} on more than one path of twenty."
    )
    notes = (
        f"Dashed: the target, order up to. Bands: stock at the end of a {run.period}, "
        "on 5 to 95 % and 25 to 75 % of the paths; line: median. Ticks below 0: units "
        "arrive. Each item is simulated alone: docks, which it shares, do not bind.",
    )
    folded = tuple(_picture(k, fan) for k, fan in enumerate(run.fans))
    return Part("fans", "Stock of the largest items", says, notes=notes, folded=folded)


def _picture(k: int, fan) -> str:
    total = float(fan.target.mean())
    says = (
        f"{fan.item} at {fan.node}: target {whole(total)} on average, median stock "
        f"{percent(float(fan.on_hand[2].mean()) / max(total, 1e-12), 0)} of it"
    )
    form = partial(paint, fan=fan, colours=COLOURS, small=True)
    return draw(f"fan{k}", HEIGHT, says, form, width=WIDTH)

"""An explanation as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd


def steps_frame(explanation: Any) -> pd.DataFrame:
    """A row for each period and step; the changes of a period add up to its target.

    Args:
      explanation: of an item at a node.
    """
    rows = [
        {
            "item": explanation.item,
            "node": explanation.node,
            "period": reason.period,
            "step": step.name,
            "level": step.level,
            "change": step.change,
            "ratio": step.ratio,
            "says": step.says,
        }
        for reason in explanation.reasons
        for step in reason.steps
    ]
    return pd.DataFrame(rows)

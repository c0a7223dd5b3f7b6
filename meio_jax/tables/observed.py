"""Lead times as they were observed: of orders to vendors, of shipments on lanes."""

from typing import Any

import numpy as np
import pandas as pd


def seen_by(frame: pd.DataFrame, *keys: str) -> dict[tuple[str, ...], np.ndarray]:
    """Observed lead times, periods, by some columns.

    Args:
      frame: a clean table of lead times.
      keys: the columns.
    """
    groups: Any = frame.groupby(list(keys), sort=False)["lead_time"]
    return {tuple(map(str, name)): x.to_numpy(float) for name, x in groups}


def observed_lanes(clean: Any) -> Any:
    """The lanes; mean and spread of lead times are those of shipments that were seen.

    Args:
      clean: normalised tables without faults.
    """
    lanes, keys = clean.lanes, ["source", "destination"]
    if clean.lane_times.empty:
        return lanes
    of = clean.lane_times.groupby(keys)["lead_time"].agg(["mean", "std"])
    of = of.reindex(pd.MultiIndex.from_frame(lanes[keys].astype(str)))
    mean, std = of["mean"].to_numpy(float), of["std"].fillna(0).to_numpy(float)
    seen = np.isfinite(mean)
    return lanes.assign(
        lead_time=np.where(seen, mean, lanes["lead_time"].to_numpy(float)),
        lead_time_std=np.where(seen, std, lanes["lead_time_std"].to_numpy(float)),
    )

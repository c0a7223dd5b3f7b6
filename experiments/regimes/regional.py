"""How far the load of each building follows the national load, and what bins of its own
would be worth.

    python -m experiments.regimes.regional DATA/flagship [--weeks 156]

Prints the tables of the README. The flagship's weekly units; each region belongs to the
fulfilment centre that serves it at the least cost, by size class. A shock is what a
trend and the first harmonics of the year leave of the logarithm of a load.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.flagship.reader import HOLDING_RATE
from experiments.regimes.newsvendors import Instance, solve

BINS = 1, 2, 4, 8
HARMONICS = 3  # of the year
OUTBOUND = 1.0  # of the mean demand
SCENARIOS = 128  # weeks, the last ones


class Homes(NamedTuple):
    """Weekly demand of the items of a size class by home building.

    Attributes:
      names: of the buildings.
      units: of each item, by home and week.
      service: money per unit shipped from home to the regions that it serves.
      items: their rows in the flagship's table.
    """

    names: list[str]
    units: Float[np.ndarray, "homes items weeks"]
    service: Float[np.ndarray, "homes items"]
    items: pd.DataFrame


def read_homes(folder: Path, kind: str, weeks: int) -> Homes:
    """The first weeks of the items of a size class.

    Args:
      folder: the flagship's files.
      kind: size class.
      weeks: how many.
    """
    items = pd.read_csv(folder / "items.csv").set_index("item")
    items = items[items["size_class"] == kind]
    nodes = pd.read_csv(folder / "capacities.csv").set_index("node")
    lanes = pd.read_csv(folder / "lanes_outbound.csv")
    lanes = lanes[lanes["from_node"].str.startswith("F")]  # no same-day sites
    lanes = lanes[lanes["from_node"].map(nodes["stocks_size_class"]) == kind]
    cost = lanes["cost_usd_unit"] + items["weight_kg"].median() * lanes["cost_usd_kg"]
    lanes = lanes.loc[cost.groupby(lanes["region"]).idxmin()]
    lanes = lanes.set_index(lanes["region"].str[1:].astype(int))
    names = sorted(lanes["from_node"].unique())
    demand = pd.read_parquet(folder / "demand_weekly.parquet")
    demand = demand[(demand["week"] < weeks) & demand["item"].isin(items.index)]
    home = pd.Index(names).get_indexer(lanes["from_node"].reindex(demand["region"]))
    item = items.index.get_indexer(demand["item"])
    units = np.zeros((len(names), len(items), weeks))
    np.add.at(units, (home, item, demand["week"]), demand["qty"])
    own = lanes.groupby("from_node")[["cost_usd_unit", "cost_usd_kg"]].mean()
    fixed, by_weight = own.loc[names].to_numpy().T[:, :, None]
    return Homes(names, units, fixed + by_weight * items["weight_kg"].to_numpy(), items)


def shocks(
    load: Float[np.ndarray, "*homes weeks"],
) -> Float[np.ndarray, "*homes weeks"]:
    """Logarithm of a load less its trend and season, by least squares."""
    week = np.arange(load.shape[-1])
    angle = 2 * np.pi * week / 52.18 * np.arange(1, HARMONICS + 1)[:, None]
    design = np.vstack([np.ones_like(week), week, np.sin(angle), np.cos(angle)]).T
    logs = np.log(np.maximum(load, 1)).T
    return (logs - design @ np.linalg.lstsq(design, logs, rcond=None)[0]).T


def bins_explain(
    value: Float[np.ndarray, " weeks"], by: Float[np.ndarray, " weeks"], count: int
) -> float:
    """Share of the variance of a value that lies between bins of equal size, less what
    as many means explain of noise (adjusted R2)."""
    place = np.argsort(np.argsort(by)) * count // len(by)
    groups = [value[place == k] for k in range(count)]
    inside = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(by) - count)
    return float(1 - inside / value.var(ddof=1))


def explained(
    load: Float[np.ndarray, "homes weeks"], loads: dict[str, np.ndarray], form
) -> dict[str, float]:
    """Means over homes, by units, of what loads explain of a home's.

    Args:
      load: of each home, units a week.
      loads: those that may explain it, units a week; "own" is added.
      form: of loads, before they are compared.
    """
    share = load.sum(axis=1) / load.sum()
    own = form(load)
    found = {"spread": float(share @ own.std(axis=1))}
    for name, other in loads.items():
        line = [np.corrcoef(x, form(other))[0, 1] ** 2 for x in own]
        found[f"line, {name}"] = float(share @ line)
    for name, other in (loads | {"own": None}).items():
        for count in BINS[1:]:
            by = own if other is None else [form(other)] * len(own)
            each = [bins_explain(x, y, count) for x, y in zip(own, by, strict=True)]
            found[f"{count} bins, {name}"] = float(share @ each)
    return found


def gaps(homes: Homes, national: Float[np.ndarray, " weeks"]) -> pd.DataFrame:
    """Certified gap of each home whose outbound holds in every week, by the load that
    its bins are made of and by their number."""
    items, rows = homes.items, []
    margin = (items["unit_price_usd"] - items["unit_cost_usd"]).to_numpy()
    holding = HOLDING_RATE / 52 * items["unit_cost_usd"].to_numpy()
    for name, units, service in zip(
        homes.names, homes.units[..., -SCENARIOS:], homes.service, strict=True
    ):
        limit = OUTBOUND * units.sum() / SCENARIOS
        penalty = margin + service.mean()  # customers pay for delivery
        made = Instance(units, holding, penalty, np.minimum(service, penalty), limit)
        loads = {"national": national[-SCENARIOS:], "own": units.sum(axis=0)}
        for by, load in loads.items():
            for count in BINS:
                found = solve(made, count, load=load)
                rows.append((name, by, count, found.gap, units.sum()))
    return pd.DataFrame(rows, columns=["home", "load", "bins", "gap", "units"])


def main() -> None:
    """Prints what loads explain, then gaps, for both size classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weeks", type=int, default=156)
    args = parser.parse_args()
    kinds = "sortable", "non_sortable"
    every = {k: read_homes(args.data, k, args.weeks) for k in kinds}
    national = sum(h.units.sum(axis=(0, 1)) for h in every.values())
    for kind, homes in every.items():
        load = homes.units.sum(axis=1)
        loads = {"national": national, "class": load.sum(axis=0)}
        columns = {
            "shock": explained(load, loads, shocks),
            "units": explained(load / load.mean(axis=1)[:, None], loads, np.asarray),
        }
        print(f"\n{kind}, {len(homes.names)} homes, {len(homes.items)} items")
        print(pd.DataFrame(columns).round(2).to_string())
    for kind, homes in every.items():
        with jax.enable_x64(True):
            table = gaps(homes, national)
        table["cost"] = table["gap"] * table["units"]
        sums = table.groupby(["load", "bins"])[["cost", "units"]].sum()
        mean = (sums["cost"] / sums["units"]).unstack("bins")
        print(f"\n{kind}: certified gap, %, mean by units")
        print((100 * mean).round(2).to_string(), flush=True)


if __name__ == "__main__":
    main()

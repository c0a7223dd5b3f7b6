"""Cuts the demo that is shipped inside the package from real e-commerce orders.

    python -m experiments.demo_data.build DATA [OUT]

DATA holds the folders `flagship` (the network) and `flagship_ecom` (items and orders).
The cut is the same on every run: hashes stand in for random numbers.
"""

import argparse
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.flagship import reader

ITEMS = 300
MOST_SOLD = 30  # of these, taken by rank; the others come one from each stratum
USD_PER_GBP = 1.6  # the level of 2011
SHIPPING_CHARGE = 1.0  # share of a mean standard delivery that the customer pays

# One factor per resource, on capacities that give this cut the same cover and the same
# throughput over its peak as the whole network has. Smaller is tighter.
CAPACITY = {"storage": 1.5, "inbound": 1.0, "outbound": 0.8, "items": 1.0}

FIRST_MONDAY = 5  # day 5 is 2010-12-06; the shop's first days were no full week
WEEKS = 52  # the last full one starts on 2011-11-28

OUT = Path(__file__).parents[2] / "meio_jax" / "instances" / "demo"

CONFIG = """\
# The demo: 300 gift items of a web shop, sold through 40 buildings to 100 regions.
# Run: meio solve meio.toml     Where every number comes from: ORIGIN.md
# Expect about a minute on two cores, most of it compilation, and a gap near 13 %, which
# is mostly the distance between the bound kernel (K1) and the policy (K3).

[problem]
name = "demo"
horizon = 8

[units]
volume = "litre"
weight = "kg"
currency = "USD"
period = "week"

[scenarios]
count = 48

[solver]
gap = 0.15
max_evaluations = 12
smoothing = [1.0]
levels = 6
"""


def build(data: Path) -> reader.Frames:
    """The demo's tables, from the flagship's network and the shop's orders."""
    source = read_source(data)
    everything = source["items"]
    orders = pd.read_parquet(data / "flagship_ecom" / "demand_daily.parquet")
    share_parcels(source, orders)
    taken = cut(everything, source["lanes_replenishment"])
    options = reader.ship_options_table(source["lanes_outbound"], source)
    vendor_lanes = source["vendors"].merge(
        source["nodes"].query("tier == 'dc'")["node"].rename("to_node"), how="cross"
    )
    history = weekly(orders, taken)
    frames = {
        "items": reader.items_table(taken, options, shipping_charge=SHIPPING_CHARGE),
        "nodes": reader.nodes_table(source),
        "capacities": scaled(
            reader.capacities_table(
                source["capacities"], everything, taken, tightness=1.0
            )
        ),
        "lanes": reader.lanes_table(source["lanes_replenishment"], source),
        "vendors": reader.vendors_table(
            taken, vendor_lanes, source["lead_time_samples"]
        ),
        "regions": source["regions"][["region", "lat", "lon"]],
        "speeds": reader.speeds_table(source["region_speeds"]),
        "speed_mix": reader.speed_mix_table(source["region_speeds"]),
        "ship_options": options,
        "history": history,
    }
    return rename(frames, readable_names(source, taken))


def read_source(data: Path) -> dict[str, pd.DataFrame]:
    """The flagship's CSV files, overlaid by the shop's own, with money in dollars."""
    source = {
        path.stem: pd.read_csv(path)
        for folder in ("flagship", "flagship_ecom")
        for path in (data / folder).glob("*.csv")
    }
    items = source["items"]
    for column in ("unit_cost", "unit_price"):
        items[f"{column}_usd"] = (items[f"{column}_gbp"] * USD_PER_GBP).round(4)
    return source


def share_parcels(source: dict[str, pd.DataFrame], orders: pd.DataFrame) -> None:
    """Divides costs per parcel by the units of the mean order line, in place.

    An order line of this shop is some nine units of an item, which travel and are
    picked together.
    """
    units = orders["qty"].sum() / orders["order_lines"].sum()
    source["lanes_outbound"]["cost_usd_unit"] /= units
    source["costs"]["handling_usd_unit"] /= units


def cut(items: pd.DataFrame, lanes: pd.DataFrame) -> pd.DataFrame:
    """The items of the demo, in the order of the list.

    Left out are items whose margin does not pay for the mean haul between two
    buildings: their weight is another product's and does not fit their price. Of each
    size class the demo takes the most sold and then, by a hash, one from every stratum
    of equally many items of similar rate.
    """
    margin = items["unit_price_usd"] - items["unit_cost_usd"]
    haul = items["weight_kg"] * lanes["cost_usd_kg"].mean()
    ranked = items[margin > haul].sort_values(
        ["weekly_mean", "item"], ascending=[False, True]
    )
    chosen = []
    for _, group in ranked.groupby("size_class"):
        part = len(group) / len(ranked)
        top, count = round(MOST_SOLD * part), round(ITEMS * part)
        chosen += group["item"].iloc[:top].tolist()
        rest = group.iloc[top:].set_index("item")["item_id"].map(digest)
        for stratum in np.array_split(np.arange(len(rest)), count - top):
            chosen.append(rest.iloc[stratum].idxmin())
    return items[items["item"].isin(chosen)]


def digest(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


def weekly(orders: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Orders of the full weeks; a week in which the shop was closed is one row of 0."""
    start = pd.Timestamp("2010-12-01") + pd.Timedelta(days=FIRST_MONDAY)
    mondays = pd.date_range(start, periods=WEEKS, freq="7D").strftime("%Y-%m-%d")
    orders = orders.assign(week=(orders["day"] - FIRST_MONDAY) // 7)
    orders = orders[orders["week"].between(0, WEEKS - 1)]
    demand = orders.groupby(["item", "region", "week"], as_index=False)["qty"].sum()
    closed = sorted(set(range(WEEKS)) - set(demand["week"]))
    empty = pd.DataFrame(
        {"item": items["item"].iloc[0], "region": 0, "week": closed, "qty": 0}
    )
    demand = pd.concat([demand, empty]).astype(int)
    demand = demand.sort_values(["item", "region", "week"])
    return reader.history_table(demand, items, pd.Series(mondays), 0, WEEKS)


def scaled(capacities: pd.DataFrame) -> pd.DataFrame:
    factor = capacities["resource"].map(CAPACITY)
    return capacities.assign(capacity=(capacities["capacity"] * factor).round())


def readable_names(
    source: Mapping[str, pd.DataFrame], items: pd.DataFrame
) -> dict[str, dict[str, str]]:
    """New names of items (the shop's stock codes), nodes and regions (places)."""
    nodes, regions = source["nodes"], source["regions"]
    kind = nodes["node"].str[:2].replace({"FS": "FC", "FN": "FC"})
    names = {
        "item": (reader.item_names(items["item"]), items["item_id"]),
        "node": (nodes["node"], kind + "-" + nodes["city"]),
        "region": (regions["region"], regions["state"] + "-" + regions["largest_city"]),
    }
    for kind, (_, new) in names.items():
        if new.duplicated().any():
            raise ValueError(f"two of kind {kind} are called {new[new.duplicated()]}")
    return {
        kind: dict(zip(old, new.str.replace(" ", "-"), strict=True))
        for kind, (old, new) in names.items()
    }


def rename(frames: reader.Frames, names: Mapping[str, dict[str, str]]) -> reader.Frames:
    """The tables with new names of items, nodes and regions, wherever they stand."""
    kind_of = {"source": "node", "destination": "node"} | {kind: kind for kind in names}
    return {
        table: frame.assign(
            **{
                column: frame[column].map(names[kind])
                for column, kind in kind_of.items()
                if column in frame
            }
        )
        for table, frame in frames.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of flagship and flagship_ecom")
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    args = parser.parse_args()
    reader.write_tables(build(args.data), args.out, config=CONFIG)


if __name__ == "__main__":
    main()

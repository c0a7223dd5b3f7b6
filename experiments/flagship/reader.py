"""The flagship's wide files as the standard tables of meio_jax.

    python -m experiments.flagship.reader DATA/flagship OUT [--items N] [--tightness X]

The flagship (4 DCs, 20 fulfilment centres, 16 same-day sites, 100 regions, 4 speeds,
2,000 items, 208 weeks) comes in wide files, whose README says which numbers are real,
transplanted or assumed. What is assumed here, on top of them, is in capitals below.
Units: US dollars, litres, kilograms, weeks; lead times in days, as their headers say.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

HOLDING_RATE = 0.2  # of the unit cost, per year (the flagship's own)
LATE_SHARE = 0.02  # of the unit price, per unit and day late (the flagship's own)
LOST_SALE_SHARE = {"same_day": 0.5, "one_day": 0.3, "two_day": 0.1, "standard": 0.0}
CUTOFF_HOUR = {"same_day": 14, "one_day": 18, "two_day": 20, "standard": 22}
CUTOFF_WITH_A_DAY_TO_SPARE = 24
INBOUND_OVER_OUTBOUND = 1.0  # the source has no inbound capacities
BIG_TABLE = 50_000  # rows; from here on a table is written as Parquet

CONFIG = """\
# The flagship network. Run: meio solve meio.toml

[problem]
name = "flagship"
horizon = 13

[units]
volume = "litre"
weight = "kg"
currency = "USD"
period = "week"
"""

Frames = dict[str, pd.DataFrame]


def read_flagship(
    folder: str | Path,
    *,
    items: int | None = None,
    weeks: int = 156,
    horizon: int = 13,
    tightness: float = 1.0,
    shipping_charge: float = 0.0,
) -> Frames:
    """The standard tables of the flagship, with the first `weeks` weeks as history.

    Args:
      folder: where the flagship's files are.
      items: how many items to take, evenly spread over the list; None takes all.
        Capacities shrink with the share of volume, units or items that is taken.
      weeks: length of the history; week 0 is the week of Monday 2018-01-01.
      horizon: weeks after the history that a backtest needs; they must be in the
        data (`read_actuals` returns them).
      tightness: storage and flow capacities are divided by it; > 0.
      shipping_charge: share of the mean cost of a standard delivery that customers
        pay. It is lost with the sale, so `lost_sale_cost` is the margin plus that;
        0 leaves the margin alone, below which many cheap items are not worth sending.

    Raises:
      ValueError: the weeks asked for are not there, or units, items or regions do
        not add up to what the source says.
    """
    folder = Path(folder)
    source = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    demand = pd.read_parquet(folder / "demand_weekly.parquet")
    calendar = source["calendar"].set_index("week")["week_start"]
    if weeks < 1 or weeks + horizon > len(calendar):
        raise ValueError(
            f"history of {weeks} weeks and horizon of {horizon}: "
            f"they must be 1 or more and fit into {len(calendar)} weeks"
        )
    check_source(source["items"], demand, periods=len(calendar))
    taken = every_so_many(source["items"], items)
    options = ship_options_table(source["lanes_outbound"], source)
    frames = {
        "items": items_table(taken, options, shipping_charge=shipping_charge),
        "nodes": nodes_table(source),
        "capacities": capacities_table(
            source["capacities"], source["items"], taken, tightness=tightness
        ),
        "lanes": lanes_table(source["lanes_replenishment"], source),
        "vendors": vendors_table(
            taken, source["lanes_vendor_dc"], source["lead_time_samples"]
        ),
        "regions": source["regions"][["region", "lat", "lon"]],
        "speeds": speeds_table(source["region_speeds"]),
        "speed_mix": speed_mix_table(source["region_speeds"]),
        "ship_options": options,
        "history": history_table(demand, taken, calendar, 0, weeks),
    }
    check_totals(frames, demand, taken, weeks)
    return frames


def read_actuals(
    folder: str | Path, *, items: int | None = None, weeks: int = 156, horizon: int = 13
) -> pd.DataFrame:
    """What was really asked for in the `horizon` weeks after the history.

    The arguments are those of `read_flagship`, the columns those of `history`.
    """
    folder = Path(folder)
    taken = every_so_many(pd.read_csv(folder / "items.csv"), items)
    calendar = pd.read_csv(folder / "calendar.csv").set_index("week")["week_start"]
    demand = pd.read_parquet(folder / "demand_weekly.parquet")
    return history_table(demand, taken, calendar, weeks, weeks + horizon)


def write_tables(
    frames: Mapping[str, pd.DataFrame], folder: str | Path, *, config: str = CONFIG
) -> None:
    """Writes history and big tables as Parquet, the others as CSV, and meio.toml."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        if name != "history" and len(frame) < BIG_TABLE:
            frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        else:
            path = folder / f"{name}.parquet"
            frame.to_parquet(path, index=False, compression="zstd")
    (folder / "meio.toml").write_text(config)


def every_so_many(items: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """The rows of `count` items at even distances; all of them if it is None."""
    if count is None:
        return items
    if not 1 <= count <= len(items):
        raise ValueError(f"items is {count}; it must be 1 to {len(items)}")
    return items.iloc[np.arange(count) * len(items) // count]


def item_names(numbers: pd.Series) -> pd.Series:
    return "I" + numbers.astype(str).str.zfill(4)


def items_table(
    items: pd.DataFrame, options: pd.DataFrame, *, shipping_charge: float
) -> pd.DataFrame:
    standard = options[options["speed"] == "standard"]
    delivery = standard["unit_cost"].mean() + (
        standard["cost_per_weight"].mean() * items["weight_kg"]
    )
    margin = items["unit_price_usd"] - items["unit_cost_usd"]
    table = pd.DataFrame(
        {
            "item": item_names(items["item"]),
            "unit_cost": items["unit_cost_usd"],
            "unit_price": items["unit_price_usd"],
            "unit_volume": items["cube_litres"],
            "unit_weight": items["weight_kg"],
            "lost_sale_cost": (margin + shipping_charge * delivery).round(4),
            "late_cost": (LATE_SHARE * items["unit_price_usd"]).round(4),
            "case_pack": items["case_pack"],
            "size_class": items["size_class"],
            "holding_rate": HOLDING_RATE,
        }
    )
    return table.reset_index(drop=True)


def nodes_table(source: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    nodes = source["nodes"].merge(source["costs"], on="node", validate="1:1")
    nodes = nodes.merge(source["capacities"], on="node", validate="1:1")
    classes = nodes["stocks_size_class"]
    return pd.DataFrame(
        {
            "node": nodes["node"],
            "type": nodes["tier"].replace(r"^fc_.*", "fc", regex=True),
            "lat": nodes["lat"],
            "lon": nodes["lon"],
            "size_classes": classes.where(classes != "both"),
            "storage_cost": nodes["storage_usd_litre_week"],
        }
    )


def capacities_table(
    capacities: pd.DataFrame,
    items: pd.DataFrame,
    taken: pd.DataFrame,
    *,
    tightness: float,
) -> pd.DataFrame:
    """Limits of every node, shrunk from all `items` to those `taken`.

    Inbound is assumed: `INBOUND_OVER_OUTBOUND` times outbound.
    """
    if not tightness > 0:
        raise ValueError(f"tightness is {tightness}; it must be above 0")
    share = pd.DataFrame(
        {
            kind: size_of(taken, kind) / size_of(items, kind)
            for kind in capacities["stocks_size_class"].unique()
        }
    )
    share = share[capacities["stocks_size_class"]].to_numpy()
    storage = capacities["storage_capacity_litres"] * share[0] / tightness
    outbound = capacities["outbound_capacity_units_week"] * share[1] / tightness
    stocked = np.ceil(capacities["max_items"] * share[2])
    columns = {
        "storage": storage.round(1),
        "inbound": np.floor(INBOUND_OVER_OUTBOUND * outbound),
        "outbound": np.floor(outbound),
        "items": stocked.where(capacities["max_items"] >= 0),
    }
    wide = pd.DataFrame({"node": capacities["node"], "period": np.nan, **columns})
    long = wide.melt(["node", "period"], var_name="resource", value_name="capacity")
    return long.dropna(subset="capacity", ignore_index=True)[
        ["node", "resource", "period", "capacity"]
    ]


def size_of(items: pd.DataFrame, kind: str) -> pd.Series:
    """Litres and units a week and the number of items that a kind of node may hold."""
    if kind != "both":
        items = items[items["size_class"] == kind]
    litres = (items["weekly_mean"] * items["cube_litres"]).sum()
    return pd.Series([litres, items["weekly_mean"].sum(), float(len(items))])


def lanes_table(
    lanes: pd.DataFrame, source: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Moves between buildings; the sender's handling is their cost per unit."""
    return pd.DataFrame(
        {
            "source": lanes["from_node"],
            "destination": lanes["to_node"],
            "lead_time_days": lanes["lead_mean_days"],
            "lead_time_std_days": lanes["lead_sd_days"],
            "unit_cost": handling(lanes["from_node"], source),
            "cost_per_weight": lanes["cost_usd_kg"],
        }
    )


def handling(nodes: pd.Series, source: Mapping[str, pd.DataFrame]) -> pd.Series:
    return nodes.map(source["costs"].set_index("node")["handling_usd_unit"])


def vendors_table(
    items: pd.DataFrame, vendor_lanes: pd.DataFrame, samples: pd.DataFrame
) -> pd.DataFrame:
    """Every item's vendor to every DC; lead times are of real deliveries, in days."""
    by_origin = samples.rename(columns=lambda name: name.removeprefix("lead_days_"))
    lead_times = (
        by_origin.melt(["lead_profile", "sample"], var_name="origin", value_name="days")
        .groupby(["lead_profile", "origin"], as_index=False)["days"]
        .agg(["mean", "std"])
        .fillna({"std": 0.0})
    )
    offers = items.merge(vendor_lanes, on="vendor", validate="m:m")
    offers = offers.merge(lead_times, on=["lead_profile", "origin"], validate="m:1")
    return pd.DataFrame(
        {
            "vendor": offers["vendor"],
            "item": item_names(offers["item"]),
            "node": offers["to_node"],
            "lead_time_days": offers["mean"].round(2),
            "lead_time_std_days": offers["std"].round(2),
            "unit_cost": offers["unit_cost_usd"],
            "moq": offers["case_pack"],
            "order_multiple": offers["case_pack"],
        }
    )


def lead_times_table(folder: str | Path, *, items: int | None = None) -> pd.DataFrame:
    """The real deliveries that vendors' lead times are drawn from, for every item.

    The arguments are those of `read_flagship`.
    """
    source = {name: pd.read_csv(Path(folder) / f"{name}.csv") for name in
              ("items", "vendors", "lead_time_samples")}  # fmt: skip
    taken = every_so_many(source["items"], items)
    rows = taken.merge(source["vendors"][["vendor", "lead_profile"]], on="vendor")
    rows = rows.merge(source["lead_time_samples"], on="lead_profile")
    days = rows["lead_days_domestic"].where(
        rows["origin"] == "domestic", rows["lead_days_import"]
    )
    return pd.DataFrame(
        {
            "vendor": rows["vendor"],
            "item": item_names(rows["item"]),
            "order": rows["sample"].astype(str),
            "lead_time_days": days,
        }
    ).dropna(ignore_index=True)


def speeds_table(region_speeds: pd.DataFrame) -> pd.DataFrame:
    speeds = region_speeds[["speed", "promise_days"]].drop_duplicates("speed")
    speeds = speeds.sort_values("promise_days", ignore_index=True)
    return speeds.assign(lost_sale_share=speeds["speed"].map(LOST_SALE_SHARE))


def speed_mix_table(region_speeds: pd.DataFrame) -> pd.DataFrame:
    """Shares that sum to 1 per region and size class; shares of 0 are left out."""
    mix = region_speeds.rename(columns={"demand_share": "share"})
    keys = ["region", "size_class"]
    mix["share"] = mix["share"].round(4)
    rest = 1 - mix.groupby(keys)["share"].transform("sum")
    largest = mix.groupby(keys)["share"].transform("idxmax") == mix.index
    mix["share"] = (mix["share"] + rest.where(largest, 0)).round(4)
    mix = mix[mix["share"] > 0]
    return mix[["region", "size_class", "speed", "share"]].reset_index(drop=True)


def ship_options_table(
    lanes: pd.DataFrame, source: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """A lane's fastest speed and all slower ones, with their assumed cut-off hours.

    A parcel whose transit takes all of the promise must leave on the day of the
    order, so its cut-off is that of the speed; with a day to spare it is midnight.
    """
    speeds = speeds_table(source["region_speeds"])
    promise = speeds.set_index("speed")["promise_days"]
    options = lanes.merge(speeds, how="cross")
    fastest = options["fastest_speed"].map(promise)
    options = options[options["promise_days"] >= fastest].reset_index(drop=True)
    spare = options["promise_days"] - options["transit_days"]
    if (spare < 0).any():
        late = options.loc[spare < 0, ["from_node", "region", "speed"]].iloc[0]
        raise ValueError(f"lane {tuple(late)}: transit takes longer than the promise")
    at_once = options["speed"].map(CUTOFF_HOUR)
    cost = options["cost_usd_unit"] + handling(options["from_node"], source)
    return pd.DataFrame(
        {
            "node": options["from_node"],
            "region": options["region"],
            "speed": options["speed"],
            "unit_cost": cost.round(4),
            "cutoff_hour": at_once.where(spare == 0, CUTOFF_WITH_A_DAY_TO_SPARE),
            "transit_days": options["transit_days"],
            "cost_per_weight": options["cost_usd_kg"],
        }
    )


def history_table(
    demand: pd.DataFrame, items: pd.DataFrame, calendar: pd.Series, start: int, end: int
) -> pd.DataFrame:
    """Quantities of the weeks [start, end); keys are categories, as rows are many."""
    rows = demand[
        demand["item"].isin(items["item"]) & demand["week"].between(start, end - 1)
    ]
    names = list(item_names(pd.Series(range(demand["item"].max() + 1))))
    regions = [f"R{region:03d}" for region in range(demand["region"].max() + 1)]
    return pd.DataFrame(
        {
            "item": named(rows["item"], names),
            "region": named(rows["region"], regions),
            "period": named(rows["week"], list(calendar)),
            "quantity": rows["qty"].to_numpy(),
        }
    )


def named(codes: pd.Series, names: list[str]) -> pd.Categorical:
    """The name of every code; names without a row are forgotten."""
    dtype = pd.CategoricalDtype(names)
    return pd.Categorical.from_codes(
        codes.to_numpy(), dtype=dtype
    ).remove_unused_categories()


def check_source(items: pd.DataFrame, demand: pd.DataFrame, *, periods: int) -> None:
    """Units of every item, from the list's weekly mean and from the demand rows."""
    said = (items.set_index("item")["weekly_mean"] * periods).round().astype(int)
    found = demand.groupby("item")["qty"].sum().reindex(said.index, fill_value=0)
    wrong = said.index[said != found]
    if len(wrong) or demand["qty"].sum() != said.sum():
        raise ValueError(
            f"demand_weekly does not add up to items.csv: items {list(wrong[:3])}, "
            f"{demand['qty'].sum():,} units against {said.sum():,}"
        )


def check_totals(
    frames: Mapping[str, pd.DataFrame],
    demand: pd.DataFrame,
    items: pd.DataFrame,
    weeks: int,
) -> None:
    """Units, items and regions of the tables against the source."""
    rows = demand[demand["item"].isin(items["item"]) & (demand["week"] < weeks)]
    history = frames["history"]
    pairs = {
        "units": (history["quantity"].sum(), rows["qty"].sum()),
        "rows": (len(history.drop_duplicates(["item", "region", "period"])), len(rows)),
        "items": (frames["items"]["item"].nunique(), len(items)),
        "items sold": (history["item"].nunique(), rows["item"].nunique()),
        "regions": (history["region"].nunique(), rows["region"].nunique()),
        "unknown regions": (
            len(set(history["region"].unique()) - set(frames["regions"]["region"])),
            0,
        ),
    }
    wrong = [f"{name} {a} != {b}" for name, (a, b) in pairs.items() if a != b]
    if wrong:
        raise ValueError("the tables do not add up to the source: " + "; ".join(wrong))


def estimate_use(frames: Mapping[str, pd.DataFrame], *, z: float = 1.5) -> pd.DataFrame:
    """Use of every node's storage and outbound by a plan that ignores capacities.

    Every region, size class and speed is sent from its cheapest node. A node that
    delivers stocks the mean plus `z` standard deviations of the weekly demand sent
    from it, item by item. A DC feeds the nodes to which its lane is the cheapest and
    stocks a week's mean plus z times the deviation over the vendor's lead time and a
    week (crude, but enough to see which capacities would bind).

    Args:
      frames: standard tables with a history.
      z: safety factor of the stocks.

    Returns:
      node, resource, use, capacity; use is litres of stock, or units sent in a mean
      week (`outbound`) and in the busiest one (`outbound_peak`).
    """
    items = frames["items"].set_index("item")
    nodes = frames["nodes"]["node"]
    feeds = feeding_dc(frames).reindex(index=nodes, columns=nodes, fill_value=0.0)
    leads = frames["vendors"].groupby("item")[["lead_time_days", "lead_time_std_days"]]
    leads = leads.mean() / 7
    weeks = pd.Index(frames["history"]["period"].unique())
    regions = pd.Index(frames["regions"]["region"])
    shares = {
        size_class: share.droplevel("size_class")
        .reindex(index=regions, columns=nodes)
        .fillna(0.0)
        .to_numpy()
        for size_class, share in cheapest_node(frames).groupby("size_class")
    }
    stock, flow = np.zeros(len(nodes)), np.zeros((len(weeks), len(nodes)))
    for item, rows in frames["history"].groupby("item", observed=True):
        about, lead = items.loc[str(item)], leads.loc[str(item)]
        asked = np.zeros((len(weeks), len(regions)))
        week = weeks.get_indexer(pd.Index(rows["period"]))
        region = regions.get_indexer(pd.Index(rows["region"]))
        np.add.at(asked, (week, region), rows["quantity"].to_numpy())
        sent = asked @ shares[str(about["size_class"])]
        fed = sent @ feeds.to_numpy().T
        spread = np.sqrt(
            (1 + lead["lead_time_days"]) * fed.var(axis=0)
            + (lead["lead_time_std_days"] * fed.mean(axis=0)) ** 2
        )
        flow += sent + fed
        mean, deviation = (sent + fed).mean(axis=0), sent.std(axis=0) + spread
        stock += (mean + z * deviation) * about["unit_volume"]
    uses = {
        "storage": stock,
        "outbound": flow.mean(axis=0),
        "outbound_peak": flow.max(axis=0),
    }
    table = pd.DataFrame({"node": nodes, **uses}).melt(
        "node", var_name="resource", value_name="use"
    )
    limits = frames["capacities"].set_index(["node", "resource"])["capacity"]
    resource = table["resource"].str.removesuffix("_peak")
    key = pd.MultiIndex.from_arrays([table["node"], resource])
    return table.assign(capacity=limits.reindex(key).to_numpy())


def cheapest_node(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of a region's demand of a size class that each node would deliver."""
    weight = frames["items"].groupby("size_class")["unit_weight"].median()
    options = frames["ship_options"].merge(frames["nodes"][["node", "size_classes"]])
    cells = frames["speed_mix"].merge(options, on=["region", "speed"])
    able = [
        pd.isna(classes) or kind in classes.split(";")
        for kind, classes in zip(
            cells["size_class"], cells["size_classes"], strict=True
        )
    ]
    cells = cells[able]
    cost = cells["unit_cost"] + cells["cost_per_weight"] * cells["size_class"].map(
        weight
    )
    keys = ["region", "size_class", "speed"]
    best = cells.loc[cost.groupby([cells[key] for key in keys]).idxmin()]
    return best.pivot_table(
        index=keys[:2], columns="node", values="share", aggfunc="sum", fill_value=0.0
    )


def feeding_dc(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """1 where a DC (row) has the cheapest lane from any DC to a node (column)."""
    dcs = frames["nodes"].query("type == 'dc'")["node"]
    lanes = frames["lanes"][frames["lanes"]["source"].isin(dcs)]
    best = lanes.loc[lanes.groupby("destination")["cost_per_weight"].idxmin()]
    return pd.crosstab(best["source"], best["destination"]).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of the flagship's files")
    parser.add_argument("out", type=Path, help="where the tables go")
    parser.add_argument("--items", type=int, help="so many items, evenly spread")
    parser.add_argument("--weeks", type=int, default=156, help="length of history")
    parser.add_argument("--tightness", type=float, default=1.0)
    args = parser.parse_args()
    frames = read_flagship(
        args.data, items=args.items, weeks=args.weeks, tightness=args.tightness
    )
    write_tables(frames, args.out)


if __name__ == "__main__":
    main()

"""Re-plans a web shop by day through its autumn and simulates what really came.

    python -m experiments.backtest_days.run DATA [--items 100] [--quick]

DATA holds the folders `flagship` (the network) and `flagship_ecom` (items and orders).
"""

from pathlib import Path

import pandas as pd

from experiments.backtest.run import Case, options, problem_of, replay
from experiments.demo_data.build import SHIPPING_CHARGE, read_source, share_parcels
from experiments.flagship import reader

START, DAYS = "2010-12-01", 374  # of the orders
REPLAYED = 63  # the last nine weeks
TRADING = 6  # days a week: the shop is closed on Saturdays


def tables(data: Path, items: int, tightness: float) -> reader.Frames:
    """The shop's tables by day.

    Items are evenly spread over those whose margin pays for the mean haul between two
    buildings (the weight of the others is another product's, and does not fit their
    price). What a building handles in a week is divided by the days that the shop
    trades.
    """
    source = read_source(data)
    orders = pd.read_parquet(data / "flagship_ecom" / "demand_daily.parquet")
    share_parcels(source, orders)
    every = source["items"]
    haul = source["lanes_replenishment"]["cost_usd_kg"].mean()
    margin = every["unit_price_usd"] - every["unit_cost_usd"]
    able = every[margin > haul * every["weight_kg"]]
    taken = reader.every_so_many(able.reset_index(drop=True), items)
    shipping = reader.ship_options_table(source["lanes_outbound"], source)
    limits = reader.capacities_table(
        source["capacities"], every, taken, tightness=tightness
    )
    flows = limits["resource"].isin(["inbound", "outbound"])
    limits.loc[flows, "capacity"] /= TRADING
    nodes = reader.nodes_table(source)
    frames = {
        "items": reader.items_table(taken, shipping, shipping_charge=SHIPPING_CHARGE),
        "nodes": nodes.assign(storage_cost=nodes["storage_cost"] / 7),
        "capacities": limits,
        "lanes": reader.lanes_table(source["lanes_replenishment"], source),
        "regions": source["regions"][["region", "lat", "lon"]],
        "speeds": reader.speeds_table(source["region_speeds"]),
        "speed_mix": reader.speed_mix_table(source["region_speeds"]),
        "ship_options": shipping,
    }
    return frames | {"history": daily(orders, taken)}


def daily(orders: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Orders of every day; one without any is a row of 0."""
    orders = orders.rename(columns={"day": "week"})
    rows = orders[orders["item"].isin(items["item"])]
    closed = sorted(set(range(DAYS)) - set(rows["week"]))
    empty = pd.DataFrame(
        {"item": items["item"].iloc[0], "region": 0, "week": closed, "qty": 0}
    )
    rows = pd.concat([rows[empty.columns], empty]).astype(int)
    rows = rows.sort_values(["item", "region", "week"])
    dates = pd.date_range(START, periods=DAYS).strftime("%Y-%m-%d")
    return reader.history_table(rows, items, pd.Series(dates), 0, DAYS)


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    made = options(__doc__, __file__, items=100, tightness=1.0, recent=84, every=7)
    args = made.parse_args(arguments)
    count = 7 if args.quick else REPLAYED
    items = min(args.items, 10) if args.quick else args.items
    problem, _ = problem_of(tables(args.data, items, args.tightness), count, "day")
    first = DAYS - REPLAYED
    title = f"Cost of a day, days {first} to {first + count - 1} as they were"
    replay(Case(problem, first, 1.0, 7, "day", title), args)


if __name__ == "__main__":
    main()

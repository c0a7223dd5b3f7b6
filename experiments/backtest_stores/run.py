"""Re-plans stores behind one warehouse through a year and simulates what really came.

    python -m experiments.backtest_stores.run DATA/favorita_21_stores [--quick]

Sales are real; the file has nothing else, and what is assumed is in capitals below.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.backtest.run import Case, options, problem_of, replay

MONDAY = "2013-01-07"
FIRST, WEEKS = 119, 52
PRICE, VOLUME = (1.0, 8.0), (0.5, 4.0)  # money, litres: least and largest, log-uniform
MARGIN, SHELF_RENT, HOLDING_RATE = 0.3, 0.01, 0.5  # of price; a litre-week; a year
LEAD_DAYS, LEAD_STD_DAYS = 7.0, 2.0
STORAGE_WEEKS, DOCK = 2.0, 1.5  # of a store's mean volume; of its mean units a week


def tables(folder: Path, items: int, tightness: float) -> dict[str, pd.DataFrame]:
    """Tables of a warehouse and its stores, whose customers go nowhere else.

    Items are evenly spread over the list; sales below 0 (returns) count as none. A
    store has room for so many weeks of the volume that it sold before the replay.
    """
    sales = pd.read_parquet(folder / "sales_weekly.parquet")
    numbers = sales["product"].drop_duplicates().sort_values().to_numpy()
    chosen = numbers[np.arange(items) * len(numbers) // items]
    sales = sales[sales["product"].isin(chosen) & (sales["qty"] > 0)]
    sales = sales.assign(
        item="P" + sales["product"].astype(str).str.zfill(3),
        store="S" + sales["store"].astype(str).str.zfill(2),
        quantity=sales["qty"].round(),
    )
    made = item_table(sorted(sales["item"].unique()))
    stores = sorted(sales["store"].unique())
    dates = pd.date_range(MONDAY, periods=FIRST + WEEKS, freq="7D").strftime("%Y-%m-%d")
    before = sales[sales["week_no"] < FIRST]
    litres = before["item"].map(made.set_index("item")["unit_volume"])
    units = before.groupby("store")["quantity"].sum().reindex(stores) / FIRST
    volume = (before["quantity"] * litres).groupby(before["store"]).sum() / FIRST
    room = {
        "storage": STORAGE_WEEKS * volume.reindex(stores) / tightness,
        "inbound": DOCK * units / tightness,
    }
    return {
        "items": made,
        "nodes": pd.DataFrame(
            {"node": ["DC", *stores], "type": ["dc"] + ["store"] * len(stores),
             "storage_cost": SHELF_RENT}
        ),
        "capacities": pd.concat(
            pd.DataFrame(
                {"node": stores, "resource": name, "period": np.nan,
                 "capacity": limit.round().to_numpy()}
            )
            for name, limit in room.items()
        ),
        "lanes": pd.DataFrame(
            {"source": "DC", "destination": stores, "lead_time_days": LEAD_DAYS,
             "lead_time_std_days": LEAD_STD_DAYS}
        ),
        "regions": pd.DataFrame({"region": stores}),
        "speeds": pd.DataFrame({"speed": ["in_store"], "promise_days": [0.0]}),
        "ship_options": pd.DataFrame(
            {"node": stores, "region": stores, "speed": "in_store", "unit_cost": 0.0}
        ),
        "history": pd.DataFrame(
            {"item": sales["item"], "region": sales["store"],
             "period": dates[sales["week_no"]], "quantity": sales["quantity"]}
        ).reset_index(drop=True),
    }  # fmt: skip


def item_table(names: list[str]) -> pd.DataFrame:
    """Prices and volumes of items by a hash of their names; lost is the margin."""
    price = np.array([between(*PRICE, f"{name} price") for name in names]).round(2)
    litres = np.array([between(*VOLUME, f"{name} volume") for name in names]).round(2)
    return pd.DataFrame(
        {"item": names, "unit_price": price, "unit_cost": (1 - MARGIN) * price,
         "unit_volume": litres, "lost_sale_cost": MARGIN * price,
         "holding_rate": HOLDING_RATE}
    )  # fmt: skip


def between(low: float, high: float, text: str) -> float:
    """A number between two, log-uniform over texts."""
    part = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32
    return low * (high / low) ** part


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    made = options(__doc__, __file__, items=60, tightness=1.25, recent=104, every=4)
    args = made.parse_args(arguments)
    weeks = 4 if args.quick else WEEKS
    items = min(args.items, 10) if args.quick else args.items
    problem, _ = problem_of(tables(args.data, items, args.tightness), weeks)
    title = f"Cost of a week, weeks {FIRST} to {FIRST + weeks - 1} as they were"
    replay(Case(problem, FIRST, 7.0, 4, "week", title), args)


if __name__ == "__main__":
    main()

"""A plan that nobody solved: any whole targets and prices, of a small folder of tables
that has a bit of everything."""

import numpy as np
import pandas as pd
from tiny_folder import TINY, WEEKS, added, options, tiny

from meio_jax.plan import Plan
from meio_jax.tables import examine, read
from meio_jax.tables.hashing import digest

ITEMS, NODES, LIFT = "ABCDE", ("EAST", "WEST"), 1.7
SPEEDS = (("fast", 0.4), ("ground", 0.6))


def folder_of_all_kinds() -> dict[str, str]:
    """Two speeds, lost sales (A, C, E), an item that is waited for (B), one without
    demand (D), one of which EAST may hold 4 at most (C), one target that is fixed (A),
    and limits of every resource in all weeks."""
    files = tiny() | added("items.csv", "D,5,9,1,0.5", "E,5,9,1,0.5")
    items = [f"{line}," for line in files["items.csv"].splitlines()]
    items[0] += "backorder_cost"
    items[2] = "B,7.5,,2,1,3"
    demand = [line.replace("C,", "E,") for line in TINY["demand.csv"] if line[0] == "C"]
    limits = [
        f"{node},{resource},{week},{capacity}"
        for node in NODES
        for week in WEEKS
        for resource, capacity in (("inbound", 55), ("outbound", 32))
    ]
    ship = [TINY["ship_options.csv"][0] + ",cutoff_hour"]
    ship += [f"{line}," for line in TINY["ship_options.csv"][1:]]
    ship += ["EAST,North,fast,4,12", "WEST,South,fast,4.5,20", "WEST,North,fast,6,9"]
    mix = [f"{r},{s},{x}" for r in ("North", "South") for s, x in SPEEDS]
    lanes = [f"{line},0.5" for line in TINY["lanes.csv"]]
    lanes[0] = TINY["lanes.csv"][0] + ",lead_time_std"
    return files | {
        "lanes.csv": "\n".join(lanes) + "\n",
        "ship_options.csv": "\n".join(ship) + "\n",
        "speeds.csv": "speed,promise_days,lost_sale_share\nfast,1,0.5\nground,3,0\n",
        "speed_mix.csv": "\n".join(["region,speed,share", *mix]) + "\n",
        "items.csv": "\n".join(items) + "\n",
        "demand.csv": files["demand.csv"] + "\n".join(demand) + "\n",
        "capacities.csv": "\n".join([TINY["capacities.csv"][0], *limits]) + "\n",
        "item_nodes.csv": "item,node,max_stock\nC,EAST,4\n",
        "fixed_targets.csv": f"item,node,period,quantity\nA,WEST,{WEEKS[1]},7\n",
    }


def make_plan(folder, seed: int = 0) -> Plan:
    """A plan of the folder with random prices and targets within their limits."""
    rng = np.random.default_rng(seed)
    config = options("scenarios.regimes=2", "scenarios.count=16")
    examined = examine(read(folder), config)
    assert not examined.faults.errors
    keys = [(i, n, w) for i in ITEMS for n in NODES for w in WEEKS]
    targets = pd.DataFrame(keys, columns=pd.Index(["item", "node", "period"]))
    targets["order_up_to"] = rng.integers(0, 30, len(keys)).astype(float)
    targets["correction"] = rng.uniform(0, 0.2, len(keys))
    targets.loc[targets["item"] == "B", "correction"] = 0.0
    targets["held_by"] = "economics"
    fixed = targets.index[keys.index(("A", "WEST", WEEKS[1]))]
    targets.loc[fixed, ["order_up_to", "held_by"]] = 7.0, "fixed"
    capped = (targets["item"] == "C") & (targets["node"] == "EAST")
    targets.loc[capped, ["order_up_to", "held_by"]] = 4.0, "max_stock"
    keys = [(n, r, w) for n in NODES for r in RESOURCES for w in WEEKS]
    prices = pd.DataFrame(keys, columns=pd.Index(["node", "resource", "period"]))
    prices["price"] = rng.uniform(0, 0.3, len(keys))
    prices[["use", "capacity", "utilization"]] = 0.0, 1.0, 0.0
    prices["price_regime_1"] = prices["price"] / 2
    prices["price_regime_2"] = prices["price"]
    for name in ("price", "price_regime_1", "price_regime_2"):
        prices[f"bound_{name}"] = prices[name]
    facts = {
        "name": "hand", "lifts": [LIFT, 1.0], "tables": str(folder),
        "input_digest": digest(examined.tables), "options": config.to_dict(),
        "given": sorted(config.given),
    }  # fmt: skip
    empty = "buys", "transfers", "echelons", "rations", "depots", "service", "kpis"
    none = dict.fromkeys(empty, EMPTY)
    return Plan(
        status="gap_above_target", cost=1.0, bound=0.5, targets=targets, prices=prices,
        facts=facts, **none,
    )  # fmt: skip


RESOURCES, EMPTY = ("storage", "inbound", "outbound"), pd.DataFrame()

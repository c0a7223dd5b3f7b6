"""Tables of small problems, from arrays: items, nodes and regions named by number."""

from dataclasses import replace

import numpy as np
import pandas as pd

import meio_jax
from meio_jax.config import Config
from meio_jax.problem import Problem
from meio_jax.scenarios.sample import Sample, draw_sample
from meio_jax.tables import examine
from meio_jax.tables.build import build


def tables(
    demand,
    *,
    penalty,
    holding,
    ship=0.0,
    ship_by_weight=0.0,
    unit_weight=0.0,
    volume=1.0,
    storage=np.inf,
    weight=None,
    lead_time=0,
    waits=False,
):
    """Tables with the demand as the user's own scenarios, used exactly as they are.

    Args:
      demand: units; scenarios, items, regions, periods.
      penalty: lost sale cost of each item.
      holding: cost of a unit left at the end of a period; items, nodes.
      ship: cost of a unit shipped; nodes, regions.
      ship_by_weight: the same per weight unit.
      unit_weight: of each item.
      volume: of each item.
      storage: capacity of each node; inf for none.
      weight: of each scenario; equal unless given.
      waits: whether customers wait, and the penalty is paid every period.
      lead_time: of the lane from a DC to each node, periods; 0 for no lane.
    """
    demand, holding = np.asarray(demand, float), np.asarray(holding, float)
    scenarios, items, regions, _ = demand.shape
    nodes = holding.shape[1]
    scenario, item, region, period = np.indices(demand.shape).reshape(4, -1)
    weight = np.ones(scenarios) if weight is None else np.asarray(weight)
    per_node = lambda x: np.broadcast_to(x, (nodes, regions)).ravel()
    path = {"scenario": scenario, "item": item, "region": region, "period": period}
    frames = {
        "items": {
            "item": np.arange(items), "unit_cost": 0.0, "unit_volume": volume,
            "unit_weight": unit_weight, "late_cost": 0.0,
            "backorder_cost" if waits else "lost_sale_cost": penalty,
        },
        "nodes": {"node": np.arange(nodes), "type": "fc"},
        "item_nodes": {
            **grid("item", "node", holding), "holding_cost": holding.ravel(),
        },
        "ship_options": {
            **grid("node", "region", np.empty((nodes, regions))), "speed": "any",
            "unit_cost": per_node(ship), "cost_per_weight": per_node(ship_by_weight),
        },
        "scenarios": {**path, "quantity": demand.ravel(), "weight": weight[scenario]},
    }  # fmt: skip
    if np.isfinite(storage).any():
        frames["nodes"]["storage_capacity"] = storage
    frames = {name: pd.DataFrame(columns) for name, columns in frames.items()}
    if lead_time:
        dc = pd.DataFrame({"node": ["DC"], "type": ["dc"]})
        frames["nodes"] = pd.concat([dc, frames["nodes"]], ignore_index=True)
        lanes = {
            "source": "DC",
            "destination": np.arange(nodes),
            "lead_time": lead_time,
        }
        frames["lanes"] = pd.DataFrame(lanes)
    return meio_jax.Tables(**frames)


def grid(first: str, second: str, array) -> dict[str, np.ndarray]:
    """The two key columns of an array's cells."""
    rows, columns = np.indices(array.shape).reshape(2, -1)
    return {first: rows, second: columns}


def options(**solver) -> Config:
    """The default options with some of the solver's changed."""
    return replace(Config(), solver=replace(Config().solver, **solver))


def targets(plan) -> np.ndarray:
    """Order-up-to levels of the first period; items, nodes."""
    first = plan.targets[plan.targets["period"] == plan.targets["period"].iloc[0]]
    table = first.pivot(index="item", columns="node", values="order_up_to")
    return table.to_numpy()


def arrays(given) -> tuple[Problem, Sample]:
    """The problem and the scenarios that `meio_jax.solve` makes of the tables."""
    config = Config()
    examined = examine(given, config)
    assert not examined.faults.errors
    made, _ = build(examined.tables, examined.calendar)
    chosen = config.scenarios
    return made, draw_sample(made, count=chosen.count, seed=chosen.seed)

"""Records of a simulation to tables, and a plan's tables back to decisions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meio_jax.faults import Fault, Faults, InputError

KEYS = ["policy", "metric", "path"]


def by_path_table(metrics: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """Every metric on every path.

    Args:
      metrics: values by path, of each metric of each policy.
    """
    parts = [
        pd.DataFrame(
            {"policy": policy, "metric": metric, "path": np.arange(len(values)),
             "value": values}
        )
        for policy, found in metrics.items()
        for metric, values in found.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def kpis_of(by_path: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Means, intervals and paired differences to a policy.

    Args:
      by_path: from `by_path_table`.
      reference: name of a policy in it.
    """
    from meio_jax.stats import holm, interval, paired

    names = list(dict.fromkeys(by_path["policy"]))
    order = list(dict.fromkeys(by_path["metric"]))
    values = {
        key: rows.to_numpy(float)
        for key, rows in by_path.groupby(KEYS[:2], sort=False)["value"]
    }
    rows = []
    for policy in names:
        for metric in order:
            if (policy, metric) not in values:
                continue
            here = values[policy, metric]
            there = values.get((reference, metric), np.zeros(len(here)))
            mean, low, high = interval(here)
            row = dict(policy=policy, metric=metric, value=mean, low=low, high=high)
            gap, p, reduction = paired(here, there)
            if policy == reference:
                gap, p, reduction = (np.nan,) * 3, np.nan, np.nan
            row |= dict(zip(_DIFFERENCES, gap, strict=True))
            rows.append({**row, "p": p, "fewer_paths": reduction})
    table = pd.DataFrame(rows)
    table["p"] = holm(table["p"].to_numpy(float))
    return table


_DIFFERENCES = ("difference", "difference_low", "difference_high")


def service_of(rates, labels, periods: int) -> pd.DataFrame:
    """Service by policy, region and speed.

    Args:
      rates: of each policy, units asked for, served and on promise by path, by region
        (-1 for the nation) and speed.
      labels: names of regions and speeds.
      periods: periods of a path.
    """
    from meio_jax.stats import interval

    rows = []
    for policy, found in rates.items():
        for (region, speed), (demand, served, on_time) in found.items():
            asked = float(demand.sum())
            if asked <= 0:
                continue
            rate = on_time / np.maximum(demand, 1e-12)
            some = demand > 0
            _, low, high = interval(rate[some])
            rows.append(
                dict(
                    policy=policy,
                    region="all" if region < 0 else labels.regions[region],
                    speed=labels.speeds[speed],
                    demand=demand.mean() / periods,
                    fill_rate=min(float(served.sum()) / asked, 1.0),
                    on_promise_rate=min(float(on_time.sum()) / asked, 1.0),
                    low=max(low, 0.0),
                    high=min(high, 1.0),
                )
            )
    return pd.DataFrame(rows)


def use_of(records, problem, labels, above=None) -> pd.DataFrame:
    """Use of every limited capacity by policy, node, resource and period.

    Args:
      records: of each policy.
      problem: what was simulated.
      labels: names of nodes, depots and periods.
      above: capacities of depots, where they were simulated.
    """
    limits, parts, names = problem.limits, [], labels.nodes
    if above is not None:
        more = np.stack(
            [above.storage, above.inbound, np.full_like(above.inbound, np.inf)]
        )
        limits, names = np.concatenate([limits, more], axis=1), names + labels.depots
    resource, node, period = np.nonzero(np.isfinite(limits))
    capacity = limits[resource, node, period]
    for record in records:
        every = record.use
        if above is not None:
            more = np.stack([*record.depots[:2], 0 * record.depots[0]])
            every = np.concatenate([every, more], axis=1)
        use = every[resource, node, period]
        parts.append(
            pd.DataFrame(
                {
                    "policy": record.name,
                    "node": np.array(names)[node],
                    "resource": np.array(("storage", "inbound", "outbound"))[resource],
                    "period": np.array(labels.periods)[period],
                    "mean": use.mean(axis=1),
                    "high": np.quantile(use, 0.95, axis=1),
                    "capacity": capacity,
                    "share_above": (use > capacity[:, None] * (1 + 1e-6)).mean(axis=1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def reserves_array(plan, problem, labels) -> tuple[np.ndarray, ...]:
    """A plan's spill limits as arrays of each group, "periods nodes items", units.

    Args:
      plan: the plan; its targets are those of the problem.
      problem: the problem that it was made for.
      labels: its names.
    """
    table = plan.targets
    full = np.zeros([len(x) for x in (labels.periods, labels.nodes, labels.items)])
    if "spill_limit" in table:  # a run of an earlier version has none
        code = _codes(table, labels)
        full[code["period"], code["node"], code["item"]] = table[
            "spill_limit"
        ].to_numpy(float)
    return tuple(
        full[:, g.network.node][:, :, g.items.position] for g in problem.groups
    )


def _codes(table: pd.DataFrame, labels) -> dict[str, np.ndarray]:
    """Places of a table's items, nodes and periods among the names; -1 for none."""
    return {
        name: pd.Index(known).get_indexer(pd.Index(table[name].astype(str)))
        for name, known in (
            ("item", labels.items), ("node", labels.nodes), ("period", labels.periods),
        )
        if name in table
    }  # fmt: skip


def targets_array(
    plan, problem, labels, place: str, column: str = "order_up_to"
) -> tuple[np.ndarray, ...]:
    """A plan's targets as arrays of each group, "items periods nodes", units.

    Args:
      plan: the plan.
      problem: the problem that it was made for.
      labels: its names.
      place: name of the plan in messages.
      column: of the targets.

    Raises:
      InputError: the plan has items, nodes or periods that the problem has not, or
        lacks some.
    """
    table, out, faults = plan.targets, [], []
    codes = _codes(table, labels)
    for name, code in codes.items():
        strange = table[name][code < 0]
        if len(strange):
            text = f"its targets have {name} '{strange.iloc[0]}', the tables have not"
            faults.append(_other(place, text))
    values = table[column].to_numpy(float)
    full = np.full(
        [len(x) for x in (labels.items, labels.nodes, labels.periods)], np.nan
    )
    if not faults:
        full[codes["item"], codes["node"], codes["period"]] = values
    for group in problem.groups if not faults else ():
        part = full[group.items.position][:, group.network.node]
        if np.isnan(part).any():
            i, n, t = np.argwhere(np.isnan(part))[0]
            item = labels.items[group.items.position[i]]
            node = labels.nodes[group.network.node[n]]
            text = f"no target for item '{item}' at node '{node}' in period "
            faults.append(_other(place, text + f"'{labels.periods[t]}'"))
            break
        out.append(np.swapaxes(part, 1, 2))
    if faults:
        raise InputError(Faults(faults))
    return tuple(out)


def corrections(plan, problem, labels) -> tuple[np.ndarray, ...]:
    """What corrections added to the charges of targets, by group, "items periods
    nodes", money per unit; 0 for names that it does not know.

    Args:
      plan: the plan.
      problem: the problem at hand.
      labels: its names.
    """
    codes = _codes(plan.targets, labels)
    places = np.stack([codes[name] for name in ("item", "period", "node")])
    known = (places >= 0).all(axis=0)
    full = np.zeros([len(x) for x in (labels.items, labels.periods, labels.nodes)])
    full[tuple(places[:, known])] = plan.targets["correction"].to_numpy(float)[known]
    return tuple(full[g.items.position][:, :, g.network.node] for g in problem.groups)


def kept_free(plan, labels) -> np.ndarray:
    """Storage that a plan keeps free, "nodes periods", volume; 0 at other names.

    Args:
      plan: the plan.
      labels: names of nodes and periods.
    """
    table = plan.prices[plan.prices["resource"] == "storage"]
    found = np.zeros((len(labels.nodes), len(labels.periods)))
    codes = _codes(table, labels)
    node, period = codes["node"], codes["period"]
    known = (node >= 0) & (period >= 0)
    found[node[known], period[known]] = table["kept_free"].to_numpy(float)[known]
    return found


def _other(place: str, text: str) -> Fault:
    return Fault(
        "error",
        "S02",
        place,
        text,
        "Simulate a plan with the tables that it was made of",
    )

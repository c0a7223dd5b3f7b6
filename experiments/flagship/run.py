"""Plans the flagship: 2,000 items, 13 weeks, from the first 156 weeks of history.

    python -m experiments.flagship.run DATA/flagship [--items 200] [--quick]

Prints the solver's log and writes `result.json` beside this file: seconds, peak memory,
evaluations, gap, prices, device and versions.
"""

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import meio_jax as meio
from experiments.flagship.reader import read_flagship
from meio_jax.config import Config


def options(quick: bool) -> Config:
    """Options of the experiment; litres, kilograms, dollars, weeks."""
    config = Config()
    return replace(
        config,
        problem=replace(config.problem, name="flagship", horizon=4 if quick else 13),
        units=replace(config.units, volume="litre"),
        scenarios=replace(config.scenarios, count=16 if quick else 64),
        solver=replace(
            config.solver, gap=0.05, levels=6, smoothing=(1.0,), certify=32,
            max_evaluations=4 if quick else 14,
        ),
    )  # fmt: skip


def main() -> None:
    """Runs the experiment from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--items", type=int)
    parser.add_argument("--tightness", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    begin = time.perf_counter()
    frames = read_flagship(
        args.data, items=args.items, tightness=args.tightness, shipping_charge=1.0
    )
    tables = meio.Tables(**frames)
    read = time.perf_counter() - begin

    def show(line) -> None:
        print(
            f"{line.phase:<8}{line.evaluations:>5}{line.value:>16,.0f}"
            f"{line.violation:>12.2%}{line.priced:>7}{line.seconds:>9.1f} s",
            flush=True,
        )

    plan = meio.solve(tables, config=options(args.quick), callback=show)
    priced = plan.prices[plan.prices["price"] > 1e-9]
    result = {
        "command": f"--items {args.items} --tightness {args.tightness}",
        "status": plan.status,
        "cost": plan.cost,
        "bound": plan.bound,
        "gap": plan.gap,
        "certificate": plan.facts["certificate"],
        "violation_before_repair": next(
            m["violation"] for m in plan.metrics if m["phase"] == "repair"
        ),
        "cost_without_capacities": plan.facts["cost_without_capacities"],
        "evaluations": plan.facts["evaluations"],
        "capacities_priced": len(priced),
        "priced_by_resource": priced["resource"].value_counts().to_dict(),
        "fullest": float(plan.prices["utilization"].max()),
        "kpis": dict(zip(plan.kpis["metric"], plan.kpis["value"], strict=True)),
        "seconds_reading": round(read, 1),
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "sizes": plan.facts["sizes"],
        "scenarios": plan.facts["scenarios"],
        "device": plan.facts["device"],
        "versions": plan.facts["versions"],
    }
    name = "quick.json" if args.quick else "result.json"
    (args.out / name).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    columns = ["node", "resource", "period", "price", "use", "capacity"]
    print(priced.sort_values("price").tail(8)[columns].to_string(index=False))


if __name__ == "__main__":
    main()

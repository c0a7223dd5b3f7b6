"""Plans the flagship: 2,000 items, 13 weeks, from the first 156 weeks of history.

    python -m experiments.flagship.run DATA/flagship [--items 200] [--warm] [--quick]

Prints the solver's log and writes `result.json` beside this file: seconds, peak memory,
evaluations, gap, prices, device and versions. With `--warm` demand then grows by 1 %
and is planned again from the prices reached.
"""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import meio_jax as meio
from experiments import record
from experiments.flagship.reader import read_flagship
from meio_jax.config import Config

GROWTH = 0.01  # of demand, before the warm start
SEED = 1  # of its rounding


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


def grow(history: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The history with quantities larger by a share, rounded up or down at random so
    that they stay whole units and grow by that share in the mean."""
    rng = np.random.default_rng(seed)
    more = history["quantity"].to_numpy(float) * (1 + share)
    return history.assign(quantity=np.floor(more + rng.random(len(more))).astype(int))


def show(line) -> None:
    print(
        f"{line.phase:<8}{line.evaluations:>5}{line.value:>16,.0f}"
        f"{line.violation:>12.2%}{line.priced:>7}{line.seconds:>9.1f} s",
        flush=True,
    )


def facts(plan: meio.Plan) -> dict:
    """What a solve took and what it proved; evaluations by the phase they served."""
    steps = pd.DataFrame(plan.metrics).groupby("phase", sort=False)["evaluations"]
    last = steps.max()
    first = steps.min()
    ascent = int(last["ascend"] - first["ascend"]) + 1
    total, corrected = plan.facts["evaluations"], last.get("correct", last["ascend"])
    values = np.array([m["value"] for m in plan.metrics if m["phase"] == "ascend"])
    apart = values.max() - np.maximum.accumulate(values)
    near = np.argmax(apart <= 1e-3 * abs(values.max()))
    return {
        "status": plan.status,
        "cost": plan.cost,
        "bound": plan.bound,
        "gap": plan.gap,
        "certificate": plan.facts["certificate"],
        "violation_before_repair": next(
            m["violation"] for m in plan.metrics if m["phase"] == "repair"
        ),
        "cost_without_capacities": plan.facts["cost_without_capacities"],
        "evaluations": {
            "start and calibration": int(first["ascend"]) - 1,
            "ascent": ascent,
            "ascent, to 1e-3 below its top": int(near) + 1,
            "corrections": int(corrected - last["ascend"]),
            "prices of the bound, and 2 to see what is left": total - int(corrected),
            "all": total,
        },
        "dual_values": values.tolist(),
        "lifts": plan.facts["lifts"],
        "solve_seconds": round(plan.facts["seconds"], 1),
    }


def main(arguments: list[str] | None = None) -> None:
    """Runs the experiment from the command line."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--items", type=int)
    parser.add_argument("--tightness", type=float, default=1.0)
    parser.add_argument("--warm", action="store_true", help="again, demand + 1 %%")
    args = parser.parse_args(arguments)
    run = record.Record(args)
    frames = read_flagship(
        args.data, items=args.items, tightness=args.tightness, shipping_charge=1.0
    )
    config = options(args.quick)
    plan = meio.solve(meio.Tables(**frames), config=config, callback=show)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    warm = {}
    if args.warm:
        frames["history"] = grow(frames["history"], GROWTH, SEED)
        again = meio.solve(
            meio.Tables(**frames), config=config, callback=show, start=plan
        )
        warm = {"growth": GROWTH, "seed_of_rounding": SEED, **facts(again)}
    priced = plan.prices[plan.prices["price"] > 1e-9]
    run.write(
        **facts(plan),
        warm=warm,
        capacities_priced=len(priced),
        priced_by_resource=priced["resource"].value_counts().to_dict(),
        fullest=float(plan.prices["utilization"].max()),
        kpis=dict(zip(plan.kpis["metric"], plan.kpis["value"], strict=True)),
        peak_memory_gb=memory,
        sizes=plan.facts["sizes"],
        scenarios=plan.facts["scenarios"],
        seed=config.scenarios.seed,
    )
    columns = ["node", "resource", "period", "price", "use", "capacity"]
    print(priced.sort_values("price").tail(8)[columns].to_string(index=False))


if __name__ == "__main__":
    main()

"""Times evaluations of the dual on devices and processes that share the items.

    python -m experiments.bench_sharded.run [--quick] [--device gpu]

Processes meet on this machine. Prints a table; writes `result.json` beside this file,
`--quick` `quick.json`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np

from experiments import record

CREWS = [(1, 1), (1, 2), (2, 1), (2, 2)]  # processes, devices of each
CASE = {"items": 2_500, "nodes": 40, "periods": 4, "repeats": 5}
QUICK = {"items": 24, "nodes": 8, "periods": 2, "repeats": 1}
SCENARIOS, SEASON = 64, 0.1
PRICED = 0.02  # of `Dual.worth`, the move between two evaluations
COLUMNS = (
    "processes", "devices", "rows_cpu", "cpu_busiest", "cpu_all", "wall", "meeting",
    "sent_mb", "psum_mb", "rows_mb", "value", "differs",
)  # fmt: skip


def measure(args: argparse.Namespace) -> dict:
    """One process of a crew: rows, a first evaluation, then others at higher prices.

    Args:
      args: the case, and who this process is.
    """
    import jax

    from experiments.bench_scale.instance import problem
    from meio_jax import mesh
    from meio_jax.config import Solver
    from meio_jax.dual.prices import Dual
    from meio_jax.dual.rows import spread_rows
    from meio_jax.planner import coarse_group
    from meio_jax.scenarios.sample import draw_sample

    if args.processes > 1:
        mesh.join(args.processes, args.process, args.place)
    jax.config.update("jax_enable_x64", True)
    made = problem(args.items, nodes=args.nodes, periods=args.periods, season=SEASON)
    sample = draw_sample(made, count=SCENARIOS, seed=0, balanced=True)
    options = Solver()
    chunks = -(-args.items // mesh.chunk_items())
    crew = mesh.crew_for(chunks, args.devices, joint=True)
    group = coarse_group(made.groups[0])
    build = lambda: jax.block_until_ready(
        spread_rows(
            made, group, 0, sample, crew, count=options.levels, atoms=options.atoms,
            dtype=np.float32,
        )
    )  # fmt: skip
    build()
    begin = time.process_time()
    rows = build()
    rows_cpu = time.process_time() - begin
    dual = Dual(made, (rows,), crew)
    look = lambda share, targets: dual.at(
        share * dual.worth, targets, stage=1.0, softness=0.1, curved=True
    )
    point = look(0.0, dual.start())
    look(PRICED, point.targets)
    post = Post(mesh)
    walls, cpus = [], []
    for _ in range(args.repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        moved = look(PRICED, point.targets)
        jax.block_until_ready(moved.targets)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    prices = dual.spread(moved.price)[:, group.network.node]
    part = dual.look(rows, prices, moved.targets[0], 1.0, 0.1, curved=True)
    psum = [part.value, part.use, part.bend, part.residual]
    size = sum(x.nbytes for x in jax.tree.leaves(rows) if hasattr(x, "nbytes"))
    return {
        "rows_cpu": rows_cpu, "cpu": cpus, "wall": walls, "rows_mb": size / 2**20,
        "meeting": post.seconds / args.repeats,
        "sent_mb": post.bytes / args.repeats / 2**20,
        "psum_mb": sum(x.nbytes for x in psum) / 2**20 if crew.hands > 1 else 0.0,
        "value": moved.value, "use": moved.use.tolist(), "device": record.device(),
    }  # fmt: skip


class Post:
    """Counts what a process brings to meetings of processes, and the seconds there,
    waiting for the others included."""

    def __init__(self, mesh):
        self.bytes, self.seconds, meet = 0, 0.0, mesh._all

        def counted(part, kind):
            begin = time.perf_counter()
            found = meet(part, kind)
            self.seconds += time.perf_counter() - begin
            self.bytes += part.nbytes
            return found

        mesh._all = counted


def crew(processes: int, devices: int, case: dict, device: str) -> list[dict]:
    """What each process of a crew has measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    module = "experiments.bench_sharded.run"
    flags = [f"--{name}={value}" for name, value in case.items()]
    flags += [f"--processes={processes}", f"--devices={devices}", f"--place={place}"]
    named = record.PLATFORMS.get(device, device)
    platform = {} if device == "any" else {"JAX_PLATFORMS": named}
    split = f"--xla_force_host_platform_device_count={devices}"
    flagged = {"XLA_FLAGS": split} if device == "cpu" else {}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *flags, f"--process={k}"],
            env=os.environ | platform | flagged | _seen(device, devices, k),
            stdout=subprocess.PIPE, text=True,
        )
        for k in range(processes)
    ]  # fmt: skip
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{processes} processes of {devices} devices failed")
    return [json.loads(text.splitlines()[-1]) for text in said]


def _seen(device: str, devices: int, process: int) -> dict[str, str]:
    """The GPUs of a process: each has its own."""
    if device != "gpu":
        return {}
    own = range(process * devices, (process + 1) * devices)
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, own))}


def summary(processes: int, devices: int, found: list[dict], first: dict) -> dict:
    """A row of the table: seconds are of an evaluation, the median of the repeats.

    Args:
      processes: of the crew.
      devices: of each process.
      found: what each process measured.
      first: what one process of one device found.
    """
    cpu = np.median([f["cpu"] for f in found], axis=1)
    use, expected = np.array(found[0]["use"]), np.array(first["use"])
    differs = max(
        abs(found[0]["value"] / first["value"] - 1),
        np.abs(use - expected).max() / np.abs(expected).max(),
    )
    most = lambda name: max(f[name] for f in found)
    return {
        "processes": processes, "devices": devices,
        "rows_cpu": round(most("rows_cpu"), 2), "cpu_busiest": round(cpu.max(), 3),
        "cpu_all": round(cpu.sum(), 3),
        "wall": round(float(np.median([f["wall"] for f in found])), 3),
        "meeting": round(most("meeting"), 3), "sent_mb": round(most("sent_mb"), 2),
        "psum_mb": round(most("psum_mb"), 2), "rows_mb": round(most("rows_mb")),
        "value": found[0]["value"], "differs": float(f"{differs:.1e}"),
    }  # fmt: skip


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the whole and of one process."""
    parser = record.parser(__doc__, __file__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu", "any"])
    parser.add_argument("--most", type=int, default=2, help="processes, and devices")
    parser.add_argument("--processes", type=int, default=0, help="one of a crew")
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--place", default="")
    for name, value in CASE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs every crew, or one process of one, from the command line."""
    args = parse(arguments)
    if args.processes:
        print(json.dumps(measure(args)))
        return
    run = record.Record(args)
    case = QUICK if args.quick else {name: getattr(args, name) for name in CASE}
    crews = CREWS[:3:2] if args.quick else [c for c in CREWS if max(c) <= args.most]
    rows, first = [], {}
    for processes, devices in crews:
        found = crew(processes, devices, case, args.device)
        first = first or found[0]
        rows.append(summary(processes, devices, found, first))
        run.write(
            rows=rows, case=case, load_average=os.getloadavg(), cores=os.cpu_count(),
            device=first["device"],
        )  # fmt: skip
    for line in (
        COLUMNS,
        ["---"] * len(COLUMNS),
        *([r[c] for c in COLUMNS] for r in rows),
    ):
        print("|", " | ".join(map(str, line)), "|")


if __name__ == "__main__":
    main()

"""Runs a small case on so many devices or as one of so many processes, and saves what
it found: python -m tests.mesh.crews WHAT OUT DEVICES [PROCESSES PROCESS PORT]."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench_scale.instance import problem as catalogue
from experiments.dual_methods.instance import problem
from meio_jax import mesh
from meio_jax.config import Solver
from meio_jax.dual.ascend import Newton
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import spread_rows
from meio_jax.planner import solve_problem
from meio_jax.recover.evaluate import Evaluator
from meio_jax.recover.units import unit_values, whole_optimum
from meio_jax.scenarios.sample import draw_sample

ITEMS, PERIODS = 29, 2  # chunks of 3: the last one is short, shares are not equal


def climb(devices: int, steps: int = 4) -> dict[str, np.ndarray]:
    """Prices by Newton, targets there, what they use, and single units' worth; after
    one step the dual alone."""
    made = problem(ITEMS, PERIODS)
    sample = draw_sample(made, count=16, seed=0, balanced=True)
    crew = mesh.crew_for(10, devices, joint=True)
    rows = spread_rows(
        made, made.groups[0], 0, sample, crew, count=8, atoms=16, dtype=jnp.float64,
        chunk=3,
    )  # fmt: skip
    dual = Dual(made, (rows,), crew)
    dual.carried = made.inbound[:, 0].copy()
    method = Newton(stages=(1.0,), softness=0.1)
    state = method.init(dual, np.zeros(dual.limited.size), dual.start())
    for _ in range(steps):
        state = method.step(dual, state)

    def whole(cells):
        cells = np.asarray(cells).reshape(-1, PERIODS, cells.shape[-1])
        return crew.gather(cells, ITEMS, 3)

    target = state.point.targets[0]
    found = {
        "price": state.point.price, "value": np.array(state.point.value),
        "use": state.point.use, "jacobian": state.point.jacobian,
        "target": whole(target),
    }  # fmt: skip
    if steps == 1:
        return found
    units = jnp.round(target)
    outcome = Evaluator(made, 0, sample, chunk=8, crew=crew)(
        whole(units), np.zeros((1, target.shape[-1], PERIODS))
    )
    prices = jnp.asarray(dual.spread(state.point.price))
    return found | {
        "more": whole(unit_values(rows, units, less=False)),
        "best": whole(whole_optimum(rows, units, prices, steps=4)),
        "left": outcome.left, "flow": outcome.flow,
    }  # fmt: skip


def solve(devices: int) -> dict[str, np.ndarray]:
    """A whole solve, of so many items that none is solved exactly but for the bound."""
    made = catalogue(26, nodes=8, periods=3)
    sample = draw_sample(made, count=8, seed=0, balanced=True)
    options = Solver(devices=devices, atoms=8, certify=6, smoothing=(1.0,))
    found = solve_problem(made, sample, options, joint=True)
    return {
        "price": found.prices, "bound": np.array(found.bound), "use": found.use,
        "cost": np.array(found.cost), "target": found.targets[0],
    }  # fmt: skip


def main() -> None:
    """One process of one case."""
    what, out, devices, *others = sys.argv[1:]
    if others:
        processes, process, port = map(int, others)
        mesh.join(processes, process, f"127.0.0.1:{port}")
    jax.config.update("jax_enable_x64", True)
    run = {"step": partial(climb, steps=1), "climb": climb, "solve": solve}[what]
    for count in map(int, devices.split(",")):
        np.savez(f"{out}-{count}.npz", **run(count))


if __name__ == "__main__":
    main()

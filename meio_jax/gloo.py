"""A sum over two processes of this machine, as runs on several machines make it.

`python -m meio_jax.gloo` runs it alone, with all that JAX says.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

LIMIT = 90.0  # seconds
PROGRAM = """
import sys
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
place, rank = sys.argv[1], int(sys.argv[2])
jax.distributed.initialize(place, 2, rank, initialization_timeout=60)
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
mesh = jax.make_mesh((jax.device_count(),), ("p",))
whole = np.arange(jax.device_count(), dtype=np.float32) + 1
shard = NamedSharding(mesh, P("p"))
x = jax.make_array_from_callback(whole.shape, shard, lambda at: whole[at])
add = jax.shard_map(lambda v: jax.lax.psum(v, "p"), mesh=mesh, in_specs=P("p"),
                    out_specs=P())
total = float(jax.jit(add)(x).addressable_data(0)[0])
sys.exit(0 if jax.process_count() == 2 and total == whole.sum() else 3)
"""


def two_processes(
    program: str = PROGRAM, limit: float = LIMIT, *, quiet: bool = True
) -> str:
    """Runs the sum in two processes; "" if it is right, else what went wrong.

    Args:
      program: what each process runs, with the address to meet at and its rank.
      limit: seconds before they are stopped.
      quiet: whether what they say is kept back.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = f"localhost:{free.getsockname()[1]}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    held = subprocess.PIPE if quiet else None
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, place, str(rank)], env=environment,
            stdout=subprocess.DEVNULL if quiet else None, stderr=held, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    end, wrong = time.monotonic() + limit, ""
    try:
        for process in both:
            _, errors = process.communicate(timeout=max(end - time.monotonic(), 0.1))
            wrong = wrong or _said(process.returncode, errors or "")
    except subprocess.TimeoutExpired:
        wrong = f"no answer within {limit:.0f} s"
    finally:
        for process in both:
            process.kill()
            process.communicate()
    return wrong


def _said(code: int, errors: str) -> str:
    """What a process that failed said last."""
    if code == 0:
        return ""
    if code == 3:
        return "the sum is wrong"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"a process ended with code {code}"


if __name__ == "__main__":
    sys.exit(two_processes(quiet=False) or 0)

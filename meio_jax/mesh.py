"""Devices and processes: who works on which items, and how sums meet.

Items are dealt out in whole chunks, in order: a process after another, and within a
process a device after another. Prices are everywhere; what crosses devices are sums of
the length of the capacities, by one psum, and between processes the same sums again.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

ITEMS = "items"  # the mesh axis of a process's devices
ENOUGH = 32  # chunks that keep a device busy
ITEMS_AT_ONCE = {"cpu": 8}  # as many as caches hold
MANY_AT_ONCE = 1024  # elsewhere: about 1 GB at 40 nodes and 13 periods


def chunk_items() -> int:
    """Items that a device works on at once."""
    return ITEMS_AT_ONCE.get(jax.default_backend(), MANY_AT_ONCE)


class Crew(NamedTuple):
    """The processes, and the devices of this one.

    Attributes:
      processes: how many; all hold the same problem and make the same decisions.
      process: which one this is.
      devices: those of this process that share its items; none for the default one.
    """

    processes: int = 1
    process: int = 0
    devices: tuple[Any, ...] = ()  # jax.Device

    def deal(self, first: int, last: int, each: int) -> list[tuple[int, int]]:
        """First and last chunk of each of this process's devices, `each` at most.

        Args:
          first: of the chunks to be dealt out.
          last: of them; as a rule one past `first + each` times the devices.
          each: chunks that a device holds, empty ones at the end included.
        """
        cut = lambda k: min(first + k * each, last)
        return [(cut(k), cut(k + 1)) for k in range(self.hands)]

    @property
    def hands(self) -> int:
        """Devices of this process."""
        return max(len(self.devices), 1)

    def own(self, count: int, chunk: int = 1) -> tuple[int, int]:
        """First and last of `count` things that this process works on, in whole chunks
        but for the last."""
        mine = self._mine(count, chunk)
        return min(self.process * mine, count), min((self.process + 1) * mine, count)

    def _mine(self, count: int, chunk: int) -> int:
        chunks = -(-count // chunk)
        return -(-chunks // self.processes) * chunk

    def total(self, part: np.ndarray) -> np.ndarray:
        """Sum over all processes, the same bits on each."""
        return _all(part[None], "sum") if self.processes > 1 else part

    def totals(self, *parts: np.ndarray) -> list[np.ndarray]:
        """Sums of several arrays, in one go."""
        if self.processes == 1:
            return list(parts)
        joined = self.total(np.concatenate([p.ravel() for p in parts]))
        cuts = np.split(joined, np.cumsum([p.size for p in parts])[:-1])
        return [c.reshape(p.shape) for c, p in zip(cuts, parts, strict=True)]

    def most(self, part: float) -> float:
        """The largest over all processes."""
        if self.processes == 1:
            return part
        return float(_all(np.array([part]), "max"))

    def lead(self, part: np.ndarray) -> np.ndarray:
        """What the first process has: decisions hang on it alone."""
        if self.processes == 1:
            return part
        return self.total(part if self.process == 0 else np.zeros_like(part))

    def gather(self, part: np.ndarray, count: int, chunk: int = 1) -> np.ndarray:
        """All rows of an array of which each process has its `own`.

        Args:
          part: rows of this process.
          count: rows of all.
          chunk: as given to `own`.
        """
        if self.processes == 1:
            return part[:count]
        mine = self._mine(count, chunk)
        full = np.zeros((mine, *part.shape[1:]), part.dtype)
        full[: len(part)] = part[:mine]
        joined = _all(full[None], "join")
        return np.asarray(joined.reshape(-1, *part.shape[1:])[:count])

    def each(self, work: Callable[[int, Any], Any], tasks: Sequence[Any]) -> list:
        """Does every task, one at a time on each device, the results in order.

        Args:
          work: given the number of the task's device and the task.
          tasks: what is to be done.
        """
        count = max(len(self.devices), 1)
        if count == 1:
            return [work(0, task) for task in tasks]

        def run(k: int):
            with jax.default_device(self.devices[k]), jax.enable_x64(True):
                return [work(k, task) for task in tasks[k::count]]

        with ThreadPoolExecutor(count) as pool:
            done = list(pool.map(run, range(count)))
        return [done[i % count][i // count] for i in range(len(tasks))]


def join(processes: int, process: int, coordinator: str) -> int:
    """Makes this process one of many, before JAX is used; its number.

    Args:
      processes: how many; 0 to read all three from a cluster that JAX knows (Slurm,
        Open MPI, Kubernetes).
      process: number of this one, from 0.
      coordinator: host and port of process 0; trusted networks only, as the port asks
        for no password.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if processes:
        jax.distributed.initialize(coordinator, processes, process)
    else:
        jax.distributed.initialize()
    return jax.process_index()


def leave() -> int:
    """Waits for the other processes and parts from them; the number of this one."""
    process = jax.process_index()
    if jax.process_count() > 1:
        jax.distributed.shutdown()
    return process


def crew_for(chunks: int, devices: int = 0, *, joint: bool = False) -> Crew:
    """The crew for so many chunks, with as many of the visible devices as these keep
    busy.

    Args:
      chunks: of all items.
      devices: of a process; 0 for as many as have `ENOUGH` chunks.
      joint: whether all processes share the items; all must then make the same calls.
    """
    local, processes = jax.local_devices(), jax.process_count() if joint else 1
    mine = -(-chunks // processes)
    count = devices or max(min(len(local), mine // ENOUGH), 1)
    if count > len(local):
        raise ValueError(f"{count} devices asked for, {len(local)} are visible")
    used = tuple(local[:count]) if count > 1 else ()
    return Crew(processes, jax.process_index() if joint else 0, used)


def place(x: np.ndarray, like: Array) -> Array:
    """An array cut over devices as another one is, in its dtype."""
    x = np.asarray(x, like.dtype)
    mesh = mesh_of(like)
    if mesh is None:
        return jnp.asarray(x)
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec(ITEMS)))


def assemble(parts: Sequence[Array]) -> Array:
    """One array whose first axis is cut over devices from a part on each."""
    if len(parts) == 1:
        return parts[0]
    mesh = Mesh(np.array([p.device for p in parts]), (ITEMS,))
    shape = (sum(len(p) for p in parts), *parts[0].shape[1:])
    sharding = NamedSharding(mesh, PartitionSpec(ITEMS))
    return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))


def mesh_of(array: Array) -> Mesh | None:
    """The mesh that an array's first axis is cut over; None for one device."""
    sharding = getattr(array, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return None
    cut = sharding.spec == PartitionSpec(ITEMS) and sharding.mesh.size > 1
    return sharding.mesh if cut else None


def replicate(x: Any, mesh: Mesh | None) -> Any:
    """An array on every device of a mesh; what is no array as it is."""
    if mesh is None or not isinstance(x, Array):
        return x
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec()))


def on_mesh(body: Callable, mesh: Mesh | None, inputs: Any, outputs: Any) -> Callable:
    """A function of arrays, each device working on its own chunks.

    Args:
      body: what each device does; sums over items go through `over_items`.
      mesh: of the devices; None leaves the function as it is.
      inputs: True for every argument, or leaf of it, that is cut by chunks, else False.
      outputs: the same of what it returns.
    """
    if mesh is None:
        return body
    cut = lambda tree: jax.tree.map(
        lambda own: PartitionSpec(ITEMS) if own else PartitionSpec(), tree
    )
    return jax.shard_map(
        body, mesh=mesh, in_specs=cut(inputs), out_specs=cut(outputs), check_vma=False
    )


def over_items(sums: Any, mesh: Mesh | None, most: bool = False) -> Any:
    """Sums, or the largest, of every device's part."""
    if mesh is None:
        return sums
    return lax.pmax(sums, ITEMS) if most else lax.psum(sums, ITEMS)


@cache
def _between() -> NamedSharding:
    """One device of every process, in the order of the processes."""
    first = {d.process_index: d for d in reversed(jax.devices())}
    mesh = Mesh(np.array([first[k] for k in sorted(first)]), ("processes",))
    return NamedSharding(mesh, PartitionSpec("processes"))


@cache
def _meeting(kind: str):
    every = NamedSharding(_between().mesh, PartitionSpec())
    how = {"sum": lambda x: x.sum(0), "max": jnp.max, "join": lambda x: x}
    return jax.jit(how[kind], out_shardings=every)


def _all(part: np.ndarray, kind: str) -> np.ndarray:
    """The parts of all processes, each a row, brought together on every process."""
    rows = jax.make_array_from_process_local_data(_between(), part)
    return np.array(_meeting(kind)(rows))

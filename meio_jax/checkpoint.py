"""Prices that a search can go on from: what `state.npz` and a running solve keep."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meio_jax.faults import Fault, Faults, InputError

if TYPE_CHECKING:
    import numpy as np

FORMAT = 2
FILE = "state.npz"
AXES = ("resources", "nodes", "periods")
HINT = "Delete it, or start without it"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Capacity prices with the names that they belong to.

    Attributes:
      name: of the plan: `problem.name`, or the folder of the tables.
      digest: of the tables that were planned.
      resources: storage, inbound, outbound; with regimes of load `outbound 1` to
        `outbound K`, quiet to busy.
      nodes: names of the nodes.
      periods: names of the periods.
      prices: resources nodes periods; money per unit of capacity, >= 0; 0 where there
        is no limit.
      bound_prices: those at which the bound is highest, or was expected to be.
      stage: stages of smoothing that the search had finished; 0 for a search whose
        first stage still ran, or where that is not known.
      evaluations: of the full dual so far.
      lifts: factor of each group on the tree kernel's cost of a shortage; none where
        they were not measured.
    """

    name: str
    digest: str
    resources: tuple[str, ...]
    nodes: tuple[str, ...]
    periods: tuple[str, ...]
    prices: np.ndarray
    bound_prices: np.ndarray
    stage: int = 0
    evaluations: int = 0
    lifts: tuple[float, ...] = ()

    def matched(
        self, resources, nodes, periods
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Prices and bound prices at the same names in other axes, 0 for names that are
        not known here; None where no resource, node or period is shared."""
        import numpy as np

        prices, bound_prices = np.zeros((2, len(resources), len(nodes), len(periods)))
        owns = self.resources, self.nodes, self.periods
        shared = [
            [(to, own.index(name)) for to, name in enumerate(map(str, new))
             if name in own]
            for own, new in zip(owns, (resources, nodes, periods), strict=True)
        ]  # fmt: skip
        if all(shared):
            to, own = (np.ix_(*[[p[k] for p in x] for x in shared]) for k in (0, 1))
            prices[to], bound_prices[to] = self.prices[own], self.bound_prices[own]
        known = all(shared) or not self.prices.size
        return (prices, bound_prices) if known else None

    def at(self, regimes: int, nodes, periods) -> tuple[np.ndarray, np.ndarray]:
        """Prices and bound prices at the names of a problem; 0 for those not known
        here, even if none is."""
        import numpy as np

        names = resource_names(regimes), nodes, periods
        found = self.matched(*names)
        return found or tuple(np.zeros((2, *map(len, names))))


def resource_names(regimes: int) -> tuple[str, ...]:
    """What the first axis of the prices is called."""
    if regimes == 1:
        return "storage", "inbound", "outbound"
    return "storage", "inbound", *(f"outbound {k + 1}" for k in range(regimes))


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes the file, whole or not at all.

    Raises:
      OSError: the disk is full or the folder cannot be written.
    """
    import numpy as np

    word = lambda value: np.array(value, dtype=str)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, held = tempfile.mkstemp(prefix=".meio-", suffix=".npz", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(
                stream, format=FORMAT, name=word(checkpoint.name),
                digest=word(checkpoint.digest), nodes=word(checkpoint.nodes),
                resources=word(checkpoint.resources), periods=word(checkpoint.periods),
                prices=checkpoint.prices, bound_prices=checkpoint.bound_prices,
                stage=checkpoint.stage, evaluations=checkpoint.evaluations,
                lifts=np.array(checkpoint.lifts, float),
            )  # fmt: skip
        os.chmod(held, 0o644)
        os.replace(held, path)
    except BaseException:
        Path(held).unlink(missing_ok=True)
        raise


def read(path: Path) -> Checkpoint:
    """Reads what `write` wrote.

    Raises:
      InputError: the file is missing, damaged, or of another format.
    """
    import numpy as np

    if not path.is_file():
        raise _refuse(path, "is missing: there are no prices to start from", "Solve")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        if "format" not in found:
            raise ValueError("it holds no format number")
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, this version reads {FORMAT}")
        resources, nodes, periods = (tuple(found[w].tolist()) for w in AXES)
        shape = len(resources), len(nodes), len(periods)
        every = found["prices"], found["bound_prices"]
        for prices in every:
            if prices.dtype.kind != "f" or prices.shape != shape:
                text = f"prices of shape {prices.shape}, its names say {shape}"
                raise ValueError(text)
            if not (np.isfinite(prices).all() and (prices >= 0).all()):
                raise ValueError("a price is negative or not a number")
        return Checkpoint(
            str(found["name"]), str(found["digest"]), resources, nodes, periods,
            *every, int(found["stage"]), int(found["evaluations"]),
            tuple(found["lifts"].tolist()),
        )  # fmt: skip
    except Exception as error:  # a damaged archive raises a zoo of them
        what = f"no entry {error}" if isinstance(error, KeyError) else error
        raise _refuse(path, f"cannot be read: {what}", HINT) from error


def newest(home: Path, name: str, digest: str) -> tuple[Path, Checkpoint] | None:
    """The youngest checkpoint or run of a plan's name and tables, in a folder of runs.

    Args:
      home: the folder of runs.
      name: of the plan.
      digest: of its tables.

    Raises:
      InputError: a younger file is damaged.
    """
    files = [run.with_name(FILE) for run in home.glob("*/run.json")]
    files = [p for p in (*files, running(home, name)) if p.is_file()]
    for path in sorted(files, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        found = read(path)
        if (found.name, found.digest) == (name, digest):
            return path, found
    return None


def running(home: Path, name: str) -> Path:
    """Where a solve that still runs keeps its checkpoint."""
    return home / f".{name}-checkpoint.npz"


def _refuse(path: Path, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "R02", str(path), text, hint)]))

"""Rows that are not held: drawn again, block by block, in every pass over the items.

Draws hang on the names of the items, so a block is the same each time. Memory hangs on
the block, not on the catalogue; a pass costs the drawing on top.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from meio_jax.dual.lagrangian import Evaluation
from meio_jax.dual.rows import Rows
from meio_jax.mesh import place


class Streamed:
    """The rows of a group as blocks of chunks, each drawn when it is looked at.

    Attributes:
      cells: shape of an array by cell: chunks, cells, nodes.
      blocks: first and last chunk of every block among the process's own.
      window: as of `Rows`.
      dtype: of the planning arithmetic.
      lift: as of `Rows`.
      reads: blocks drawn so far.
    """

    def __init__(
        self, draw: Callable[[int, int], Rows], chunks: int, each: int, nodes: int
    ):
        """Blocks of `each` chunks.

        Args:
          draw: the rows of a block, its first and last chunk given; padded to `each`.
          chunks: of the process.
          each: chunks of a block.
          nodes: of the group.
        """
        self.draw, self.each, self.reads = draw, each, 0
        count = max(-(-chunks // each), 1)
        self.blocks = [
            (k * each, max(min((k + 1) * each, chunks), k * each)) for k in range(count)
        ]
        first = self.draw(*self.blocks[0])
        self.window = first.window
        self.dtype, self.lift = first.atoms.dtype, first.lift
        self.cells = (count * each, first.lower.shape[1], nodes)

    def __iter__(self) -> Iterator[tuple[slice, Rows]]:
        """Every block: where its chunks are, and its rows."""
        for first, last in self.blocks:
            self.reads += 1
            rows = replace(self.draw(first, last), lift=self.lift)
            yield slice(first, first + self.each), rows

    def gather(self, what: Callable[[slice, Rows], Any]) -> np.ndarray:
        """What every block gives, by chunk, on the host."""
        return np.concatenate([np.asarray(what(at, rows)) for at, rows in self])


def with_lift(rows: Rows | Streamed, lift) -> Rows | Streamed:
    """The rows with another factor on the cost of a shortage."""
    lift = jnp.asarray(lift, rows.lift.dtype)
    if isinstance(rows, Rows):
        return replace(rows, lift=lift)
    rows.lift = lift
    return rows


def with_charge(rows: Rows | Streamed, more) -> Rows | Streamed:
    """The rows with a charge added to every target.

    Args:
      rows: of a group.
      more: money per unit, by chunk, cell and node.
    """
    if isinstance(rows, Rows):
        return replace(rows, tilt=rows.tilt + more)
    dearer, draw = copy(rows), rows.draw

    def drawn(first: int, last: int) -> Rows:
        block = draw(first, last)
        own = place(more[first : first + rows.each], block.atoms)
        return replace(block, tilt=block.tilt + own)

    dearer.draw = drawn
    return dearer


def pinned(rows: Rows | Streamed, targets) -> Rows | Streamed:
    """The rows with nothing left to choose.

    Args:
      rows: of a group.
      targets: units, by chunk, cell and node.
    """
    if isinstance(rows, Rows):
        held = jnp.asarray(targets, rows.upper.dtype)
        return replace(rows, lower=held, upper=held)
    fixed, draw = copy(rows), rows.draw

    def drawn(first: int, last: int) -> Rows:
        block = draw(first, last)
        own = place(targets[first : first + rows.each], block.atoms)
        return replace(block, lower=own, upper=own)

    fixed.draw = drawn
    return fixed


def cells_of(rows: Rows | Streamed) -> tuple[int, ...]:
    """Chunks, cells of a chunk, and nodes."""
    return rows.cells if isinstance(rows, Streamed) else rows.lower.shape


def in_cells(x: Float[np.ndarray, "items periods nodes"], rows: Rows | Streamed) -> Any:
    """An array by item as one by chunk and cell, filled up with zeros, beside the rows:
    on their devices, or on the host where rows are drawn again.

    Args:
      x: of the items that the rows are of.
      rows: of a group.
    """
    cells, periods = cells_of(rows), x.shape[1]
    full = np.zeros((cells[0] * cells[1] // periods, *x.shape[1:]))
    full[: len(x)] = x
    full = full.reshape(cells)
    if isinstance(rows, Streamed):
        return np.asarray(full, rows.dtype)
    return place(full, rows.atoms)


def start_of(rows: Rows | Streamed) -> Any:
    """The mean demand of each node."""
    if isinstance(rows, Rows):
        return rows.anchor
    return rows.gather(lambda _, block: block.anchor)


def over_blocks(look: Callable[[Rows, Any], Evaluation], rows: Streamed, start):
    """The evaluation of all blocks: sums summed, targets of every block on the host."""
    cut, parts = ("target", "sent", "slope"), []
    for at, block in rows:
        found = look(block, start[at])._asdict()
        parts.append({name: np.asarray(x) for name, x in found.items()})
    every = {name: [p[name] for p in parts] for name in parts[0]}
    whole: dict[str, Any] = {
        name: np.concatenate(x) if name in cut else np.sum(x, axis=0)
        for name, x in every.items()
    }
    whole["residual"] = np.max(every["residual"])
    whole["passes"] = np.mean(every["passes"])
    return Evaluation(**whole)

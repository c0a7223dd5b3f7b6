"""What passes through a building on its way to another one."""

import jax.numpy as jnp
import numpy as np

from meio_jax.kernels.kinks import larger, smaller
from meio_jax.sim.period import share_of
from meio_jax.sim.system import System


def let_pass(systems: tuple[System, ...], nodes, due, rooms, period):
    """What gets through the buildings on its way, of units that are due at some nodes.

    It takes a place at the dock there and at the node's own, and room to be shipped on,
    before customers get what is left of that; docks are shared in proportion to what is
    due. What does not get through waits.

    Args:
      systems: whose nodes they are.
      nodes: these nodes, by system.
      due: units, "nodes items paths", by system.
      rooms: units that each building may still receive and ship, "buildings paths".
      period: which.

    Returns:
      What of `due` may go on to the nodes, and the rooms that are left.
    """
    if not any(system.via for system in systems):
        return due, rooms
    dock, out = rooms
    total, onward = jnp.zeros_like(dock), jnp.zeros_like(out)
    ways, most = [], [units.sum(axis=1) for units in due]
    for system, rows, units in zip(systems, nodes, most, strict=True):
        via = np.array(system.via or (-1,) * len(system.place))[rows]
        some, place = np.flatnonzero(via >= 0), system.place[rows]
        ways.append((some, place[some], via[some]))
        total = total.at[place].add(units).at[via[some]].add(units[some])
        onward = onward.at[via[some]].add(units[some])
    fits = lambda room, want: (
        jnp.where(want > room, room, 1) / jnp.where(want > room, want, 1)
    )
    docked, shipped = fits(dock, total), fits(out, onward)
    passed = []
    for system, (some, to, via), want, units in zip(
        systems, ways, due, most, strict=True
    ):
        part = smaller(smaller(docked[via], shipped[via]), docked[to])
        cut = units[some] * part
        cut = jnp.floor(cut + 1e-3) if system.whole else cut
        cut = jnp.where(part < 1, cut, units[some])
        less = share_of(system, period)(cut, want[some]) if some.size else want[some]
        passed.append(want.at[some].set(less))
        dock = larger(dock.at[via].add(-cut), 0.0)  # real units round
        out = larger(out.at[via].add(-cut), 0.0)
    return passed, (dock, out)

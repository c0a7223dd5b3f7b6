"""How a depot divides what is scarce: every node to one price of rationing."""

from collections.abc import Callable, Iterable
from typing import Any


def divided(
    along: Iterable[Any],
    held: Any,
    want: Any,
    stock: Any,
    total: Callable[[Any], Any],
    spread: Callable[[Any], Any],
) -> Any:
    """What every node gets of scarce stock, real units; all that it wants if there is
    enough.

    Targets fall in the price of rationing. At the points of the price at which they are
    known a node wants what it is short of its target there, no more than it asks for;
    between the two points that use up the stock, wants are mixed so that all of it is
    sent. NumPy or JAX arrays alike.

    Args:
      along: targets of nodes at falling points of the price: none at the first, at the
        last what is asked for at no price.
      held: what nodes have and have coming, units.
      want: what they ask for, >= 0.
      stock: units of each depot, >= 0.
      total: sums nodes over those of each depot.
      spread: gives every node what is its depot's.
    """
    given, under, used = 0 * want, 0 * want, 0 * stock
    for target in along:
        over = (target - held).clip(0, want)
        more = total(over) - used
        part = ((stock - used) / more.clip(1e-9)).clip(0, 1)
        given = given + spread(part) * (over - under)
        under, used = over, used + more
    return given

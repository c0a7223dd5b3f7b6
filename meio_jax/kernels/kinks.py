"""Maximum and minimum whose slopes hold in a compiled program.

The slope of `jnp.maximum` asks which operand equals the result. A compiler may round an
operand otherwise where it computes it again (product and sum in one instruction, say);
then none is equal and the slope is 0. Here operands are compared with each other, so
that rounding matters next to a tie alone.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Some = Float[Array, "*#any"] | float


def larger(x: Some, y: Some) -> Float[Array, "*any"]:
    """The larger of both; where they are equal the slope is half of each.

    Args:
      x: one.
      y: the other.
    """
    dtype = jnp.result_type(x, y)
    return _larger(jnp.asarray(x, dtype), jnp.asarray(y, dtype))


def smaller(x: Some, y: Some) -> Float[Array, "*any"]:
    """The smaller of both, with slopes as those of `larger`.

    Args:
      x: one.
      y: the other.
    """
    return -larger(-x, -y)


def within(x: Some, least: Some, most: Some) -> Float[Array, "*any"]:
    """What is next to x between two bounds, with slopes as those of `larger`.

    Args:
      x: any.
      least: lower bound.
      most: upper bound, not below the lower one.
    """
    return smaller(larger(x, least), most)


_larger = jax.custom_jvp(jnp.maximum)


@_larger.defjvp
def _slope(operands, slopes):
    (x, y), (dx, dy) = operands, slopes
    part = jnp.where(x > y, 1, jnp.where(x < y, 0, 0.5)).astype(x.dtype)
    return jnp.maximum(x, y), part * dx + (1 - part) * dy

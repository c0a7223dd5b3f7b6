"""Maximum and minimum: their values, and slopes that rounding does not undo."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.kernels.kinks import larger, smaller, within

X = np.array([-2.0, 0.0, 1.5, np.inf, 3.0, -np.inf])
Y = np.array([1.0, 0.0, 1.5, np.inf, -4.0, 0.0])


def test_values():
    x, y = jnp.asarray(X), jnp.asarray(Y)
    assert_array_equal(larger(x, y), np.maximum(X, Y))
    assert_array_equal(smaller(x, y), np.minimum(X, Y))
    assert_array_equal(within(x, -1.0, 2.0), np.clip(X, -1, 2))
    low = jnp.zeros((3, 1), jnp.float32)
    assert larger(low, 0.0).dtype == jnp.float32
    assert larger(low, jnp.ones(2, jnp.float32)).shape == (3, 2)


def test_slopes_and_halves_at_ties():
    slope = lambda f, k: np.asarray(jax.grad(lambda *a: f(*a).sum(), k)(X, Y))
    assert_array_equal(slope(larger, 0), [0, 0.5, 0.5, 0.5, 1, 0])
    assert_array_equal(slope(larger, 1), [1, 0.5, 0.5, 0.5, 0, 1])
    assert_array_equal(slope(smaller, 0), [1, 0.5, 0.5, 0.5, 0, 1])
    assert_array_equal(slope(smaller, 1), [0, 0.5, 0.5, 0.5, 1, 0])


def test_slopes_of_what_a_program_rounds_twice():
    # targets with a shift in a scan of periods: `jnp.clip`, of bounds that are
    # arguments, has slopes of 0 here where compiled code fuses product and sum
    rng = np.random.default_rng(0)
    real = lambda x: jnp.asarray(x, jnp.float32)
    target, shift = real(rng.uniform(1, 9, (7, 2, 3))), real(rng.normal(0, 0.1, (2, 3)))
    off = real(rng.uniform(-0.5, 0.5, (2, 3)))
    demand = real(rng.gamma(2, 3, (7, 2, 3, 8)))
    ends = jnp.zeros_like(target), jnp.full_like(target, jnp.inf)

    def cost(shift, target, off, least, most, demand):
        root = jnp.sqrt(jnp.mean(target, axis=0) + 1)
        moved = jnp.where(target > 0, larger(target + root * shift, 0.0), 0)
        level = within(moved + off, least, most)

        def step(stock, period):
            stock = stock + larger(level[period][..., None] - stock, 0.0)
            want = demand[period]
            sold = jnp.where(want <= stock, want, stock)
            return stock - sold, (stock - sold).sum() + 9 * (want - sold).sum()

        start = jnp.repeat(level[0][..., None], 8, axis=-1)
        return jax.lax.scan(step, start, jnp.arange(7))[1].sum()

    data = shift, target, off, *ends, demand
    assert_allclose(jax.jit(jax.grad(cost))(*data), jax.grad(cost)(*data), rtol=1e-5)

"""What a unit of stock is worth under greedy fulfilment: an adjoint by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tiny_networks import CLASSES, NODES, random_recourse, route_of

from meio_jax.kernels.fulfill import fulfill
from meio_jax.kernels.marginal import stock_slopes

ITEMS, DRAWS = 2, 5
slopes = jax.jit(stock_slopes)


def case(seed, whole=False):
    """Stock, demand, route, pay, penalty and worth of two items on five draws."""
    rng = np.random.default_rng(seed)
    recourse = random_recourse(seed)
    klass, node, pay = route_of(recourse)
    demand = rng.uniform(0, 6, (CLASSES, ITEMS, DRAWS)).round(0 if whole else 3)
    demand *= rng.random(demand.shape) < 0.7  # some classes want nothing
    stock = rng.uniform(0, 7, (NODES, ITEMS, DRAWS))
    pay = pay[:, None] * np.array([1.0, 1.3])
    penalty = recourse.penalty * np.array([1.0, 1.5])
    return stock, demand, klass, node, pay, penalty, rng.uniform(-1, 1, (NODES, ITEMS))


def bill(stock, demand, klass, node, pay, penalty, worth):
    """What fulfilment pays on all draws, and the worth of what it leaves."""
    keep = jnp.zeros(pay.shape)
    done = fulfill(
        stock, demand, klass, node, pay, penalty, keep, lambda s, p: s * p[:, None]
    )
    lost = (done.unmet * penalty[:, None]).sum()
    return done.told.sum() + lost + (done.left * worth[:, :, None]).sum()


reverse = jax.jit(jax.grad(bill))
total = jax.jit(bill)


@given(st.integers(0, 10**6), st.booleans())
def test_slopes_are_those_of_reverse_mode(seed, whole):
    given_case = case(seed, whole)
    assert_allclose(slopes(*given_case), reverse(*given_case), atol=1e-9)


def test_slopes_are_differences():
    stock, *rest = case(11)
    slope = np.asarray(slopes(stock, *rest))
    assert (slope < -0.5).any()  # something runs out
    for n, i, w in np.ndindex(stock.shape):
        step = np.zeros(stock.shape)
        step[n, i, w] = 1e-6
        apart = total(stock + step, *rest) - total(stock - step, *rest)
        assert_allclose(slope[n, i, w], apart / 2e-6, atol=1e-6)


@given(st.integers(0, 10**6))
def test_money_scales_and_plenty_is_worth_what_is_left(seed):
    stock, demand, klass, node, pay, penalty, worth = case(seed)
    here = slopes(stock, demand, klass, node, pay, penalty, worth)
    ten = slopes(stock, demand, klass, node, 10 * pay, 10 * penalty, 10 * worth)
    assert_allclose(ten, 10 * here, rtol=1e-9)
    plenty = slopes(stock + 1e3, demand, klass, node, pay, penalty, worth)
    assert_allclose(plenty, np.broadcast_to(worth[:, :, None], stock.shape))


def test_a_first_unit_where_there_is_none_goes_to_the_first_who_asks():
    stock, demand = np.zeros((1, 1, 1)), np.array([[[2.0]], [[3.0]]])
    pay, penalty = np.array([[4.0], [1.0]]), np.array([9.0])
    found = slopes(
        stock, demand, np.array([1, 0]), np.zeros(2, int), pay, penalty, np.ones((1, 1))
    )
    assert_allclose(found, 4.0 - 9.0)

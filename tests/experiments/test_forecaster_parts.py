"""The experiment's small forecaster: what its parameters mean, and its accuracy."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from experiments.forecaster.run import YEAR, Span, deviance, forecast

RNG = np.random.default_rng(0)
SALES = RNG.poisson(20.0, (3, YEAR + 6)).astype(float)
NONE = {"memory": -30.0, "prior": -30.0, "trust": 0.0, "lift": jnp.array([0.0, 0.5])}


def test_without_trust_the_lift_of_the_group_is_all():
    assert_allclose(forecast(NONE, SALES, 0), np.ones((3, 6)), rtol=1e-6)
    assert_allclose(forecast(NONE, SALES, 1), np.full((3, 6), np.exp(0.5)), rtol=1e-6)


def test_without_memory_the_week_before_is_all():
    found = forecast(NONE | {"trust": 1.0}, SALES, 0)
    base = SALES[:, :YEAR].mean(axis=1, keepdims=True)
    assert_allclose(found, SALES[:, YEAR - 1 : -1] / base, rtol=1e-5)
    shrunk = forecast(NONE | {"trust": 1.0, "prior": 30.0}, SALES, 0)
    assert_allclose(shrunk, np.ones((3, 6)), rtol=1e-6)


def test_a_better_forecast_deviates_less():
    steady = SALES.copy()
    steady[:, YEAR - 1 :] = (
        2 * steady[:, :1]
    )  # twice as much from here on, without noise
    span = Span(*[None] * 6, sales=(steady,), softness=0.0)
    late, none = (float(deviance(NONE | {"trust": t}, span)) for t in (1.0, 0.0))
    assert_allclose(late, 0, atol=1e-5)
    assert none > 0.1

"""Plans as functions of demand: gradients against solving again."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_dual import SMOOTH, case, top  # noqa: F401

from meio_jax.dual.fixed import cell_costs, lagrangian
from meio_jax.dual.frozen import targets_of
from meio_jax.dual.implicit import prices_of

pytestmark = pytest.mark.usefixtures("case")


def grown(rows, factor):
    """Rows with each item's demand times its factor, of chunks and items."""
    periods = rows.mean.shape[2]
    cell = jnp.repeat(factor, periods, axis=1)
    return replace(
        rows,
        atoms=rows.atoms * cell[:, None, :, None],
        mean=rows.mean * factor[:, :, None, None, None],
        anchor=rows.anchor * cell[:, :, None],
        paid=rows.paid * factor,
    )


def of_prices(dual, price):
    node = dual.problem.groups[0].network.node
    return jnp.asarray(dual.spread(price)[:, node])


def test_the_cost_of_the_targets_found_is_the_value(case, top):  # noqa: F811
    _, _, dual = case
    prices, y = of_prices(dual, top.price), top.targets[0]
    found = lagrangian(dual.rows[0], prices, y, flows=dual.flows, **SMOOTH)
    least = top.value + top.price @ dual.capacity
    least += dual.spread(top.price)[1, :, 0] @ dual.carried
    assert_allclose(found, least, rtol=1e-9)
    more = lagrangian(dual.rows[0], prices, y + 0.5, flows=dual.flows, **SMOOTH)
    assert more > found
    parts = cell_costs(dual.rows[0], prices, y, flows=dual.flows, **SMOOTH)
    assert parts.shape == dual.rows[0].mean.shape[:3]
    assert_allclose(parts.sum(), found, rtol=1e-12)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "settled"])
def test_a_gradient_goes_through_the_plan_to_demand(case, top, frozen):  # noqa: F811
    dual = case[2]
    rows, rng = dual.rows[0], np.random.default_rng(5)
    factor = jnp.asarray(rng.uniform(0.9, 1.1, rows.penalty.shape))
    pull = jnp.asarray(rng.normal(size=top.targets[0].shape))
    weight = jnp.asarray(rng.normal(size=top.price.size))
    if frozen:
        targets = targets_of(
            lambda f: grown(rows, f), of_prices(dual, top.price), top.targets[0],
            flows=dual.flows, **SMOOTH,
        )  # fmt: skip
        worth = jax.jit(lambda f: (pull * targets(f)).sum())
    else:
        solve = prices_of(dual, top, remake=lambda f: (grown(rows, f),), **SMOOTH)

        def worth(f):
            price, (y,) = solve(jnp.asarray(dual.capacity), f)
            return weight @ price + (pull * y).sum()

    found = np.asarray(jax.jit(jax.grad(worth))(factor))
    for c, i in [(0, 0), (1, 2), (2, 3)] if frozen else [(1, 2)]:
        step = 1e-4 * jnp.zeros_like(factor).at[c, i].set(1)
        by_steps = float(worth(factor + step) - worth(factor - step)) / 2e-4
        assert_allclose(found[c, i], by_steps, rtol=1e-3, atol=1e-3 * abs(found).max())
    assert np.abs(found).min() > 0


@pytest.mark.slow  # most of it compilation
def test_a_gradient_goes_to_single_quantities_of_scenarios(case, top):  # noqa: F811
    """Of the dearest pool in a scenario: more demand there, higher targets."""
    dual = case[2]
    rows = dual.rows[0]
    targets = targets_of(
        lambda atoms: replace(rows, atoms=atoms), of_prices(dual, top.price),
        top.targets[0], flows=dual.flows, **SMOOTH,
    )  # fmt: skip
    worth = jax.jit(lambda atoms: targets(atoms).sum())
    found = np.asarray(jax.jit(jax.grad(worth))(rows.atoms))
    assert found.min() > -1e-9  # more demand never lowers the sum of targets
    places = np.argsort(-np.abs(found).ravel())[[0, 5, 50]]
    for place in places:
        step = 1e-4 * np.eye(1, found.size, place).reshape(found.shape)
        by_steps = float(worth(rows.atoms + step) - worth(rows.atoms - step)) / 2e-4
        assert_allclose(found.ravel()[place], by_steps, rtol=1e-3)

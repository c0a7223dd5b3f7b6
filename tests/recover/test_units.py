"""Whole optima of cells, against every whole target there is."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import meio_jax.recover.units as units_room
from experiments.bench_scale.instance import problem
from meio_jax.dual.rows import build_rows
from meio_jax.recover.units import best_whole, cell_costs
from meio_jax.scenarios.sample import draw_sample

NODES, MOST = 3, 24


@pytest.fixture(scope="module")
def case():
    made = problem(4, nodes=NODES, periods=1, regions=5, slots=12)
    sample = draw_sample(made, count=8, seed=0, balanced=True)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=3, atoms=8, dtype=jnp.float64, chunk=2
    )
    every = np.array(list(product(range(MOST + 1), repeat=NODES)), float)
    within = (every >= np.ceil(np.asarray(rows.lower))[..., None, :]).all(axis=-1) & (
        every <= np.floor(np.asarray(rows.upper))[..., None, :]
    ).all(axis=-1)
    return rows, every, within


@pytest.mark.parametrize("share", [0.0, 0.3, 2.0])
def test_best_whole_targets_are_those_of_brute_force(case, share, monkeypatch):
    rows, every, within = case
    monkeypatch.setattr(units_room, "DESCENT", 3)  # takes several looks
    holding = float(np.asarray(rows.holding).mean())
    prices = (
        jnp.zeros((3, NODES, 1))
        .at[0]
        .set(share * holding / float(np.asarray(rows.volume).mean()))
    )
    shape = rows.lower.shape
    each = jax.vmap(lambda y: cell_costs(rows, jnp.broadcast_to(y, shape), prices))
    cost = np.moveaxis(np.asarray(each(jnp.asarray(every))), 0, -1)
    cost = np.where(within, cost, np.inf)
    best = best_whole(rows, jnp.zeros(shape), prices)
    assert np.asarray(best).max() < MOST  # brute force saw what lies beyond
    assert_allclose(cell_costs(rows, best, prices), cost.min(axis=-1), rtol=1e-9)
    high = best_whole(rows, jnp.asarray(rows.upper), prices)
    assert_allclose(cell_costs(rows, high, prices), cost.min(axis=-1), rtol=1e-9)
    assert_array_equal(best, np.round(best))

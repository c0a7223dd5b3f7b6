"""What rows leave out, as it would repeat itself, changes nothing."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import meio_jax.dual.rows as rows_room
from experiments.bench_scale.instance import problem
from meio_jax.dual.prices import Dual
from meio_jax.dual.rows import bucket_hinges, build_rows, same_windows
from meio_jax.dual.stream import Streamed, with_lift
from meio_jax.kernels.tree import minimise, pool_terms
from meio_jax.recover.units import unit_values
from meio_jax.scenarios.sample import draw_sample

ITEMS, PERIODS = 6, 3


@pytest.fixture(scope="module")
def case():
    made = problem(ITEMS, nodes=5, periods=PERIODS, regions=9, slots=20)
    return made, draw_sample(made, count=12, seed=0, balanced=True)


def rows_of(made, sample):
    return build_rows(
        made, made.groups[0], 0, sample, count=4, atoms=12, dtype=jnp.float64, chunk=3
    )


def looked(made, rows):
    dual = Dual(made, (rows,))
    price = 0.05 * dual.worth
    return dual.at(price, dual.start(), stage=0.5, softness=0.1, curved=True)


def test_periods_that_meet_the_same_windows_share_their_atoms(case, monkeypatch):
    made = replace(case[0], regimes=3)
    sample = draw_sample(made, count=12, seed=0, balanced=True)
    one = rows_of(made, sample)
    assert same_windows(sample, 0, 1)
    assert same_windows(sample, 0, 3)
    monkeypatch.setattr(rows_room, "same_windows", lambda *_: False)
    every = rows_of(made, sample)
    assert every.atoms.shape[2] == PERIODS * one.atoms.shape[2]
    several = np.sort(np.asarray(every.atoms), axis=1)
    cells = several.reshape(*several.shape[:2], -1, PERIODS, several.shape[-1])
    for t in range(PERIODS):
        assert_array_equal(cells[:, :, :, t], np.sort(np.asarray(one.atoms), axis=1))
    for a, b in zip(looked(made, one), looked(made, every), strict=True):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            assert_allclose(x, y, atol=1e-6 * (1 + np.abs(y).max()))


def test_other_samples_keep_the_atoms_of_every_period(case):
    made, _ = case
    plain = draw_sample(made, count=12, seed=0)
    assert not same_windows(plain, 0, 1)
    assert rows_of(made, plain).atoms.shape[2] == 3 * PERIODS
    ring = draw_sample(made, count=12, seed=0, balanced=True)
    lead = ring.lead[0].copy()
    lead[0, 1, 0] += 1  # an order that is later than the same one a period before
    assert not same_windows(replace(ring, lead=(lead,)), 0, 1)
    factor = ring.factor.copy()
    factor[0, 1] = 2.0
    assert not same_windows(replace(ring, factor=factor), 0, 1)


def test_hinges_are_the_buckets_with_classes_of_their_own():
    pool = np.array([[0, 0, 0, 0, 1], [3, 3, 3, 3, 3]])  # no class in pool 2
    hinges, kept = bucket_hinges(pool, 4, 3, 1)
    assert_array_equal(kept, [0, 1, 2, 5, 9, 10, 11])
    assert_array_equal(hinges.pool, [0, 0, 0, 1, 3, 3, 3])
    assert_array_equal(hinges.place, [[0, 1, 2], [3] * 3, [7] * 3, [4, 5, 6]])
    twice, kept = bucket_hinges(pool, 4, 3, 2)
    assert twice.place.shape == (4, 6)
    assert_array_equal(twice.place[1], [6, 6, 6, 7, 7, 7])
    assert len(kept) == 14


def test_hinges_find_what_all_buckets_find(case):
    made, sample = case
    rows = rows_of(made, sample)
    atoms = rows.atoms[0][:, 0]
    dense = rows.hinges.spread(atoms)
    assert dense[0].size > atoms[0].size
    pools, nodes = rows.pools, rows.window.size
    rng = np.random.default_rng(0)
    drop = rng.uniform(0, 3, (pools, rows.buckets))
    last = np.asarray(rows.hinges.place)
    drop = jnp.asarray(np.where(last == last[:, -1:], 0, drop)).at[:, -1].set(1.0)
    width = jnp.ones(pools)
    fixed = (
        drop, jnp.full(nodes, 0.4), jnp.zeros(nodes), jnp.full(nodes, 50.0), width,
        jnp.full(nodes, 0.01), jnp.ones(nodes), jnp.ones(nodes),
    )  # fmt: skip
    search = partial(minimise, rows.shape, tolerance=1e-9, passes=60)
    few = search(atoms, rows.prob, *fixed, hinges=rows.hinges)
    many = search(dense, rows.prob, *fixed)
    for x, y in zip(jax.tree.leaves(few), jax.tree.leaves(many), strict=True):
        assert_allclose(x, y, atol=1e-7)
    terms = pool_terms(dense, rows.prob, rows.shape.member @ few.target, width)
    assert_allclose(few.terms.shortage, terms.shortage, atol=1e-9)


@pytest.mark.parametrize("size", [1, 4])  # 4: two of the last chunk are nobody's
def test_items_find_the_same_in_chunks_of_any_size(case, monkeypatch, size):
    made, sample = case
    monkeypatch.setattr(rows_room, "chunk_items", lambda: size)
    rows = build_rows(
        made, made.groups[0], 0, sample, count=4, atoms=12, dtype=jnp.float64
    )
    assert rows.lower.shape[1] == size * PERIODS
    one, two = looked(made, rows_of(made, sample)), looked(made, rows)
    for name in ("value", "use", "jacobian"):
        x, y = getattr(one, name), getattr(two, name)
        assert_allclose(y, x, atol=1e-9 * (1 + np.abs(x).max()))
    by_item = lambda found: np.asarray(found.targets[0]).reshape(-1, PERIODS, 5)[:ITEMS]
    assert_allclose(by_item(two), by_item(one), atol=1e-9)


def test_rows_drawn_again_in_every_pass_find_what_rows_held_find(case):
    made, sample = case
    options = dict(count=4, atoms=12, dtype=jnp.float64, chunk=1)
    held = with_lift(build_rows(made, made.groups[0], 0, sample, **options), 1.3)
    draw = lambda first, last: build_rows(
        made, made.groups[0], 0, sample, span=(first, last), chunks=4, **options
    )
    blocks = with_lift(Streamed(draw, ITEMS, 4, 5), 1.3)
    one, two = looked(made, held), looked(made, blocks)
    assert blocks.reads == 2 * 2  # blocks: where to start, and the look
    for name in ("value", "use", "jacobian", "residual"):
        x, y = getattr(one, name), getattr(two, name)
        assert_allclose(x, y, atol=1e-9 * (1 + np.abs(y).max()))
    for name in ("targets", "sent"):
        found = getattr(two, name)[0]
        assert isinstance(found, np.ndarray)
        assert_allclose(found[:ITEMS], getattr(one, name)[0], atol=1e-9)
    units = np.round(two.targets[0])
    for less in (False, True):
        x, y = (
            unit_values(r, u, less=less)
            for r, u in ((held, units[:ITEMS]), (blocks, units))
        )
        assert_allclose(y[:ITEMS], x, atol=1e-9)

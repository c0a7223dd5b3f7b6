"""Demand classes: split by cut-offs, merged where alike, made coarse."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tree_checks import check_tree

from meio_jax.network import build_network, coarsen, cutoff_parts, rings

seeds = st.integers(0, 10**6)
hours = st.lists(
    st.sampled_from([-np.inf, 0, 1, 9.5, 14, 14.25, 23, 24]), min_size=1, max_size=6
)
NODES, REGIONS, SPEEDS = 5, 6, 4
PARTS = REGIONS * SPEEDS


def before(hour):
    """Share of the orders before an hour: none at night, most in the evening."""
    return float(np.interp(hour, [6, 12, 20, 23], [0, 0.3, 0.8, 1]))


@given(hours)
def test_parts_are_nested_and_keep_what_each_cutoff_keeps(cutoff):
    cutoff = np.array(cutoff, float)
    parts = cutoff_parts(cutoff, before)
    share, in_time = zip(*parts, strict=True)
    assert_allclose(sum(share), 1, rtol=1e-12)
    assert min(share) > 0
    for early, late in pairwise(in_time):
        assert (early >= late).all()
    kept = sum(s * nodes for s, nodes in parts)
    expected = [before(hour) if hour > 0 else 0 for hour in cutoff]
    assert_allclose(kept, expected, atol=1e-12)


def test_cutoffs_at_midnight_are_no_cutoffs():
    [(share, in_time)] = cutoff_parts(np.full(3, 24.0), before)
    assert share == 1
    assert in_time.all()


def test_cutoffs_at_the_start_of_the_day_keep_no_promise():
    [(share, in_time)] = cutoff_parts(np.array([0.0, 0.0, -np.inf]), before)
    assert share == 1
    assert not in_time.any()


@given(hours, st.integers(0, 5), st.floats(0, 10))
def test_a_later_cutoff_keeps_more_promises(cutoff, node, later):
    cutoff, node = np.array(cutoff, float), node % len(cutoff)
    kept = lambda c: sum(s * nodes[node] for s, nodes in cutoff_parts(c, before))
    moved = cutoff.copy()
    moved[node] = min(moved[node] + later, 24)
    assert kept(moved) >= kept(cutoff) - 1e-12


def draw(seed, late_cost=0.5):
    """A network of parts, many of which every node serves alike."""
    rng = np.random.default_rng(seed)
    shape = (NODES, PARTS)
    unit = rng.uniform(1, 5, shape)
    unit[rng.uniform(size=shape) < 0.3] = np.inf
    unit[0] = np.where(np.isfinite(unit[0]), unit[0], 6)  # a node serves everybody
    twins = rng.integers(0, PARTS, PARTS) if seed % 2 else np.arange(PARTS)
    parts = dict(
        unit_cost=unit[:, twins], cost_per_weight=rng.uniform(0, 1, shape)[:, twins],
        days_late=rng.integers(0, 3, shape)[:, twins] * 1.0,
    )  # fmt: skip
    noise = np.where(np.isfinite(parts["unit_cost"]), 0, rng.uniform(0, 1, shape))
    parts["days_late"] = parts["days_late"] + noise  # of services that are not offered
    mix = rng.dirichlet(np.ones(SPEEDS), REGIONS)
    network = build_network(
        node=np.arange(NODES), **parts, region=np.repeat(np.arange(REGIONS), SPEEDS),
        speed=np.tile(np.arange(SPEEDS), REGIONS), share=mix.ravel(),
        volume=rng.uniform(0, 9, PARTS), weight=2.0, late_cost=late_cost,
        lead_mean=np.ones(NODES), lead_std=np.zeros(NODES),
    )  # fmt: skip
    return network, parts, twins


def item_cost(network, late_cost=0.5):
    cost = network.unit_cost + 2.0 * network.cost_per_weight
    return cost + late_cost * network.days_late


@given(seeds)
def test_merging_keeps_shares_and_what_every_node_asks(seed):
    network, parts, twins = draw(seed)
    offered = np.isfinite(parts["unit_cost"])
    for name, before_merging in parts.items():
        after = getattr(network, name)[:, network.part_class]
        assert_allclose(after[offered], before_merging[offered])
    after = network.unit_cost[:, network.part_class]
    assert (np.isfinite(after) == offered).all()
    assert network.unit_cost.shape[1] == len(np.unique(twins))
    assert_allclose(np.bincount(network.part_region, network.part_share), 1)
    assert (network.home == item_cost(network).argmin(axis=0)).all()
    assert_allclose(network.ring, rings(network.tree, network.home))
    check_tree(network.tree)


def shrink(network, volume, limit):
    return coarsen(network, volume, limit=limit, weight=2.0, late_cost=0.5, penalty=8.0)


@given(seeds, st.integers(NODES, PARTS))
def test_coarse_classes_keep_homes_and_mean_costs(seed, limit):
    network, _, _ = draw(seed)
    volume = np.random.default_rng(seed).uniform(0.1, 9, len(network.home))
    coarse = shrink(network, volume, limit)
    assert len(coarse.home) <= limit
    of = np.zeros(len(network.home), int)
    of[network.part_class] = coarse.part_class  # coarse class of each class
    assert (coarse.home[of] == network.home).all()
    for name in ("unit_cost", "cost_per_weight", "days_late"):
        at_home = getattr(network, name)[network.home, np.arange(len(of))]
        mean = np.bincount(of, volume * at_home) / np.bincount(of, volume)
        after = getattr(coarse, name)[coarse.home, np.arange(len(mean))]
        assert_allclose(after, mean, rtol=1e-9)
    assert_allclose(coarse.part_share, network.part_share)


def test_coarsening_to_enough_classes_changes_nothing():
    network, _, _ = draw(3)
    assert shrink(network, np.ones(len(network.home)), PARTS) is network


def test_coarsening_keeps_rare_homes_apart():
    cost = np.full((3, 802), 5.0)  # 800 classes of the first home, in two kinds
    cost[0, :800], cost[1:, 400:800] = 4.0, 8.0
    cost[1, 800] = cost[2, 801] = 4.0  # and one of each other home
    cost += np.random.default_rng(0).uniform(0, 0.1, cost.shape)
    flat = np.zeros(802, int)
    network = build_network(
        node=np.arange(3), unit_cost=cost, cost_per_weight=0 * cost, days_late=0 * cost,
        region=flat, speed=flat, share=np.full(802, 1 / 802), volume=np.ones(802),
        weight=1.0, late_cost=0.0, lead_mean=np.zeros(3), lead_std=np.zeros(3),
    )  # fmt: skip
    coarse = shrink(network, np.ones(802), 3)
    assert (coarse.home[coarse.part_class] == network.home[network.part_class]).all()

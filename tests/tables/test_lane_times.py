"""Lead times of lanes as they were observed: in plans, in simulations, in what-ifs."""

import numpy as np
import pytest
from folders import small, write
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.config import Config
from meio_jax.faults import InputError
from meio_jax.scenarios.sample import draw_sample
from meio_jax.tables import check_folder, examine, read
from meio_jax.tables.build import build
from meio_jax.tables.change import with_changes
from meio_jax.tables.supply import build_supply

HEAD = "source,destination,shipment,lead_time_days"
SEEN = [f"IN01,FC02,S{k},{days}" for k, days in enumerate((0, 0, 7, 35))]


def folder_of(tmp_path, *rows):
    text = "\n".join((HEAD, *rows)) + "\n"
    return write(tmp_path / "data", small() | {"lane_times.csv": text})


def built(tables):
    examined = examine(tables, Config())
    assert not examined.faults.errors, examined.faults
    problem, labels = build(examined.tables, examined.calendar)
    return problem, labels, build_supply(examined.tables, labels, problem.groups, 0.0)


def test_orders_take_as_long_as_shipments_were_seen_to(tmp_path):
    problem, labels, (supplies, _) = built(read(folder_of(tmp_path, *SEEN)))
    for k, group in enumerate(problem.groups):
        fc02 = group.network.node.tolist().index(labels.nodes.index("FC02"))
        assert group.network.lead_mean[fc02] == 1.5
        assert supplies[k].lanes.lead[0, fc02] == 1.5
        for balanced in (True, False):
            sample = draw_sample(problem, count=64, seed=3, balanced=balanced)
            lead = sample.lead[k][fc02]
            values, often = np.unique(lead, return_counts=True)
            assert_array_equal(values, [0, 1, 5])
            assert_allclose(often / lead.size, [1 / 2, 1 / 4, 1 / 4])
    sortable = next(g for g in problem.groups if len(g.network.node) == 2)
    assert sortable.network.lead_mean[0] == 1  # as lanes.csv says
    assert not len(sortable.network.lead_seen[0])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("IN01,FC09,S1,7", "lane_times.csv:2: destination 'FC09' is not in nodes.csv"),
        ("IN01,FC01,S1,-7", "lane_times.csv:2: lead_time = -7: must be 0 or more"),
        ("IN01,FC01,,7", "lane_times.csv:2: shipment is empty"),
        ("FC01,FC02,S1,7", "no lane leads from 'FC01' to 'FC02'"),
    ],
)
def test_faults_are_told(row, said, tmp_path):
    assert said in str(check_folder(folder_of(tmp_path, row)))


def test_what_if_changes_what_was_seen(tmp_path):
    before = read(folder_of(tmp_path, *SEEN))
    edit = {"kind": "lead_time", "word": "lane_times:+7"}
    problem, *_ = built(with_changes(before, Config(), [edit]))
    assert max(g.network.lead_mean.max() for g in problem.groups) == 2.5
    with pytest.raises(InputError, match="change lane_times"):
        with_changes(before, Config(), [edit | {"word": "lanes:+1"}])

"""Lead times of vendors as they were observed, instead of a mean and a spread."""

import numpy as np
import pytest
from folders import small, write
from numpy.testing import assert_allclose, assert_array_equal

from meio_jax.config import Config
from meio_jax.faults import InputError
from meio_jax.supply.chain import observed_quantiles
from meio_jax.tables import check_folder, examine, read
from meio_jax.tables.build import build
from meio_jax.tables.change import with_changes
from meio_jax.tables.supply import build_supply

HEAD = "vendor,item,order,lead_time_days"
ROWS = ("V1,,PO1,7", "V1,,PO2,14", "V1,,PO3,35", "V1,A2,PO2,21")


def offers(folder, tables=None):
    """Lead times of each item's offer."""
    examined = examine(tables or read(folder), Config())
    assert not examined.faults.errors, examined.faults
    problem, labels = build(examined.tables, examined.calendar)
    supplies, _ = build_supply(examined.tables, labels, problem.groups, 0.0)
    return {
        labels.items[group.items.position[i]]: supply.offers.lead[k]
        for group, supply in zip(problem.groups, supplies, strict=True)
        for k, i in enumerate(supply.offers.item)
    }


def folder_of(tmp_path, *rows):
    text = "\n".join((HEAD, *rows)) + "\n"
    return write(tmp_path / "data", small() | {"lead_times.csv": text})


def test_an_items_own_orders_count_before_those_of_its_vendor(tmp_path):
    lead = offers(folder_of(tmp_path, *ROWS))
    assert_array_equal(lead["A2"], 3.0)  # one order, three weeks
    assert_allclose(lead["A1"], lead["A3"])
    assert_allclose(lead["A1"].mean(), (1 + 2 + 5) / 3)
    assert_allclose(lead["A1"].max(), 5, rtol=0.08)


def test_without_observations_mean_and_spread_hold(tmp_path):
    lead = offers(folder_of(tmp_path, "V1,A1,PO1,7"))
    assert_array_equal(lead["A1"], 1.0)
    assert_array_equal(lead["A3"], 3.0)  # as vendors.csv says


@pytest.mark.parametrize("count", [1, 2, 7, 400])
def test_quantiles_have_the_mean_and_the_law_of_what_was_observed(count):
    seen = np.random.default_rng(count).gamma(2.0, 3.0, count)
    drawn = observed_quantiles(seen)
    assert_allclose(drawn.mean(), seen.mean())
    assert (np.diff(drawn) >= 0).all()
    if count == 400:  # oracle: the distribution function, where draws are many
        for level in (0.1, 0.5, 0.9):
            assert_allclose(
                np.quantile(drawn, level), np.quantile(seen, level), rtol=0.03
            )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("V9,,PO1,7", "lead_times.csv:2: vendor 'V9' is not in vendors.csv"),
        ("V1,A9,PO1,7", "lead_times.csv:2: item 'A9' is not in items.csv"),
        ("V1,A1,PO1,-7", "lead_times.csv:2: lead_time = -7: must be 0 or more"),
        ("V1,A1,,7", "lead_times.csv:2: order is empty"),
        ("V1,,PO1,7\nV1,,PO1,9", "lead_times.csv:3: duplicate key"),
    ],
)
def test_faults_are_told(row, said, tmp_path):
    assert said in str(check_folder(folder_of(tmp_path, row)))


def test_an_item_that_the_vendor_does_not_offer_is_a_warning(tmp_path):
    files = small() | {"lead_times.csv": f"{HEAD}\nV1,A3,PO1,7\n"}
    files["vendors.csv"] = files["vendors.csv"].replace("V1,A3", "V2,A3")
    faults = check_folder(write(tmp_path / "data", files))
    assert "vendor 'V1' does not offer item 'A3'" in str(faults)
    assert not faults.errors


def test_what_if_changes_what_was_observed(tmp_path):
    folder = folder_of(tmp_path, *ROWS)
    edit = {"kind": "lead_time", "word": "lead_times:+7"}
    before = read(folder)
    after = with_changes(before, Config(), [edit])
    lead = offers(folder, after)
    assert_allclose(lead["A2"], 4.0)
    with pytest.raises(InputError, match="change lead_times"):
        with_changes(before, Config(), [edit | {"word": "vendors:+1"}])

"""Whatever one cell of the shipped demo becomes, its user reads where it is."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meio_jax.config import load
from meio_jax.instances.demo import demo_folder
from meio_jax.tables import examine, read
from meio_jax.tables.schema import SCHEMA

RAW = read(demo_folder())
CONFIG = load(demo_folder() / "meio.toml")
NAMES = [name for name, _ in RAW if RAW.sources[name].endswith(".csv")]
WORDS = {  # ids, kinds and periods, which other rows and tables rely on
    name: {c.name for c in SCHEMA[name].columns if c.kind != "number"} for name in NAMES
}
A_ROW = re.compile(r"\w+\.(csv:|parquet row )\d+")
GARBAGE = st.one_of(
    st.sampled_from(["", "-3", "1e300", "1e12", "NaN", "inf", "$5", "1,250", "0", "0.5",
                     "101", "1e-320", "2026-13-45", "; ;", "None"]),
    st.text(max_size=8),
)  # fmt: skip


@st.composite
def corruptions(draw):
    """A table, a row and a column of it, and what stands there instead."""
    name = draw(st.sampled_from(NAMES))
    frame = getattr(RAW, name)
    row = draw(st.integers(0, len(frame) - 1))
    column = draw(st.sampled_from(list(frame)))
    others = st.sampled_from(sorted(set(frame[column].astype(str))))
    return name, row, column, draw(GARBAGE | others)


def corrupted(name, row, column, text):
    """The demo's tables with one cell changed."""
    frame = getattr(RAW, name).copy()
    cells = frame[column].astype(object)
    cells.iat[row] = text
    frame[column] = cells
    return replace(RAW, **{name: frame})


@pytest.fixture(scope="module")
def sound():
    """What is said about the demo as it is."""
    faults = examine(RAW, CONFIG).faults
    assert not faults.errors, faults
    return faults


@settings(deadline=None, derandomize=True, max_examples=60)
@given(corruptions())
def test_one_cell_of_the_demo(sound, corruption):
    name, row, column, _ = corruption
    clean, _, faults = examine(corrupted(*corruption), CONFIG)
    if faults.errors:
        text = "\n".join(map(str, faults.errors))
        place = RAW.place(name, row)
        if column not in WORDS[name]:
            assert re.search(rf"{re.escape(place)}\b", text), text
        else:  # other tables may miss an id that changed
            assert A_ROW.search(text), text
        return
    for table, frame in clean:
        keys = [key for key in SCHEMA[table].keys if key in frame]
        must = [c.name for c in SCHEMA[table].columns if c.required]
        assert not frame[[*keys, *must]].isna().any(axis=None), table
        assert not frame.duplicated(keys).any(), table

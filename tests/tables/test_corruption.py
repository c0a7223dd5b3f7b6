"""Whatever one cell becomes, the user reads where it is, or the tables are clean."""

import numpy as np
import pandas as pd
from folders import small
from hypothesis import given, settings
from hypothesis import strategies as st

from meio_jax.tables import Tables, check_folder, examine
from meio_jax.tables.bundle import TABLES
from meio_jax.tables.schema import SCHEMA

FILES = {name.removesuffix(".csv"): text for name, text in small().items()}
CELLS = [
    (table, row, column)
    for table, text in FILES.items()
    for row, line in enumerate(text.splitlines())
    for column in range(len(line.split(",")))
]
GARBAGE = st.one_of(
    st.sampled_from(["", "-3", "1e300", "NaN", "inf", "-inf", "1,250", "$5", "A9",
                     "FC2", "0", "0.5", "2", "101", "2026-01-13", "2026-13-45", "7.5",
                     "1e-320", "99999999999", "; ;", "\u0663", "\0", " A1 ", "None"]),
    st.text(max_size=8),
)  # fmt: skip
OBJECTS = st.one_of(GARBAGE, st.none(), st.integers(), st.floats(), st.booleans(),
                    st.dates(), st.lists(st.integers(), max_size=2),
                    st.binary(max_size=3), st.complex_numbers())  # fmt: skip


def key_of(table: str, column: str) -> bool:
    known = {c.name: c for c in SCHEMA[table].columns}
    return column not in known or known[column].kind != "number"


def check_findings(faults, tables, table: str, column: str, place: str) -> None:
    """What holds for every corruption of one cell."""
    if faults.infeasible:  # a number that is legal by itself
        return
    if faults.errors:
        text = "\n".join(map(str, faults))
        assert table in text
        if not key_of(table, column):  # other tables may miss an id that changed
            assert place in text
    else:
        for name, frame in tables:
            numbers = frame.select_dtypes("number")
            keys = [key for key in SCHEMA[name].keys if key in frame]
            loose = {"items": ["unit_price"], "item_nodes": ["holding_cost"]}
            numbers = numbers.drop(columns=[*loose.get(name, []), "lat", "lon"],
                                   errors="ignore")  # fmt: skip
            assert not numbers.isna().any(axis=None), name
            assert not frame[keys].isna().any(axis=None), name
            assert not frame.duplicated(keys).any(), name


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.sampled_from(CELLS), GARBAGE)
def test_one_cell_of_a_file(tmp_path_factory, cell, garbage):
    table, row, column = cell
    lines = [line.split(",") for line in FILES[table].splitlines()]
    header = lines[0][column]
    lines[row][column] = '"' + garbage.replace('"', '""') + '"'
    folder = tmp_path_factory.mktemp("data")
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    text = "\n".join(",".join(line) for line in lines) + "\n"
    (folder / f"{table}.csv").write_bytes(text.encode(errors="surrogatepass"))
    faults = check_folder(folder)
    if row == 0 or {"\n", "\r"} & set(garbage):  # rows move, or a column has no name
        assert not faults.errors or table in str(faults)
        return
    tables = () if faults.errors else examine(read_frames(folder)).tables
    check_findings(faults, tables, table, header, f"{table}.csv:{row + 1}")


def read_frames(folder) -> Tables:
    frames = {p.name.removesuffix(".csv"): p for p in folder.iterdir()}
    return Tables(**{name: pd.read_csv(p, dtype=str) for name, p in frames.items()})


def frames() -> dict[str, pd.DataFrame]:
    """The small folder as frames with numbers in them."""
    out = {}
    for table, text in FILES.items():
        rows = [line.split(",") for line in text.splitlines()]
        frame = pd.DataFrame(rows[1:], columns=pd.Index(rows[0]))
        for column in SCHEMA[table].columns:
            if column.kind == "number" and column.name in frame:
                frame[column.name] = pd.to_numeric(frame[column.name])
        out[table] = frame
    return out


FRAMES = frames()


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.sampled_from([c for c in CELLS if c[1] > 0]), OBJECTS)
def test_one_cell_of_a_frame(cell, thing):
    table, row, column = cell
    frame = FRAMES[table].astype(object)
    frame.iat[row - 1, column] = thing
    tables, _, faults = examine(Tables(**{**FRAMES, table: frame}))
    header = frame.columns[column]
    check_findings(faults, tables, table, header, f"{table} row {row - 1}")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.sampled_from(CELLS), st.sampled_from(CELLS))
def test_two_cells_swapped(one, other):
    out = {name: frame.astype(object) for name, frame in FRAMES.items()}
    (a, i, k), (b, j, n) = one, other
    if i and j:
        x, y = out[a].iat[i - 1, k], out[b].iat[j - 1, n]
        out[a].iat[i - 1, k], out[b].iat[j - 1, n] = y, x
    faults = examine(Tables(**out)).faults
    fine = not faults.errors or faults.infeasible
    assert fine or a in str(faults) or b in str(faults)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.sampled_from(CELLS))
def test_a_row_deleted_or_doubled(cell):
    table, row, _ = cell
    frame = FRAMES[table]
    if row:
        gone = examine(Tables(**{**FRAMES, table: frame.drop(index=row - 1)})).faults
        assert not gone.errors or table in str(gone)
        twice = pd.concat([frame, frame.iloc[[row - 1]]])
        faults = examine(Tables(**{**FRAMES, table: twice})).faults
        assert f"{table} row {len(frame)}: duplicate key" in str(faults)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.sampled_from(TABLES), st.binary(max_size=60))
def test_a_garbled_file(tmp_path_factory, table, content):
    folder = tmp_path_factory.mktemp("data")
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / f"{table}.csv").write_bytes(content)
    assert table in str(check_folder(folder).errors)


def test_types_of_numbers_make_no_difference():
    usual = examine(Tables(**FRAMES)).tables
    for kind in ("float32", "Float64", "double[pyarrow]", "object", "str"):
        other = dict(FRAMES)
        for table, frame in FRAMES.items():
            numeric = frame.select_dtypes("number").columns
            other[table] = frame.astype(dict.fromkeys(numeric, kind))
        clean, _, faults = examine(Tables(**other))
        assert not faults, faults
        for (_, one), (_, two) in zip(usual, clean, strict=True):
            one, two = (f.select_dtypes("number").to_numpy() for f in (one, two))
            np.testing.assert_allclose(one, two, rtol=1e-6)

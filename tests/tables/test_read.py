"""Files of every kind give the same tables, ids stay text, rows keep their lines."""

import gzip
import subprocess
import sys

import pandas as pd
import pytest
from folders import changed, small, write

from meio_jax.faults import InputError
from meio_jax.tables import Tables, check, check_folder, examine, normalise, read


def same(one: Tables, two: Tables) -> None:
    for (name, left), (other, right) in zip(one, two, strict=True):
        assert name == other
        pd.testing.assert_frame_equal(left, right)


def test_a_valid_folder_has_no_faults(tmp_path):
    assert check_folder(write(tmp_path, small())) == check(read(tmp_path))
    assert not check_folder(tmp_path)


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "frames", "crlf", "bom"])
def test_every_kind_of_file_gives_the_same_tables(kind, tmp_path):
    plain = read(write(tmp_path / "plain", small()))
    folder = tmp_path / "other"
    folder.mkdir()
    for name, text in small().items():
        path, stem = folder / name, name.removesuffix(".csv")
        if kind == "parquet":
            pd.read_csv(tmp_path / "plain" / name).to_parquet(
                folder / f"{stem}.parquet"
            )
        elif kind == "csv.gz":
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        elif kind == "crlf":
            path.write_bytes(text.replace("\n", "\r\n").encode())
        else:
            path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    if kind == "frames":
        other = Tables(**{n: pd.read_csv(tmp_path / "plain" / f"{n}.csv")
                          for n, _ in plain})  # fmt: skip
    else:
        other = read(folder)
    same(normalise(plain), normalise(other))


def test_ids_stay_text(tmp_path):
    files = {k: v.replace("A1,", "007,") for k, v in small().items()}
    clean = normalise(read(write(tmp_path, files)))
    assert clean.items["item"].tolist() == ["007", "A2", "A3"]
    assert clean.demand["item"].cat.categories.tolist() == ["007", "A2", "A3"]


def test_blanks_around_ids_do_not_count(tmp_path):
    files = changed("lanes.csv", 2, " IN01 , FC01,1, 0.2 ")
    clean = normalise(read(write(tmp_path, files)))
    assert clean.lanes["source"].tolist() == ["IN01", "IN01"]


def test_numbers_as_ids_meet_text(tmp_path):
    items = pd.DataFrame({"item": [1.0, 2.0], "unit_cost": 1, "unit_price": [2, 3]})
    tables = Tables(
        items=items,
        nodes=pd.DataFrame({"node": ["F"]}),
        ship_options=pd.DataFrame({"node": ["F"], "region": [1], "unit_cost": [1]}),
        demand=pd.DataFrame(
            {"item": ["1", "2"], "region": "1", "period": [1, 1], "mean": 2}
        ),
    )
    assert not check(tables), check(tables)


@pytest.mark.parametrize(
    ("text", "line"),
    [("\n\nA1,2.5,9\nA2,x,9\n", 5), ("A1,2.5,9\n\nA2,x,9\n,,\n", 4), ("A2,x,9", 2)],
)
def test_blank_lines_do_not_move_rows(text, line, tmp_path):
    files = small() | {"items.csv": "item,unit_cost,unit_price\n" + text}
    assert f"items.csv:{line}: unit_cost = 'x'" in str(
        check_folder(write(tmp_path, files))
    )


def test_a_ragged_row_does_not_move_the_others(tmp_path):
    files = small() | {"lanes.csv": "source,destination,lead_time\nIN01\nIN01,FC01,x\n"}
    text = str(check_folder(write(tmp_path, files)))
    assert "E06 lanes.csv:2: 1 cells, but the header has 3" in text
    assert "E08 lanes.csv:3: lead_time = 'x'" in text


def test_other_things_in_the_folder_are_left_alone(tmp_path):
    write(tmp_path, small() | {"README.md": "", "meio.toml": "", ".hidden": ""})
    (tmp_path / "runs").mkdir()
    assert not check_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"item", b"item,unit_cost\n"])
def test_a_file_with_no_rows(content, tmp_path):
    write(tmp_path, small())
    (tmp_path / "items.csv").write_bytes(content)
    faults = check_folder(tmp_path).errors
    assert faults[0].line == "ERROR E05 items.csv: table has no rows"
    with pytest.raises(InputError, match="E05"):
        read(tmp_path)


def test_rows_of_other_encodings_are_named(tmp_path):
    write(tmp_path, small())
    text = small()["items.csv"].replace("A2", "Müller")
    (tmp_path / "items.csv").write_bytes(text.encode("latin-1"))
    said = [f.line for f in check_folder(tmp_path).errors]
    assert said == ["ERROR E06 items.csv:3: not UTF-8 text"]


def test_a_broken_archive(tmp_path):
    files = small()
    del files["items.csv"]
    write(tmp_path, files)
    whole = gzip.compress(small()["items.csv"].encode())
    (tmp_path / "items.csv.gz").write_bytes(whole[:40])
    assert [f.code for f in check_folder(tmp_path).errors] == ["E06"]


def test_only_frames_are_taken():
    with pytest.raises(
        TypeError, match=r"items: expected a pandas DataFrame, got dict"
    ):
        Tables(items={"item": []})


def test_frames_are_left_as_they_were(tmp_path):
    tables = read(write(tmp_path, small()))
    before = {name: frame.copy() for name, frame in tables}
    examine(tables)
    for name, frame in tables:
        pd.testing.assert_frame_equal(frame, before[name])


def test_nothing_here_imports_jax():
    code = "import sys, meio_jax.tables.check; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.filterwarnings("error")  # a callback that fails inside Arrow only warns
def test_a_ragged_row_that_is_not_text(tmp_path):
    write(tmp_path, small())
    (tmp_path / "lanes.csv").write_bytes(b"source,destination,lead_time\na,b\na,\xff\n")
    said = [f.line for f in check_folder(tmp_path).errors]
    assert said == ["ERROR E06 lanes.csv:3: not UTF-8 text"]

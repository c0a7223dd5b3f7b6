"""Tables from a folder of CSV or Parquet files, as they were written."""

from __future__ import annotations

import difflib
from csv import reader as split_csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from meio_jax.faults import Fault, Faults, InputError
from meio_jax.tables.bundle import TABLES, Tables
from meio_jax.tables.cells import pc
from meio_jax.tables.schema import DEMANDS, REQUIRED, SCHEMA

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_IGNORED = (".md", ".toml")
_EXAMPLE = "meio demo --write DIR shows an example of each table"
_LISTED = 3


def read(folder: str | Path) -> Tables:
    """The tables in a folder: CSV (also .csv.gz) or Parquet, one file per table.

    Cells of a CSV file stay text here, so that an id such as "007" stays what it is
    and messages can quote what was written; `examine` converts them.

    Args:
      folder: where the files lie; hidden files, folders, *.md and *.toml are ignored.

    Raises:
      InputError: when a table is missing, empty, misnamed or cannot be read.
    """
    tables, faults = scan(folder)
    faults = faults + presence(tables)
    if faults.errors:
        raise InputError(faults)
    return tables


def scan(folder: str | Path) -> tuple[Tables, Faults]:
    """What can be read of a folder, and the faults of its files."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        fault = Fault("error", "E02", str(folder), what, _EXAMPLE)
        return Tables(folder=str(folder), unread=frozenset(TABLES)), Faults([fault])
    faults: list[Fault] = []
    files: dict[str, list[Path]] = {}
    unread: set[str] = set()
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith((".", "~$")) or path.suffix.lower() in _IGNORED
        if hidden or path.is_dir():
            continue
        suffix = next((s for s in _SUFFIXES if path.name.endswith(s)), "")
        name = path.name.removesuffix(suffix)
        if suffix and name in TABLES:
            files.setdefault(name, []).append(path)
        else:
            fault, meant = _misnamed(path)
            faults.append(fault)
            unread.update(meant)
    frames: dict[str, pd.DataFrame] = {}
    lines: dict[str, np.ndarray] = {}
    for name, paths in files.items():
        if len(paths) > 1:
            both = " and ".join(p.name for p in paths)
            text = f"table '{name}' is there more than once"
            faults.append(Fault("error", "E03", both, text, "Keep one of them"))
        frame, found, wrong = _load(paths[0], name)
        faults.extend(wrong)
        if frame is None:
            unread.add(name)
        else:
            frames[name] = frame
            if found is not None:
                lines[name] = found
    sources = {name: paths[0].name for name, paths in files.items()}
    tables = Tables(
        **frames,
        sources=sources,
        lines=lines,
        folder=str(folder),
        unread=frozenset(unread),
    )
    return tables, Faults(faults)


def presence(tables: Tables) -> Faults:
    """Faults of tables that must be there, must have rows, or exclude each other."""
    faults = []
    there = {name for name, _ in tables} | tables.unread
    from_files = bool(tables.folder)
    where = f"{tables.folder.rstrip('/')}/" if from_files else "Tables"

    def missing(name: str) -> Fault:
        place = f"{name}.csv or {name}.parquet" if from_files else name
        text = f"table is missing from {where}"
        return Fault("error", "E02", place, text, _EXAMPLE)

    faults.extend(missing(name) for name in REQUIRED if name not in there)
    given = [name for name in DEMANDS if name in there]
    if not given:
        place = ", ".join(f"{name}.csv" if from_files else name for name in DEMANDS)
        text = f"one of these tables is needed, and {where} has none"
        faults.append(Fault("error", "E02", place, text, _EXAMPLE))
    elif len(given) > 1:
        place = " x ".join(tables.label(name) for name in given)
        text = f"both {' and '.join(given)} are there; only one can say what demand is"
        hint = "Keep one: a forecast, past sales, or sample paths of your own"
        faults.append(Fault("error", "E03", place, text, hint))
    for name, frame in tables:
        if len(frame) == 0:
            hint = "Fill it" if name in REQUIRED else "Fill it, or delete it"
            place = tables.label(name)
            faults.append(Fault("error", "E05", place, "table has no rows", hint))
    return Faults(faults)


def _misnamed(path: Path) -> tuple[Fault, list[str]]:
    """The fault of a file that is no table, and the table that it may have meant."""
    stem = path.name.split(".")[0].lower()
    near = difflib.get_close_matches(stem, TABLES, n=1)
    if not path.name.endswith(_SUFFIXES):
        kind = "".join(path.suffixes[-1:]) or "no extension"
        text = f"not a table: {kind}"
        hint = f"Save it as {near[0] if near else 'NAME'}.csv or .parquet, or move it"
    else:
        text = "no such table"
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(TABLES)}"
    return Fault("error", "E01", path.name, text, hint), near


_Loaded = tuple[pd.DataFrame | None, np.ndarray | None, list[Fault]]


def _load(path: Path, table: str) -> _Loaded:
    """A file's frame, its line numbers where irregular, and its faults."""
    try:
        if path.name.endswith(".parquet"):
            return _load_parquet(path)
        return _load_csv(path, table)
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        first = str(error).strip().split("\n")[0] or type(error).__name__
        if "Empty CSV file" in first:
            fault = Fault("error", "E05", path.name, "table has no rows", "Fill it")
            return None, None, [fault]
        if "UTF8" in first:
            return None, None, [_not_text(path, _garbled(path) or 1)]
        what = f"cannot be read: {first[:120]}"
        hint = "Is it complete, and of the kind that its name says?"
        return None, None, [Fault("error", "E06", path.name, what, hint)]


def _garbled(path: Path) -> int | None:
    """The first line with bytes that are not text, or None."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            content = stream.read()
        content.decode()
        at = content.find(b"\0")
    except UnicodeDecodeError as error:
        content, at = error.object, error.start
    except (pa.ArrowException, OSError):  # a broken archive: that is said elsewhere
        return None
    return None if at < 0 else content.count(b"\n", 0, at) + 1


def _not_text(path: Path, line: int) -> Fault:
    hint = "Save it as CSV UTF-8, or as Parquet"
    return Fault("error", "E06", f"{path.name}:{line}", "not UTF-8 text", hint)


def _load_parquet(path: Path) -> _Loaded:
    table = parquet.ParquetFile(path).read()
    return table.to_pandas(ignore_metadata=True, timestamp_as_object=True), None, []


def _load_csv(path: Path, table: str) -> _Loaded:
    with pa.input_stream(str(path), compression="detect") as stream:
        head = stream.read(1 << 16)
    if b"\0" in head:
        return None, None, [_not_text(path, _garbled(path) or 1)]
    header = head.splitlines()[0].decode(errors="replace") if head.strip() else ""
    for separator in (";", "\t", "|"):
        if separator in header and "," not in header:
            text = f"cells are separated by {separator!r}"
            fault = Fault("error", "E06", path.name, text, "Separate them by commas")
            return None, None, [fault]
    ragged: list[Any] = []
    try:
        frame = _parse_csv(path, table, header, None)
    except pa.ArrowInvalid as error:
        if "Expected" not in str(error):
            raise
        if line := _garbled(path):
            return None, None, [_not_text(path, line)]
        frame = _parse_csv(path, table, header, ragged)
    faults = [
        Fault(
            "error",
            "E06",
            f"{path.name}:{row.number}",
            f"{row.actual_columns} cells, but the header has {row.expected_columns}",
            "Put text that holds a comma in double quotes",
            kind=table,
            more=len(ragged) - _LISTED if place == _LISTED - 1 else 0,
        )
        for place, row in enumerate(ragged[:_LISTED])
    ]
    blank = _blank_rows(frame)
    if not ragged and not blank.any():
        return frame.to_pandas(), None, faults
    lines = np.arange(2, 2 + frame.num_rows + len(ragged))
    lines = np.setdiff1d(lines, [row.number for row in ragged])[~blank]
    return frame.filter(pa.array(~blank)).to_pandas(), lines, faults


def _parse_csv(
    path: Path, table: str, header: str, ragged: list[Any] | None
) -> pa.Table:
    """The file as text; rows with too few or too many cells go to `ragged`, if any."""
    keys = set(SCHEMA[table].keys)
    names = next(split_csv([header.removeprefix("\ufeff")]), [])
    coded, text = pa.dictionary(pa.int32(), pa.large_string()), pa.large_string()
    types = {name: coded if name in keys else text for name in names}

    def skip(row: Any) -> str:
        assert ragged is not None
        ragged.append(row)
        return "skip"

    with pa.input_stream(str(path), compression="detect") as stream:
        return csv.read_csv(
            stream,
            csv.ReadOptions(use_threads=ragged is None),  # one thread counts lines
            csv.ParseOptions(
                ignore_empty_lines=False,
                invalid_row_handler=None if ragged is None else skip,
            ),
            csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )


def _empty_text(column: Any) -> np.ndarray:
    cells = pc.equal(pc.utf8_trim_whitespace(column.cast(pa.large_string())), "")
    return np.asarray(pc.fill_null(cells, True))


def _blank_rows(table: pa.Table) -> np.ndarray:
    """Which rows have nothing but empty cells: blank lines, and Excel's leftovers."""
    blank = np.ones(table.num_rows, bool)
    for column in table.columns:
        if not blank.any():
            break
        if pa.types.is_dictionary(column.type):
            chunks = column.chunks
            if not any(_empty_text(c.dictionary).any() for c in chunks):
                return np.zeros(table.num_rows, bool)
            blank &= np.concatenate(
                [_empty_text(c.dictionary)[c.indices.to_numpy()] for c in chunks]
            )
        else:
            blank &= _empty_text(column)
    return blank

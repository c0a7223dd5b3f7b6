"""Columns of cells as integer codes or floats, fast, whatever the cells hold."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute  # its functions are made at import, unseen by type checkers

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NO_NUMBER = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "<na>", "nat"})


@dataclass(frozen=True)
class Coded:
    """A column of text as codes into its distinct values.

    Attributes:
      codes: of each row, an index of `values`.
      values: distinct and stripped of blanks around them; "" is an empty cell.
    """

    codes: np.ndarray
    values: list[str]

    def __getitem__(self, row: int) -> str:
        return self.values[self.codes[row]]

    def empty(self) -> np.ndarray:
        """Which rows are empty."""
        return np.array([value == "" for value in self.values], bool)[self.codes]

    def used(self) -> list[str]:
        """The values that some row has, in the order of first appearance."""
        return [
            self.values[code] for code in pd.unique(self.codes) if self.values[code]
        ]

    def mapped(self, images: Sequence[str]) -> Coded:
        """The column with another text for each value; equal texts share a code."""
        index: dict[str, int] = {}
        remap = np.array([index.setdefault(v, len(index)) for v in images], np.int64)
        codes = remap[self.codes] if len(remap) else self.codes
        return Coded(codes, list(index))

    def positions(self, known: Sequence[str]) -> np.ndarray:
        """The place of each row's value in `known`, or -1."""
        index = {value: place for place, value in enumerate(known)}
        places = np.array([index.get(v, -1) for v in self.values], np.int64)
        return places[self.codes] if len(places) else self.codes


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
      values: float64; NaN where a cell is empty or no number.
      empty: which cells are empty.
      bad: which cells hold something that is not a number.
    """

    values: np.ndarray
    empty: np.ndarray
    bad: np.ndarray


def coded(series: pd.Series) -> Coded:
    """A column as codes: ids stay text, so "007" is not 7, and 7.0 is "7"."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = [_text(v) for v in series.cat.categories]
        codes = series.cat.codes.to_numpy().astype(np.int64)
        codes = np.where(codes < 0, len(texts), codes)
        return Coded(codes, [*texts, ""]).mapped([*texts, ""])
    array = _arrow(series)
    if array is None:
        codes, texts = pd.factorize(np.array([_text(v) for v in series], object))
        return Coded(codes.astype(np.int64), list(texts))
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    texts = [_text(v) for v in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(codes, texts).mapped(texts)


def numbers(series: pd.Series) -> Numbers:
    """A column as float64, with the cells that are empty and those that are bad."""
    if pd.api.types.is_numeric_dtype(series.dtype) and not (
        pd.api.types.is_bool_dtype(series.dtype)
        or pd.api.types.is_complex_dtype(series.dtype)
    ):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Numbers(values, np.isnan(values), np.zeros(len(values), bool))
    if not isinstance(series.dtype, pd.CategoricalDtype):
        array = _arrow(series)
        if array is not None and pa.types.is_large_string(array.type):
            return _from_text(array)
    column = coded(series)
    parsed = [_parse(value) for value in column.values]
    values = np.array([np.nan if v is None else v for v in parsed], np.float64)
    bad = np.array([v is None for v in parsed], bool)
    values, bad = values[column.codes], bad[column.codes]
    return Numbers(values, np.isnan(values) & ~bad, bad)


def shown(value: object) -> str:
    """A cell as messages show it: one line, printable, at most 40 characters."""
    text = _text(value)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:80])
    return text if len(text) <= 40 else text[:37] + "..."


def _arrow(series: pd.Series) -> pa.Array | None:
    """The column as one Arrow array, or None where its cells have many types."""
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.large_string())
    odd = isinstance(array.type, pa.BaseExtensionType)
    if odd or pa.types.is_nested(array.type) or pa.types.is_dictionary(array.type):
        return None
    return array


def _from_text(array: pa.Array) -> Numbers:
    trimmed = pc.utf8_trim_whitespace(array)
    good = pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False)
    try:
        cells = pc.cast(pc.if_else(good, trimmed, None), pa.float64())
        values = cells.to_numpy(zero_copy_only=False).copy()
    except pa.ArrowInvalid:  # a number beyond the range of a float
        good = pa.array(np.zeros(len(array), bool))
        values = np.full(len(array), np.nan)
    rest = np.flatnonzero(~good.to_numpy(zero_copy_only=False))
    bad = np.zeros(len(array), bool)
    if len(rest):
        encoded = pc.dictionary_encode(trimmed.take(pa.array(rest)), "encode")
        parsed = [_parse(_text(v)) for v in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        bad[rest] = np.array([v is None for v in parsed], bool)[codes]
        floats = [np.nan if v is None else v for v in parsed]
        values[rest] = np.array(floats, np.float64)[codes]
    return Numbers(values, np.isnan(values) & ~bad, bad)


def _parse(text: str) -> float | None:
    """The number that a text is, NaN where it is empty, None where it is none."""
    text = text.strip()
    if text.lower() in _NO_NUMBER:
        return math.nan
    if re.match(_NUMBER, text) or re.fullmatch(r"[+-]?inf(inity)?", text.lower()):
        return float(text)
    return None


def _text(value: object) -> str:
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return ""
        whole = number.is_integer() and abs(number) < 1e15
        return str(int(number)) if whole else f"{number:.12g}"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time(0)
        return value.date().isoformat() if midnight else value.isoformat(" ")
    text = str(value).strip()
    return text if text.isascii() else text.encode(errors="replace").decode()

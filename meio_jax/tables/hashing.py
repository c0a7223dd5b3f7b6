"""Hashes of names and rows: the same in every run and on every machine."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from pandas import util

from meio_jax.tables.bundle import Tables

_HASHES: Any = util  # it looks its functions up when they are used, without types


def hash_names(names: np.ndarray) -> np.ndarray:
    """A uint64 for each name."""
    return _HASHES.hash_array(names)


def hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """A uint64 for each row, whatever its index."""
    return _HASHES.hash_pandas_object(frame, index=False).to_numpy()


def digest(tables: Tables) -> str:
    """SHA-256 of the clean tables: the same input has the same digest."""
    total = hashlib.sha256()
    for name, frame in tables:
        total.update(name.encode())
        text = frame.astype(str) if len(frame) else frame
        total.update(hash_rows(text).tobytes())
    return total.hexdigest()[:16]

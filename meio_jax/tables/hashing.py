"""Hashes of names and rows: the same in every run and on every machine."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas import util

from meio_jax.faults import Fault, Faults, InputError
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


def place_of(facts: Mapping[str, Any]) -> str:
    """A plan's name in messages.

    Args:
      facts: of the plan.
    """
    return f"run '{facts.get('name') or 'plan'}'"


def check_made_from(facts: Mapping[str, Any], mark: str) -> str:
    """A plan's name in messages, if it was made from tables with this digest.

    Args:
      facts: of the plan.
      mark: digest of the tables.

    Raises:
      InputError: it was made from others.
    """
    place = place_of(facts)
    made = facts.get("input_digest", mark)
    if made == mark:
        return place
    text = f"was made from other tables (digest {made}, these have {mark})"
    hint = "Use it with the tables that it was made from, or solve again"
    raise InputError(Faults([Fault("error", "S01", place, text, hint)]))

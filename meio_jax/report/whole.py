"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meio_jax.faults import Fault, Faults, InputError


@contextmanager
def replacing(path: Path, code: str, *, parents: bool = False) -> Iterator[Path]:
    """A new file beside another, to write to; it takes the other's place at the end.

    Args:
      path: the file that is made, or replaced; where anything raises, it stays as it
        was.
      code: of the fault.
      parents: whether its folder is made where there is none.

    Raises:
      InputError: it cannot be written.
    """
    held = None
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=".meio-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        held = Path(name)
        yield held
        held.chmod(0o644)
        os.replace(held, path)
    except OSError as error:
        text = f"cannot be written: {error.strerror or error}"
        fault = Fault("error", code, str(path), text, "Nothing was left there")
        raise InputError(Faults([fault])) from error
    finally:
        if held is not None:
            held.unlink(missing_ok=True)

"""What the command lines of the experiments share, and what every result says of its
run: options, commit, device, versions, seconds."""

import argparse
import json
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from meio_jax.plan import versions

PLATFORMS = {"gpu": "cuda,cpu"}  # what JAX calls a device of the command line


def parser(text: str, script: str) -> argparse.ArgumentParser:
    """A command line with `--quick` and `--out`.

    Args:
      text: docstring of the script; its first line describes it.
      script: `__file__` of the script; results go beside it.
    """
    made = argparse.ArgumentParser(description=text.splitlines()[0])
    made.add_argument("--quick", action="store_true", help="a smoke run, no picture")
    made.add_argument("--out", type=Path, default=Path(script).parent)
    return made


def device() -> str:
    """What this process computes on."""
    import jax

    first = jax.devices()[0]
    return f"{first.platform} ({first.device_kind})"


class Record:
    """One run: starts its clock and takes the commit, then writes its result.

    Attributes:
      args: of the command line.
      commit: of the working copy when the run began; "" outside of git.
    """

    def __init__(self, args: argparse.Namespace):
        self.args, self._begin = args, time.perf_counter()
        self.commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True,
            cwd=Path(__file__).parent, check=False,
        ).stdout.strip()  # fmt: skip

    def write(self, *, name: str = "result", **facts) -> None:
        """Writes `result.json`, or `quick.json`: facts, then where they are from.

        Args:
          name: of the file, unless it is a quick one.
          **facts: what was found; "device" where other processes have found it, as
            asking for it here would take the memory of a GPU.
        """
        options = vars(self.args).items()
        result = {
            "options": {k: v for k, v in options if not isinstance(v, Path)},
            **facts,
            "seconds": round(time.perf_counter() - self._begin, 1),
            "commit": self.commit,
            "device": facts.get("device") or device(),
            "versions": versions() | {"scipy": version("scipy")},
        }
        file = "quick.json" if self.args.quick else f"{name}.json"
        (self.args.out / file).write_text(json.dumps(result, indent=1) + "\n")

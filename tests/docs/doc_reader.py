"""Files and commands of a page of documentation, and what the commands print."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"<!-- file (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


class Command(NamedTuple):
    """A command, the lines that the page says it prints, and where the page says so."""

    text: str
    printed: list[str]
    block: int


def files(page: str) -> dict[str, str]:
    """Files that a page gives."""
    return dict(FILE.findall(page))


def commands(page: str) -> list[Command]:
    """Commands of a page's console blocks; lines that begin with > go on."""
    found = []
    for k, block in enumerate(CONSOLE.findall(page)):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], [], k))
            elif line.startswith("> ") and not found[-1].printed:
                found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line[2:]}")
            else:
                found[-1].printed.append(line)
    return found


def run(command: str, folder: Path) -> str:
    """What a command prints, errors included, where `meio` is this code."""
    home = folder / ".bin"
    home.mkdir(exist_ok=True)
    for name, words in (("meio", "-m meio_jax.cli"), ("python", "")):
        script = home / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
    environment = os.environ | {
        "PATH": f"{home}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "COLUMNS": "92", "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def unlike(shown: list[str], printed: str, folder: Path, close: float) -> list[str]:
    """Lines that a page shows and that were not printed, in this order.

    Args:
      shown: lines of the page; "..." stands for any.
      printed: what was printed.
      folder: where; its name is not compared.
      close: relative difference of numbers that counts as none.
    """
    lines = printed.replace(f"{folder}/", "").splitlines()
    wrong, at, skipping = [], 0, False
    for want in shown:
        if want.strip() == "...":
            skipping = True
            continue
        reach = range(at, len(lines)) if skipping else range(at, at + 1)
        near = [k for k in reach if k < len(lines) and alike(want, lines[k], close)]
        if near:
            at, skipping = near[0] + 1, False
        else:
            wrong.append(want)
    return wrong


TIMED = re.compile(r"time |meio |solve |\s+(?:ascend|exact|repair|certify|bound) ")


def alike(want: str, line: str, close: float) -> bool:
    """Whether two lines say the same: words alike, numbers close to each other, but for
    lines with seconds or versions in them."""
    if words(want) != words(line):
        return False
    pairs = zip(numbers(want), numbers(line), strict=True)
    near = all(abs(a - b) <= close * max(abs(a), 1) for a, b in pairs)
    return near or TIMED.match(want) is not None


def words(line: str) -> str:
    """The line with its numbers as one sign, its spaces as one."""
    return " ".join(NUMBER.sub("#", line).split())


def numbers(line: str) -> list[float]:
    """The numbers of a line."""
    return [float(x.replace(",", "")) for x in NUMBER.findall(line)]

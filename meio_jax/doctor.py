"""The machine: what JAX runs on here, whether it works, and what would fix it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from meio_jax.gloo import two_processes

PACKAGES = ("meio-jax", "jax", "jaxlib", "equinox", "optax", "numpy", "pandas")
PLUGINS = {580: "cuda13", 525: "cuda12"}  # least driver of each extra
DRIVER = Path("/proc/driver/nvidia/version")
ROOM = 1e9  # bytes of disk that a run may need
GIGA = 1e9


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
      name: of it, one word.
      says: what was found.
      fix: the command that makes it right, or what to do; "" where nothing is wrong.
    """

    name: str
    says: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Looks at everything, the quick things first."""
    yield versions()
    yield libraries()
    yield plugin()
    yield from (attempt("devices", devices), attempt("x64", x64))
    yield cache()
    yield disk()
    yield from (attempt("kernel", kernel), attempt("processes", two))


def attempt(name: str, look: Callable[[], Finding]) -> Finding:
    """What a look finds; an error that it ends in is a finding too.

    Args:
      name: of the finding.
      look: it.
    """
    try:
        return look()
    except Exception as error:  # whatever is wrong here is what was asked for
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Finding(name, line, _REPAIR)


_REPAIR = "pip install --force-reinstall jax jaxlib"


def versions() -> Finding:
    """Versions of Python and of what computes."""
    words, lacking = [f"python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            words.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lacking.append(name)
    fix = f"pip install {' '.join(lacking)}" if lacking else ""
    more = [f"no {name}" for name in lacking]
    return Finding("versions", ", ".join(words + more), fix)


def libraries(environment=os.environ, driver: Path = DRIVER) -> Finding:
    """LD_LIBRARY_PATH, a known cause of the wrong CUDA libraries.

    Args:
      environment: variables.
      driver: the file in which an NVIDIA driver says its version.
    """
    path = environment.get("LD_LIBRARY_PATH", "")
    if not path:
        return Finding("libraries", "LD_LIBRARY_PATH is not set")
    says = f"LD_LIBRARY_PATH is {path}"
    if _driver(driver) and re.search("cuda|nvidia|cudnn", path, re.IGNORECASE):
        text = ": its CUDA libraries go before those that jax brings"
        return Finding("libraries", says + text, "unset LD_LIBRARY_PATH")
    return Finding("libraries", says)


def plugin(driver: Path = DRIVER, found: Callable = find_spec) -> Finding:
    """Whether an NVIDIA device has the plugin that it needs.

    Args:
      driver: the file in which its driver says its version.
      found: finds a module.
    """
    have = _plugins(found)
    number = _driver(driver)
    if number is None:
        words = f", though the plugin {have[0]} is installed" if have else ""
        return Finding("gpu", f"no NVIDIA driver here{words}: runs on the CPU")
    says = f"NVIDIA driver {number}"
    if have:
        return Finding("gpu", f"{says}, plugin {have[0]}")
    extra = next((x for least, x in PLUGINS.items() if number >= least), None)
    if extra is None:
        least = min(PLUGINS)
        return Finding("gpu", f"{says} is too old", f"Install driver {least} or newer")
    fix = f'pip install "meio-jax[{extra}]"'
    return Finding("gpu", f"{says}, but no plugin: runs on the CPU", fix)


def _plugins(found: Callable = find_spec) -> list[str]:
    return [name for name in ("cuda13", "cuda12") if found(f"jax_{name}_plugin")]


def _driver(file: Path) -> int | None:
    """Major version of the NVIDIA driver; None without one."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return None
    match = re.search(r"Kernel Module.*?\s(\d{3,})\.\d", text)
    return int(match[1]) if match else max(PLUGINS)


def devices() -> Finding:
    """What JAX runs on, and its memory."""
    import jax

    words = []
    for device in jax.devices():
        stats = device.memory_stats() or {}
        size = stats.get("bytes_limit") or _memory()
        kind = device.device_kind
        name = (
            device.platform if kind == device.platform else f"{device.platform} {kind}"
        )
        words.append(f"{name}, {size / GIGA:,.0f} GB")
    says = f"{'; '.join(words)}; {os.cpu_count()} cores"
    gpu = any(d.platform != "cpu" for d in jax.devices())
    if gpu or _driver(DRIVER) is None or not _plugins():
        return Finding("devices", says)
    if wanted := os.environ.get("JAX_PLATFORMS"):
        return Finding("devices", f"{says}; JAX_PLATFORMS={wanted} leaves the GPU out")
    text = f"{says}; the GPU is not used though its plugin is installed"
    return Finding(
        "devices", text, 'JAX_PLATFORMS=cuda python -c "import jax; jax.devices()"'
    )


def _memory() -> float:
    """Bytes of memory of the machine."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("nan")


def x64() -> Finding:
    """Whether sums in float64, which certify, are possible."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        third = jnp.ones((), "float64") / 3
        good = third.dtype == "float64" and abs(float(third) * 3 - 1) < 1e-15
    says = "float64 works" if good else "float64 is rounded to float32"
    return Finding("x64", says, "" if good else _REPAIR)


def cache() -> Finding:
    """The folder of compiled programs and its size."""
    import jax

    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if not folder:
        text = (
            "none: every run compiles; to keep programs, set JAX_COMPILATION_CACHE_DIR"
        )
        return Finding("cache", text)
    place = Path(folder).expanduser()
    if not place.exists():
        return Finding("cache", f"{place}, not there yet")
    files = [f for f in place.rglob("*") if f.is_file()]
    size = sum(f.stat().st_size for f in files)
    says = f"{place}, {len(files):,} files, {size / 1e6:,.0f} MB"
    able = os.access(place, os.W_OK)
    fix = "" if able else f"chmod u+w {place}"
    return Finding("cache", says if able else f"{says}, cannot be written", fix)


def disk(folder: Path | str = ".", room: float = ROOM) -> Finding:
    """Free space where runs are written.

    Args:
      folder: where.
      room: bytes that there should be.
    """
    free = shutil.disk_usage(folder).free
    says = f"{free / GIGA:,.1f} GB free in {Path(folder).resolve()}"
    short = f"free {room / GIGA:,.0f} GB there, or work in another folder"
    return Finding("disk", says, short if free < room else "")


def kernel() -> Finding:
    """Whether a kernel compiles, runs and is right: a newsvendor of ten demands."""
    import jax
    import jax.numpy as jnp

    from meio_jax.kernels.newsvendor import newsvendor

    begin = time.perf_counter()
    demand, weight = jnp.arange(1.0, 11.0), jnp.full(10, 0.1)
    money = (jnp.asarray(x) for x in (1.0, 4.0, 0.0))
    level = float(jax.jit(newsvendor)(demand, weight, *money).level)
    seconds = time.perf_counter() - begin
    if level == 8:
        return Finding("kernel", f"compiles and runs in {seconds:.1f} s")
    return Finding("kernel", f"gives {level:g} where 8 is right", _REPAIR)


def two(run: Callable[[], str] = two_processes) -> Finding:
    """Whether two processes of this machine can add up what they hold.

    Args:
      run: gives "" or what went wrong.
    """
    begin = time.perf_counter()
    wrong = run()
    if not wrong:
        seconds = time.perf_counter() - begin
        return Finding("processes", f"a psum of two passes (gloo, {seconds:.1f} s)")
    text = f"a psum of two fails (gloo): {wrong}"
    return Finding("processes", text, _LOCAL)


_LOCAL = f"{Path(sys.executable).name} -m meio_jax.gloo"

"""meio_jax: how much of each item to buy and at which building to hold it.

The names that most users need; everything heavy is imported when it is used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Faults": "faults",
    "InputError": "faults",
    "Outcome": "outcome",
    "Plan": "plan",
    "Replanner": "replan",
    "Tables": "tables",
    "WhatIf": "whatif",
    "check": "api",
    "demo": "api",
    "load": "plan",
    "policies": "sim.policies",
    "read": "tables",
    "simulate": "api",
    "solve": "api",
    "what_if": "api",
}
__all__ = [*sorted(_HOME), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        home = import_module(f"meio_jax.{_HOME[name]}")
        return home if _HOME[name].endswith(f".{name}") else getattr(home, name)
    raise AttributeError(f"module 'meio_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

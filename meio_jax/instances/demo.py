"""The demo that comes with the package: real orders on a US network."""

from importlib import resources
from pathlib import Path


def demo_folder() -> Path:
    """The folder of the demo's tables and its meio.toml; ORIGIN.md says their source.

    300 gift items of a web shop, 40 buildings, 100 regions, 4 delivery speeds and 52
    weeks of orders.
    """
    return Path(str(resources.files("meio_jax.instances") / "demo"))

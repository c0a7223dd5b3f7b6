"""Every test runs in float64, on two devices, with JAX's strict modes."""

import jax
import pytest
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)  # sharding is tested without a GPU

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Hundreds of compiled programs in one process meet the limit on memory maps."""
    yield
    jax.clear_caches()

"""Every test runs in float64, on two devices, with JAX's strict modes."""

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)  # sharding is tested without a GPU

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")

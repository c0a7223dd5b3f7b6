"""Why a target is what it is, step by step, exactly."""

from meio_jax.explain.explain import explain as explain
from meio_jax.explain.fan import simulate_fan as simulate_fan
from meio_jax.explain.fan import simulate_fans as simulate_fans
from meio_jax.explain.words import Explanation as Explanation

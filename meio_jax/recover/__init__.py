"""A plan in whole units within capacities, from prices."""

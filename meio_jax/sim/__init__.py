"""The truth model: what policies do, period by period, on paths of demand."""

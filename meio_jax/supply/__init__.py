"""Layers above fulfilment: what to buy from whom, and what to send where."""

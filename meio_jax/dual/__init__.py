"""The Lagrangian dual over capacity prices: value, ascent, bound."""

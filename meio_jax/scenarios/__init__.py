"""Sample paths of demand and lead times, one scenario index for all items."""

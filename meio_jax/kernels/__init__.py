"""Pure functions of one item: expected shortage, fill, holding, fulfilment and use."""

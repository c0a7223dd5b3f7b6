"""What the words of the page mean."""

GLOSSARY = (
    ("bound", "No plan of the model costs less on the same scenarios. Proven, or 97.5 "
     "% sure where only a sample of the items was solved exactly."),
    ("capacity", "A limit of a node in a period: storage (volume on hand), inbound and "
     "outbound (units a period), or how many different items it may hold."),
    ("critical ratio", "Chance of not running out that a target aims at, given what a "
     "shortage and a unit left over cost."),
    ("days of supply", "How long the target lasts at the period's expected sales."),
    ("excess", "Stock that lasts far longer than is usual in this plan."),
    ("fill rate", "Share of demand that is served, type 2 service; of a node: of its "
     "own demand from its own stock."),
    ("fresh paths", "Demand and lead times drawn anew: no plan was made on them."),
    ("gap", "Plan cost less bound, as a share of the plan cost: what another plan of "
     "the model could save at most."),
    ("held by", "What sets a target: economics, a quantity that you fixed, a maximum."),
    ("on promise", "Shipped so that it arrives within the promised days."),
    ("order up to", "Target of the inventory position: what is on hand and on order is "
     "raised to it. Safety, cycle and pipeline stock are its parts."),
    ("pipeline stock", "On its way at any time: demand of the lead time."),
    ("price", "Shadow price of a capacity: what one more unit of it is worth."),
    ("safety stock", "What is expected to be left at the end of a period."),
    ("cycle stock", "What a period is expected to ship."),
    ("simulated", "Policies run period by period on fresh paths, with whole units, "
     "random lead times and docks that bind."),
    ("95 % interval", "Covers the true average in 95 of 100 such simulations."),
)  # fmt: skip

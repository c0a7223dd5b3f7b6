"""A small valid folder of tables, as text that a test can change."""

from pathlib import Path

DATES = ("2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26")
ITEMS = ("A1", "A2", "A3")
REGIONS = ("North", "West")
NODES = ("IN01", "FC01", "FC02")
SPEEDS = ("1-day", "2-day")
MIX = (("1-day", 0.4), ("2-day", 0.6))


def small() -> dict[str, str]:
    """File name to text: 3 items, 3 nodes, 2 regions, 2 speeds, 4 weeks."""
    demand = [
        f"{item},{region},{date},{10 + k},{2 + k}"
        for k, item in enumerate(ITEMS)
        for region in REGIONS
        for date in DATES
    ]
    options = [
        f"{node},{region},{speed},{3 - k},{14 + k},{1 + k}"
        for node in NODES[1:]
        for region in REGIONS
        for k, speed in enumerate(SPEEDS)
    ]
    files = {
        "items.csv": [
            "item,unit_cost,unit_volume,unit_price,unit_weight,size_class",
            "A1,5,0.1,9,0.5,small",
            "A2,7.5,0.2,12,1,small",
            "A3,20,1.5,30,8,big",
        ],
        "nodes.csv": [
            "node,type,size_classes,storage_cost,storage_capacity",
            "IN01,dc,,0.5,",
            "FC01,fc,,1,900",
            "FC02,fc,small;big,1,700",
        ],
        "lanes.csv": [
            "source,destination,lead_time,unit_cost",
            "IN01,FC01,1,0.2",
            "IN01,FC02,2,0.3",
        ],
        "vendors.csv": [
            "vendor,item,node,lead_time",
            *(f"V1,{item},IN01,3" for item in ITEMS),
        ],
        "ship_options.csv": [
            "node,region,speed,unit_cost,cutoff_hour,transit_days",
            *options,
        ],
        "speeds.csv": [
            "speed,promise_days,lost_sale_share",
            "1-day,1,0.4",
            "2-day,2,0",
        ],
        "speed_mix.csv": [
            "region,speed,share",
            *(f"{r},{s},{x}" for r in REGIONS for s, x in MIX),
        ],
        "demand.csv": ["item,region,period,mean,std", *demand],
        "inventory.csv": ["item,node,on_hand,on_order,period", "A1,FC01,20,,",
                          "A2,FC02,10,5,2026-01-12"],
        "capacities.csv": ["node,resource,period,capacity", "FC01,inbound,,400",
                           "FC01,storage,2026-01-19,800"],
        "fixed_targets.csv": ["item,node,period,quantity,reason",
                              "A3,FC01,2026-01-12,12,promised"],
    }  # fmt: skip
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}


def write(folder: Path, files: dict[str, str]) -> Path:
    """Writes the files into the folder, which it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def changed(name: str, line: int, text: str | None) -> dict[str, str]:
    """The small folder with one line of a file (the header is 1) replaced or gone."""
    files = small()
    lines = files[name].splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    return files | {name: "\n".join(lines) + "\n"}


def without(name: str) -> dict[str, str]:
    """The small folder without a file."""
    files = small()
    del files[name]
    return files

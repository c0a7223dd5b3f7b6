"""A folder of tables that solves in a blink once compiled, and how to change it."""

from pathlib import Path

from meio_jax.config import Config, with_overrides

FAST = (
    "scenarios.count=8", "solver.max_evaluations=4", "simulate.paths=0",
    "output.report=false",
)  # fmt: skip
WEEKS = ("2026-01-05", "2026-01-12", "2026-01-19")
TINY = {
    "items.csv": [
        "item,unit_cost,lost_sale_cost,unit_volume,unit_weight",
        "A,5,9,1,0.5",
        "B,7.5,12,2,1",
        "C,20,30,1.5,8",
    ],
    "nodes.csv": [
        "node,type,storage_cost,storage_capacity",
        "DC,dc,0.01,",
        "EAST,fc,0.02,60",
        "WEST,fc,0.02,80",
    ],
    "lanes.csv": [
        "source,destination,lead_time,unit_cost",
        "DC,EAST,1,0.2",
        "DC,WEST,2,0.3",
    ],
    "ship_options.csv": [
        "node,region,speed,unit_cost",
        "EAST,North,ground,2",
        "EAST,South,ground,3",
        "WEST,North,ground,3.5",
        "WEST,South,ground,2.5",
    ],
    "capacities.csv": ["node,resource,period,capacity", "EAST,outbound,2026-01-12,50"],
    "demand.csv": [
        "item,region,period,mean,std",
        *(
            f"{item},{region},{week},{8 + 2 * k},3"
            for k, item in enumerate("ABC")
            for region in ("North", "South")
            for week in WEEKS
        ),
    ],
}


def tiny() -> dict[str, str]:
    """File name to text: 3 items, 3 nodes, 2 regions, 3 weeks, too little storage."""
    return {name: "\n".join(lines) + "\n" for name, lines in TINY.items()}


def edited(name: str, column: str, value: str, line: int) -> dict[str, str]:
    """The tiny folder with one cell of a file (the header is line 1) replaced."""
    lines = TINY[name].copy()
    cells = lines[line - 1].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[line - 1] = ",".join(cells)
    return tiny() | {name: "\n".join(lines) + "\n"}


def added(name: str, *rows: str) -> dict[str, str]:
    """The tiny folder with rows put after a file's last; a new file needs a header."""
    files = tiny()
    return files | {name: files.get(name, "") + "\n".join(rows) + "\n"}


def write(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Writes the files, or the tiny folder, into the folder, which it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (tiny() if files is None else files).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def options(*changes: str) -> Config:
    """Options of a run that is over soon, with more of them changed."""
    return with_overrides(Config(), (*FAST, *changes))

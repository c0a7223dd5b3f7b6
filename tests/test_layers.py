"""The map of rooms: data flows one way, and each room keeps to its job."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import meio_jax

ROOT = Path(meio_jax.__file__).parent
LEFT = {  # each room and the rooms that it may import
    "__init__": "",  # looks the public names up when they are used
    "faults": "",
    "config": "faults",
    "problem": "",
    "network": "problem",
    "scenarios": "faults problem",
    "kernels": "",
    "mesh": "",
    "dual": "problem scenarios kernels mesh",
    "recover": "problem scenarios kernels mesh dual",
    "solution": "recover",
    "horizon": "problem scenarios dual recover solution",
    "planner": "config problem network scenarios kernels mesh dual recover solution"
    " horizon",
    "supply": "config problem scenarios kernels",
    "sim": "faults config problem network scenarios kernels dual recover planner"
    " supply horizon",
    "changes": "faults",
    "tables": "faults changes config problem network stats supply",
    "checkpoint": "faults",
    "report": "faults",
    "whatif": "faults changes",
    "rebuild": "faults config problem scenarios planner tables",
    "explain": "faults config problem scenarios kernels dual planner sim tables"
    " rebuild",
    "plan": "faults checkpoint tables report whatif explain onepass",
    "instances": "",
    "stats": "",
    "gloo": "",
    "doctor": "kernels gloo",
    "outcome": "faults plan tables",
    "runs": "faults config scenarios dual recover supply sim tables rebuild plan"
    " outcome",
    "api": "faults checkpoint config scenarios planner sim supply tables plan instances"
    " outcome rebuild runs whatif",
}
LEFT["onepass"] = (
    "faults changes config problem scenarios dual planner tables rebuild whatif"
)
LEFT["api"] += " onepass solution"
LEFT["replan"] = (
    "faults config problem horizon recover planner supply tables rebuild plan"
)
LEFT["cli"] = " ".join(LEFT)  # it alone sees them all
FILES = sorted(ROOT.rglob("*.py"))


def room(file: Path) -> str:
    """The room of a file: its folder, or its own name."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Full names of the modules that a file imports, in functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the room in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_rooms_import_only_rooms_on_their_left(file):
    names = imported(ast.parse(file.read_text(encoding="utf-8")))
    ours = {n.partition(".")[2] for n in names if n.split(".")[0] == "meio_jax"}
    rooms = {n.split(".")[0] if n.split(".")[0] in LEFT else "__init__" for n in ours}
    own = room(file)
    assert rooms <= {own, *LEFT[own].split()}


def test_the_map_has_no_way_back():
    seen = set()
    while len(seen) < len(LEFT):
        ready = {r for r in LEFT if r not in seen and seen >= set(LEFT[r].split())}
        assert ready, f"a cycle among {set(LEFT) - seen}"
        seen |= ready


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_pandas_and_printing_keep_to_their_rooms(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prints = [
        n for n in ast.walk(tree)
        if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"
    ]  # fmt: skip
    assert not prints or room(file) == "cli"
    at_import = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = imported(ast.Module(at_import, []))
    users = {file for n in names if n.split(".")[0] == "pandas"}
    assert {room(user) for user in users} <= {"tables", "report"}


@pytest.mark.parametrize("name", ["", ".config", ".tables", ".plan", ".api"])
def test_importing_what_needs_no_arrays_imports_no_jax(name):
    code = f"import meio_jax{name}, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Pieces of a page: parts with a sentence each, tables, and what the extra needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from meio_jax.report.run import Frame

NEEDED = ("jinja2", "matplotlib")
ADVICE = 'pip install "meio-jax[report]"'


class Table(NamedTuple):
    """A table as it is shown.

    Attributes:
      key: its id in the page.
      caption: what it holds.
      columns: title of each column, and whether it is a number.
      rows: text of each cell.
      searched: whether the page's search box filters its rows.
      rest: what is not shown, and where it is; or "".
    """

    key: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: list[tuple[str, ...]]
    searched: bool = False
    rest: str = ""


class Part(NamedTuple):
    """A part of the page.

    Attributes:
      key: its id in the page.
      title: its heading.
      says: the sentence that states what it shows.
      picture: SVG, or "".
      tables: under the picture.
      notes: how to read it.
      folded: more pictures, SVG each, that are shown when they are asked for.
    """

    key: str
    title: str
    says: str
    picture: str = ""
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()


def missing() -> list[str]:
    """Packages that a page needs and that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def table(key: str, caption: str, frame: Frame, forms, **more) -> Table:
    """A table from a frame.

    Args:
      key: its id in the page.
      caption: what it holds.
      frame: the rows.
      forms: title of each column shown and how its values are written, by the name of
        the column; `str` is for text.
      **more: other fields of the table.
    """
    cells = [[form(v) for v in frame[name]] for name, (_, form) in forms.items()]
    columns = tuple((title, form is not str) for title, form in forms.values())
    return Table(key, caption, columns, list(zip(*cells, strict=True)), **more)

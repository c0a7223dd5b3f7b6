"""A page as its readers see it: sections, sentences, tables; checks that tags pair."""

import re
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """What is in a page; parsing fails where tags do not pair."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[tuple[str, dict]] = []
        self.tags: list[tuple[str, dict]] = []
        self.says: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.pictures: dict[str, tuple[str, list[str]]] = {}
        self.tables: dict[str, tuple[list[str], list[list[str]]]] = {}
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self.open.append((tag, dict(attrs)))
        if tag == "svg":
            self.pictures[self.section] = (dict(attrs)["aria-label"], [])
        elif tag == "table":
            self.tables[self.table] = ([], [])
        elif tag == "tr" and self.inside("tbody"):
            self.tables[self.table][1].append([])
        elif tag == "td":
            self.tables[self.table][1][-1].append("")
        elif tag == "th":
            self.tables[self.table][0].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data
        if self.inside("td"):
            self.tables[self.table][1][-1][-1] += data
        elif self.inside("th"):
            self.tables[self.table][0][-1] += data.strip()
        elif self.inside("text"):
            self.pictures[self.section][1].append(data)
        elif self.open and self.open[-1][1].get("class") == "says":
            self.says[self.section] = self.says.get(self.section, "") + data
        elif self.open and self.open[-1][1].get("class") == "note":
            self.notes[self.section] = self.notes.get(self.section, "") + data

    def inside(self, tag: str) -> bool:
        """Whether an element of the tag is open."""
        return any(name == tag for name, _ in self.open)

    @property
    def section(self) -> str:
        """Id of the innermost open section, or ""."""
        ids = [attrs.get("id", "") for name, attrs in self.open if name == "section"]
        return ids[-1] if ids else ""

    @property
    def table(self) -> str:
        """Id of the table that is open."""
        return [
            attrs["id"] for _, attrs in self.open
            if attrs.get("class", "").startswith("table")
        ][-1]  # fmt: skip

    def column(self, table: str, name: str) -> list[str]:
        """Cells of a column, by its title."""
        names, rows = self.tables[table]
        return [row[names.index(name)] for row in rows]


def numbers(text: str) -> list[float]:
    """Numbers of a text, in their order; parts of names and dates are none."""
    text = re.sub(r"\b\d{4}-\d\d-\d\d\b", "", text)
    found = re.findall(r"(?<![\w.-])[\u2212+]?\d[\d,]*(?:\.\d+)?", text)
    return [float(x.replace(",", "").replace("\u2212", "-")) for x in found]

"""The page in a browser: nothing is logged, tables sort, the search box filters."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
ACTS = """
<script>
const seen = {};
const table = document.querySelector("#targets-table table");
const heads = [...table.tHead.rows[0].cells];
const at = heads.findIndex((h) => h.textContent.trim() === "order up to");
const cells = (k) => [...table.tBodies[0].rows].map((r) => r.cells[k].textContent);
seen.start = heads.map((h) => h.ariaSort);
heads[at].firstElementChild.click();
seen.down = cells(at); seen.sort = heads[at].ariaSort;
heads[at].firstElementChild.click();
seen.up = cells(at); seen.again = heads[at].ariaSort;
heads[0].firstElementChild.click();
seen.items = cells(0); seen.first = heads.map((h) => h.ariaSort);
const box = document.getElementById("find");
seen.box = !box.closest("p").hidden;
box.value = "east  2026-01-12"; box.dispatchEvent(new Event("input"));
seen.found = document.getElementById("found").textContent;
seen.left = [...document.querySelectorAll(".searched tbody tr")]
  .filter((r) => r.checkVisibility()).map((r) => r.textContent);
box.value = ""; box.dispatchEvent(new Event("input"));
seen.all = [...document.querySelectorAll(".searched tbody tr")]
  .filter((r) => r.checkVisibility()).length;
seen.wide = document.documentElement.scrollWidth <= window.innerWidth;
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""


def browse(path, width=1280) -> tuple[str, str]:
    """The page's elements once it has run, and what the browser logged of it."""
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--window-size={width},1000", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={path.parent / 'browser'}", path.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


@pytest.mark.parametrize("width", [1280, 420])
def test_a_reader_sorts_and_finds(made, tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(made.text.replace("</body>", ACTS + "</body>"))
    page, log = browse(path, width)
    assert log == ""
    found = re.search(r'data-seen="([^"]*)"', page)
    assert found is not None
    seen = json.loads(unescape(found[1]))
    assert set(seen["start"]) == {"none"}
    number = lambda text: float(text.replace(",", ""))
    down, up = ([*map(number, seen[way])] for way in ("down", "up"))
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert down != up
    assert (seen["sort"], seen["again"]) == ("descending", "ascending")
    assert seen["items"] == sorted(seen["items"])
    assert seen["first"].count("none") == len(seen["first"]) - 1
    assert seen["box"]
    rows = sum(
        len(made.page.tables[key][1])
        for key in (
            "transfers-table",
            "exceptions-table",
            "targets-table",
            "prices-table",
            "service-table",
        )
    )
    assert seen["all"] == rows
    assert seen["left"]
    assert all("EAST" in text and "2026-01-12" in text for text in seen["left"])
    assert seen["found"] == f"{len(seen['left'])} of {rows} rows"
    assert seen["wide"]  # the page itself never scrolls sideways


def test_a_broken_page_would_be_noticed(made, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(made.text.replace("</body>", "<script>nothing()</script></body>"))
    assert "nothing is not defined" in browse(path)[1]

"""The documentation: its commands exist, its links lead somewhere, its outputs are
what the commands print."""

import re
import shlex

import click
import pytest
from doc_reader import ROOT, commands, files, run, unlike

from meio_jax.cli import main

PAGES = sorted((ROOT / "docs").glob("*.md"))
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def write_files(folder):
    for name, text in files(TUTORIAL).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda p: p.name)
def test_links_lead_to_files(page):
    for link in LINK.findall(page.read_text()):
        assert link.startswith("https:") or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda p: p.name)
def test_commands_and_options_that_are_named_exist(page):
    text = page.read_text()
    named = re.findall(r"`meio (\w+)((?: [^`]*)?)`", text)
    named += [(c.text.split()[1], c.text) for c in commands(text) if "meio " in c.text]
    for verb, words in named:
        command = main.commands.get(verb)
        assert isinstance(command, click.Command), verb
        known = {option for p in command.params for option in p.opts}
        for option in re.findall(r"(?<![\w-])(--\w[\w-]*)", words):
            assert option in known, f"{verb} {option}"


def test_the_tables_of_the_tutorial_are_checked_as_it_shows(tmp_path):
    write_files(tmp_path)
    first = [c for c in commands(TUTORIAL) if c.block < 2]
    assert [shlex.split(c.text)[:2] for c in first][::2] == [["meio", "check"]] * 2
    for command in first:
        printed = run(command.text, tmp_path)
        assert printed.splitlines() == command.printed


def test_what_a_page_shows_is_compared_line_by_line(tmp_path):
    shown = ["plan     cost 567 a week", "...", "prices   2 of 2 have a price"]
    printed = "plan     cost 566 a week\nx\ny\nprices   2 of 2 have a price\n"
    assert unlike(shown, printed, tmp_path, 0.01) == []
    assert unlike(shown, printed, tmp_path, 0.0001) == shown[:1]
    assert unlike(shown, printed.replace("have", "had"), tmp_path, 1) == shown[2:]
    assert unlike(shown[::2], printed, tmp_path, 1) == shown[2:]  # not left out


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path):
    write_files(tmp_path)
    wrong = {}
    for command in commands(TUTORIAL):
        printed = run(command.text, tmp_path)
        if lines := unlike(command.printed, printed, tmp_path, 0.02):
            wrong[command.text] = lines, printed
    assert not wrong

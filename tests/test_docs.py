"""Every block of code in the documentation runs, and prints what is shown below it."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pages
import pytest

import tapegrad as tg

MADE = {"idioms.md": "scripts/idioms.py makes it of tests/idioms.py, whose functions test_no_silent_loss runs"}
"""Pages whose blocks are not programs."""
COMPILED = ("seeing_", "how_")
"""Drawings of compiled programs, whose rows become fewer with each new pass: those on the pages may be older."""
PAGES = [path for path in pages.pages() if path.name not in MADE]
CASES = [(path, needs) for path in PAGES for needs in sorted({block.needs for block in pages.blocks_of(path)} | {()})]


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch, tmp_path):
    """A page may change settings and write files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    tg.set_deferral(True)
    tg.set_grad_enabled(True)
    np.set_printoptions(edgeitems=3, infstr="inf", linewidth=75, nanstr="nan", precision=8, suppress=False)


@pytest.mark.parametrize(
    ("path", "needs"),
    CASES,
    ids=["-".join([str(path.relative_to(pages.ROOT).with_suffix("")), *needs]) for path, needs in CASES],
)
def test_code_runs_and_prints_and_draws_what_is_shown(path, needs, tmp_path):
    reason = pages.missing(needs)
    if reason:
        pytest.skip(reason)
    blocks = pages.blocks_of(path)
    pages.run(path, [b for b in blocks if not b.needs or (needs and not pages.missing(b.needs))])
    for drawn in tmp_path.glob("*.svg"):
        kept = pages.ROOT / "docs" / "pictures" / drawn.name
        assert kept.exists(), f"{kept.name} is not there: run python scripts/pictures.py"
        if not drawn.name.startswith(COMPILED):
            assert kept.read_text() == drawn.read_text(), f"{kept.name} is out of date: run python scripts/pictures.py"


def test_what_is_not_shown_is_found():
    page = pages.ROOT / "docs" / "planted.md"
    block = pages.Block("python", "print(1 + 1)\n", "3\n", 1, ())
    with pytest.raises(AssertionError, match=r"docs/planted.md:1: this block\n.*\n\nprints\n2\n"):
        pages.run(page, [block])
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        pages.run(page, [pages.Block("python", "1 / 0\n", "", 1, ())])


def test_blocks_are_found_with_their_output(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n1\n```\n\nWords.\n\n<!-- needs: torch -->\n```python\nx\n```\n"
        "\n<!-- not run: a part -->\n\n```python\ny\n```\n\n```text\nno output\n```\n"
    )
    first, second = pages.blocks_of(page)
    assert (first.text, first.expected, first.line) == ("print(1)\n", "1\n", 1)
    assert (second.text, second.expected, second.needs) == ("x\n", "", ("torch",))


@pytest.mark.parametrize("index", sorted((pages.ROOT / "docs").glob("*/index.md")), ids=lambda path: path.parent.name)
def test_each_page_is_listed_by_its_section(index):
    listed = index.read_text(encoding="utf-8").partition("{toctree}")[2].split()
    assert {path.stem for path in index.parent.glob("*.md")} - {"index"} <= set(listed)


def load_script(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", pages.ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_between_files_lead_somewhere():
    links = load_script("check_links")
    dead = links.dead_links_of_markdown(
        [path for path in pages.ROOT.rglob("*.md") if not {"_build", ".venv"} & {*path.parts}]
    )
    made_with_the_site = {"docs/reference/errors.md: messages.md", "docs/reference/index.md: messages.md"}
    assert set(dead) <= made_with_the_site


def test_dead_links_of_a_site_are_found(tmp_path):
    links = load_script("check_links")
    (tmp_path / "a.html").write_text('<a id="here" href="b.html#there">b</a><img src="none.png"><a href="#no">c</a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#here">a</a><a href="https://example.org/x">out</a>')
    assert links.dead_links_of_site(tmp_path) == ["a.html: none.png", "a.html: #no"]


def test_each_explained_message_is_what_its_code_raises():
    page = pages.ROOT / "docs" / "reference" / "errors.md"
    headings = re.split(r"^### ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(headings) > 40
    for section in headings:
        title, _, text = section.partition("\n")
        shown = text.partition("```text\n")[2].partition("```")[0]
        assert title in shown, f"the code under {title!r} raises another message"


def test_all_messages_are_in_the_table():
    messages = load_script("messages")
    found = messages.messages()
    assert len(found) > 500
    table = messages.page()
    assert sum(table.count(f"](errors.md#{anchor})") > 0 for _, anchor in messages.sections()) > 30
    assert len([line for line in table.splitlines() if line.startswith("| `")]) == len(found)
    for text in (
        "has been modified by an inplace operation",  # made by a function
        "it will be run as it is, not compiled",  # a warning
        "Inference tensors cannot be saved for backward",  # a constant
        "is out of bounds for dimension",  # of a class of tapegrad's own
        "Singular matrix",  # of NumPy's
        "a semaphore could not be made",  # behind a number
    ):
        assert any(text in message for _, _, message in found), text


def test_the_page_of_idioms_is_the_one_that_its_script_makes():
    made = load_script("idioms").page()
    assert (pages.ROOT / "docs" / "reference" / "idioms.md").read_text(encoding="utf-8") == made

"""The report of a compiled function: what stands in it, and that it can be read in a browser by eye and by keyboard."""

from __future__ import annotations

import pathlib
import re

import browser
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.inspect.measured import measured
from tapegrad.inspect.programs import rows_of
from tapegrad.inspect.units import human_bytes, human_time
from tapegrad.inspect.work import operations

needs_browser = pytest.mark.skipif(
    browser.executable() is None, reason=f"no browser: none of {', '.join(browser.NAMES)} is installed"
)


def loss(w, x, y):
    hidden = np.tanh(x @ w)
    scores = np.sort(hidden) if np.max(w) > 0 else hidden
    return np.mean((scores - y) ** 2)


LINE = loss.__code__.co_firstlineno + 1
W, X, Y = np.linspace(0.1, 1.0, 30), np.random.default_rng(0).normal(size=(400, 30)), np.linspace(-1.0, 1.0, 400)


@pytest.fixture(scope="module")
def step():
    step = tg.compile(tg.value_and_grad(loss))
    step(W, X, Y)
    step(-W, X, Y)
    return step


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def path(step, tmp_path_factory):
    return step.report(tmp_path_factory.mktemp("report") / "out.html", W, X, Y, repeats=3)


def test_rows_are_forward_or_reverse(step):
    found = measured(step.profile(W, X, Y, repeats=1))
    phases = [span.phase for span in found.spans]
    assert set(phases) == {"forward", "reverse"}
    assert phases.index("reverse") > 3 and phases[-1] == "reverse"
    assert found.seconds_of("forward") + found.seconds_of("reverse") == pytest.approx(found.total)
    places = {row.place.rpartition(":")[2] for row in found.rows if row.phase == "reverse" and row.name == "matmul"}
    assert places == {str(LINE)}, "a pullback stands where its forward row does"


def test_memory_counts_what_is_still_to_be_read():
    def chain(x):
        y = np.exp(x)
        z = np.sin(y)
        return np.cos(z)

    found = measured(tg.compile(chain).profile(np.ones(1000), repeats=1))
    assert [count for _, count in found.live] == [0, 8000, 8000, 16000, 8000, 16000, 8000]
    assert found.inputs == 8000


def test_operations_of_a_product_and_of_elements():
    step = tg.compile(lambda a, b: np.exp(a @ b))
    step(np.ones((4, 5)), np.ones((5, 6)))
    counts = {row.name: row.operations for row in rows_of(step.paths()[0])}
    assert counts["matmul"] == pytest.approx(2 * 4 * 5 * 6) and counts["exp"] == 24
    assert operations("view", [], None) == 0


def test_the_page_is_one_file_with_all_sections(path):
    page = read(path)
    assert not re.search(r"<script|<link|<img|url\((?!#)|@import|src=", page)
    assert re.findall(r"https?://[^\"\s]+", page) == ["http://www.w3.org/2000/svg"]
    for key in ("timeline", "memory", "roofline", "lines", "graph", "listing", "guards"):
        assert page.count(f'<section id="{key}"') == 1
    assert "hidden = np.tanh(x @ w)" in page and f"test_report.py:{LINE}" in page
    assert "<code>True</code>" in page and "<code>False</code>" in page, "the answers to the guard"
    assert "the first call" in page


def test_each_link_within_the_page_leads_somewhere(path):
    page = read(path)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(" ".join(re.findall(r'aria-labelledby="([^"]+)"', page)).split()) <= set(ids)


def test_names_from_outside_are_text(tmp_path):
    def attack(x):
        return np.sum(x)

    attack.__name__ = "<script>alert(1)</script>"
    page = tg.compile(attack).report(tmp_path / "out.html", np.ones(3))
    text = read(page)
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_a_failure_leaves_the_file_as_it_was(tmp_path, step, monkeypatch):
    target = tmp_path / "out.html"
    target.write_text("before")
    monkeypatch.setattr("tapegrad.inspect.report.os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        step.report(target, W, X, Y, repeats=1)
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_a_function_without_reverse_guards_or_rows(tmp_path):
    for function in (lambda x: x, lambda x: np.sin(x), lambda x: 1.0):
        page = read(tg.compile(function).report(tmp_path / "out.html", np.ones(3)))
        assert "Nothing has been recorded by calls yet" in page


def test_a_long_program_is_cut(tmp_path):
    def chain(x):
        for _ in range(1100):
            x = x * 1.5 + 1.0
        return x

    page = read(tg.compile(chain).report(tmp_path / "out.html", 1.0, repeats=1))
    assert "rows ..." in page and len(page) < 3_000_000


def test_units():
    assert (human_time(0.9999), human_time(1e-6), human_time(0.0)) == ("1 s", "1 µs", "0 ns")
    assert (human_bytes(999), human_bytes(999_600), human_bytes(5e12)) == ("999 B", "1 MB", "5e+03 GB")


# --- in a browser ------------------------------------------------------------------------------------------------

CONTRASTS = """
(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || ['STYLE', 'TITLE', 'DESC'].includes(e.tagName.toUpperCase())) continue;
    const style = getComputedStyle(e), svg = e instanceof SVGElement;
    const back = svg && e.closest('.tg-graph') && e.previousElementSibling?.tagName === 'rect'
      ? parse(getComputedStyle(e.previousElementSibling).fill) : ground(svg ? e.closest('figure, section') : e);
    const a = light(parse(svg ? style.fill : style.color)), b = light(back);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)}: ${walk.currentNode.data.slice(0, 30)}`);
  }
  return poor;
})()
"""
FOCUSED = "(e => e.getAttribute('href') || e.getAttribute('aria-label') || e.tagName)(document.activeElement)"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    found = browser.Browser(str(tmp_path_factory.mktemp("browser")))
    yield found
    found.close()


@pytest.fixture
def page(path, chromium):
    chromium.resize(1100, 900)
    chromium.prefer("light")
    chromium.requests.clear()
    chromium.open(f"file://{path}")
    return chromium


@needs_browser
def test_it_loads_nothing_and_nothing_is_wrong_with_it(page, path):
    assert page.requests == [f"file://{path}"]
    assert page.complaints == []


@needs_browser
def test_it_is_read_by_keyboard(page):
    order = []
    for _ in range(60):
        page.press("Tab")
        order.append(page.ask(FOCUSED))
        if order.count("#main") == 2 or order[-1] == "BODY":
            break
    sections = ["#timeline", "#memory", "#roofline", "#lines", "#graph", "#listing", "#guards"]
    assert order[:8] == ["#main", *sections], "the way past the links comes first"
    regions = [
        *("Time: chart", "The slowest rows", "Memory: chart", "Roofline: chart", "Rows by kind"),
        "Rows in the order in which they run",
    ]
    assert [name for name in order if name in regions] == regions
    assert "SUMMARY" in order


@needs_browser
def test_the_link_past_the_navigation_is_seen_and_works(page):
    assert page.ask("document.querySelector('.skip').getBoundingClientRect().right") < 0
    page.press("Tab")
    assert page.ask("document.querySelector('.skip').getBoundingClientRect().left") > 0
    page.press("Enter")
    assert page.ask("document.activeElement.id") == "main"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(page, scheme):
    page.prefer(scheme)
    ground = page.ask("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.ask(CONTRASTS) == []


@needs_browser
@pytest.mark.parametrize("width", [400, 1100])
def test_nothing_sticks_out(page, width):
    page.resize(width, 800)
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("[...document.querySelectorAll('svg[role=img]')].every(s => s.getBoundingClientRect().height > 20)")
    smallest = page.ask(
        "Math.min(...[...document.querySelectorAll('.chart text')].map(t => t.getBoundingClientRect().height))"
    )
    assert smallest > 8.0, "text of the charts can be read"
    assert len(page.screenshot()) > 10_000

"""Check that every link of a built site, and of the repository's own Markdown, leads somewhere; nothing is fetched."""

from __future__ import annotations

import argparse
import pathlib
import re
import urllib.parse
from html.parser import HTMLParser

ROOT = pathlib.Path(__file__).parents[1]
OUTSIDE = ("http:", "https:", "mailto:", "data:", "javascript:")
MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def dead_links_of_site(folder: pathlib.Path) -> list[str]:
    """Lines that name a page and a link of it that leads nowhere."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    if not pages:
        raise SystemExit(f"check_links: there are no pages in {folder}: build the site first, with scripts/docs")
    dead = []
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(OUTSIDE):
                continue
            place, _, anchor = urllib.parse.unquote(link).partition("#")
            target = (path.parent / place.partition("?")[0]).resolve() if place else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead


def dead_links_of_markdown(paths: list[pathlib.Path]) -> list[str]:
    """The same for Markdown files, whose links are to files."""
    dead = []
    for path in paths:
        for link in MARKDOWN_LINK.findall(path.read_text(encoding="utf-8")):
            place = urllib.parse.unquote(link).partition("#")[0]
            if place and not link.startswith(OUTSIDE) and not (path.parent / place).exists():
                dead.append(f"{path.relative_to(ROOT)}: {link}")
    return dead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=pathlib.Path, help="folder of the built site")
    site = parser.parse_args().site
    own = [*ROOT.glob("*.md"), *(ROOT / "examples").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    dead = [*dead_links_of_site(site), *dead_links_of_markdown(own)]
    for line in dead:
        print(f"leads nowhere: {line}")
    if dead:
        raise SystemExit(f"check_links: {len(dead)} links lead nowhere")
    print("all links lead somewhere")


if __name__ == "__main__":
    main()

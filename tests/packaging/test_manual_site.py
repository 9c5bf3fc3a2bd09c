"""`make docs` itself: a site whose links and pictures are all there; a broken link ends it."""

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from places import ROOT

#: What the site is made of.
SOURCES = ("Makefile", "mkdocs.yml", "docs", "src", "examples", "packaging", "benchmarks")


class Page(HTMLParser):
    """Where a page leads, what it shows, and the names of its places."""

    def __init__(self, path: Path):
        super().__init__()
        self.targets: set[str] = set()
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets |= {v for k in ("href", "src") if (v := found.get(k))}
        self.ids |= {v for k in ("id", "name") if (v := found.get(k))}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of what the site is made of."""
    folder = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".installed").touch()
    return folder


def make_docs(tree: Path) -> subprocess.CompletedProcess[str]:
    """Call the target with this environment in place of `.venv`."""
    return subprocess.run(
        ["make", "docs", f"BIN={Path(sys.executable).parent}", "STAMP=.installed"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
    )


def missing(site: Path) -> list[str]:
    """Links and pictures of a site's pages that are not there, or not the place on a page."""
    pages = {path.resolve(): Page(path) for path in (site / "docs").rglob("*.html")}
    found = []
    for path, page in pages.items():
        for target in page.targets:
            if "://" in target or target.startswith(("mailto:", "data:")):
                continue
            name, _, place = unquote(target).partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.exists() or (place and there in pages and place not in pages[there].ids):
                found.append(f"{path.relative_to(site.resolve())}: {target}")
    return found


NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@NEEDS_MAKE
def test_the_site_is_built_and_all_its_links_lead_somewhere(tree: Path):
    made = make_docs(tree)
    assert made.returncode == 0, made.stdout + made.stderr
    site = tree / "build" / "site"
    pages = {x.with_suffix("").relative_to(site / "docs") for x in site.rglob("*.html")}
    sources = {x.with_suffix("").relative_to(ROOT / "docs") for x in ROOT.glob("docs/**/*.md")}
    assert sources <= pages
    # The page of a missing page is shown from anywhere.
    assert [x for x in missing(site) if not x.startswith("docs/404.html")] == []


@NEEDS_MAKE
def test_a_broken_link_is_an_error(tree: Path):
    (tree / "docs" / "index.md").write_text("[nowhere](absent.md)\n")
    made = make_docs(tree)
    assert made.returncode != 0
    assert "page does not exist" in made.stdout + made.stderr


def test_a_missing_link_or_picture_is_told(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.html").write_text('<h1 id="x"><a href="b.html#y"><img src="c.png">')
    (tmp_path / "docs" / "b.html").write_text('<a href="a.html#x"><a href="#z">')
    found = ["docs/a.html: b.html#y", "docs/a.html: c.png", "docs/b.html: #z"]
    assert sorted(missing(tmp_path)) == found

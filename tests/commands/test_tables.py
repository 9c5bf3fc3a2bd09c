"""Tables of README and docs say what the files of benchmarks/results say."""

import sys

import pytest

from places import BENCHMARKS, ROOT

sys.path.append(str(BENCHMARKS))
import tables


@pytest.mark.parametrize("page", tables.pages(ROOT), ids=lambda path: path.stem)
def test_tables_are_what_their_files_say(page):
    text = page.read_text(encoding="utf-8")
    assert tables.rewritten(text) == text, "run `python benchmarks/tables.py`"


def test_the_pages_have_tables():
    written = [p.name for p in tables.pages(ROOT) if tables.BLOCK.search(p.read_text("utf-8"))]
    assert {"README.md", "adaptation.md", "experts.md", "vision.md"} <= {*written}


def test_counts_of_steps_and_labels(monkeypatch):
    found = {"steps": {"meta": 1.6e6}, "expert_labels": 4000.0, "expert_queries": 420_000.0}
    older = {"steps": {"meta": 99_999.0}, "expert_queries": 0.0}
    content = {x: {"over_seeds": y} for x, y in (("new", found), ("old", older))}
    monkeypatch.setattr(tables, "read", content.get)
    counts = ("steps@meta", "labels", "queries")
    cells = [[tables.cell(x, "heldout", "stochastic", y) for y in counts] for x in content]
    assert cells == [["1.60 M", "4.0 k", "0.42 M"], ["100.0 k", "-", "0"]]


def test_another_figure_is_put_right(monkeypatch):
    level = {
        "conditions": {
            "before": {"final_error": {"mean": 0.08, "ci_low": 0.07, "ci_high": 0.1}},
            "expert": {"final_error": {"mean": 0.002, "ci_low": 0.0, "ci_high": 0.01}},
        },
        "differences": {
            "after_1": {"plain": {"final_error": {"mean": -0.02, "ci_low": -0.03, "ci_high": 0.0}}}
        },
    }
    content = {
        "seeds": ["0"],
        "per_seed": {"0": {"tasks": [{"split": "heldout"}] * 3}},
        "over_seeds": {"heldout": {"deterministic": level}},
    }
    monkeypatch.setattr(tables, "read", lambda name: {"x": content}[name])
    page = (
        "<!-- table x rows=*before,after_1-plain,expert columns=final_error:cm -->\nold\n"
        "<!-- /table --> and <!-- figure x final_error:mm@before ci -->3<!-- /figure -->."
    )
    new = tables.rewritten(page)
    assert new.splitlines()[2:] == [
        "|  | final error, cm |",
        "|---|---|",
        "| **before** | **8.0 [7.0, 10.0]** |",
        "| after 1 step − blind imitation + a plain step | -2.0 [-3.0, 0.0] |",
        "| expert | 0.2 |",
        "",
        "Means with 95 % intervals: `x.json` (one seed, 3 held-out tasks).",
        "<!-- /table --> and <!-- figure x final_error:mm@before ci -->80.0 [70.0, 100.0]"
        "<!-- /figure -->.",
    ]
    assert tables.rewritten(new) == new

"""Files of results."""

import json
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from gmps.errors import GmpsError
from gmps.plain_json import read_json
from gmps.runs.results import DIGEST, read_result, sealed, write_result


@dataclass(frozen=True)
class Row:
    name: str
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Found:
    format: Literal[3]
    rows: tuple[Row, ...]
    steps: dict[str, int | float]


FOUND = Found(3, (Row("a", {"x": 0.1, "y": None}), Row("b", {"x": 1e-30})), {"meta": 7, "own": 0.5})


def test_a_result_is_read_as_it_was_written(tmp_path):
    path = write_result(tmp_path / "found.json", FOUND)
    assert read_result(path, Found, "find") == FOUND
    assert read_result(tmp_path / "absent.json", Found, "find") is None


def test_figures_must_be_finite(tmp_path):
    with pytest.raises(GmpsError, match=r"steps\.meta = nan"):
        write_result(tmp_path / "found.json", replace(FOUND, steps={"meta": float("nan")}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"format": 2},
            r"found\.json has format 2, but this version of gmps reads format 3; write",
        ),
        ({"rows": 3}, r"rows = 3 is not of the type tuple; write it again with `find`\."),
        ({"rows": [{"name": "a"}]}, r"does not hold what it should: rows\.figures is missing; "),
        ({"steps": {"meta": "many"}}, r'steps\.meta = "many" is not of the type int; write it'),
        ({"more": 1}, r"more is not known; write it again"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, change, text):
    path = write_result(tmp_path / "found.json", FOUND)
    content = json.loads(path.read_text())
    del content[DIGEST]
    path.write_text(json.dumps(sealed(content | change)))
    with pytest.raises(GmpsError, match=text):
        read_result(path, Found, "find")


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"text"'])
def test_any_other_content_is_one_sentence(tmp_path, content):
    path = tmp_path / "found.json"
    path.write_text(content)
    with pytest.raises(GmpsError, match=r"found\.json (is damaged|has format null)"):
        read_result(path, Found, "find")


def test_a_changed_figure_is_noticed_and_a_changed_layout_is_none(tmp_path):
    path = write_result(tmp_path / "found.json", FOUND)
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_result(path, Found, "find") == FOUND
    path.write_text(path.read_text().replace("0.1", "0.7"))
    with pytest.raises(GmpsError, match=r"its content does not match its digest; write it again"):
        read_result(path, Found, "find")
    content = json.loads(path.read_text())
    del content[DIGEST]
    path.write_text(json.dumps(content))
    with pytest.raises(GmpsError, match=r"has no digest, as older versions of gmps wrote it; "):
        read_result(path, Found, "find")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"[" * 100_000, r"is damaged: it is nested too deeply\."),
        (b'{"a": NaN}', r"is damaged: NaN is no number of JSON\."),
        (b'{"a": 1e999}', r"is damaged: 1e999 is no number of JSON\."),
        (b"\xff\xfe", r"is damaged: "),
        (b"9" * 5000, r"is damaged: "),
    ],
)
def test_json_that_is_no_plain_text_of_numbers(tmp_path, content, text):
    path = tmp_path / "found.json"
    path.write_bytes(content)
    with pytest.raises(GmpsError, match=text):
        read_json(path)

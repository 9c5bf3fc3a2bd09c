"""The page without a server, and the film."""

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image

from gmps.commands import cli
from gmps.view.attempt import Attempt, Options
from gmps.view.export import export_page
from gmps.view.film import write_film


@pytest.fixture(scope="module")
def page(learner, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "page.html"
    assert export_page(learner, out, tasks=3) == out
    return out.read_text(encoding="utf-8")


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def test_the_page_holds_what_the_attempts_give(page, learner):
    data = data_of(page)
    assert [task["words"] for task in data["tasks"]] == ["0 deg", "102 deg", "180 deg"]
    task = data["tasks"][0]
    names = [episode["name"] for episode in task["played"]]
    assert names == ["before", "after_1", "after_2", "wrong_task", "random_update", "expert"]
    attempt = Attempt(learner, learner.goals.heldout[0], Options(20))
    attempt.advance()
    after = attempt.play("after")
    poses = np.frombuffer(base64.b64decode(task["played"][1]["poses"]), np.float32)
    assert np.array_equal(poses.reshape(after.poses.shape), after.poses)
    assert float(task["played"][1]["figures"]["Return"].replace("−", "-")) == pytest.approx(
        after.figures["return"], rel=5e-3
    )
    assert len(task["paths"]) == len(task["colours"]) == 20
    assert data["step"] == pytest.approx(0.1)


def test_the_page_loads_nothing(page):
    assert "default-src 'none'" in page
    outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r'id="data">.*?</script>', "", page))
    assert outside == []
    assert not re.search(r"<(?:link|iframe|object|embed)\b|\bsrc=|@import|fetch\(|import\(", page)


def test_names_from_files_are_text(learner, tmp_path, monkeypatch):
    evil = "</script><img src=x onerror=alert(1)>@@DATA@@"
    monkeypatch.setattr(learner, "name", evil)
    page = export_page(learner, tmp_path / "page.html", tasks=1).read_text(encoding="utf-8")
    assert "<img" not in page
    assert data_of(page)["title"] == evil
    assert "<title>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;@@DATA@@</title>" in page


def test_a_folder_gets_an_index(learner, tmp_path):
    assert export_page(learner, tmp_path / "site", tasks=1) == tmp_path / "site" / "index.html"
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]
    with pytest.raises(ValueError, match="site already exists"):
        export_page(learner, tmp_path / "site", tasks=1)


def test_a_film_shows_exploring_and_both_policies(learner, tmp_path):
    out = write_film(learner, tmp_path / "film.gif", tasks=1, width=120, height=90)
    with Image.open(out) as film:
        # 8 pictures of paths, 21 states in steps of 0.1 s, 8 of the end, merged where alike.
        assert 10 < film.n_frames <= 37
        assert film.size == (244, 112)
        film.seek(9)
        left = np.asarray(film.convert("RGB")).astype(int)[22:, :120]
    coloured = np.ptp(left, axis=-1) > 40
    assert coloured.sum() > 100  # exploring paths, the goal, the point
    with pytest.raises(ValueError, match=r"film\.gif already exists"):
        write_film(learner, out)


def test_the_command_writes_both(learner, tmp_path, capsys):
    page, film = tmp_path / "a.html", tmp_path / "a.png"
    words = ["view", str(learner.run.path), "--export", str(page), "--film", str(film)]
    assert cli.main([*words, "--tasks", "1"]) == 0
    assert page.is_file() and film.is_file()
    assert cli.main([*words, "--tasks", "1"]) == 2
    assert "a.html already exists; choose another name" in capsys.readouterr().err

"""The benchmark that chooses by kinds left out, and looks at the held-out ones once."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from places import BENCHMARKS

pytest.importorskip("metaworld.envs")


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import ml10_folds  # noqa: PLC0415 - lies beside the package

    yield ml10_folds
    for name in ("ml10_folds", "adaptation", "reports"):
        sys.modules.pop(name, None)


def test_the_best_on_kinds_left_out_is_looked_at_once(tool, tmp_path, monkeypatch):
    trained, folder = [], tmp_path / "results"
    success = {"flat": 0.25, "deep": 0.5}
    monkeypatch.setattr(tool, "finish", lambda run, family, words: trained.append((family, words)))

    def scores(run: Path):
        name, fold = run.name.split("-")[0], int(run.name.split("fold")[1][0])
        told = SimpleNamespace(mean=success[name] + 0.01 * fold)
        conditions = {"after_1": {"success": told}}
        return SimpleNamespace(
            heldout=SimpleNamespace(deterministic=SimpleNamespace(conditions=conditions))
        )

    monkeypatch.setattr(tool, "read_scores", scores)
    with pytest.raises(SystemExit, match="no candidate for ml10; choose first"):
        tool.look(tool.Look(folder=str(folder)))
    for name in success:
        options = f"--gmps-latent.latent {len(trained) + 2}"
        tool.choose(tool.Choose(name, options, folder=str(folder)))
    assert [family for family, _ in trained[:5]] == [f"ml10-fold{i}" for i in range(1, 6)]
    assert trained[5][1] == ["--seed", "0", "--gmps-latent.latent", "7"]
    flat = json.loads((folder / "flat.json").read_text())
    assert flat["mean"]["after_1"]["success"] == pytest.approx(0.28)
    assert flat["folds"]["ml10-fold1"]["left_out"] == ["reach-v3", "button-press-topdown-v3"]

    seen = []

    def study(settings):
        # What is about to be seen is on record already.
        looks = json.loads((folder / "looks.json").read_text())
        assert looks[-1]["candidate"] == "deep"
        seen.append(settings)

    monkeypatch.setattr(tool, "study", study)
    tool.look(tool.Look(seeds=(3,), folder=str(folder)))
    assert (seen[0].family, seen[0].seeds, seen[0].harness) == ("ml10", (3,), True)
    assert seen[0].options == "--gmps-latent.latent 7"
    with pytest.raises(SystemExit, match=r"were looked at on .* with deep; say why once more"):
        tool.look(tool.Look(folder=str(folder)))
    tool.look(tool.Look(folder=str(folder), again="other seeds"))
    looks = json.loads((folder / "looks.json").read_text())
    assert [x["why"] for x in looks] == ["first look", "other seeds"]

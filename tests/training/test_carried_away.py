"""A run that was moved, without the files that it was made with."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gmps.commands.cli import main
from gmps.errors import GmpsError
from gmps.evaluation.diagnose import DIAGNOSIS
from gmps.evaluation.scores import Scores, read_scores
from gmps.methods.gmps_settings import GmpsConfig
from gmps.presets import preset
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.training import train as training
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment, prepare
from gmps.training.expert_data import EXPERTS, load_expert_data, save_expert_data
from places import EXAMPLES

pytestmark = pytest.mark.usefixtures("frozen_commit")
BRIEF = [
    *("--method=gmps", "--rounds=2", "--train-tasks=4", "--expert-episodes=2"),
    *("--gmps.episodes=4", "--gmps.hidden", "8", "--gmps.outer-steps=2", "--gmps.labels=10"),
    *("--gmps.pretrain-steps=10", "--gmps.capacity=50"),
    *("--evaluation.episodes=4", "--evaluation.steps=1", "--evaluation.repeats=2"),
    *("--evaluation.tasks=3", "--evaluation.evaluation-episodes=1"),
    *("--plain.steps=10", "--plain.episodes=4", "--plain.stds", "0.3", "--plain.step-sizes", "0.1"),
]
FAMILY = """
from dataclasses import dataclass
from neighbour import NAME
from gmps.tasks.point_goal import PointGoal

@dataclass(frozen=True)
class Mine(PointGoal):
    name = NAME

    @property
    def expert(self):
        return None
"""
EXPERT = """
from pathlib import Path
import numpy as np

{weights}

def act(task, obs):
    return np.clip(GAIN * (task - obs), -1, 1)
"""
AWAY = 'GAIN = np.load(Path(__file__).with_name("weights" + ".npy"))'


def trained(folder: Path, *options: str) -> Path:
    run = folder / "run"
    assert main(["train", *options, *BRIEF, "--run", str(run)]) == 0
    return run


def moved(run: Path, to: Path) -> Path:
    to.mkdir(parents=True)
    return Path(shutil.move(run, to / "elsewhere"))


def rows(run: Path) -> set[str]:
    return set(scores_of(run).heldout.deterministic.conditions)


def scores_of(run: Path) -> Scores:
    scores = read_scores(run)
    assert scores is not None
    return scores


def use(run: Path) -> None:
    """All commands that need no expert."""
    assert main(["adapt", str(run), "--task", "0.5", "0.5", "--episodes=4"]) == 0
    assert main(["render", str(run), "--task", "0.5", "0.5", "--episodes=4", "--width=64"]) == 0
    assert main(["diagnose", str(run), "--episodes=4", "--repeats=4"]) == 0
    assert (run / DIAGNOSIS).is_file()
    assert main(["report", str(run)]) == 0


@pytest.fixture
def sources(tmp_path) -> Path:
    """A user's folder with a family, an expert and its weights, and demonstrations."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "neighbour.py").write_text('NAME = "mine"\n')
    (folder / "family.py").write_text(FAMILY)
    (folder / "whole.py").write_text(EXPERT.format(weights="GAIN = 1.0"))
    (folder / "reading.py").write_text(EXPERT.format(weights=AWAY))
    np.save(folder / "weights.npy", 1.0)
    return folder


def test_demonstrations_are_no_longer_needed(tmp_path):
    record = ["demos", "record", "point-goal", "--out", str(tmp_path / "demos"), "--episodes=2"]
    assert main(record) == 0
    run = moved(trained(tmp_path, "point-goal", "--demos", str(tmp_path / "demos")), tmp_path / "b")
    shutil.rmtree(tmp_path / "demos")
    use(run)
    before = rows(run)
    assert main(["eval", str(run)]) == 0
    assert rows(run) == before  # the scripted expert is the family's, and is still there
    metrics = (run / "metrics.jsonl").read_text()
    assert main(["resume", str(run), "--rounds=3"]) == 0
    assert (run / "metrics.jsonl").read_text().startswith(metrics)


@pytest.mark.filterwarnings("default:The expert of")
def test_without_its_expert_a_run_is_judged_by_the_stored_level(tmp_path, sources, capsys):
    spec = f"{sources / 'family.py'}:Mine"
    run = trained(tmp_path, spec, "--expert", f"{sources / 'reading.py'}:act")
    whole = rows(run)
    known = [row.levels.expert for row in scores_of(run).rows("train")]
    run = moved(run, tmp_path / "b")
    shutil.rmtree(sources)
    use(run)
    capsys.readouterr()
    assert main(["eval", str(run)]) == 0
    said = capsys.readouterr().err
    assert "is not here, so nothing is asked of it: the run's copy of its file does not" in said
    scores = scores_of(run)
    assert rows(run) == whole
    assert set(scores.heldout.deterministic.conditions["expert"]) == {
        "return",
        "normalised",
    }  # its level alone
    assert "interpolated" in scores.levels.expert
    told = [row.levels.expert for row in scores.rows("train")]
    np.testing.assert_allclose(told, known, atol=0.3)
    assert main(["resume", str(run), "--rounds=3"]) == 2
    assert "The method asks its expert, which is not here: the function" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["scripted", "demonstrations", "clone"])
def test_expert_data_are_read_as_they_were_written(tmp_path, source):
    config = replace(preset("point-goal"), train_tasks=3, expert_episodes=2)
    if source != "scripted":
        record = ["demos", "record", "point-goal", "--out", str(tmp_path / "d"), "--episodes=1"]
        assert main(record) == 0
        config = replace(config, demos=str(tmp_path / "d"), clone=source == "clone")
    data = prepare(config).data
    assert (data.clone is not None) == (source == "clone")
    judged = [note for note in data.notes if note.startswith("the clone, which guesses off")]
    assert len(judged) == (source == "clone")
    if judged:
        by_itself = float(judged[0].split("returns ")[1].split()[0])
        shown = float(judged[0].rsplit(" ", 1)[1])
        assert by_itself == pytest.approx(shown, abs=1.0)
        assert shown < 0
        assert data.steps["evaluation"] == 2 * 3 * 4 * 20
    assert (data.demos.spread is not None) == (source == "demonstrations")
    save_expert_data(tmp_path, data)
    family = make_family("point-goal")
    again = load_expert_data(tmp_path, family)
    assert again is not None
    assert jax.tree.structure(again) == jax.tree.structure(data)
    for a, b in zip(jax.tree.leaves(data), jax.tree.leaves(again), strict=True):
        assert type(a) is type(b)
        assert a == b if isinstance(a, str | int) else np.array_equal(a, b)
    with pytest.raises(GmpsError, match=r"have 2 numbers, but ant-goal takes|another family"):
        load_expert_data(tmp_path, make_family("ant-goal"))
    (tmp_path / EXPERTS).write_bytes((tmp_path / EXPERTS).read_bytes()[:-9])
    with pytest.raises(GmpsError, match="damaged or cut short"):
        load_expert_data(tmp_path, family)


def test_a_family_and_an_expert_of_the_users_go_with_the_run(tmp_path, sources):
    config = TrainConfig(
        f"{sources / 'family.py'}:Mine",
        "gmps",
        GmpsConfig(episodes=4, hidden=(8,), pretrain_steps=10, outer_steps=2),
        expert=(f"{sources / 'whole.py'}:act",),
        rounds=1,
        train_tasks=3,
    )
    with Run.create(tmp_path / "run", config) as run:
        training.train(run, config, prepare(config))
    folder = moved(run.path, tmp_path / "b")
    away = sources.rename(tmp_path / "away")
    with Run.open(folder) as run:
        assert load_experiment(run, config).expert is None  # not looked for
        found = load_experiment(run, config, ask=True)
        assert found.expert is not None
        assert found.controller is found.expert.controller
        training.train(run, replace(config, rounds=2), found)  # it answers
        spec = f"{away / 'family.py'}:Mine"
        other = load_experiment(run, config, family=spec).world.family
        assert type(other) is type(make_family(spec))
        assert type(other) is not type(found.world.family)


def test_a_method_of_the_users_goes_with_the_run(tmp_path):
    file = tmp_path / "mine" / "own_method.py"
    file.parent.mkdir()
    shutil.copyfile(EXAMPLES / "own_method.py", file)
    config = preset("point-goal", f"{file}:Reptile")
    settings = replace(config.settings, episodes=4, hidden=(8,))  # pyright: ignore
    config = replace(config, rounds=1, train_tasks=2, expert_episodes=1, settings=settings)
    with Run.create(tmp_path / "run", config) as run:
        training.train(run, config, prepare(config))
    folder = moved(run.path, tmp_path / "b")
    shutil.rmtree(file.parent)
    with Run.open(folder) as run:
        found = run.load_config(TrainConfig)
        assert found.method == f"{folder / 'code' / 'method' / 'own_method.py'}:Reptile"
        run.check_config(found)
        training.train(run, replace(found, rounds=2), load_experiment(run, found, ask=True))
        assert [row["round"] for row in run.metrics()] == [0, 1]
    assert main(["adapt", str(folder), "--task", "0.5", "0.5", "--episodes=4"]) == 0

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gmps.evaluation.scores import MODES, read_scores
from gmps.evaluation.settings import EvaluationConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.plain_settings import PlainConfig
from gmps.presets import preset
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.training.experiment import prepare
from gmps.training.judge import Stage, evaluate_run
from gmps.training.train import Round, _start, train
from places import DATA

pytestmark = pytest.mark.usefixtures("frozen_commit")
SMALL = replace(
    preset("point-goal", "gmps"),
    rounds=4,
    train_tasks=5,
    expert_episodes=2,
    settings=GmpsConfig(
        episodes=6, hidden=(16,), outer_steps=3, labels=20, pretrain_steps=50, capacity=100
    ),
    evaluation=EvaluationConfig(episodes=6, steps=2, repeats=2, evaluation_episodes=1, tasks=3),
    plain=PlainConfig(steps=50, episodes=6, stds=(0.3,), step_sizes=(0.05, 0.1)),
)


def best_round(run: Run) -> int:
    scores = read_scores(run.path)
    assert scores is not None and scores.checkpoint_round is not None
    return scores.checkpoint_round


def lines(run: Run) -> list[str]:
    return (run.path / "metrics.jsonl").read_text().splitlines()


class Stop:
    """Interrupts training after a round, as Ctrl-C does, or as code of a user's that fails."""

    def __init__(self, after: int, error: type[BaseException] = KeyboardInterrupt):
        self.after, self.error = after, error

    def __call__(self, progress) -> None:
        if progress.round == self.after:
            raise self.error


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[Run]:
    with Run.create(tmp_path_factory.mktemp("runs") / "whole", SMALL) as run:
        train(run, SMALL, prepare(SMALL))
        yield run


def test_a_run_logs_every_round_and_counts_steps(whole: Run):
    rows = whole.metrics()
    assert [r["round"] for r in rows] == [0, 1, 2, 3]
    per_round = 5 * (SMALL.settings.episodes + SMALL.settings.visit_episodes) * 20
    assert [r["steps/meta"] for r in rows] == [per_round * (i + 1) for i in range(4)]
    assert {r["steps/expert"] for r in rows} == {5 * 2 * 20}
    assert {r["steps/demonstration"] for r in rows} == {0}


@pytest.mark.parametrize(
    ("after", "error"),
    [(0, KeyboardInterrupt), (2, KeyboardInterrupt), (2, ZeroDivisionError), (2, OSError)],
)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, whole, after, error):
    # Nothing is saved in between: the interruption itself has to save.
    config = replace(SMALL, checkpoint_every=4)
    with Run.create(tmp_path / "run", config) as run, pytest.raises(error) as caught:
        train(run, config, prepare(config), [Stop(after, error)])
    notes = {
        KeyboardInterrupt: [],
        ZeroDivisionError: [
            f"The state after round 1 is saved; mend it, then go on with: gmps resume {run.path}"
        ],
        OSError: [f"No round is saved yet; mend it, then go on with: gmps resume {run.path}"],
    }
    assert getattr(caught.value, "__notes__", []) == notes[error]
    with Run.open(tmp_path / "run") as run:
        # Where the system failed, nothing more is written.
        saved = [after - 1] if after and error is not OSError else []
        assert run.checkpoints.steps() == saved
        train(run, config, prepare(config))
    assert lines(run) == lines(whole)
    last = [r.checkpoints.load(3, _like(r)) for r in (run, whole)]
    for a, b in zip(*(jax.tree.leaves(t) for t, _ in last), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def test_a_row_has_one_order_whether_experts_were_asked_or_read(whole: Run):
    # What a run keeps of its experts comes back sorted, so that a new run has to be sorted, too.
    steps = [name for name in whole.metrics()[-1] if name.startswith("steps/")]
    assert len(steps) == 4 and steps == sorted(steps)


def test_a_callback_may_stop_and_the_run_goes_on_bit_for_bit(tmp_path, whole):
    config, told = replace(SMALL, checkpoint_every=4), []

    def stop(done: Round) -> bool:
        assert done.metrics["return/after"] == run.metrics()[-1]["return/after"]
        assert int(done.state.round) == done.round + 1
        return done.round == 1

    with Run.create(tmp_path / "run", config) as run:
        train(run, config, prepare(config), [stop, lambda done: told.append(done.round)])
    assert told == [0, 1]  # also after a callback that stops
    with Run.open(tmp_path / "run") as run:
        assert run.checkpoints.steps() == [1]
        train(run, config, prepare(config))
    assert lines(run) == lines(whole)
    files = [r.checkpoints.path(3).read_bytes() for r in (run, whole)]
    assert files[0] == files[1]


def _like(run: Run):
    del run
    return _start(SMALL, prepare(SMALL))


def test_training_and_resuming_compile_one_update(tmp_path: Path):
    experiment, folder = prepare(SMALL), tmp_path / "run"
    for rounds in (2, 4):
        config = replace(SMALL, rounds=rounds)
        with Run.open(folder) if folder.exists() else Run.create(folder, config) as run:
            train(run, config, experiment)
        # A state that was read back is no other program's.
        assert experiment.method.compiled_learn._cache_size() == 1


def test_evaluation_writes_scores_and_paths(whole: Run):
    stages: dict[str, list[Stage]] = {}
    early = []
    scores = evaluate_run(
        whole,
        SMALL,
        prepare(SMALL),
        watch=lambda x: stages.setdefault(x.name, []).append(x),
        first=lambda rows: early.append((list(stages), rows)),
    )
    # The held-out tasks' figures are there before the training tasks are judged.
    assert early == [(["plain control", "held-out tasks"], list(scores.rows("heldout")))]
    assert [row.split for row in scores.tasks] == ["train"] * 3 + ["heldout"] * 3
    assert list(stages) == ["plain control", "held-out tasks", "training tasks"]
    for told in stages.values():
        assert [x.done for x in told] == list(range(told[-1].total + 1))
    assert read_scores(whole.path) == scores
    for mode in MODES:
        rows = scores.heldout[mode].conditions
        assert {"before", "after_1", "wrong_task", "random_update", "zero_step", "plain"} <= set(
            rows
        )
        assert rows["plain"]["return"].ci_low <= rows["plain"]["return"].ci_high
        # The control takes as many steps as the method, and imitates as long.
        assert {"plain", "plain_all"} <= set(scores.heldout[mode].differences["after_2"])
    assert scores.plain_control is not None
    assert scores.plain_control.settings["steps"] == max(50, 50 + 3 * (best_round(whole) + 1))
    assert scores.steps["meta"] == whole.metrics()[-1]["steps/meta"]
    assert scores.steps["evaluation"] > 0
    arrays = whole.read_paths()
    assert arrays is not None
    assert arrays["before/point"].shape[0] == len(arrays["task_names"]) == 3


def test_presets_name_their_family_and_refuse_nonsense():
    assert (preset("ant-goal").family, preset("ant-goal").method) == ("ant-goal", "gmps-latent")
    assert preset("ant-goal", name="paper").settings.weight_clip is None
    assert [preset("sawyer-push", m).rounds for m in (None, "gmps", "maml")] == [40, 80, 80]
    with pytest.raises(ValueError, match=r"rounds is 0; it must be at least 1\."):
        replace(SMALL, rounds=0)
    with pytest.raises(ValueError, match=r"^There is no preset 'papers'; there are default and p"):
        preset("ant-goal", name="papers")
    with pytest.raises(ValueError, match=r"^There is no method 'mamml'\. Did you mean 'maml'\? M"):
        preset("ant-goal", "mamml")
    with pytest.raises(ValueError, match="settings are a GmpsConfig, but the method is maml, wh"):
        replace(SMALL, method="maml")


def test_random_training_tasks_come_from_the_seed():
    config = replace(SMALL, random_tasks=6)
    drawn = [prepare(replace(config, seed=seed)).tasks for seed in (0, 0, 1)]
    first, again, other = (np.asarray(tasks["train"]) for tasks in drawn)
    assert first.shape == (6, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()
    np.testing.assert_array_equal(drawn[0]["heldout"], prepare(SMALL).tasks["heldout"])
    with pytest.raises(ValueError, match="leave out --demos, which choose them too"):
        replace(config, demos="mine.npz")
    with pytest.raises(
        ValueError,
        match="random_tasks is 1; meta-training compares tasks, so it must be at least 2",
    ):
        replace(config, random_tasks=1)


def test_demonstrations_are_moved_about_unless_somebody_labels_states(tmp_path):
    family = make_family("point-goal")
    tasks = np.asarray(family.tasks("train", 4))
    rng = np.random.default_rng(0)
    path = tmp_path / "point.npz"
    np.savez(
        path,
        observations=rng.normal(size=(4, 2, 20, 2)),
        actions=rng.uniform(-1, 1, size=(4, 2, 20, 2)),
        goals=tasks,
        rewards=rng.normal(size=(4, 2, 20)),
    )
    config = replace(preset("point-goal"), demos=str(path))
    spread = prepare(config).demos.spread
    assert spread is not None
    assert spread.axes.shape == (20, 2, 2)
    double = prepare(replace(config, spread=2.0)).demos.spread
    assert double is not None
    np.testing.assert_allclose(double.axes, 2 * spread.axes, rtol=1e-5)
    for asked in ({"expert": ("scripted",)}, {"clone": True}, {"spread": 0.0}):
        assert prepare(replace(config, **asked)).demos.spread is None


def test_demonstrations_train_without_the_held_out_tasks():
    path = DATA / "ant-goal-demos.npz"
    if not path.exists():
        pytest.skip("the authors' demonstrations are not here")
    config = replace(preset("ant-goal"), demos=str(path), clone=False)
    experiment = prepare(config)
    held = np.asarray(experiment.tasks["heldout"])
    train_tasks = np.asarray(experiment.tasks["train"])
    assert len(train_tasks) == 8
    assert np.linalg.norm(held[:, None] - train_tasks[None], axis=-1).min() > 0.01
    assert experiment.steps["demonstration"] == 8 * 20 * 200
    levels = experiment.levels(experiment.tasks["heldout"])
    assert levels is not None
    assert (levels.expert > 500).all()
    assert (levels.expert < 570).all()

"""Training SAC experts: kinds, resuming, files, and what learns from them."""

import json
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.commands.cli import main
from gmps.core.types import task_count
from gmps.data.demos import load_demos
from gmps.errors import GmpsError
from gmps.experts.sac_settings import SacConfig
from gmps.experts.score import score_expert
from gmps.presets import expert_preset, preset
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.tasks.point_goal import PointGoal
from gmps.training.expert_sources import find_expert
from gmps.training.gather_experts import gather_expert_data
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import ExpertTraining, open_training, train_expert
from gmps.training.shown import shown_episodes
from gmps.worlds.factory import make_world
from places import ROOT

pytestmark = pytest.mark.usefixtures("frozen_commit")
FAMILY = make_family("point-goal")
WORLD = make_world(FAMILY)
SMALL = ExpertConfig(
    "point-goal",
    rounds=5,
    tasks=4,
    gradient_steps=10,
    capacity=30,
    evaluate_every=2,
    checkpoint_every=2,
    sac=SacConfig(hidden=(16,), batch=32),
)
APART = replace(SMALL, kind="per-task", tasks=3)


def trained(folder, config=SMALL, watch=None):
    with Run.create(folder, config) as run:
        train_expert(run, ExpertTraining(config, WORLD), watch)
    return folder


def interrupt_after(round_):
    def watch(progress):
        if progress.round == round_:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("config", [SMALL, APART], ids=["contextual", "per-task"])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, config):
    whole = trained(tmp_path / "whole", config)
    for after in (0, 2):
        folder = tmp_path / f"stopped{after}"
        with pytest.raises(KeyboardInterrupt):
            trained(folder, config, interrupt_after(after))
        with Run.open(folder) as run:
            train_expert(run, ExpertTraining(config, WORLD))
        for name in ("metrics.jsonl", "expert.safetensors"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_steps_are_counted_in_columns_of_their_own(tmp_path):
    last = Run.open(trained(tmp_path / "run")).metrics()[-1]
    horizon, lists = FAMILY.spec.horizon, 16 + 12
    assert last["steps/expert"] == 5 * 4 * horizon
    assert last["steps/evaluation"] == 3 * lists * 2 * horizon
    expert = find_expert((str(tmp_path / "run"),), FAMILY)
    assert (expert.env_steps, expert.measured_steps) == (5 * 4 * horizon, 3 * lists * 2 * horizon)


def test_every_column_is_documented(tmp_path):
    page = (ROOT / "docs" / "experts.md").read_text(encoding="utf-8").splitlines()
    cells = (row.split("|")[1] for row in page if row.startswith("| `"))
    documented = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    figures = {f"evaluation/{name}" for name in ("success", "final_error")}
    names = {name for row in Run.open(trained(tmp_path / "run")).metrics() for name in row}
    assert figures < names
    plain = {re.sub(r"task_\d+$", "task_I", name) for name in names - figures - {"round"}}
    assert plain <= documented


def test_relabelled_episodes_carry_the_rewards_of_their_new_task():
    training = ExpertTraining(replace(SMALL, relabel=2), WORLD)
    state, _, _ = training.round(training.init())
    replay = jax.tree.map(lambda x: x[0], state.replay)
    assert int(replay.added) == 3 * 4
    for i in range(3 * 4):
        # point-goal pays minus the distance of the state that a step leads to.
        goal = FAMILY.goal_point(replay.context[i])
        expected = -np.linalg.norm(np.asarray(replay.obs[i, 1:]) - np.asarray(goal), axis=-1)
        np.testing.assert_allclose(replay.reward[i], expected, atol=1e-5)
    contexts = np.asarray(replay.context[:12])
    assert len(np.unique(contexts, axis=0)) == 12


def shown_file(path, rewards=True):
    """Two episodes of three steps in two tasks of point-goal, the second of them held out."""
    rng = np.random.default_rng(0)
    goals = np.stack([np.array([0.3, 0.4]), np.asarray(FAMILY.tasks("heldout"))[0]])
    given = {"rewards": rng.normal(size=(2, 2, 3))} if rewards else {}
    np.savez(
        path,
        observations=rng.uniform(0, 1, (2, 2, 3, 2)),
        actions=rng.uniform(-1, 1, (2, 2, 3, 2)),
        goals=goals,
        **given,
    )
    return path


def test_demonstrations_are_shown_without_held_out_tasks_and_last_steps(tmp_path):
    path = shown_file(tmp_path / "a.npz")
    replay = shown_episodes(str(path), FAMILY)
    with np.load(path) as file:
        assert replay.length.tolist() == [2, 2]
        np.testing.assert_allclose(replay.obs[:, :3], file["observations"][0], rtol=1e-6)
        np.testing.assert_allclose(replay.act, file["actions"][0], rtol=1e-6)
        np.testing.assert_allclose(replay.reward[:, :2], file["rewards"][0, :, :2], rtol=1e-6)
    assert replay.reward[:, 2].tolist() == [0, 0]
    np.testing.assert_allclose(replay.context, [[0.3, 0.4]] * 2, rtol=1e-6)
    with pytest.raises(GmpsError, match=r"^SAC needs rewards, and .*b.npz has none and its obser"):
        shown_episodes(str(shown_file(tmp_path / "b.npz", rewards=False)), FAMILY)


def test_an_expert_learns_from_demonstrations_too_and_goes_on(tmp_path):
    config = replace(SMALL, rounds=2, demos=str(shown_file(tmp_path / "a.npz")))
    whole = trained(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", config, interrupt_after(0))
    with Run.open(tmp_path / "stopped") as run:
        train_expert(run, ExpertTraining(config, WORLD))
    for name in ("metrics.jsonl", "expert.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (whole / name).read_bytes(), name
    with pytest.raises(GmpsError, match=r"^One expert of all tasks learns from --demos; leave"):
        replace(config, kind="per-task")


def test_what_was_demonstrated_teaches_an_expert_who_then_shows_the_familys_tasks(tmp_path):
    data = str(shown_file(tmp_path / "a.npz"))
    expert = find_expert([str(trained(tmp_path / "e", replace(SMALL, demos=data)))], FAMILY)
    config = replace(preset("point-goal", "gmps"), demos=data, expert=("sac",), train_tasks=5)
    found = gather_expert_data(config, WORLD, expert)
    np.testing.assert_array_equal(found.tasks, FAMILY.tasks("train", 5))
    assert found.demos.obs.shape == (5, config.expert_episodes * 20, 2)
    assert found.known_levels is not None and found.known_levels.of_demonstrators
    assert "the demonstrations taught the expert, who shows 5 training tasks" in found.notes
    drawn = gather_expert_data(replace(config, random_tasks=4), WORLD, expert)
    assert task_count(drawn.tasks) == 4
    with pytest.raises(GmpsError, match=r"^--random-tasks draws the training tasks; leave out "):
        replace(config, expert=(), random_tasks=4)


def test_a_kill_between_the_last_metrics_and_their_checkpoint_is_made_up_for(tmp_path):
    whole, cut = trained(tmp_path / "whole"), trained(tmp_path / "cut")
    lost = Run.open(cut).checkpoints.steps()[-1]
    (cut / "checkpoints" / f"step_{lost:010d}.safetensors").unlink()
    assert open_training(whole, SMALL) is None
    opened = open_training(cut, SMALL)
    assert opened is not None
    opened.close()
    with Run.open(cut) as run:
        train_expert(run, ExpertTraining(SMALL, WORLD))
    names = {str(f.relative_to(whole)) for f in whole.rglob("*.safetensors")}
    assert names == {str(f.relative_to(cut)) for f in cut.rglob("*.safetensors")}
    for name in (*names, "metrics.jsonl"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


def test_per_task_learners_do_not_depend_on_each_other_at_the_start():
    together = ExpertTraining(APART, WORLD).init()
    alone = ExpertTraining(replace(APART, only=(1,)), WORLD).init()
    same = jax.tree.map(
        lambda a, b: bool((a[1] == b[0]).all()), together.learners.actor, alone.learners.actor
    )
    assert all(jax.tree.leaves(same))


def test_experts_trained_apart_are_joined(tmp_path):
    folders = [
        str(trained(tmp_path / f"part{i}", replace(APART, only=(i,), rounds=2))) for i in (0, 2)
    ]
    expert = find_expert(folders, FAMILY)
    tasks = FAMILY.tasks("train", 3)
    assert expert.knows(FAMILY, tasks).tolist() == [True, False, True]
    obs = jnp.ones(FAMILY.spec.obs_size)
    for i, folder in ((0, folders[0]), (2, folders[1])):
        alone = find_expert((folder,), FAMILY).controller(tasks[i], obs)
        np.testing.assert_allclose(expert.controller(tasks[i], obs), alone, atol=1e-6)


def test_experts_of_different_kinds_are_refused(tmp_path):
    both = (str(trained(tmp_path / "one")), str(trained(tmp_path / "apart", APART)))
    with pytest.raises(ValueError, match=r"2 experts of the kinds \['contextual', 'per-task'\]"):
        find_expert(both, FAMILY)


def test_an_expert_of_another_family_is_refused(tmp_path):
    folder = trained(tmp_path / "run", replace(SMALL, rounds=1))
    with pytest.raises(ValueError, match="is for point-goal, not for ant-goal"):
        find_expert((str(folder),), make_family("ant-goal"))
    # The variant that is paid otherwise takes it.
    variant = type("Variant", (PointGoal,), {"name": "variant", "expert_families": ("point-goal",)})
    assert find_expert((str(folder),), variant()).source.endswith(str(folder))
    assert make_family("ant-goal-sparse").expert_families == ("ant-goal-sparse", "ant-goal")
    assert "sawyer-push" in make_family("sawyer-push-vision").expert_families


def test_contextual_sac_solves_the_point_goal(tmp_path):
    """An untrained actor loses 15 to 20 against the scripted controller."""
    config = replace(
        expert_preset("point-goal"), rounds=90, evaluate_every=90, evaluation_episodes=1
    )
    expert = find_expert((str(trained(tmp_path / "run", config)),), FAMILY)
    score = score_expert(WORLD, expert, FAMILY.tasks("train"), 4, jax.random.key(0))
    scripted = score_expert(
        WORLD, find_expert(("scripted",), FAMILY), FAMILY.tasks("train"), 4, jax.random.key(0)
    )
    assert score.outcome["success"].mean() > 0.9
    assert (score.returns > scripted.returns - 2.0).all()


def test_commands_train_measure_record_and_imitate(tmp_path, capsys):
    """From nothing to an adapted policy, by commands, with experts of a few rounds."""
    few = [
        f"--{k}={v}"
        for k, v in {
            "rounds": 2,
            "tasks": 3,
            "gradient-steps": 5,
            "evaluate-every": 1,
            "sac.batch": 16,
            "sac.hidden": 8,
            "capacity": 20,
        }.items()
    ]
    expert = str(tmp_path / "expert")
    train = ["expert", "train", "point-goal", "--run", expert, *few]
    assert main(train) == 0
    curve = tmp_path / "expert" / "curve.png"
    drawn = curve.read_bytes()
    curve.unlink()  # as a kill after the last round leaves it
    assert main(train) == 0
    assert "trained already" in capsys.readouterr().out
    assert curve.read_bytes() == drawn and len(drawn) > 1000
    assert main([*train, "--seed", "3"]) == 2
    assert "was started with seed = 0, not 3" in capsys.readouterr().err

    assert main(["expert", "eval", "point-goal", "--expert", expert, "--episodes", "1"]) == 0
    assert "heldout tasks" in capsys.readouterr().out
    data = str(tmp_path / "shown")
    assert main(["demos", "record", "point-goal", "--expert", expert, "--out", data]) == 0
    assert "16 tasks, 320 episodes" in capsys.readouterr().out
    drawn = ["--random-tasks", "3", "--episodes", "2", "--out", str(tmp_path / "drawn")]
    assert main(["demos", "record", "point-goal", "--expert", expert, *drawn]) == 0
    assert "3 tasks, 6 episodes" in capsys.readouterr().out
    tasks = load_demos(tmp_path / "drawn", FAMILY).tasks
    assert len(np.unique(tasks, axis=0)) == 3
    listed = np.asarray(FAMILY.tasks("train"))
    assert np.linalg.norm(tasks[:, None] - listed[None], axis=-1).min() > 1e-3

    small = [
        f"--{k}={v}"
        for k, v in {
            "rounds": 1,
            "train-tasks": 3,
            "gmps.episodes": 3,
            "gmps.hidden": 8,
            "gmps.pretrain-steps": 5,
            "gmps.outer-steps": 1,
            "evaluation.tasks": 2,
            "evaluation.repeats": 2,
            "evaluation.steps": 1,
            "evaluation.episodes": 2,
            "plain.steps": 5,
            "plain.episodes": 2,
        }.items()
    ]
    run = tmp_path / "run"
    own = [f"--sac.{option.removeprefix('--')}" for option in few]
    method = ("--method", "gmps")
    assert (
        main(["train", "point-goal", *method, "--expert", "sac", "--run", str(run), *small, *own])
        == 0
    )
    said = capsys.readouterr().out
    assert "Phase 1 of 2" in said
    assert "Phase 2 of 2" in said
    assert "WARNING: The expert's success is below 0.5" in said.replace("\n", " ")
    scores = json.loads((run / "scores.json").read_text())
    assert scores["steps"]["expert"] == 2 * 3 * 20 + 3 * 4 * 20
    assert scores["expert_queries"] == 3 * (4 + 4 + 3) * 20
    assert len(scores["expert"]["tasks"]) == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["expert", "drive"], "no command 'expert drive'; use `expert train` or `expert eval`"),
        (["expert", "train", "point-gaol"], "Did you mean 'point-goal'?"),
        (["expert", "train", "point-goal", "--only", "1"], "add --kind per-task"),
        (
            ["expert", "train", "point-goal", "--kind", "per-task", "--only", "40"],
            "--only names task 40; point-goal has the tasks 0 to 15",
        ),
        (["train", "point-goal", "--clone"], "--clone makes an expert of --demos"),
    ],
)
def test_bad_options_are_one_sentence(options, text, capsys):
    assert main(options) == 2
    assert text in capsys.readouterr().err

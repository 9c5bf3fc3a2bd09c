from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gmps.commands.cli import main
from gmps.data.demos import load_demos
from gmps.data.importing import import_demos
from gmps.data.info import info
from gmps.tasks import make_family
from gmps.tasks.base import Spec
from places import DATA

FAMILY: Any = SimpleNamespace(
    name="toy",
    spec=Spec(obs_size=3, act_size=2, context_size=1, horizon=5, control_dt=0.1),
    tasks=lambda split: np.array([[-1.0], [1.0]], np.float32),
    parts=(),
)


def arrays(tasks=2, episodes=3, steps=4, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "observations": rng.normal(size=(tasks, episodes, steps, 3)).astype(np.float32),
        "actions": rng.uniform(-0.9, 0.9, size=(tasks, episodes, steps, 2)).astype(np.float32),
        "rewards": rng.normal(size=(tasks, episodes, steps)).astype(np.float32),
        "goals": rng.normal(size=(tasks, 1)).astype(np.float32),
    }


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, **arrays())


def save(folder, **content):
    path = folder / "demos.npz"
    np.savez(path, allow_pickle=True, **content)
    return path


def refused(path, family=FAMILY):
    """The one sentence with which a file is refused, without the folder's name."""
    with pytest.raises(ValueError) as caught:
        load_demos(path, family)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message.replace(str(path), "FILE")


# -- Files that are fine ----------------------------------------------------------------------


def test_episodes_that_repeat_others_of_their_task_are_told(tmp_path):
    content = arrays()
    for name in ("observations", "actions"):
        content[name][1, 2] = content[name][1, 0]  # the same task: a repeat
        content[name][0, 1] = content[name][1, 1]  # another task: none
    (note,) = load_demos(save(tmp_path, **content), FAMILY).report.notes
    assert note.startswith("1 of 6 episodes repeat another of their task number by number, and ")
    assert info(tmp_path / "demos.npz")["notes"] == [note]
    content["actions"][1, 2, -1] += 0.01
    assert load_demos(save(tmp_path, **content), FAMILY).report.notes == ()


@pytest.mark.parametrize(("std", "repeats"), [("0", True), ("0.1", False)])
def test_a_recording_without_noise_says_that_it_repeats_itself(std, repeats, tmp_path, capsys):
    # All episodes of the door start in the same state.
    words = ["demos", "record", "sawyer-door", "--random-tasks", "2", "--episodes", "3"]
    assert main([*words, "--std", std, "--out", str(tmp_path / "shown")]) == 0
    note = "note: 4 of 6 episodes repeat another of their task"
    text = " ".join(capsys.readouterr().out.split())
    assert (note in text, "note:" in text) == (repeats, repeats)


def test_reads_a_file(path):
    demos, content = load_demos(path, FAMILY), arrays()
    np.testing.assert_array_equal(demos.obs, content["observations"])
    np.testing.assert_array_equal(demos.act, content["actions"])
    np.testing.assert_array_equal(demos.reward, content["rewards"])
    np.testing.assert_array_equal(demos.tasks, content["goals"])
    assert demos.alive.shape == (2, 3, 4)
    assert demos.alive.all()


def test_rewards_are_optional_and_other_arrays_are_named(tmp_path):
    content = arrays()
    del content["rewards"]
    demos = load_demos(save(tmp_path, **content, note=np.array("hello"), x=np.ones(3)), FAMILY)
    assert demos.reward is None
    assert demos.report.ignored == ("note", "x")
    assert "  rewards: none (not needed to imitate)\n  not read: note, x" in str(demos.report)


def test_actions_out_of_range_are_clipped_and_counted(tmp_path):
    content = arrays()
    content["actions"][0, 0, 0] = [-1.5, 3.0]
    content["actions"][1, 2, 3, 1] = 1.0
    demos = load_demos(save(tmp_path, **content), FAMILY)
    assert demos.act[0, 0, 0].tolist() == [-1, 1]
    assert (demos.report.clipped, demos.report.act_numbers) == (2, 48)
    assert "2 of 48 (4.2%) were outside [-1, 1] and clipped, the largest 3" in str(demos.report)


def test_the_report_in_full(path):
    assert str(load_demos(path, FAMILY).report) == (
        f"{path} (npz file) for toy\n"
        "  2 tasks, 6 episodes, 24 steps, the longest episode 4\n"
        "  observations: 3 numbers\n"
        "  actions: 2 numbers; 0 of 48 (0.0%) were outside [-1, 1]\n"
        "  rewards: yes"
    )


def test_float64_and_integers_become_float32(tmp_path):
    content = arrays() | {"actions": np.ones((2, 3, 4, 2), int)}
    content["observations"] = content["observations"].astype(np.float64, order="F")
    demos = load_demos(save(tmp_path, **content), FAMILY)
    assert {demos.obs.dtype, demos.act.dtype, demos.tasks.dtype} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(demos.obs, arrays()["observations"])


def test_select_and_flatten(path):
    demos = load_demos(path, FAMILY)
    one = demos.select([1]).demonstrations()
    assert one.obs.shape == (1, 12, 3)
    np.testing.assert_array_equal(one.obs[0], demos.obs[1].reshape(12, 3))
    np.testing.assert_array_equal(one.act[0], demos.act[1].reshape(12, 2))
    assert one.valid.all()
    with pytest.raises(ValueError, match=r"There is no task 2 in .*; it has the tasks 0 to 1\."):
        demos.select([0, 2])


def test_observations_are_converted_by_the_family(tmp_path):
    wide = arrays() | {"observations": np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)}
    path = save(tmp_path, **wide)

    def convert(obs):
        return obs[..., :3] if obs.shape[-1] == 5 else None

    family: Any = SimpleNamespace(**vars(FAMILY), convert_observations=convert)
    demos = load_demos(path, family)
    np.testing.assert_array_equal(demos.obs, wide["observations"][..., :3])
    assert "observations: 3 numbers, taken from the file's 5" in str(demos.report)
    wrong: Any = SimpleNamespace(**vars(FAMILY), convert_observations=lambda obs: obs[0])
    assert refused(path, wrong) == (
        "toy.convert_observations gave shape (3, 4, 5) for (2, 3, 4, 5); it must keep all axes "
        "but the last, which must be 3."
    )


def test_info(path):
    facts = info(path)
    assert (facts["tasks"], facts["episodes"], facts["steps"]) == (2, 6, 24)
    assert (facts["observation_size"], facts["action_size"]) == (3, 2)
    assert facts["clipped_fraction"] == 0
    assert facts["action_high"] == arrays()["actions"].max()
    returns = arrays()["rewards"].sum(-1)
    row = facts["per_task"][1]
    assert row["return_mean"] == pytest.approx(returns[1].mean())
    assert row["return_low"] == pytest.approx(returns[1].min())
    assert (row["episodes"], row["shortest"], row["longest"]) == (3, 4, 4)
    assert row["goal"] == arrays()["goals"][1].tolist()


# -- The authors' files -----------------------------------------------------------------------

needs_data = pytest.mark.skipif(
    not (DATA / "ant-goal-demos.npz").exists(), reason="the authors' files are not here (GMPS_DATA)"
)


@needs_data
def test_the_authors_push_demonstrations():
    demos = load_demos(DATA / "sawyer-push-sac-demos.npz", make_family("sawyer-push"))
    assert demos.obs.shape == (10, 1, 50, 6)
    assert demos.act.shape == (10, 1, 50, 3)
    assert demos.report.clipped == 0
    assert demos.reward is not None
    assert demos.reward.sum(-1).mean() == pytest.approx(670, abs=1)


@needs_data
def test_the_authors_ant_demonstrations():
    facts = info(DATA / "ant-goal-demos.npz")
    assert (facts["tasks"], facts["episodes"], facts["steps"]) == (10, 200, 40_000)
    assert (facts["observation_size"], facts["action_size"]) == (122, 8)
    means = [row["return_mean"] for row in facts["per_task"]]
    assert np.mean(means) == pytest.approx(539, abs=1)
    assert (round(min(means)), round(max(means))) == (519, 556)


@needs_data
def test_the_authors_ant_observations_are_mapped_to_ours(tmp_path):
    family = make_family("ant-goal")
    if not hasattr(family, "convert_observations"):
        pytest.skip("ant-goal does not convert observations yet")
    path = DATA / "ant-goal-demos.npz"
    report = import_demos(path, family, tmp_path / "ant-goal-v0")
    assert (report.obs_size_in, report.obs_size, report.clipped) == (122, 38, 0)
    demos = load_demos(tmp_path / "ant-goal-v0", family)
    with np.load(path) as file:
        theirs = file["observations"]
    np.testing.assert_array_equal(demos.obs[..., :29], theirs[..., :29])
    np.testing.assert_array_equal(demos.obs[..., 29:], theirs[..., 113:])

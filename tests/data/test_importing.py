"""Recordings of other formats become a family's demonstrations, number by number."""

import h5py
import minari
import numpy as np
import published
import pytest
from gymnasium.spaces import Box, Dict
from minari.data_collector import EpisodeBuffer
from PIL import Image

from gmps.data import bounded, importing
from gmps.data.checks import Ranges
from gmps.data.demos import load_demos
from gmps.data.importing import import_demos
from gmps.data.info import info
from gmps.data.mapping import Mapping, load_mapping
from gmps.data.readers import child
from gmps.deploy.episodes import RecordedEpisode, write_episode
from gmps.errors import GmpsError
from gmps.tasks import make_family

PUSH = make_family("sawyer-push")
PANDA = Mapping(
    map=(
        "obs/robot0_eef_pos=hand",
        "obs/object[0:3]=block",
        "actions[0:3]=act",
        "obs/object[0:2]@last=goal",
    ),
    hz=20,  # the family's
)

#: Of the family's own episodes, m.
OWN = Ranges(
    np.array([-0.5, 0.4, 0.05, -0.3, 0.4, 0.02]),
    np.array([0.5, 1.0, 0.5, 0.3, 1.0, 0.02]),
    np.array([0.0, 0.5, 0.07, -0.1, 0.55, 0.02]),
    np.array([0.0, 0.5, 0.07, 0.1, 0.75, 0.02]),
    -1.0,
    4.0,
)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Read within this process, and know the family's ranges: `test_bounded` and `test_checks`
    test the process and the ranges."""

    def read(kind, source, place, wanted, *_):
        try:
            child.read(kind, source, place, wanted)
        except Exception as error:
            raise GmpsError(child.sentence(kind, str(source), error)) from error

    monkeypatch.setattr(bounded, "_read", read)
    monkeypatch.setattr(
        importing, "own_ranges", lambda family: OWN if family.name[0] == "s" else None
    )


def refused(tmp_path, source, mapping=None, family=PUSH):
    with pytest.raises(ValueError) as caught:
        import_demos(source, family, tmp_path / "out", mapping)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".writing*"))
    return message.replace(str(source), "SOURCE")


# -- robomimic --------------------------------------------------------------------------------


def test_robomimic(tmp_path):
    episodes = published.robomimic(tmp_path / "lift.hdf5")
    report = import_demos(tmp_path / "lift.hdf5", PUSH, tmp_path / "out", PANDA)
    demos = load_demos(tmp_path / "out", PUSH)
    assert demos.alive.sum(-1).ravel().tolist() == list(published.LENGTHS)  # demo_2 before demo_10
    for i, episode in enumerate(episodes):
        n = published.LENGTHS[i]
        hand, block = episode["robot0_eef_pos"], episode["object"][:, :3]
        np.testing.assert_allclose(demos.obs[i, 0, :n], np.hstack([hand, block]), rtol=1e-6)
        np.testing.assert_allclose(demos.act[i, 0, :n], episode["actions"][:, :3], rtol=1e-6)
        np.testing.assert_allclose(demos.reward[i, 0, :n], episode["rewards"])
        np.testing.assert_allclose(demos.tasks[i], block[-1, :2], rtol=1e-6)
    assert report.kind == "robomimic file"
    assert "filters (--filter): train, valid" in str(report)
    # The mapping is kept and gives the same again.
    kept = load_mapping(tmp_path / "out" / "mapping.json")
    assert kept == PANDA
    import_demos(tmp_path / "lift.hdf5", PUSH, tmp_path / "again", kept)
    np.testing.assert_array_equal(load_demos(tmp_path / "again", PUSH).obs, demos.obs)


def test_the_kind_is_told_by_contents(tmp_path):
    published.robomimic(tmp_path / "demos.npz")
    assert info(tmp_path / "demos.npz")["kind"] == "robomimic file"


def test_robomimic_filter(tmp_path):
    path = tmp_path / "lift.hdf5"
    published.robomimic(path)
    mapping = Mapping(**vars(PANDA) | {"filter": "train"})
    assert import_demos(path, PUSH, tmp_path / "out", mapping).episodes == 2
    mapping = Mapping(**vars(PANDA) | {"filter": "test"})
    assert refused(tmp_path / "x", path, mapping) == (
        "SOURCE has no filter 'test'; it has train, valid."
    )


def test_info_of_robomimic(tmp_path):
    published.robomimic(tmp_path / "lift.hdf5", images=True)
    facts = info(tmp_path / "lift.hdf5")
    assert (facts["episodes"], facts["steps"]) == (3, 15)
    assert (facts["shortest"], facts["longest"], facts["hz"]) == (4, 6, 10)
    columns = {row["name"]: row["shape"] for row in facts["columns"]}
    assert columns["obs/robot0_eef_pos"] == "3"
    assert columns["obs/agentview_image"] == "12 x 16 x 3"
    assert columns["rewards"] == "1"


def test_pictures_of_robomimic(tmp_path):
    episodes = published.robomimic(tmp_path / "lift.hdf5", images=True)
    family = make_family("sawyer-push-vision")
    import_demos(tmp_path / "lift.hdf5", family, tmp_path / "out", PANDA)
    demos = load_demos(tmp_path / "out", family)
    assert demos.frames.shape == (3, 1, 6, 48, 64, 3)
    first = Image.fromarray(episodes[1]["agentview_image"][2]).resize(
        (64, 48), Image.Resampling.BOX
    )
    np.testing.assert_array_equal(demos.frames[1, 0, 2], np.asarray(first))


def test_other_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["episodes/a"] = np.ones(3)
    assert refused(tmp_path, tmp_path / "x.hdf5").startswith(
        "SOURCE is an HDF5 file of no known kind: it holds episodes. robomimic's has"
    )
    with pytest.raises(ValueError, match="an HDF5 file, which is imported before it is learned"):
        load_demos(tmp_path / "x.hdf5", PUSH)


# -- LeRobot ----------------------------------------------------------------------------------

GOALS = "task,x,y\n" + "".join(
    f"{words},{0.1 * i},0.7\n" for i, words in enumerate(published.WORDS)
)


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_lerobot(tmp_path, version):
    episodes = published.lerobot(tmp_path / "set", version)
    (tmp_path / "tasks.csv").write_text(GOALS)
    mapping = Mapping(hz=20, tasks=str(tmp_path / "tasks.csv"), failures="keep")
    report = import_demos(tmp_path / "set", PUSH, tmp_path / "out", mapping)
    demos = load_demos(tmp_path / "out", PUSH)
    # Task 0 was shown by the episodes 0 and 2, task 1 by episode 1.
    assert demos.alive.sum(-1).tolist() == [[6, 5], [4, 0]]
    np.testing.assert_allclose(demos.tasks, [[0, 0.7], [0.1, 0.7]], rtol=1e-6)
    for i, (task, episode) in enumerate([(0, 0), (1, 0), (0, 1)]):
        n = published.LENGTHS[i]
        np.testing.assert_array_equal(demos.obs[task, episode, :n], episodes[i]["state"])
        np.testing.assert_array_equal(demos.act[task, episode, :n], episodes[i]["action"])
        np.testing.assert_array_equal(demos.reward[task, episode, :n], episodes[i]["reward"])
    assert report.kind == f"LeRobot dataset {version}"
    assert demos.success.tolist() == [[1, 1], [0, -1]]


def test_failures_are_named_and_left_out(tmp_path):
    published.lerobot(tmp_path / "set", "v3.0")
    (tmp_path / "tasks.csv").write_text(GOALS)
    mapping = Mapping(hz=20, tasks=str(tmp_path / "tasks.csv"))
    report = import_demos(tmp_path / "set", PUSH, tmp_path / "out", mapping)
    assert (report.tasks, report.episodes) == (1, 2)
    assert (
        "1 of 3 episodes failed by the recording's own word and are left out (Episode 1)"
        in report.notes[0]
    )


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("camera", ["image", "video"])
def test_pictures_of_lerobot(tmp_path, version, camera):
    episodes = published.lerobot(tmp_path / "set", version, camera)
    family = make_family("sawyer-push-vision")
    (tmp_path / "tasks.csv").write_text(GOALS)
    mapping = Mapping(hz=20, tasks=str(tmp_path / "tasks.csv"), failures="keep")
    import_demos(tmp_path / "set", family, tmp_path / "out", mapping)
    demos = load_demos(tmp_path / "out", family)
    for i, (task, episode) in enumerate([(0, 0), (1, 0), (0, 1)]):
        n = published.LENGTHS[i]
        difference = demos.frames[task, episode, :n].astype(int) - episodes[i]["frames"]
        assert np.abs(difference).max() <= (0 if camera == "image" else 6)


def test_lerobot_without_goals_says_what_to_give(tmp_path):
    published.lerobot(tmp_path / "set", "v3.0")
    assert refused(tmp_path, tmp_path / "set", Mapping(hz=20)) == (
        "Episode 0 of SOURCE does not say its goal, the task parameter of 2 numbers with which "
        "sawyer-push simulates and rewards the task. An index alone does not say how the task is "
        "rewarded. Give --map COLUMN=goal, --map COLUMN@last=goal (where episodes end), or "
        "--tasks TABLE.csv."
    )
    (tmp_path / "tasks.csv").write_text("task,x,y\nPush the block left,0,0.7\n")
    mapping = Mapping(hz=20, tasks=str(tmp_path / "tasks.csv"), failures="keep")
    message = refused(tmp_path, tmp_path / "set", mapping)
    assert message.endswith("has no row for Episode 1 (task Push the block right).")


# -- Folders ----------------------------------------------------------------------------------


PUSHED = np.array([0, 0.6, 0.1, 0, 0.7, 0.02])


def folder(path, kind):
    path.mkdir()
    rows = []
    for i in range(2):
        r = published.rng(i)
        n = 3 + i
        obs = r.uniform(-0.1, 0.1, (n, 6)) + PUSHED
        act, reward = r.uniform(-1, 1, (n, 3)), r.normal(size=n)
        if kind == "npz":
            np.savez(path / f"take_{i + 9}.npz", observations=obs, actions=act, rewards=reward)
        else:
            names = [f"state_{j}" for j in range(6)] + ["ax", "ay", "az", "reward"]
            table = np.hstack([obs, act, reward[:, None]])
            lines = [",".join(names), *(",".join(map(repr, row)) for row in table.tolist())]
            (path / f"take_{i + 9}.csv").write_text("\n".join(lines) + "\n")
        rows.append((obs, act, reward))
    (path / "tasks.csv").write_text("episode,x,y\ntake_9,0,0.8\ntake_10,0.1,0.8\n")
    return rows


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_folders_of_one_file_an_episode(tmp_path, kind):
    rows = folder(tmp_path / "takes", kind)
    words = () if kind == "npz" else ("ax=act", "ay=act", "az=act")
    mapping = Mapping(map=words, tasks=str(tmp_path / "takes" / "tasks.csv"))
    import_demos(tmp_path / "takes", PUSH, tmp_path / "out", mapping)
    demos = load_demos(tmp_path / "out", PUSH)
    np.testing.assert_allclose(demos.tasks, [[0, 0.8], [0.1, 0.8]], rtol=1e-6)
    for i, (obs, act, reward) in enumerate(rows):
        np.testing.assert_allclose(demos.obs[i, 0, : 3 + i], obs, rtol=1e-6)
        np.testing.assert_allclose(demos.act[i, 0, : 3 + i], act, rtol=1e-6)
        np.testing.assert_allclose(demos.reward[i, 0, : 3 + i], reward, rtol=1e-6)


def test_what_a_robot_explored(tmp_path):
    """Files of `gmps explore`, one an episode or all in one, with what adaptation keeps aside."""
    rng = np.random.default_rng(0)
    family = make_family("point-goal")
    episodes = [
        RecordedEpisode(
            obs=rng.normal(size=(n, 2)),
            act=rng.uniform(-1, 1, (n, 2)),
            reward=rng.normal(size=n),
            log_prob=np.zeros(n),
            held=np.zeros(4),
            last_obs=rng.normal(size=2),
            terminated=n == 3,
            policy="abc",
            seed=7,
        )
        for n in (5, 3)
    ]
    for i, episode in enumerate(episodes):
        write_episode(tmp_path / "explored" / f"{i}.npz", episode)
    several = {}
    for name in ("observations", "actions", "rewards", "log_prob"):
        arrays = [e.contents()[name] for e in episodes]
        pad = [(0, 2), *[(0, 0)] * (arrays[1].ndim - 1)]
        several[name] = np.stack([arrays[0], np.pad(arrays[1], pad)])
    for name in ("held", "last_observation", "terminated"):
        several[name] = np.stack([e.contents()[name] for e in episodes])
    np.savez(tmp_path / "several.npz", **several, lengths=[5, 3])
    for i, name in enumerate(["explored", "several.npz"]):
        facts = info(tmp_path / name)
        assert (facts["episodes"], facts["steps"]) == (2, 8)
        rows = ["0,1,2", "1,1,2"] if i == 0 else ["several 0,1,2", "several 1,1,2"]
        (tmp_path / "goals.csv").write_text("\n".join(["episode,x,y", *rows]) + "\n")
        mapping = Mapping(tasks=str(tmp_path / "goals.csv"))
        import_demos(tmp_path / name, family, tmp_path / f"out{i}", mapping)
        demos = load_demos(tmp_path / f"out{i}", family)
        assert demos.alive.sum(-1).tolist() == [[5, 3]]
        np.testing.assert_allclose(demos.obs[0, 1, :3], episodes[1].obs, rtol=1e-6)
        np.testing.assert_allclose(demos.reward[0, 0], episodes[0].reward, rtol=1e-6)


def test_rewards_are_scaled(tmp_path):
    rng, family = np.random.default_rng(0), make_family("point-goal")
    reward = rng.normal(size=(2, 4))
    for i in range(2):
        (tmp_path / "takes").mkdir(exist_ok=True)
        np.savez(
            tmp_path / "takes" / f"{i}.npz",
            observations=rng.normal(size=(4, 2)),
            actions=rng.uniform(-1, 1, (4, 2)),
            rewards=reward[i],
            goal=np.array([i, 1.0]),
        )
    import_demos(tmp_path / "takes", family, tmp_path / "out", Mapping(scale=("reward=-0.1",)))
    demos = load_demos(tmp_path / "out", family)
    np.testing.assert_allclose(demos.reward[:, 0], -0.1 * reward, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs names in its first line"),
        ("a,b\n", "is damaged"),
        ("a,b\n1,2\n3\n", "is damaged"),
        ("a,b\n1,x\n", "is damaged"),
        ("a,a\n1,2\n", "needs names in its first line, each once"),
        ("1,2\n", "is damaged"),
    ],
)
def test_damaged_tables(tmp_path, text, words):
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "one.csv").write_text(text)
    message = refused(tmp_path, tmp_path / "takes")
    assert "one.csv" in message
    assert words in message or "is damaged" in message


# -- Minari of other people -------------------------------------------------------------------


def test_minari_with_a_goal_in_the_observation(tmp_path):
    """As the point mazes have it: a dictionary of observation, achieved and desired goal."""
    box = lambda n: Box(-np.inf, np.inf, (n,), np.float64)  # noqa: E731
    spaces = {"observation": box(2), "achieved_goal": box(2), "desired_goal": box(2)}
    buffers, n = [], 4
    for i in range(2):
        obs = published.rng(i).uniform(-1, 1, (n + 1, 2))
        goal = np.tile([float(i), 1.0], (n + 1, 1))
        buffers.append(
            EpisodeBuffer(
                observations={"observation": obs, "achieved_goal": obs, "desired_goal": goal},
                actions=published.rng(i).uniform(-2, 2, (n, 2)).astype(np.float32),
                rewards=np.zeros(n),
                terminations=np.zeros(n, bool),
                truncations=np.arange(n) == n - 1,
                infos={"success": np.zeros(n + 1, bool)},
            )
        )
    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning):
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "store"))
        (tmp_path / "store").mkdir()
        minari.create_dataset_from_buffers(
            "maze-v0",
            buffers,
            observation_space=Dict(spaces),
            action_space=Box(-2, 2, (2,), np.float32),
        )
        family = make_family("point-goal")
        mapping = Mapping(failures="keep")
        report = import_demos("maze-v0", family, tmp_path / "out", mapping)  # by its id
    demos = load_demos(tmp_path / "out", family)
    np.testing.assert_allclose(demos.tasks, [[0, 1], [1, 1]])
    np.testing.assert_allclose(demos.act[1, 0], buffers[1].actions / 2, rtol=1e-6)
    np.testing.assert_allclose(
        demos.obs[1, 0], buffers[1].observations["observation"][:4], rtol=1e-6
    )
    assert "actions are scaled from the file's bounds, [-2] to [2], to [-1, 1]" in str(report)
    assert "last observation of each episode" not in str(report)  # it is known

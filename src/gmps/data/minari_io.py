"""Demonstrations as Minari datasets: written from plain arrays, read back, never downloaded."""

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from gmps.errors import GmpsError

#: Name of the environment variable that says where Minari keeps its datasets.
_ROOT = "MINARI_DATASETS_PATH"


class Episodes(NamedTuple):
    """Demonstrations of several tasks; what lies beyond an episode's end is 0."""

    obs: Float[np.ndarray, "task ep t obs"]
    act: Float[np.ndarray, "task ep t act"]
    reward: Float[np.ndarray, "task ep t"] | None
    tasks: Float[np.ndarray, "task d"]
    alive: Bool[np.ndarray, "task ep t"]
    #: What the camera showed; None without one.
    frames: UInt8[np.ndarray, "task ep t height width 3"] | None = None


def dataset_id(out: str | Path) -> str:
    """The Minari id of a dataset folder: its name, with `-v0` if it has no version.

    Raises:
        GmpsError: if the name has other characters than letters, digits, `-` and `_`.
    """
    name = Path(out).name
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise GmpsError(
            f"The name {name!r} of the dataset must consist of letters, digits, - and _, such as "
            "ant-goal-v0."
        )
    return name if re.search(r"-v\d+$", name) else f"{name}-v0"


def refuse_dataset(out: str | Path) -> None:
    """Raise GmpsError, in one sentence, where a new dataset cannot go."""
    out = Path(out)
    dataset_id(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise GmpsError(f"{out} already exists; choose another name with --out.")


class Ends(NamedTuple):
    """How episodes end, where that is known."""

    #: Observation after the last step.
    last_obs: Float[np.ndarray, "task ep obs"]
    #: Whether the last state is terminal; otherwise time was up.
    terminated: Bool[np.ndarray, "task ep"]


def write_dataset(
    out: str | Path, episodes: Episodes, family: str, source: str, ends: Ends | None = None
) -> None:
    """Write a dataset folder; it appears under its name only when it is complete.

    The options of each episode hold `task` (the task parameter), `task_index`, `rewards` (whether
    they are real; if not they are NaN) and `last_observation`: "real", or "repeated" without
    `ends`. Minari keeps one observation more than actions, our arrays do not. With frames an
    observation is a dictionary of `state` and `frame (1, height, width, 3)`; the last frame is
    repeated.

    Args:
        out: folder to write; must not exist, or be empty.
        episodes: the arrays.
        family: name of the task family, for the description.
        source: where the data come from, for the description.
        ends: how the episodes end.

    Raises:
        GmpsError: if `out` is taken or has no name that Minari takes.
    """
    from gymnasium.spaces import Box, Dict
    from minari import create_dataset_from_buffers

    out, name = Path(out), dataset_id(out)
    refuse_dataset(out)
    space: Any = Box(-np.inf, np.inf, episodes.obs.shape[3:], np.float32)
    if episodes.frames is not None:
        # Minari compresses what looks like a picture, with loss; one more axis does not.
        shape = (1, *episodes.frames.shape[3:])
        space = Dict({"state": space, "frame": Box(0, 255, shape, np.uint8)})
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=".importing-"))
    try:
        with _minari_root(staging), warnings.catch_warnings():
            # Minari asks for an author, a permanent link and an environment, which files lack.
            warnings.filterwarnings("ignore", r".*is set to None|env_spec is None", UserWarning)
            create_dataset_from_buffers(
                name,
                list(_buffers(episodes, ends)),
                observation_space=space,
                action_space=Box(-1, 1, episodes.act.shape[3:], np.float32),
                algorithm_name="demonstrations",
                description=f"Demonstrations of the task family {family}, from {source}.",
            )
        os.replace(staging / name, out)
    finally:
        shutil.rmtree(staging)


def find_dataset(path: str | Path) -> Path | None:
    """The data folder of a dataset given as folder or as id of Minari's own store, or None."""
    store = os.environ.get(_ROOT) or Path.home() / ".minari" / "datasets"
    for folder in (Path(path), Path(path) / "data", Path(store) / path / "data"):
        if (folder / "metadata.json").is_file():
            return folder
    return None


def read_dataset(folder: Path) -> Episodes:
    """Read a dataset whose episodes carry their task parameter in the option `task`.

    Tasks are told apart by the option `task_index`, or by `task` where that is missing. Episodes
    of unequal length or number are padded with 0, see `Episodes.alive`.

    Raises:
        GmpsError: if the dataset is damaged, empty, or not of this form.
    """
    from minari import MinariDataset

    # Whatever goes wrong while untrusted bytes are parsed means the same to the caller.
    try:
        dataset = MinariDataset(str(folder))
        metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
        episodes = [_Episode.of(episode) for episode in dataset]
    except Exception as error:
        raise GmpsError(f"The Minari dataset {folder} is damaged: {error}.") from error
    if not episodes:
        raise GmpsError(f"The Minari dataset {folder} has no episodes.")
    options = [m.get("options", {}) for m in metadata]
    groups: dict[Any, list[int]] = {}
    for i, option in enumerate(options):
        if "task" not in option:
            raise GmpsError(
                f"Episode {i} of the Minari dataset {folder} does not say its task: its options "
                "lack `task`."
            )
        groups.setdefault(_task_key(option), []).append(i)
    members = list(groups.values())
    tasks = [np.ravel(options[indices[0]]["task"]) for indices in members]
    if len({len(task) for task in tasks}) != 1:
        raise GmpsError(f"The tasks of the Minari dataset {folder} differ in their size.")
    has_reward = all(bool(option.get("rewards", True)) for option in options)
    for i, episode in enumerate(episodes):
        _check_episode(folder, i, episode, episodes[0])
    return _padded([[episodes[i] for i in indices] for indices in members], tasks, has_reward)


class _Episode(NamedTuple):
    """An episode as it was read, its state and its frames apart."""

    observations: Any
    actions: Any
    rewards: Any
    frames: Any

    @classmethod
    def of(cls, episode: Any) -> "_Episode":
        observations, frames = episode.observations, None
        if isinstance(observations, dict) and set(observations) == {"state", "frame"}:
            observations, frames = observations["state"], observations["frame"]
            if frames.ndim == 5:
                frames = frames[:, 0]
        return cls(observations, episode.actions, episode.rewards, frames)


def _task_key(option: dict[str, Any]) -> Any:
    if "task_index" in option:
        return int(option["task_index"])
    return tuple(np.ravel(option["task"]).tolist())


def _check_episode(folder: Path, i: int, episode: Any, first: Any) -> None:
    for name in ("observations", "actions"):
        array = getattr(episode, name)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
            raise GmpsError(
                f"Episode {i} of the Minari dataset {folder} has {name} that are no array "
                "(step, number); flatten them first."
            )
        if array.shape[1] != getattr(first, name).shape[1]:
            raise GmpsError(
                f"Episode {i} of the Minari dataset {folder} has {name} of {array.shape[1]} "
                f"numbers, but episode 0 has {getattr(first, name).shape[1]}."
            )
    shape = lambda x: None if x.frames is None else x.frames.shape[1:]  # noqa: E731
    if shape(episode) != shape(first) or len(shape(episode) or (0, 0, 3)) != 3:
        raise GmpsError(
            f"Episode {i} of the Minari dataset {folder} has frames of the shape {shape(episode)}, "
            f"and episode 0 of {shape(first)}; they need one shape (height, width, 3)."
        )
    steps = len(episode.actions)
    if steps == 0:
        raise GmpsError(f"Episode {i} of the Minari dataset {folder} has no steps.")
    if len(episode.observations) not in (steps, steps + 1) or len(episode.rewards) != steps:
        raise GmpsError(
            f"Episode {i} of the Minari dataset {folder} has {len(episode.observations)} "
            f"observations and {len(episode.rewards)} rewards for {steps} actions."
        )


def _padded(groups: list[list[Any]], tasks: list[np.ndarray], has_reward: bool) -> Episodes:
    first = groups[0][0]
    shape = (
        len(groups),
        max(len(group) for group in groups),
        max(len(episode.actions) for group in groups for episode in group),
    )
    obs = np.zeros((*shape, first.observations.shape[1]), first.observations.dtype)
    act = np.zeros((*shape, first.actions.shape[1]), first.actions.dtype)
    reward, alive = np.zeros(shape, first.rewards.dtype), np.zeros(shape, bool)
    frames = None
    if first.frames is not None:
        frames = np.zeros((*shape, *first.frames.shape[1:]), np.uint8)
    for i, group in enumerate(groups):
        for j, episode in enumerate(group):
            steps = len(episode.actions)
            obs[i, j, :steps] = episode.observations[:steps]
            act[i, j, :steps] = episode.actions
            reward[i, j, :steps] = episode.rewards
            alive[i, j, :steps] = True
            if frames is not None:
                frames[i, j, :steps] = episode.frames[:steps]
    return Episodes(obs, act, reward if has_reward else None, np.stack(tasks), alive, frames)


def _buffers(episodes: Episodes, ends: Ends | None) -> Iterator[Any]:
    from minari.data_collector import EpisodeBuffer

    for i, j in np.argwhere(episodes.alive.any(-1)):
        steps = int(episodes.alive[i, j].sum())
        obs, act = episodes.obs[i, j, :steps], episodes.act[i, j, :steps]
        no_reward = np.full(steps, np.nan, np.float32)
        reward = no_reward if episodes.reward is None else episodes.reward[i, j, :steps]
        last = np.arange(steps) == steps - 1
        after = obs[-1:] if ends is None else ends.last_obs[i, j][None]
        terminal = ends is not None and bool(ends.terminated[i, j])
        observations: Any = np.concatenate([obs, after])
        if episodes.frames is not None:
            frames = episodes.frames[i, j, :steps, None]
            observations = {"state": observations, "frame": np.concatenate([frames, frames[-1:]])}
        yield EpisodeBuffer(
            options={
                "task": episodes.tasks[i],
                "task_index": int(i),
                "rewards": episodes.reward is not None,
                "last_observation": "repeated" if ends is None else "real",
            },
            observations=observations,
            actions=act,  # pyright: ignore[reportArgumentType]
            rewards=reward,  # pyright: ignore[reportArgumentType]
            terminations=last & terminal,  # pyright: ignore[reportArgumentType]
            truncations=last & (not terminal),  # pyright: ignore[reportArgumentType]
        )


@contextmanager
def _minari_root(folder: Path) -> Iterator[None]:
    """Let Minari keep its datasets in `folder` for a while."""
    before = os.environ.get(_ROOT)
    os.environ[_ROOT] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ROOT]
        else:
            os.environ[_ROOT] = before

"""Recorded episodes: one `.npz` each, or several in one file; read without running any code.

An episode's file holds `observations (t, obs)`, `actions (t, act)` as drawn, `rewards (t,)`, and
what adaptation may need beside them: `log_prob (t,)`, `held (z,)` (what the episode drew for its
latent), `last_observation (obs,)`, `terminated ()`, and `frames (t, height, width, 3)` of policies
that act on pictures; `explore` adds `policy ()` and `seed ()`, which say who acted. A file of
several episodes has a leading axis on every array and `lengths (ep,)`. `gmps demos` reads both.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gmps.aside import write_atomically
from gmps.errors import GmpsError

_REQUIRED = ("observations", "actions", "rewards")
#: Largest content of one file, in bytes: no recording of a robot is larger.
_MAX_BYTES = 4 << 30
#: What `explore` says of an episode, in words: seeds may be larger than an array's integers.
_WORDS = ("policy", "seed")
_T = TypeVar("_T")


@dataclass(frozen=True)
class RecordedEpisode:
    """One episode of `t` steps."""

    #: Where each action was chosen, `(t, obs)`.
    obs: np.ndarray
    #: The actions as drawn, before clipping, in [-1, 1] units, `(t, act)`.
    act: np.ndarray
    #: `(t,)`.
    reward: np.ndarray
    #: Log density of each action under the policy that acted, `(t,)`.
    log_prob: np.ndarray
    #: Normal numbers that were held for the episode, `(z,)`.
    held: np.ndarray
    #: The observation after the last step, `(obs,)`.
    last_obs: np.ndarray
    #: Whether it ended in a terminal state; otherwise it was cut off.
    terminated: bool
    #: `(t, height, width, 3)` uint8, where the policy acts on pictures.
    frames: np.ndarray | None = None
    #: The digest of the policy that acted, and the seed of its latents and noise; None where the
    #: file does not say.
    policy: str | None = None
    seed: int | None = None

    def __len__(self) -> int:
        """Steps."""
        return len(self.reward)

    def contents(self) -> dict[str, Any]:
        """The arrays of its file."""
        named: dict[str, Any] = {
            "observations": self.obs,
            "actions": self.act,
            "rewards": self.reward,
            "log_prob": self.log_prob,
            "held": self.held,
            "last_observation": self.last_obs,
            "terminated": np.bool_(self.terminated),
        }
        if self.frames is not None:
            named["frames"] = self.frames
        said = {name: getattr(self, name) for name in _WORDS}
        return named | {n: np.array(str(x)) for n, x in said.items() if x is not None}


class Batch(NamedTuple):
    """Episodes of one task, padded to a common length; float64, zeros behind the ends."""

    obs: np.ndarray
    act: np.ndarray
    reward: np.ndarray
    log_prob: np.ndarray
    alive: np.ndarray
    held: np.ndarray
    last_obs: np.ndarray
    terminated: np.ndarray


def pad(episodes: Sequence[RecordedEpisode], horizon: int) -> Batch:
    """The episodes as one batch of `horizon` steps; longer ones are cut there."""
    count = len(episodes)

    def padded(name: str) -> np.ndarray:
        first = getattr(episodes[0], name)
        out = np.zeros((count, horizon, *first.shape[1:]))
        for row, episode in zip(out, episodes, strict=True):
            values = getattr(episode, name)[:horizon]
            row[: len(values)] = values
        return out

    def last(episode: RecordedEpisode) -> np.ndarray:
        return episode.obs[horizon] if len(episode) > horizon else episode.last_obs

    lengths = np.array([min(len(e), horizon) for e in episodes])
    return Batch(
        *(padded(name) for name in ("obs", "act", "reward", "log_prob")),
        alive=np.arange(horizon)[None] < lengths[:, None],
        held=np.stack([e.held for e in episodes]).astype(np.float64),
        last_obs=np.stack([last(e) for e in episodes]).astype(np.float64),
        terminated=np.array([e.terminated and len(e) <= horizon for e in episodes]),
    )


def write_episode(path: str | Path, episode: RecordedEpisode) -> None:
    """Write one episode's file; a crash meanwhile leaves no half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **episode.contents())
    write_atomically(path, content.getvalue())


def read_episodes(source: str | Path) -> list[RecordedEpisode]:
    """The episodes of a file, or of all files `*.npz` of a folder, sorted by name.

    Raises:
        GmpsError: there are none, or a file is damaged or does not hold an episode.
    """
    source = Path(source)
    if source.is_dir():
        files = sorted(source.glob("*.npz"))
        if not files:
            raise GmpsError(f"{source} holds no episodes; they are files *.npz.")
        return [episode for file in files for episode in read_episodes(file)]
    if not source.is_file():
        raise GmpsError(f"There is no file or folder {source}; name recorded episodes.")
    return _episodes(_load(source), source)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise GmpsError(
                f"{path} unpacks to {size / 2**30:.1f} GiB; a file of episodes has at most "
                f"{_MAX_BYTES >> 30} GiB: split it."
            )
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except GmpsError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise GmpsError(f"{path} is not a readable .npz file of arrays: {reason}.") from error


def _episodes(arrays: dict[str, np.ndarray], path: Path) -> list[RecordedEpisode]:
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise GmpsError(f"{path} lacks {', '.join(missing)}; an episode holds {_REQUIRED}.")
    words = {n: x for n, x in arrays.items() if n in _WORDS and x.dtype.kind == "U"}
    numeric = {n: x for n, x in arrays.items() if x.dtype.kind in "fiub"}
    for name in _REQUIRED:
        if name not in numeric:
            raise GmpsError(f"{path}: {name} holds {arrays[name].dtype}; it must hold numbers.")
    if numeric["rewards"].ndim == 1:
        return [_episode(numeric | words, path)]
    if numeric["rewards"].ndim != 2:
        raise GmpsError(
            f"{path}: rewards has {numeric['rewards'].ndim} axes; they are (t,) for one episode "
            "and (episode, t) for several of one task."
        )
    count, steps = numeric["rewards"].shape
    lengths = numeric.get("lengths", np.full(count, steps)).astype(int)
    if lengths.shape != (count,) or ((lengths < 0) | (lengths > steps)).any():
        raise GmpsError(f"{path}: lengths must be {count} numbers in [0, {steps}].")
    found = []
    for i, length in enumerate(lengths):
        of_time = ("observations", "actions", "rewards", "log_prob", "frames")
        own = {
            name: x[i, :length] if name in of_time else x[i]
            for name, x in (numeric | words).items()
            if x.ndim and len(x) == count and name != "lengths"
        }
        if "last_observation" not in own and length < steps:
            own["last_observation"] = numeric["observations"][i, length]
        found.append(_episode(own, path, f"episode {i}"))
    return found


def _episode(arrays: dict[str, np.ndarray], path: Path, which: str = "") -> RecordedEpisode:
    where = f"{path}{f', {which}' if which else ''}"
    obs, act, reward = (np.asarray(arrays[n], np.float32) for n in _REQUIRED)
    if obs.ndim != 2 or act.ndim != 2:
        raise GmpsError(
            f"{where}: observations have the shape {obs.shape} and actions {act.shape}; they are "
            "(t, numbers) in one episode."
        )
    steps = min(len(act), len(reward))
    if steps < 1:
        raise GmpsError(f"{where} has no step with a reward; record at least one.")
    if len(obs) < steps or len(act) - len(reward) not in (0, 1):
        raise GmpsError(
            f"{where}: {len(obs)} observations, {len(act)} actions and {len(reward)} rewards do "
            "not belong together; there is one of each for a step (the last reward may be missing)."
        )
    after = obs[steps] if len(obs) > steps else obs[-1]
    episode = RecordedEpisode(
        obs=obs[:steps],
        act=act[:steps],
        reward=reward[:steps],
        log_prob=np.asarray(arrays.get("log_prob", np.zeros(steps)), np.float32)[:steps],
        held=np.asarray(arrays.get("held", np.zeros(0)), np.float32),
        last_obs=np.asarray(arrays.get("last_observation", after), np.float32),
        terminated=bool(arrays.get("terminated", False)) and len(act) == len(reward),
        frames=arrays["frames"][:steps] if "frames" in arrays else None,
        policy=_word(arrays, "policy", str, where),
        seed=_word(arrays, "seed", int, where),
    )
    check_finite(episode, where)
    return episode


def _word(
    arrays: dict[str, np.ndarray], name: str, kind: Callable[[Any], _T], where: str
) -> _T | None:
    """What the file says under this name, if it does."""
    if name not in arrays:
        return None
    try:
        return kind(arrays[name].item())
    except ValueError as error:
        raise GmpsError(f"{where}: {name} is not one {kind.__name__}: {error}.") from error


def check_finite(episode: RecordedEpisode, where: str) -> None:
    """Raise GmpsError where a number of an episode is not finite; names the first."""
    for name, values in (
        ("reward", episode.reward),
        ("observation", episode.obs),
        ("action", episode.act),
        ("last observation", episode.last_obs[None]),
    ):
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
        if bad.any():
            raise GmpsError(
                f"{where}: the {name} of step {int(np.argmax(bad))} is not finite; leave this "
                "episode out, or mend what measures it."
            )

"""A meta-policy on the robot's computer: explore, record, adapt, act."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gmps.deploy.adaptation import Acting, Inner, inner_of
from gmps.deploy.episodes import (
    RecordedEpisode,
    check_finite,
    pad,
    read_episodes,
    write_episode,
)
from gmps.deploy.networks import ConvEncoder, GaussianNetwork, log_prob
from gmps.deploy.trust import Trust, judge
from gmps.errors import GmpsError

FORMAT = 1
META, WEIGHTS, CARD = "meta.json", "policy.safetensors", "README.md"


def load(folder: str | Path) -> "MetaPolicy":
    """The meta-policy of a folder that `gmps export` wrote.

    Raises:
        GmpsError: the folder lacks a file, is damaged, or was written by another version.
    """
    folder = Path(folder)
    for name in (META, WEIGHTS):
        if not (folder / name).is_file():
            raise GmpsError(
                f"{folder} is no meta-policy: it has no {name}; name a folder that `gmps export` "
                "wrote."
            )
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if not isinstance(meta, dict):
            raise ValueError("it holds no object")
    except (ValueError, RecursionError) as error:
        raise GmpsError(f"{folder / META} is damaged: {error}.") from error
    if meta.get("format") != FORMAT:
        raise GmpsError(
            f"{folder} has format {meta.get('format')!r}, and this version of gmps reads format "
            f"{FORMAT}; export it again, or install the version that wrote it."
        )
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    if digest != meta.get("digest"):
        raise GmpsError(
            f"{folder / WEIGHTS} is not the file that {META} belongs to: its digest differs; "
            "copy the folder again."
        )
    try:
        return MetaPolicy(folder, meta, load_file(folder / WEIGHTS))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, GmpsError):
            raise
        raise GmpsError(f"{folder} is damaged: {error!r}; copy it again.") from error


def save(
    folder: str | Path, meta: dict[str, Any], arrays: dict[str, np.ndarray], card: str
) -> Path:
    """Write a meta-policy's folder: weights, what `load` reads about them, and a model card.

    It is written aside and renamed, so no half of it is ever found.

    Raises:
        GmpsError: the folder exists and is not empty.
    """
    folder = refuse_taken(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".writing-"))
    try:
        save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, aside / WEIGHTS)
        digest = hashlib.sha256((aside / WEIGHTS).read_bytes()).hexdigest()
        content = {"format": FORMAT, **meta, "digest": digest}
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        (aside / META).write_text(text, encoding="utf-8")
        (aside / CARD).write_text(card, encoding="utf-8")
        aside.chmod(0o777 & ~_umask())
        os.replace(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def refuse_taken(folder: str | Path) -> Path:
    """The folder, if a meta-policy can be written there.

    Raises:
        GmpsError: it exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GmpsError(f"{folder} already exists; choose another folder with --out.")
    return folder


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@dataclass(frozen=True)
class Spaces:
    """What a policy is given, and what its actions mean."""

    obs_size: int
    act_size: int
    #: Bounds of the robot's actions; -1 and 1 of the policy's units are scaled to them.
    low: np.ndarray
    high: np.ndarray
    #: `(height, width, 3)` of a frame; None where the policy acts on states.
    frame: tuple[int, ...] | None

    def units(self, act: np.ndarray) -> np.ndarray:
        """An action in the robot's units, from one in [-1, 1]."""
        unit = np.minimum(np.maximum(act, -1.0), 1.0)
        return self.low + (unit + 1.0) * self.scale

    @property
    def scale(self) -> np.ndarray:
        """Half of the range."""
        return 0.5 * (self.high - self.low)


class MetaPolicy:
    """See the module `gmps.deploy`. Use `load`.

    It begins with the policy before adaptation; each `adapt` takes it one step on.
    """

    def __init__(self, folder: Path, meta: dict[str, Any], arrays: dict[str, np.ndarray]):
        self.folder = folder
        #: What `meta.json` says: family, spaces, training, scores, versions.
        self.meta = meta
        self._arrays = arrays
        spaces = meta["spaces"]
        frame = spaces["frame"]
        self.spaces = Spaces(
            spaces["observation"]["size"],
            spaces["action"]["size"],
            np.asarray(spaces["action"]["low"], np.float32),
            np.asarray(spaces["action"]["high"], np.float32),
            None if frame is None else (*frame["shape"],),
        )
        self.horizon: int = meta["horizon"]
        network = GaussianNetwork.read(arrays, "policy", meta["policy"]["activation"])
        latent = None
        if meta["policy"]["latent"]:
            latent = (arrays["latent/mean"], arrays["latent/log_std"])
        self._encoder = None
        if frame is not None:
            self._encoder = ConvEncoder.read(arrays, "encoder", frame["strides"])
        self._inner: Inner = inner_of(meta["adaptation"], arrays)
        self._acting = Acting(network, latent)
        #: Adaptation steps that were taken.
        self.step = 0
        self._folder: Path | None = None
        self._recorded: list[RecordedEpisode] = []
        #: What the last adaptation's episodes say about it; None before the first.
        self.trust: Trust | None = None

    # -- Exploring --------------------------------------------------------------------------

    def explore(
        self, episodes: int, folder: str | Path = "episodes", seed: int = 0
    ) -> Iterator["Episode"]:
        """Episodes to play, each with a latent and noise of its own.

        Each is on disk once the loop asks for the next; episodes that are there already, from a
        program that crashed, count and are not played again. An episode without a rewarded step,
        or one that `Episode.discard` gave up, is played again.

        Args:
            episodes: how many in all; as many as in training, if they can be had
                (`meta["episodes"]`).
            folder: where they are recorded, in one folder for each adaptation step.
            seed: of latents and noise; the same one after a crash.

        Raises:
            GmpsError: `episodes` is below what the step needs, or the folder holds episodes of
                another policy.
        """
        if episodes < self._inner.least:
            raise GmpsError(
                f"episodes is {episodes}; this policy's step compares episodes and needs at least "
                f"{self._inner.least}."
            )
        self._folder = Path(folder)
        here = self._folder / f"step-{self.step + 1}"
        held = self._held(episodes, seed)
        self._recorded = []
        for i in range(episodes):
            path = here / f"episode-{i:03d}.npz"
            if path.exists():
                self._recorded.append(self._own(path, held[i]))
                continue
            # A new number for each try, or an episode that was given up would be repeated.
            attempt = 0
            while True:
                noise = np.random.Generator(np.random.Philox(key=_key(seed, self.step, i, attempt)))
                episode = Episode(self, held[i], noise)
                yield episode
                done = episode.finished()
                if done is not None:
                    break
                attempt += 1
            write_episode(path, done, policy=np.array(self._digest()))
            self._recorded.append(done)

    def _held(self, episodes: int, seed: int) -> np.ndarray:
        """What each episode holds: spread evenly, in mirrored pairs one after the other, so that
        one may stop after any pair."""
        if self._acting.latent is None:
            return np.zeros((episodes, 0), np.float32)
        size = len(self._acting.latent[0])
        rng = np.random.Generator(np.random.Philox(key=_key(seed, self.step, -1, 0)))
        pairs = -(-episodes // 2)
        half = rng.standard_normal((pairs, size))
        if self.meta["exploration"]["spread"] and pairs >= size:
            q, r = np.linalg.qr(half)
            half = np.sqrt(pairs) * q * np.sign(np.diagonal(r))
        if not self.meta["exploration"]["spread"]:
            return rng.standard_normal((episodes, size)).astype(np.float32)
        return np.stack([half, -half], 1).reshape(2 * pairs, size)[:episodes].astype(np.float32)

    def _own(self, path: Path, held: np.ndarray) -> RecordedEpisode:
        (episode,) = read_episodes(path)
        self._check(episode, str(path))
        if not np.array_equal(episode.held, held):
            raise GmpsError(
                f"{path} was recorded with another seed, number of episodes or policy; name "
                "another folder, or go on as it was begun."
            )
        return episode

    # -- Adapting ---------------------------------------------------------------------------

    def adapt(
        self, episodes: str | Path | Sequence[RecordedEpisode] | None = None
    ) -> "AdaptedPolicy":
        """The policy after one more step, from the episodes that the present policy collected.

        Args:
            episodes: by default those that `explore` recorded since the last step; a file or a
                folder of recorded episodes; or the episodes themselves.

        Raises:
            GmpsError: there are too few, or they do not fit the policy, or hold numbers that are
                not finite.
        """
        if episodes is None:
            data = list(self._recorded)
        elif isinstance(episodes, str | Path):
            data = read_episodes(episodes)
        else:
            data = list(episodes)
        if len(data) < self._inner.least:
            raise GmpsError(
                f"There are {len(data)} recorded episodes; this policy's step needs at least "
                f"{self._inner.least}: explore, or name a file or folder of episodes."
            )
        for i, episode in enumerate(data):
            self._check(episode, f"episode {i}")
        batch = pad([self._seen(e) for e in data], self.horizon)
        adapted = self._inner(self._acting, batch)
        for name, values in adapted.at_mean.arrays("policy").items():
            if not np.isfinite(values).all():
                raise GmpsError(
                    f"The step makes {name} infinite or no number, so it was not taken; look at "
                    "the size of the rewards."
                )
        self.trust = judge(self._inner, self._acting, adapted, batch, self.meta, self._arrays)
        self._acting, self.step, self._recorded = adapted, self.step + 1, []
        return AdaptedPolicy(self, adapted.at_mean)

    def _check(self, episode: RecordedEpisode, where: str) -> None:
        """Raise GmpsError unless the episode can be this policy's."""
        sizes = (
            (episode.obs, "observations", self._obs_size),
            (episode.act, "actions", self.spaces.act_size),
        )
        for values, name, size in sizes:
            if values.shape[1] != size:
                raise GmpsError(
                    f"{where}: {name} have {values.shape[1]} numbers; this policy's have {size}."
                )
        held = 0 if self._acting.latent is None else len(self._acting.latent[0])
        if len(episode.held) != held:
            raise GmpsError(
                f"{where} holds a latent of {len(episode.held)} numbers, and this policy's has "
                f"{held}; record it with `explore`."
            )
        if (self._encoder is None) != (episode.frames is None):
            raise GmpsError(
                f"{where} has {'no ' if episode.frames is None else ''}frames, and this policy "
                f"acts on {'pictures' if self._encoder else 'states'}."
            )
        check_finite(episode, where)

    @property
    def _obs_size(self) -> int:
        return self.spaces.obs_size

    def _seen(self, episode: RecordedEpisode) -> RecordedEpisode:
        """The episode with what the network was given for observations."""
        if self._encoder is None:
            return episode
        assert episode.frames is not None
        seen = np.stack([self._encoder(frame) for frame in episode.frames])
        return RecordedEpisode(
            np.concatenate([seen, episode.obs], 1),
            episode.act,
            episode.reward,
            episode.log_prob,
            episode.held,
            np.zeros(seen.shape[1] + episode.obs.shape[1], np.float32),
            episode.terminated,
        )

    def given(self, obs: Any, frame: Any = None) -> np.ndarray:
        """What the network is given for an observation, and a frame where it acts on pictures.

        Raises:
            GmpsError: a size is wrong, or a number is not finite.
        """
        obs = np.asarray(obs, np.float32)
        if obs.shape != (self.spaces.obs_size,):
            raise GmpsError(
                f"The observation has shape {obs.shape}; this policy's is "
                f"({self.spaces.obs_size},)."
            )
        if not np.isfinite(obs).all():
            raise GmpsError("The observation holds a number that is not finite.")
        if self._encoder is None:
            return obs
        shape = None if frame is None else np.shape(frame)
        if shape != self.spaces.frame or np.asarray(frame).dtype != np.uint8:
            raise GmpsError(
                f"The frame has shape {shape}; this policy's is {self.spaces.frame}, uint8."
            )
        return np.concatenate([self._encoder(np.asarray(frame)), obs])

    def _digest(self) -> str:
        """What tells this policy from others: the weights' digest and the steps taken."""
        return f"{self.meta['digest'][:16]}+{self.step}"


def _key(*numbers: int) -> int:
    """A key of 128 bits that depends on all numbers."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "little")


class Episode:
    """One episode of exploring: `act` and `record` in turn."""

    def __init__(self, meta: MetaPolicy, held: np.ndarray, noise: np.random.Generator):
        self._meta, self._held, self._noise = meta, held, noise
        network = meta._acting.drawn(held)
        self._mean = network.fold()
        self._log_std, self._std = network.log_std, network.std
        self._obs: list[np.ndarray] = []
        self._frames: list[np.ndarray] = []
        self._act: list[np.ndarray] = []
        self._log_prob: list[float] = []
        self._reward: list[float] = []
        self._last: np.ndarray | None = None
        self._terminated = self._given_up = False

    def act(self, obs: Any, frame: Any = None) -> np.ndarray:
        """The action to take, `(act,)`, in the robot's units.

        Args:
            obs: the observation, `(obs,)`; of a policy that acts on pictures what it is given
                beside the picture.
            frame: the picture, uint8 `(height, width, 3)`.

        Raises:
            GmpsError: the last action has no reward yet, or the input does not fit.
        """
        if len(self._reward) < len(self._act):
            raise GmpsError("The last action has no reward yet; call record before act.")
        given = self._meta.given(obs, frame)
        mean = self._mean(given)
        act = mean + self._std * self._noise.standard_normal(len(mean), np.float32)
        self._obs.append(np.array(obs, np.float32))
        if frame is not None:
            self._frames.append(np.array(frame))
        self._act.append(act.astype(np.float32))
        self._log_prob.append(float(log_prob(act, mean, self._log_std)))
        return self._meta.spaces.units(act)

    def record(self, reward: float, obs: Any = None, terminated: bool = False) -> None:
        """The reward of the last action.

        Args:
            reward: a finite number.
            obs: the observation after the action. Only that after the last one counts, and only
                for steps that estimate values of observations; without it the last one seen does.
            terminated: whether the episode ended for good; a time limit is no such end.

        Raises:
            GmpsError: there is no action without a reward, or the reward is not finite.
        """
        if len(self._reward) == len(self._act):
            raise GmpsError("Every action has its reward; call act before record.")
        if not np.isfinite(reward):
            raise GmpsError(f"The reward is {reward}; it must be a finite number.")
        self._reward.append(float(reward))
        self._terminated = bool(terminated)
        if obs is not None:
            self._last = np.array(obs, np.float32)

    def discard(self) -> None:
        """Give this episode up: it is not recorded, and `explore` plays it again."""
        self._given_up = True

    def finished(self) -> RecordedEpisode | None:
        """The recording; None if it was given up or has no rewarded step.

        An action without a reward at the end is left out: the episode is cut before it.
        """
        steps = len(self._reward)
        if self._given_up or steps == 0:
            return None
        cut = len(self._act) > steps
        after = self._obs[steps] if cut else self._last
        return RecordedEpisode(
            obs=np.stack(self._obs[:steps]),
            act=np.stack(self._act[:steps]),
            reward=np.array(self._reward, np.float32),
            log_prob=np.array(self._log_prob[:steps], np.float32),
            held=self._held,
            last_obs=self._obs[-1] if after is None else after,
            terminated=self._terminated and not cut,
            frames=np.stack(self._frames[:steps]) if self._frames else None,
        )


class AdaptedPolicy:
    """The policy of one task: `policy(obs)` is its action without noise."""

    def __init__(self, meta: MetaPolicy, network: GaussianNetwork):
        self._meta, self.network = meta, network
        self._mean = network.fold()

    def __call__(self, obs: Any, frame: Any = None) -> np.ndarray:
        """The action, `(act,)`, in the robot's units; arguments as of `Episode.act`."""
        return self._meta.spaces.units(self._mean(self._meta.given(obs, frame)))

    def save(self, path: str | Path) -> None:
        """Write the network's arrays as `.safetensors`; never overwrites.

        Raises:
            GmpsError: the file exists.
        """
        path = Path(path)
        if path.exists():
            raise GmpsError(f"{path} already exists; choose another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(self.network.arrays("policy"), path)

"""A meta-policy on the robot's computer: explore, record, adapt, act."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gmps.deploy.adaptation import Acting, Inner, inner_of, part_of_the_way
from gmps.deploy.adapted import AdaptedPolicy
from gmps.deploy.episode import Episode
from gmps.deploy.episodes import (
    RecordedEpisode,
    check_finite,
    pad,
    read_episodes,
    write_episode,
)
from gmps.deploy.exploration import spread_evenly
from gmps.deploy.folder import read
from gmps.deploy.networks import ConvEncoder, GaussianNetwork
from gmps.deploy.spaces import Spaces
from gmps.deploy.trust import Trust, judge
from gmps.errors import GmpsError


def load(folder: str | Path) -> "MetaPolicy":
    """The meta-policy of a folder that `gmps export` wrote.

    Raises:
        GmpsError: the folder lacks a file, is damaged, or was written by another version.
    """
    folder = Path(folder)
    meta, arrays = read(folder)
    try:
        return MetaPolicy(folder, meta, arrays)
    except GmpsError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise GmpsError(
            f"{folder} is damaged, or of another version of gmps: {error!r}; export it again."
        ) from error


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
        self.spaces = Spaces.read(spaces)
        self.horizon: int = meta["horizon"]
        network = GaussianNetwork.read(arrays, "policy", meta["policy"]["activation"])
        latent = None
        if meta["policy"]["latent"]:
            latent = (arrays["latent/mean"], arrays["latent/log_std"])
        self._encoder = None
        if self.spaces.frame is not None:
            self._encoder = ConvEncoder.read(arrays, "encoder", self.spaces.strides)
        self._inner: Inner = inner_of(meta["adaptation"], arrays)
        self._acting = Acting(network, latent)
        #: Adaptation steps that were taken.
        self.step = 0
        self._folder: Path | None = None
        self._recorded: list[RecordedEpisode] = []
        #: What the last adaptation's episodes say about it; None before the first.
        self.trust: Trust | None = None

    @property
    def acting(self) -> Acting:
        """What acts after the steps that were taken: a network, and the latent that episodes
        draw."""
        return self._acting

    @property
    def least(self) -> int:
        """Episodes without which its step cannot work."""
        return self._inner.least

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the folder, by name."""
        return MappingProxyType(self._arrays)

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
                another policy, seed or number.
        """
        if episodes < self.least:
            raise GmpsError(
                f"episodes is {episodes}; this policy's step compares episodes and needs at least "
                f"{self.least}."
            )
        self._folder = Path(folder)
        here = self._folder / f"step-{self.step + 1}"
        held = self._held(episodes, seed)
        self._recorded = []
        for i in range(episodes):
            path = here / f"episode-{i:03d}.npz"
            if path.exists():
                self._recorded.append(self._own(path, held[i], seed))
                continue
            # A new number for each try, or an episode that was given up would be repeated.
            attempt = 0
            while True:
                noise = np.random.Generator(np.random.Philox(key=_key(seed, self.step, i, attempt)))
                network = self._acting.drawn(held[i])
                episode = Episode(network, held[i], noise, self.given, self.spaces)
                yield episode
                done = episode.finished()
                if done is not None:
                    break
                attempt += 1
            done = replace(done, policy=self._digest(), seed=seed)
            write_episode(path, done)
            self._recorded.append(done)

    def _held(self, episodes: int, seed: int) -> np.ndarray:
        """What each episode holds."""
        if self._acting.latent is None:
            return np.zeros((episodes, 0), np.float32)
        size = len(self._acting.latent[0])
        rng = np.random.Generator(np.random.Philox(key=_key(seed, self.step, -1, 0)))
        if self.meta["exploration"]["spread"]:
            return spread_evenly(rng, episodes, size)
        return rng.standard_normal((episodes, size)).astype(np.float32)

    def _own(self, path: Path, held: np.ndarray, seed: int) -> RecordedEpisode:
        """What is recorded already, if this policy acted, with this seed. Earlier versions did not
        write the seed."""
        try:
            (episode,) = read_episodes(path)
        except (GmpsError, ValueError) as error:
            raise GmpsError(
                f"{error} Move {path} away, and the same call plays this episode again."
            ) from error
        if episode.policy not in (None, self._digest()):
            raise GmpsError(
                f"{path} was recorded by another policy, or after other steps; name another "
                "folder, or move it away."
            )
        self._check(episode, str(path))
        if episode.seed not in (None, seed) or not np.array_equal(episode.held, held):
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
        if len(data) < self.least:
            raise GmpsError(
                f"There are {len(data)} recorded episodes; this policy's step needs at least "
                f"{self.least}: explore, or name a file or folder of episodes."
            )
        for i, episode in enumerate(data):
            self._check(episode, f"episode {i}")
        batch = pad([self._seen(e) for e in data], self.horizon)
        proposed = self._inner(self._acting, batch)
        adapted = part_of_the_way(self._acting, proposed, self._inner.share(self.step + 1))
        for name, values in adapted.at_mean.arrays("policy").items():
            if not np.isfinite(values).all():
                raise GmpsError(
                    f"The step makes {name} infinite or no number, so it was not taken; look at "
                    "the size of the rewards."
                )
        self.trust = judge(self._acting, adapted, batch, self.meta, self._arrays)
        self._acting, self.step, self._recorded = adapted, self.step + 1, []
        return self.policy

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
        """What the network is given: see `Spaces.given`."""
        return self.spaces.given(self._encoder, obs, frame)

    @property
    def policy(self) -> AdaptedPolicy:
        """The present policy: before adaptation, or after the steps that were taken. It acts at the
        mean of its latent, without noise."""
        facts = {name: self.meta[name] for name in ("family", "method") if name in self.meta}
        facts |= {"steps": self.step, "of": self.meta["digest"]}
        return AdaptedPolicy(self._acting.at_mean, self._encoder, self.meta["spaces"], facts)

    def _digest(self) -> str:
        """What tells this policy from others: the weights' digest and the steps taken."""
        return f"{self.meta['digest'][:16]}+{self.step}"


def _key(*numbers: int) -> int:
    """A key of 128 bits that depends on all numbers."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "little")

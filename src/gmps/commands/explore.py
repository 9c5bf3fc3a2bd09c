"""`gmps explore POLICY --env FILE.py:make_env`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
import tyro
from rich.progress import track

from gmps.commands.cli import console, leading, parse
from gmps.deploy import Episode, MetaPolicy, load
from gmps.errors import GmpsError
from gmps.settings import Settings, setting
from gmps.user_code import load_code


@dataclass(frozen=True)
class Explore(Settings):
    """Play exploring episodes of a meta-policy in a gymnasium.Env, and record them.

    A robot's driver is such an environment. Interrupted, the same command goes on with the episodes
    that are missing.

    example:
      gmps explore policy --env my_robot.py:make_env --episodes 10 --folder episodes
      gmps adapt policy --episodes episodes/step-1
    """

    env: Annotated[str, tyro.conf.arg(metavar="FILE.py:FUNCTION")]
    """A function without arguments that gives the environment."""
    episodes: int | None = setting(None, at_least=1)
    """How many; by default as many as in training."""
    folder: str = "episodes"
    """Where they are recorded."""
    seed: int = setting(0, at_least=0)
    """Seed of latents and noise."""
    dry_run: bool = False
    """Reset, take one step, say what would happen, and record nothing."""


def run(argv: Sequence[str]) -> int:
    """Explore."""
    folder, options = leading(
        argv, "explore", "POLICY", "POLICY is a folder that `gmps export` wrote."
    )
    command = parse(Explore, options, "explore POLICY")
    meta = load(folder)
    env = load_code(command.env, "a function that makes the environment")()
    if not isinstance(env, gymnasium.Env):
        raise GmpsError(f"{command.env} gives a {type(env).__name__}, not a gymnasium.Env.")
    episodes = command.episodes or int(meta.meta["episodes"])
    if command.dry_run:
        return _try(meta, env, episodes, command.seed)
    returns = []
    played = meta.explore(episodes, command.folder, command.seed)
    for episode in track(played, "exploring", total=episodes, console=console, transient=True):
        returns.append(play(episode, env, meta.horizon))
        console.print(f"  episode {len(returns)}: return {returns[-1]:.4g}")
    console.print(f"recorded: {command.folder}/step-{meta.step + 1}, {episodes} episodes")
    words = f"gmps adapt {folder} --episodes {command.folder}/step-1"
    console.print(f"adapt with: {words}", soft_wrap=True)
    return 0


def play(episode: Episode, env: gymnasium.Env, horizon: int) -> float:
    """Play one episode to its end, or to the horizon; its return."""
    obs, _ = env.reset()
    total = 0.0
    for _ in range(horizon):
        obs, reward, terminated, truncated, _ = env.step(_act(episode, obs))
        episode.record(float(reward), np.ravel(obs), terminated)
        total += float(reward)
        if terminated or truncated:
            break
    return total


def _act(episode: Episode, obs: Any) -> np.ndarray:
    return episode.act(np.ravel(obs))


def _try(meta: MetaPolicy, env: gymnasium.Env, episodes: int, seed: int) -> int:
    """One step, which shows that sizes and units fit."""
    space: Any = env.action_space
    for name, mine, theirs in (
        ("low", meta.spaces.low, space.low.ravel()),
        ("high", meta.spaces.high, space.high.ravel()),
    ):
        if mine.shape != theirs.shape or not np.allclose(mine, theirs):
            raise GmpsError(
                f"The environment's actions have {name} {theirs.tolist()}, and the policy's "
                f"{mine.tolist()}; make the environment take the policy's units."
            )
    # In a folder of its own, or what is recorded already would count.
    with tempfile.TemporaryDirectory() as folder:
        episode = next(meta.explore(episodes, folder, seed))
        obs, _ = env.reset()
        act = _act(episode, obs)
        _, reward, *_ = env.step(act)
    console.print(f"observation {np.ravel(obs).round(4).tolist()}")
    console.print(f"action {act.round(4).tolist()}, reward {float(reward):.4g}")
    console.print(f"{episodes} episodes of at most {meta.horizon} steps would be played.")
    return 0

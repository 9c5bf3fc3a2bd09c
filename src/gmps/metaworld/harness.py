"""Judged by Meta-World's own `metaworld.evaluation.metalearning_evaluation`, unmodified.

Its test environments draw a goal each, play the adaptation episodes with the method's exploring
policy, let the method adapt, and count successes of the adapted policy. An episode of the count
ends with its first success. Nothing here sees a goal: observations and rewards are the harness's.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from gmps.core.actors import Actor
from gmps.core.types import Trajectories, stack
from gmps.errors import GmpsError
from gmps.metaworld.family import MetaWorld
from gmps.metaworld.harness_settings import HarnessConfig
from gmps.methods.adaptation import part_of_the_way
from gmps.methods.base import Method, MethodPolicy, MethodState
from gmps.runs.results import read_result, write_result
from gmps.runs.run import HARNESS
from gmps.tasks.choices import Split

#: What judges.
JUDGE = "metaworld.evaluation.metalearning_evaluation"
#: What the harness calls our splits.
_OURS: dict[str, Split] = {"train": "train", "test": "heldout"}


@dataclass(frozen=True)
class Counted:
    """What the harness counts of one condition."""

    #: Share of episodes, and mean return.
    success: float
    mean_return: float
    #: Success by kind of task.
    kinds: dict[str, float]
    env_steps: int


@dataclass(frozen=True)
class HarnessSplit:
    """One of the benchmark's lists, before adaptation and after."""

    evals: int
    before: Counted
    after: Counted


@dataclass(frozen=True)
class Harness:
    """The content of `harness.json`."""

    #: The function of Meta-World's that judged.
    harness: str
    family: str
    method: str
    seed: int
    checkpoint_round: int
    settings: HarnessConfig
    #: Steps of an episode that adaptation learned from.
    horizon_of_adaptation: int
    splits: dict[str, HarnessSplit]
    #: Environment steps of the training, by column.
    steps: dict[str, int]


def write_harness(run: Path, found: Harness) -> Path:
    """Write `harness.json` into a run's folder, replacing an older one."""
    return write_result(run / HARNESS, found)


def read_harness(run: Path) -> Harness | None:
    """The figures of the harness in a run's folder, or None where there are none.

    Raises:
        GmpsError: the file is damaged.
    """
    return read_result(run / HARNESS, Harness, f"gmps eval {run} --harness metaworld")


class HarnessAgent:
    """A meta-learned policy as Meta-World's `MetaLearningAgent`; all environments in step."""

    def __init__(
        self,
        method: Method,
        state: MethodState,
        environments: int,
        seed: int,
        horizon: int,
        episodes: int,
    ):
        """An agent that has adapted to nothing.

        Args:
            method: whose policies act and adapt.
            state: its state after training.
            environments: how many policies run side by side.
            seed: of the action noise.
            horizon: steps of each episode that adaptation learns from: those of training.
            episodes: episodes before each adaptation.

        Raises:
            GmpsError: the policies act on the rewards of the episode that is judged.
        """
        if method.actor().remembers:
            raise GmpsError(
                f"{type(method).__name__} acts on the rewards of its present episode, which "
                "Meta-World's harness does not tell in the episodes that count; judge it by "
                "`gmps eval` without --harness."
            )
        self._method, self._state, self._n = method, state, environments
        self._explore, self._exploit = method.actor(), method.actor(stochastic=False)
        self._horizon, self._planned = horizon, episodes
        # Not a JAX key: a draw at every step would take as long as the policy.
        self._noise_of = np.random.default_rng(seed)
        self.env_steps = 0
        self.init()

    def init(self) -> None:
        """Forget all adaptation."""
        self._policies: MethodPolicy = stack(self._method.policy(self._state), self._n)
        self._adapted = 0
        self._forget()

    def adapt_action(self, observations: Float[np.ndarray, "n obs"]) -> tuple[np.ndarray, dict]:
        """Exploring actions in [-1, 1], and what adaptation needs to know about them."""
        act, log_prob = self._act(self._explore, observations)
        return np.clip(act, -1, 1), {"act": act, "log_prob": log_prob}

    def step(self, timestep: Any) -> None:
        """Take note of one step of all environments.

        Raises:
            GmpsError: their episodes do not end together, or there are more than were announced.
        """
        if len(self._episodes) == self._planned:
            raise GmpsError(
                f"Adaptation goes on after {self._planned} episodes; tell the agent how many there "
                "will be."
            )
        over = timestep.truncated | timestep.terminated
        if over.any() != over.all():
            raise GmpsError(
                "Episodes of the adaptation ended apart; give all environments the same horizon."
            )
        self.env_steps += len(over)
        outputs = timestep.aux_policy_outputs
        self._steps.append(
            (timestep.observation, outputs["act"], timestep.reward, outputs["log_prob"])
        )
        if over.all():
            self._episodes.append((self._steps, self._held))
            self._steps = []

    def adapt(self) -> None:
        """One adaptation of each environment's policy to its episodes since the last."""
        data = [self._episode(*episode) for episode in self._episodes]
        together: Any = jax.tree.map(lambda *x: jnp.stack(x, 1), *data)
        self._adapted += 1
        proposed = self._method.adapt(self._state, self._policies, together)
        share = self._method.share(self._adapted)
        self._policies = part_of_the_way(self._policies, proposed, share)
        self._forget()

    def eval_action(self, observations: Float[np.ndarray, "n obs"]) -> np.ndarray:
        """The adapted policies' actions, without noise."""
        self.env_steps += len(observations)
        return np.clip(self._act(self._exploit, observations)[0], -1, 1)

    def reset(self, env_mask: Bool[np.ndarray, " n"]) -> None:
        """Nothing to do: called while the adapted policies are judged, which hold no noise."""

    def _forget(self) -> None:
        self._episodes, self._steps = [], []
        size = self._explore.held_noise
        noise = self._noise_of.standard_normal((self._n, self._planned, size), np.float32)
        self._plan = np.asarray(jax.vmap(self._explore.held_spread)(jnp.asarray(noise)))

    @property
    def _held(self) -> Float[np.ndarray, "n held"]:
        """What the policies hold in the present episode."""
        return self._plan[:, min(len(self._episodes), self._planned - 1)]

    def _noise(self, actor: Actor) -> Float[np.ndarray, "n noise"]:
        return self._noise_of.standard_normal((self._n, actor.noise_size), np.float32)

    def _act(self, actor: Actor, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noise = self._noise(actor)
        held = actor.held_noise
        noise = np.concatenate([self._held[:, :held], noise[:, held:]], 1)
        out = _act_together(actor, self._policies, observations.astype(np.float32), noise)
        return jax.device_get(out)

    def _episode(self, steps: list, held: np.ndarray) -> Trajectories:
        """The first steps of one episode, leaves `(env, ...)`."""
        obs, act, reward, log_prob = (
            np.stack(x, 1).astype(np.float32) for x in zip(*steps[: self._horizon], strict=True)
        )
        # Behind a whole episode lies the next one's start.
        last = steps[min(self._horizon, len(steps) - 1)][0].astype(np.float32)
        return Trajectories(
            obs=jnp.asarray(obs),
            act=jnp.asarray(act),
            reward=jnp.asarray(reward),
            log_prob=jnp.asarray(log_prob),
            alive=jnp.ones(reward.shape, bool),
            last_obs=jnp.asarray(last),
            terminated=jnp.zeros(len(reward), bool),
            held=jnp.asarray(held),
        )


@partial(jax.jit, static_argnames="actor")
def _act_together(actor: Actor, policies: MethodPolicy, obs: Any, noise: Any) -> Any:
    no_task = jnp.zeros((len(obs), 0), jnp.float32)
    return jax.vmap(actor)(policies, no_task, obs, noise)


def run_harness(
    method: Method, state: MethodState, family: MetaWorld, config: HarnessConfig
) -> dict[str, HarnessSplit]:
    """Meta-World's figures of a method: success and return before and after adaptation, by list.

    Raises:
        GmpsError: the harness would test on the goals that were trained on, or the family is a
            fold of a benchmark.
    """
    if family.benchmark.startswith("ml1-") and config.seed + 1 == family.seed:
        raise GmpsError(
            f"With seed {config.seed} the harness tests on the goals of training; choose another."
        )
    if "-fold" in family.benchmark:
        raise GmpsError(
            f"{family.benchmark} is a part of {family.benchmark[:4].upper()}, which Meta-World's "
            "harness does not know; evaluate it without --harness."
        )
    import metaworld  # noqa: PLC0415 - an extra

    figures = {}
    for split in config.splits:
        kinds = family.env_names(_OURS[split])
        one = len(kinds) == 1
        maker = getattr(metaworld, f"make_ml_envs_{split}")
        envs = maker(
            kinds[0] if one else family.benchmark.upper(),
            seed=config.seed,
            meta_batch_size=config.environments or len(kinds),
            total_tasks_per_cls=config.goals,
            vector_strategy=config.strategy,
            reward_function_version=family.reward_version,
        )
        try:
            evals = config.evals or (config.goals if one else 10)
            figures[split] = _judge(method, state, family, config, envs, evals)
        finally:
            envs.close()
    return figures


def _judge(
    method: Method,
    state: MethodState,
    family: MetaWorld,
    config: HarnessConfig,
    envs: Any,
    evals: int,
) -> HarnessSplit:
    from metaworld import evaluation  # noqa: PLC0415 - an extra

    figures = {}
    for condition, steps in (("before", 0), ("after", config.adaptation_steps)):
        agent = HarnessAgent(
            method,
            state,
            envs.num_envs,
            config.seed,
            family.horizon,
            config.adaptation_episodes,
        )
        success, reward, kinds_of = evaluation.metalearning_evaluation(
            agent,
            envs,
            num_evals=evals,
            adaptation_steps=steps,
            adaptation_episodes=config.adaptation_episodes,
            evaluation_episodes=config.evaluation_episodes,
        )
        figures[condition] = Counted(
            success=float(success),
            mean_return=float(reward),
            kinds={kind: float(x) for kind, x in sorted(kinds_of.items())},
            env_steps=agent.env_steps,
        )
    return HarnessSplit(evals, **figures)

"""A certificate for a trained run: how far the adapted policies can be from their expert.

Everything is measured on held-out tasks. Policy and expert act with the same Gaussian noise; the
figures are those of `gmps.theory.estimate`, in units of undiscounted return.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.policy import Policy, PolicyActor
from gmps.core.types import Rollout, Task, env_steps, evenly, stack, task_count, tree_index
from gmps.errors import GmpsError
from gmps.experts.base import Controller, ExpertActor
from gmps.methods.adaptation import adaptation
from gmps.methods.base import MethodState
from gmps.runs.run import Run
from gmps.theory.certificate import FORMAT, Certificate, Earlier, TaskCertificate, write_certificate
from gmps.theory.estimate import Estimates, Samples, estimate, judge, mean_figure, unit_figures
from gmps.theory.sample import answers, collect
from gmps.theory.settings import CertifyConfig
from gmps.training.clone import CLONE, clone_controller, fit_clone
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, describe
from gmps.training.train import initial_key, restore


def certify_run(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    settings: CertifyConfig,
    checkpoint: str = "best",
    say: Callable[[str], None] = lambda _: None,
) -> Certificate:
    """Certify a run's best or latest checkpoint; writes and returns `certificate.json`.

    Raises:
        GmpsError: the run has no checkpoint yet, or its policies are not Gaussian.
    """
    state, metadata = restore(run, config, experiment, checkpoint)
    start = experiment.method.policy(state)
    if not isinstance(start, Policy) or start.encoder.needs_frames:
        raise GmpsError(
            f"The policies of {config.method} are more than Gaussian policies of observations, "
            "which the certificate is about; certify a run of another method."
        )
    say("finding the expert")
    controller, source = find_controller(config, experiment)
    tasks = experiment.tasks["heldout"]
    n = task_count(tasks)
    tasks = tree_index(tasks, evenly(n, settings.tasks or n))
    certifier = _Certifier(experiment, controller, tasks, settings)
    untrained = experiment.method.untrained(initial_key(config), experiment.demos)
    say(f"certifying round {metadata['round']}")
    result = certifier.certify(state, untrained)
    history = []
    for step in _spread(run.checkpoints.steps(), settings.history):
        say(f"certifying round {step}")
        earlier, _ = run.checkpoints.load(step, state)
        found = certifier.estimates(earlier)[0]
        history.append(Earlier(step, found))
    certificate = Certificate(
        format=FORMAT,
        family=config.family,
        method=config.method,
        seed=config.seed,
        checkpoint_round=metadata["round"],
        expert=source,
        horizon=experiment.world.family.spec.horizon,
        settings=settings,
        **result,
        history=tuple(history),
        env_steps=certifier.env_steps,
    )
    write_certificate(run.path, certificate)
    return certificate


def find_controller(config: TrainConfig, experiment: Experiment) -> tuple[Controller, str]:
    """The expert that can be asked in held-out tasks, in words too.

    It is the one of the evaluation; where there is none, the demonstrations cloned into one policy
    that sees the task.
    """
    if experiment.controller is not None:
        expert = experiment.expert
        if expert is not None and expert.controller is experiment.controller:
            return expert.controller, expert.source
        return experiment.controller, "the family's scripted controller"
    if config.clone and experiment.expert is not None:
        return experiment.expert.controller, experiment.expert.source
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    family = experiment.world.family
    clone, _ = fit_clone(family, experiment.tasks["train"], experiment.demos, key)
    return clone_controller(family, clone), CLONE


class _Certifier:
    """Runs the measurements on fixed tasks, and counts environment steps."""

    def __init__(
        self, experiment: Experiment, controller: Controller, tasks: Task, settings: CertifyConfig
    ):
        self.experiment, self.controller, self.settings = experiment, controller, settings
        self.world, self.tasks = experiment.world, tasks
        self.count = task_count(tasks)
        self.units = self.count * settings.sampling.repeats
        self.unit_tasks = jax.tree.map(
            lambda x: jnp.repeat(x, settings.sampling.repeats, axis=0), tasks
        )
        self.env_steps = 0

    def std(self, policy: Policy) -> Float[Array, " act"]:
        """Standard deviations of the certified policies."""
        own = jnp.exp(policy.head.floored_log_std)
        return own if self.settings.std is None else jnp.full_like(own, self.settings.std)

    def estimates(self, state: MethodState) -> tuple[Estimates, Samples]:
        """Adapt to every task and measure."""
        key_adapt, key = jax.random.split(jax.random.key(self.settings.seed))
        before = self.experiment.method.policy(state)
        std = self.std(before)
        policies = stack(before, self.units)
        [(data, adapted)] = adaptation(
            self.world,
            self.experiment.method,
            state,
            policies,
            self.unit_tasks,
            episodes=self.settings.adaptation_episodes,
            keys=[key_adapt],
        )
        self.env_steps += env_steps(data)
        samples, spent = collect(
            self.world, self.controller, adapted, self.unit_tasks, std, self.settings.sampling, key
        )
        self.env_steps += spent
        return estimate(samples, self.world.family.spec.horizon), samples

    def certify(self, state: MethodState, untrained: Policy) -> dict[str, Any]:
        """Estimates, levels, verdicts and a row for each task: fields of the certificate."""
        found, samples = self.estimates(state)
        before = self.experiment.method.policy(state)
        std, horizon = self.std(before), self.world.family.spec.horizon
        key_untrained, key_quiet, key_before = jax.random.split(
            jax.random.key(self.settings.seed + 1), 3
        )
        none = self._by_task(self._act(stack(untrained, self.units), std, key_untrained))
        start, kl_before = self._before(stack(before, self.units), std, key_before)
        quiet = self._quiet_expert(key_quiet)
        levels = {
            "expert": samples.expert_return,
            "adapted": samples.policy_return,
            "before": start,
            "untrained": none,
            "quiet_expert": quiet,
        }
        room = float(samples.expert_return.mean() - none.mean())
        return {
            "tasks": self.count,
            "std": tuple(float(x) for x in std),
            "figures": found,
            "levels": {name: mean_figure(x) for name, x in levels.items()},
            "mean_kl_before": kl_before,
            "room": room,
            "verdicts": judge(found, room, horizon),
            "rows": self._rows(samples, levels),
        }

    def _act(self, policies: Policy, std: Float[Array, " act"], key: Key[Array, ""]) -> Rollout:
        actor, episodes = PolicyActor(len(std)), self.settings.sampling.episodes
        return self.world.rollout(actor, policies.with_std(std), self.unit_tasks, episodes, key)

    def _before(
        self, policies: Policy, std: Float[Array, " act"], key: Key[Array, ""]
    ) -> tuple[np.ndarray, float]:
        """Return and mean KL of the policy before adaptation."""
        visited = self._act(policies, std, key)
        found = answers(self.controller, policies, self.unit_tasks, std, visited)
        return self._by_task(visited), float(found.kl.mean())

    def _quiet_expert(self, key: Key[Array, ""]) -> np.ndarray:
        actor = ExpertActor(self.controller, self.world.family.spec.act_size)
        episodes = self.settings.sampling.episodes
        return self._by_task(
            self.world.rollout(actor, jnp.zeros(self.units), self.unit_tasks, episodes, key)
        )

    def _by_task(self, roll: Rollout) -> np.ndarray:
        """Mean returns of each repeat, `(task, repeat)`; counts the steps."""
        data = roll.trajectories
        self.env_steps += env_steps(data)
        return np.asarray(data.returns.mean(-1), np.float64).reshape(self.count, -1)

    def _rows(self, samples: Samples, levels: dict[str, np.ndarray]) -> tuple[TaskCertificate, ...]:
        horizon, parts = self.world.family.spec.horizon, unit_figures(samples)
        words = describe(self.world.family, self.tasks)
        return tuple(
            TaskCertificate(
                task=text,
                **{name: float(x[i].mean()) for name, x in levels.items()},
                gap=float(levels["expert"][i].mean() - levels["adapted"][i].mean()),
                sharp=horizon * float(parts["weighted_span"][i].mean()),
                mean_kl=float(parts["mean_kl"][i].mean()),
                delta=float(parts["top_span"][i].max()),
            )
            for i, text in enumerate(words)
        )


def _spread(steps: list[int], n: int) -> list[int]:
    """Up to `n` of the steps, evenly chosen, the ends among them."""
    if n == 0 or not steps:
        return []
    return [steps[i] for i in evenly(len(steps), n)]

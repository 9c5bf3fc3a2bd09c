"""A policy in one task before and after the update, beside its expert."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gmps.core.types import Rollout, Task, stack, tree_index
from gmps.experts.base import ExpertActor
from gmps.methods.adaptation import adaptation
from gmps.methods.base import MethodState
from gmps.rendering.episodes import Frames, render_episode, steps_per_frame
from gmps.rendering.files import side_by_side
from gmps.tasks.base import TaskFamily
from gmps.training.experiment import Experiment


def before_and_after(
    experiment: Experiment,
    state: MethodState,
    tasks: Task,
    *,
    episodes: int,
    steps: int = 1,
    noise: bool = False,
    expert: bool = True,
    seed: int = 0,
) -> dict[str, Rollout]:
    """One episode of each, by its name, all from the same start.

    Args:
        experiment: what the policy was trained with.
        state: the method's state.
        tasks: one task, stacked.
        episodes: own episodes for each adaptation step.
        steps: adaptation steps.
        noise: whether actions are drawn; otherwise the policy's mean acts.
        expert: show the family's scripted expert too, if it has one.
        seed: of the episodes.
    """
    method, world = experiment.method, experiment.world
    *keys, last = jax.random.split(jax.random.key(seed), steps + 1)
    before = stack(method.policy(state), 1)
    *_, (_, after) = adaptation(world, method, state, before, tasks, episodes=episodes, keys=keys)
    judge = method.actor(stochastic=noise)

    def show(policies: Any) -> Rollout:
        return world.rollout(judge, policies, tasks, 1, last)

    shown = {"before": show(before)}
    shown[f"after {steps} step{'s' * (steps > 1)}"] = show(after)
    controller = world.family.expert
    if expert and controller is not None:
        actor = ExpertActor(controller, world.family.spec.act_size)
        shown["expert"] = world.rollout(actor, jnp.zeros(1, jnp.float32), tasks, 1, last)
    return shown


def film(
    family: TaskFamily,
    tasks: Task,
    shown: Mapping[str, Rollout],
    *,
    width: int = 320,
    height: int = 240,
    fps: float = 20.0,
    shadows: bool = False,
) -> tuple[Frames, float]:
    """The episodes side by side, each under its name and return; and frames per second.

    Raises:
        GmpsError: see `gmps.rendering.episodes.render_episode`.
    """
    every = steps_per_frame(family, fps)
    columns = {
        f"{name}: {float(rollout.trajectories.returns[0, 0]):.1f}": render_episode(
            family,
            tree_index(tasks, 0),
            *jax.tree.map(lambda x: x[0, 0], (rollout.states, rollout.sensors)),
            width=width,
            height=height,
            every=every,
            shadows=shadows,
        )
        for name, rollout in shown.items()
    }
    return side_by_side(columns), 1 / (every * family.spec.control_dt)

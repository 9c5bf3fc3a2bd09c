"""How good an expert is in each task: asked before anything learns from it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.core.types import Task, env_steps, tree_index
from gmps.errors import GmpsError
from gmps.experts.base import Expert, ExpertActor, reporting_faults
from gmps.experts.score_settings import ExpertThreshold
from gmps.worlds.base import World

#: Tasks that a complaint names.
_NAMED = 3


class ExpertScore(NamedTuple):
    """Figures of an expert, each `(task,)`: means over its episodes."""

    tasks: Task
    returns: Float[np.ndarray, " task"]
    #: The family's figures: `success` and errors.
    outcome: dict[str, Float[np.ndarray, " task"]]
    env_steps: int


def score_expert(
    world: World, expert: Expert, tasks: Task, episodes: int, key: Key[Array, ""]
) -> ExpertScore:
    """Run the expert without action noise.

    Raises:
        GmpsError: it is asked in a task that it was not trained for, or gives a bad answer.
    """
    family = world.family
    known = expert.knows(family, tasks)
    if not known.all():
        task = tree_index(tasks, int(known.argmin()))
        raise GmpsError(
            f"The expert ({expert.source}) was not trained for {family.describe(task)}; train an "
            "expert for that task, or a contextual one."
        )
    actor = ExpertActor(expert.controller, family.spec.act_size)
    with reporting_faults(expert):
        roll = world.rollout(actor, jnp.zeros(len(known)), tasks, episodes, key)
    return ExpertScore(
        tasks,
        np.asarray(roll.trajectories.returns).mean(1),
        {name: np.asarray(x).mean(1) for name, x in roll.outcome.items()},
        env_steps(roll.trajectories),
    )


def meets(score: ExpertScore, threshold: ExpertThreshold) -> Bool[np.ndarray, " task"]:
    """In which tasks the expert is as good as expected."""
    good = np.ones(len(score.returns), bool)
    for _, least, measured in _expected(score, threshold):
        good &= measured >= least
    return good


def only(score: ExpertScore, kept: Bool[np.ndarray, " task"]) -> ExpertScore:
    """The score in some of the tasks; the steps are what all of them took."""
    outcome = {name: x[kept] for name, x in score.outcome.items()}
    return ExpertScore(tree_index(score.tasks, kept), score.returns[kept], outcome, score.env_steps)


def exclusions(world: World, score: ExpertScore, kept: Bool[np.ndarray, " task"]) -> str:
    """One sentence that names the tasks that are left out."""
    out = [world.family.describe(tree_index(score.tasks, int(i))) for i in np.flatnonzero(~kept)]
    return (
        f"Left out of training, because the expert fails there: {len(out)} of {len(kept)} tasks: "
        f"{'; '.join(out)}."
    )


def _expected(score: ExpertScore, threshold: ExpertThreshold) -> list[tuple[str, float, Any]]:
    """What is expected: its name, the least value, the figures of each task. A family that tells no
    success is not expected to have any."""
    wanted = {"success": threshold.success, "mean return": threshold.mean_return}
    measured = {"success": score.outcome.get("success"), "mean return": score.returns}
    return [
        (name, x, measured[name])
        for name, x in wanted.items()
        if x is not None and measured[name] is not None
    ]


def complaints(world: World, score: ExpertScore, threshold: ExpertThreshold) -> list[str]:
    """One sentence for each expectation that the expert does not meet, naming the worst tasks."""
    sentences = []
    for name, least, measured in _expected(score, threshold):
        below = np.flatnonzero(measured < least)
        if len(below):
            worst = sorted(below, key=lambda i: measured[i])[:_NAMED]
            named = "; ".join(
                f"{world.family.describe(tree_index(score.tasks, int(i)))}: {measured[i]:.4g}"
                for i in worst
            )
            sentences.append(
                f"The expert's {name} is below {least:g} in {len(below)} of {len(score.returns)} "
                f"tasks, worst in {named}. What is learned from it will be no better there."
            )
    return sentences


def summary(score: ExpertScore) -> dict[str, Any]:
    """The score as plain numbers, for `scores.json` and tables."""
    figures = {"return": score.returns, **score.outcome}
    contexts = [
        np.ravel(np.concatenate([np.ravel(x) for x in jax.tree.leaves(task)]))
        for task in (tree_index(score.tasks, i) for i in range(len(score.returns)))
    ]
    return {
        "mean": {name: float(x.mean()) for name, x in figures.items()},
        "worst": {"return": float(score.returns.min())},
        "tasks": [
            {"task": [float(x) for x in context], **{n: float(x[i]) for n, x in figures.items()}}
            for i, context in enumerate(contexts)
        ],
    }

"""Do demonstrations look like the family's own episodes? Units, starts, rewards, horizon, goals."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmps.core.actors import Actor
from gmps.core.types import Params, Task, task_count
from gmps.data.layout import parts
from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily
from gmps.tasks.lists import FAR, SAME_TASK, listed_numbers, outermost
from gmps.worlds.native_world import NativeWorld
from gmps.worlds.pure_world import PureWorld

if TYPE_CHECKING:
    from gmps.data.demos import DemoSet

#: Numbers so many times larger than in the family's own episodes are in another unit.
_LARGER = 15.0
#: Units, by how much larger the same number is in them, and of what they are.
_UNITS = {"centimetres": (100.0, "m"), "millimetres": (1000.0, "m"), "degrees": (57.3, "rad")}
#: More than this share of clipped actions is a question of units.
_CLIPPED = 0.02
_TASKS, _EPISODES = 8, 4


class Ranges(NamedTuple):
    """Least and greatest of each number of the observation in a family's own episodes."""

    low: Float[np.ndarray, " obs"]
    high: Float[np.ndarray, " obs"]
    start_low: Float[np.ndarray, " obs"]
    start_high: Float[np.ndarray, " obs"]
    #: The same of the reward of a step.
    reward_low: float
    reward_high: float


@dataclass(frozen=True)
class _Anything(Actor):
    """Half of the episodes follow the family's scripted expert, where it has one, with noise; the
    others go their own way."""

    family: TaskFamily

    @property
    def noise_size(self) -> int:
        """What an episode holds, and each step's own."""
        return 1 + 2 * self.family.spec.act_size

    @property
    def held_noise(self) -> int:
        """Whether to follow the expert, and where to go otherwise."""
        return 1 + self.family.spec.act_size

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action; its density is not known."""
        del params
        follow, way, own = noise[0] > 0, noise[1 : self.held_noise], noise[self.held_noise :]
        act = way + 0.5 * own
        if self.family.expert is not None:
            act = jnp.where(follow, self.family.expert(task, obs) + 0.3 * own, act)
        return jnp.clip(act, -1, 1), jnp.zeros(())


def own_ranges(family: TaskFamily) -> Ranges | None:
    """The range of a family's observations in episodes of its own.

    Returns:
        None for a family that is played in somebody's environment: that may be a robot, which
        does not move for a check.
    """
    return _measured(family) if isinstance(family, PureFamily | MujocoFamily) else None


@functools.lru_cache(4)
def _measured(family: PureFamily | MujocoFamily) -> Ranges:
    pure = isinstance(family, PureFamily)
    world = PureWorld(family) if pure else NativeWorld(family)
    tasks = family.tasks("train", _TASKS)
    params = jnp.zeros(task_count(tasks))
    data = world.rollout(
        _Anything(family), params, tasks, _EPISODES, jax.random.key(0)
    ).trajectories
    alive = np.asarray(data.alive)
    obs, reward = np.asarray(data.obs)[alive], np.asarray(data.reward)[alive]
    start = np.asarray(data.obs)[:, :, 0].reshape(-1, obs.shape[-1])
    return Ranges(
        obs.min(0),
        obs.max(0),
        start.min(0),
        start.max(0),
        float(reward.min()),
        float(reward.max()),
    )


def unit_questions(
    low: np.ndarray, high: np.ndarray, family: TaskFamily, own: Ranges | None
) -> list[str]:
    """Sentences about numbers of the observation that look like another unit.

    Args:
        low, high: least and greatest of each number in the demonstrations.
        family: the family.
        own: its own ranges; without them nothing is asked.
    """
    if own is None:
        return []
    found = []
    for name, part, unit in _named_parts(family, len(low)):
        size = _size(low[part], high[part])
        usual = max(_size(own.low[part], own.high[part]), 1e-3)
        if size > _LARGER * usual:
            its = f"in {unit} and in" if unit else "in"
            found.append(
                f"{name} is in {_interval(low[part], high[part])}; the family's is {its} "
                f"{_interval(own.low[part], own.high[part])}: {_guess(size / usual, unit)}?"
            )
    return found


def start_questions(
    low: np.ndarray, high: np.ndarray, family: TaskFamily, own: Ranges | None
) -> list[str]:
    """Sentences about numbers of the observation that start elsewhere than the family's.

    Args:
        low, high: least and greatest of each number in first observations.
        family: the family.
        own: its own ranges; without them nothing is asked.
    """
    if own is None:
        return []
    found = []
    # Even the nearest starts are away from all of the family's.
    gap = np.maximum(np.maximum(low - own.start_high, own.start_low - high), 0)
    span = own.high - own.low
    for name, part, _ in _named_parts(family, len(low)):
        usual = max(_size(own.low[part], own.high[part]), 1e-3)
        if (gap[part] > np.maximum(0.1 * span[part], 0.2 * usual)).any():
            found.append(
                f"{name} starts in {_interval(low[part], high[part])}; the family's starts in "
                f"{_interval(own.start_low[part], own.start_high[part])}: another frame or unit?"
            )
    return found


def action_questions(clipped: float, largest: float) -> list[str]:
    """Sentences about actions beyond [-1, 1], or hardly any.

    Args:
        clipped: share of the numbers of actions that were clipped.
        largest: the largest absolute number before clipping.
    """
    if clipped > _CLIPPED:
        return [
            f"{clipped:.0%} of the numbers of actions are beyond [-1, 1], the largest "
            f"{largest:.3g}, and are clipped; in other units? `gmps demos import` takes "
            f"--scale act={1 / largest:.3g}."
        ]
    if 0 < largest < 0.01:
        return [
            f"The largest number of an action is {largest:.3g}, of a range of [-1, 1]; in other "
            "units? `gmps demos import` takes --scale act=FACTOR."
        ]
    return []


def goal_unit_questions(tasks: Float[np.ndarray, "task d"], family: TaskFamily) -> list[str]:
    """A sentence about goals that look like another unit than those of the family's lists."""
    usual = float(np.abs(listed_numbers(family)).max())
    largest = float(np.abs(tasks).max())
    if largest <= _LARGER * usual:
        return []
    return [
        f"Goals have numbers up to {largest:.3g}; the largest of {family.name} is {usual:.3g}: "
        f"{_guess(largest / usual, '')}?"
    ]


def goal_questions(tasks: Float[np.ndarray, "task d"], family: TaskFamily) -> list[str]:
    """Sentences about goals far outside of the family's own, and tasks that have the same goal."""
    at = outermost(family, tasks)
    found = []
    if at.excess > FAR and not goal_unit_questions(tasks, family):
        found = [
            f"The goal of task {at.row} has {at.value:.4g} as number {at.column + 1}, far outside "
            f"of the tasks of {family.name}, where it is {at.low:.3g} to {at.high:.3g}: another "
            "frame or unit?"
        ]
    return found + _same_goals(tasks)


def _same_goals(tasks: np.ndarray) -> list[str]:
    """A sentence about tasks that have the same goal."""
    gap = np.abs(tasks[:, None] - tasks[None]).max(-1)
    pairs = [(int(i), int(j)) for i, j in np.argwhere(gap < SAME_TASK) if i < j]
    if not pairs:
        return []
    words = ", ".join(f"{i} and {j}" for i, j in pairs[:5]) + (", ..." if pairs[5:] else "")
    return [f"The tasks {words} have the same goal."]


def horizon_questions(shortest: int, longest: int, family: TaskFamily) -> list[str]:
    """A sentence about episodes of another length than the family's."""
    horizon = family.spec.horizon
    if longest > horizon:
        return [
            f"Episodes have up to {longest} steps, and those of {family.name} end after {horizon}: "
            "another horizon or rate?"
        ]
    if shortest == longest and longest < 0.9 * horizon:
        return [
            f"All episodes have {longest} steps, and those of {family.name} {horizon}: another "
            "horizon or rate?"
        ]
    return []


def reward_questions(
    rewards: Float[np.ndarray, " step"] | None, family: TaskFamily, own: Ranges | None
) -> list[str]:
    """A sentence about rewards of another scale than the family's own.

    Args:
        rewards: of each step; None where there are none.
        family: the family.
        own: its own ranges; without them nothing is asked.
    """
    if rewards is None or own is None:
        return []
    largest = float(np.abs(rewards).max())
    usual = max(abs(own.reward_low), abs(own.reward_high), 1e-3)
    if largest <= _LARGER * usual:
        return []
    return [
        f"Rewards are in [{rewards.min():.3g}, {rewards.max():.3g}] a step; those of "
        f"{family.name} are in [{own.reward_low:.3g}, {own.reward_high:.3g}]: another scale? The "
        "demonstrators' level is taken from them."
    ]


def reward_words(theirs: np.ndarray, ours: np.ndarray) -> str:
    """How the rewards of a file differ from the family's, in words."""
    scale = float((theirs * ours).sum() / max(float((ours**2).sum()), 1e-12))
    close = np.abs(theirs - scale * ours).mean() <= 0.02 * np.abs(theirs).mean()
    if close and abs(scale - 1) > 0.05:
        return f"they are {scale:.3g} times the family's"
    return f"{theirs.mean():.3g} a step in the mean, the family's {ours.mean():.3g}"


def questions(
    demos: "DemoSet",
    family: TaskFamily,
    own: Ranges | None,
    rewards: Float[np.ndarray, "task ep t"] | None = None,
) -> list[str]:
    """What looks wrong with demonstrations, a sentence each.

    Args:
        demos: the demonstrations.
        family: the family.
        own: its own ranges.
        rewards: what they earned, as far as that is known.
    """
    alive = demos.alive
    obs, lengths = demos.obs[alive], alive.sum(-1)
    starts = demos.obs[:, :, 0][lengths > 0]
    report = demos.report
    return [
        *unit_questions(obs.min(0), obs.max(0), family, own),
        *start_questions(starts.min(0), starts.max(0), family, own),
        *action_questions(report.clipped_fraction, report.largest_action),
        *goal_unit_questions(demos.tasks, family),
        *goal_questions(demos.tasks, family),
        *reward_questions(None if rewards is None else rewards[alive], family, own),
        *horizon_questions(int(lengths[lengths > 0].min()), report.longest, family),
    ]


def summary(demos: "DemoSet", used: Sequence[int], heldout: int, rewards: str) -> str:
    """What training takes of demonstrations, in one line.

    Args:
        demos: all of them.
        used: the tasks that are trained on, by index.
        heldout: how many are set aside because they are held out.
        rewards: where rewards come from, in words.
    """
    lengths = demos.alive.sum(-1)[list(used)]
    lengths = lengths[lengths > 0]
    share = demos.report.clipped_fraction
    clipped = f"{share:.0%}" if share == 0 or share >= 0.005 else f"{share:.1%}"
    return (
        f"{len(used)} of {len(demos.tasks)} tasks used, {heldout} held out; {len(lengths)} "
        f"episodes; {clipped.replace('%', ' %')} clipped; {lengths.min()} to {lengths.max()} "
        f"steps; rewards {rewards}"
    )


def _named_parts(family: TaskFamily, size: int) -> list[tuple[str, slice, str]]:
    """Name, numbers and unit of each part of an observation."""
    named = parts(family)
    if sum(part.size for part in family.parts) == size:
        return [(part.name, named[part.name], part.unit) for part in family.parts]
    return [(f"number {i} of the observation", slice(i, i + 1), "") for i in range(size)]


def _guess(ratio: float, unit: str) -> str:
    """The unit in which numbers are so many times larger."""
    fitting = {n: f for n, (f, of) in _UNITS.items() if unit in ("", of)}
    if not fitting:
        return "another unit"
    return min(fitting, key=lambda name: abs(np.log(fitting[name] / ratio)))


def _size(low: np.ndarray, high: np.ndarray) -> float:
    return float(max(np.abs(low).max(), np.abs(high).max()))


def _interval(low: np.ndarray, high: np.ndarray) -> str:
    return f"[{low.min():.3g}, {high.max():.3g}]"

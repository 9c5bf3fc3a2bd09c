"""Shared types and the axis vocabulary: `task`, `ep`(isode), `t`(ime step), `obs`, `act`."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

#: One task: any pytree of arrays. A batch of tasks has a leading `task` axis on every leaf.
Task = Any
#: Parameters of an actor: any pytree of arrays, with a leading `task` axis in a rollout unless
#: they are `Shared`.
Params = Any


class Shared(NamedTuple):
    """Parameters that all tasks of a rollout share: leaves without a `task` axis."""

    params: Any


class Trajectories(NamedTuple):
    """Experience of a batch of tasks; the leading axes are always `(task, ep, t)`.

    Episodes that end early are padded to the horizon. Losses average over `alive` steps.
    """

    #: Observation in which `act` was chosen.
    obs: Float[Array, "task ep t obs"]
    #: Action as drawn, before the environment clips it to [-1, 1].
    act: Float[Array, "task ep t act"]
    #: Reward received for `act`; 0 after the end of the episode.
    reward: Float[Array, "task ep t"]
    #: log density of `act` under the collecting policy.
    log_prob: Float[Array, "task ep t"]
    #: True for steps taken before the episode ended.
    alive: Bool[Array, "task ep t"]
    #: Observation after the last step.
    last_obs: Float[Array, "task ep obs"]
    #: True if the episode ended by a terminal state; a horizon is a truncation, not an end.
    terminated: Bool[Array, "task ep"]
    #: Normal numbers that the actor held for the whole episode (`Actor.held_noise`); mostly none.
    held: Float[Array, "task ep held"]
    #: What the camera shows when `act` is chosen, on the host; None where a family has no camera.
    #: Then `obs` is what experts see, and of it the learner is shown proprioception alone.
    frames: UInt8[np.ndarray, "task ep t height width 3"] | None = None

    @property
    def returns(self) -> Float[Array, "task ep"]:
        """Undiscounted return of each episode."""
        return self.reward.sum(-1)


class TaskSpread(NamedTuple):
    """How observations at one moment of an episode vary between tasks: `gmps.data.augmentation`."""

    #: Time step of each label in its episode.
    moment: Int[Array, "task n"]
    #: For each time step, a square root of the covariance between tasks: `axes.T @ axes` is it.
    axes: Float[Array, "t rank obs"]
    #: Standard deviation of independent noise on each number.
    noise: Float[Array, " obs"]


class TaskMoments(NamedTuple):
    """Which labels show the same moment of an episode: `gmps.data.augmentation`."""

    #: A task's labels of each time step, the first `number` of them; beyond the end of all of its
    #: episodes, those of its last one.
    rows: Int[Array, "task t ep"]
    number: Int[Array, "task t"]
    #: False beyond that end.
    alive: Bool[Array, "task t"]
    #: How far features move, in the deviations between tasks.
    scale: Float[Array, ""]


class Demonstrations(NamedTuple):
    """Expert labels: states and the expert's action in each, per task."""

    #: Observations, without the task parameter.
    obs: Float[Array, "task n obs"]
    #: The expert's action, clipped to [-1, 1].
    act: Float[Array, "task n act"]
    #: False for padding.
    valid: Bool[Array, "task n"]
    #: What the camera shows in these states; None where a family has no camera.
    frames: UInt8[Array | np.ndarray, "task n height width 3"] | None = None
    #: Set where sampled labels are to be moved about between tasks: observations as they are
    #: sampled, what pictures show once it is encoded.
    spread: TaskSpread | TaskMoments | None = None
    #: The episodes whose steps these are, with what was done and earned in them; only for methods
    #: that need `"episodes"`.
    episodes: Trajectories | None = None
    #: Of sampled pictures, those at one place of the second axis being of the same moment: by how
    #: much of what sets each task's features apart from the mean these features are moved.
    mixing: Float[Array, "task n other"] | None = None


class Rollout(NamedTuple):
    """What `World.rollout` returns: the learner's view, and what people and tables look at."""

    trajectories: Trajectories
    #: The named reward terms, each `(task, ep, t)`; they sum to `trajectories.reward`.
    terms: dict[str, Float[Array, "task ep t"]]
    #: Named figures of each episode, `(task, ep)`: `success` (0 or 1) and errors in m or rad.
    outcome: dict[str, Float[Array, "task ep"]]
    #: Named paths of points to draw, `(task, ep, t + 1, 2)`, in m.
    paths: dict[str, Float[Array, "task ep t1 2"]]
    #: The simulator's states (a `gmps.tasks.base.State`) and the sensor data of exactly these
    #: states, leaves `(task, ep, t + 1, ...)`; repeated after the end of an episode.
    states: Any
    sensors: Float[Array, "task ep t1 sensor"]


def concatenated(*trees: Any) -> Any:
    """Trees joined along the leading axis of every leaf."""
    return jax.tree.map(lambda *x: jnp.concatenate(x), *trees)


def tree_index(tree: Any, index: Any) -> Any:
    """Index the leading axis of every leaf."""
    places = isinstance(index, np.ndarray) and index.dtype.kind == "i"
    if places and all(isinstance(x, jax.Array) for x in jax.tree.leaves(tree)):
        return _taken(tree, index)
    return jax.tree.map(lambda x: x[index], tree)


@jax.jit
def _taken(tree: Any, places: Int[Array, " n"]) -> Any:
    """One program for all leaves, where each would be several."""
    return jax.tree.map(lambda x: x[places], tree)


def evenly(length: int, n: int) -> np.ndarray:
    """Indices of `n` of `length` things, evenly spread and with both ends; of all where there are
    fewer. For `n` = 1 the first."""
    return np.unique(np.linspace(0, length - 1, min(n, length)).round().astype(int))


@functools.partial(jax.jit, static_argnums=1)
def stack(tree: Any, n: int) -> Any:
    """`n` copies of a policy along a leading `task` axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), tree)


def task_count(tree: Any) -> int:
    """The length of the leading `task` axis."""
    return jax.tree.leaves(tree)[0].shape[0]


def env_steps(data: Trajectories) -> int:
    """Environment steps taken."""
    return int(np.asarray(data.alive).sum())

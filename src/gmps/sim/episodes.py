"""What all simulators share: random draws, actors over a batch, and episodes from recordings.

Simulators record time-major arrays over a flat batch `b = task * episodes + ep`. Rewards, outcomes
and paths are computed once the episode is over, in one vectorised call, so that the closed loop
holds nothing but observation, actor and physics.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.core.actors import Actor, RememberingActor
from gmps.core.types import Params, Rollout, Shared, Task, Trajectories, task_count
from gmps.errors import NotFiniteError
from gmps.tasks.base import State, TaskFamily, Transition

#: What to look at where a policy acts or leads to what is not finite.
POLICY_HINT = "look for NaN or huge numbers in the policy's parameters"


class Recording(NamedTuple):
    """What a simulator saw: `t` steps and `t + 1` states of a flat batch of `b` episodes.

    Leaves are JAX or NumPy arrays.
    """

    #: States, packed: qpos, qvel, mocap_pos.
    states: Float[Any, "t1 b state"]
    #: Sensor data of exactly these states.
    sensors: Float[Any, "t1 b sensor"]
    obs: Float[Any, "t1 b obs"]
    #: Actions as drawn, before clipping.
    act: Float[Any, "t b act"]
    log_prob: Float[Any, "t b"]
    #: True where the step led to numbers that are not finite or to a simulator's warning.
    diverged: Bool[Any, "t b"]
    #: Noise that the actor held for the whole episode.
    held: Float[Any, "b held"]


@functools.cache
def state_sizes(family: TaskFamily) -> tuple[int, int, int]:
    """Sizes of `qpos`, `qvel` and `mocap_pos` of a family."""
    return family.state_sizes


def pack(state: State) -> Float[Array, " state"]:
    """One vector of a state: qpos, qvel, mocap_pos."""
    return jnp.concatenate(state)


def unpack(vector: Float[Any, "*b state"], sizes: tuple[int, int, int]) -> State:
    """The state of a vector made by `pack`, any leading axes."""
    nq, nv, _ = sizes
    return State(vector[..., :nq], vector[..., nq : nq + nv], vector[..., nq + nv :])


def draw_starts(
    family: TaskFamily, episodes: int, tasks: Task, key: Key[Array, ""]
) -> Float[np.ndarray, "b state"]:
    """Packed start states of `episodes` episodes in each task.

    Raises:
        NotFiniteError: one is not finite.
    """
    batch = task_count(tasks) * episodes
    # Few lengths, and so few programs; the first keys are the same however many there are.
    rows = np.minimum(np.arange(_length(batch, *_STARTS)) // episodes, task_count(tasks) - 1)
    repeated = jax.tree.map(lambda x: np.asarray(x)[rows], tasks)
    starts = np.asarray(_draw_starts(family, repeated, key))[:batch]
    finite = np.isfinite(starts).all(-1)
    if not finite.all():
        task, episode = divmod(int(finite.argmin()), episodes)
        what = "the state that reset draws is not finite"
        raise not_finite(family, what, task, episode, 0, "look at reset")
    return starts


@functools.partial(jax.jit, static_argnums=0)
def _draw_starts(family: TaskFamily, tasks: Task, key: Key[Array, ""]) -> Float[Array, "b state"]:
    keys = jax.random.split(key, task_count(tasks))
    # Not vmap: random bits of a batch of keys take several times as long to compile.
    starts = jax.lax.map(lambda x: pack(family.reset(*x)), (keys, tasks))
    return starts.astype(jnp.float32)


def _length(n: int, least: int, most: int) -> int:
    """The next of `least` times a power of 4; beyond `most` the number itself."""
    size = least
    while size < n:
        size *= 4
    return size if size <= most else n


def draw_noise(
    actor: Actor, steps: int, batch: int, episodes: int, key: Key[Array, ""]
) -> Float[Any, "t b noise"]:
    """Standard normal numbers for the actor; what it holds may be spread over a task's episodes."""
    noise = normals(key, (steps, batch, actor.noise_size))
    size = actor.held_noise
    if size:
        drawn = noise[0, :, :size].reshape(-1, episodes, size)
        noise[:, :, :size] = np.asarray(_spread(actor, drawn)).reshape(batch, size)
    return noise


#: Least and largest of the few lengths in which normal numbers and start states are drawn.
_NORMALS, _STARTS = (4**6, 4**10), (4**3, 4**6)


def normals(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """As `jax.random.normal`, by a few compiled programs for all shapes: each takes a second to
    compile, and what a key gives first does not depend on how much is drawn after it."""
    n = math.prod(shape)
    drawn = np.asarray(_normals(key, _length(n, *_NORMALS)))
    return drawn[:n].reshape(shape).copy()


@functools.partial(jax.jit, static_argnums=1)
def _normals(key: Key[Array, ""], n: int) -> Float[Array, " n"]:
    return jax.random.normal(key, (n,), jnp.float32)


@functools.partial(jax.jit, static_argnums=0)
def _spread(actor: Actor, drawn: Float[Array, "task ep held"]) -> Float[Array, "task ep held"]:
    return jax.vmap(actor.held_spread)(drawn)


def hold(actor: Actor, noise: Float[Array, "t b noise"]) -> Float[Array, "t b noise"]:
    """The noise with what the actor holds for an episode as it is in the first step."""
    held = actor.held_noise
    return noise.at[:, :, :held].set(noise[0, :, :held]) if held else noise


def act_batch(
    actor: Actor,
    params: Params,
    tasks: Task,
    obs: Float[Array, "task ep obs"],
    noise: Float[Array, "task ep noise"],
) -> tuple[Float[Array, "task ep act"], Float[Array, "task ep"]]:
    """Run the actor for all episodes of all tasks."""
    per_episode = jax.vmap(actor, (None, None, 0, 0))
    if isinstance(params, Shared):
        return jax.vmap(per_episode, (None, 0, 0, 0))(params.params, tasks, obs, noise)
    return jax.vmap(per_episode)(params, tasks, obs, noise)


def begin_batch(actor: RememberingActor, params: Params, count: int, episodes: int) -> Any:
    """The memories before all episodes of `count` tasks, leaves `(task, ep, ...)`."""
    if isinstance(params, Shared):
        one = actor.begin(params.params)
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, episodes, *x.shape)), one)
    each = jax.vmap(actor.begin)(params)
    return jax.tree.map(
        lambda x: jnp.broadcast_to(x[:, None], (count, episodes, *x.shape[1:])), each
    )


def step_batch(
    actor: RememberingActor,
    params: Params,
    memory: Any,
    obs: Float[Array, "task ep obs"],
    noise: Float[Array, "task ep noise"],
) -> tuple[Any, Float[Array, "task ep act"], Float[Array, "task ep"]]:
    """`act_batch` of an actor that remembers: the memories of all episodes come first."""
    per_episode = jax.vmap(actor.step, (None, 0, 0, 0))
    if isinstance(params, Shared):
        return jax.vmap(per_episode, (None, 0, 0, 0))(params.params, memory, obs, noise)
    return jax.vmap(per_episode)(params, memory, obs, noise)


def tell_batch(
    family: TaskFamily,
    actor: RememberingActor,
    tasks: Task,
    memory: Any,
    before: tuple[Float[Array, "task ep state"], Float[Array, "task ep sensor"]],
    act: Float[Array, "task ep act"],
    after: tuple[Float[Array, "task ep state"], Float[Array, "task ep sensor"]],
) -> Any:
    """The memories after a step from packed states and their sensor data to others."""
    sizes = state_sizes(family)
    transitions = Transition(
        unpack(before[0], sizes), before[1], jnp.clip(act, -1, 1), unpack(after[0], sizes), after[1]
    )
    terms = jax.vmap(jax.vmap(family.reward, (None, 0)))(tasks, transitions)
    reward = sum(terms.values(), jnp.zeros(act.shape[:2], jnp.float32))
    return jax.vmap(jax.vmap(actor.told))(memory, act, reward)


@functools.cache
def ends_on_divergence(family: TaskFamily) -> bool:
    """Whether the family counts a state of numbers that are not finite as terminal."""
    sizes = state_sizes(family)
    nowhere = unpack(np.full(sum(sizes), np.nan, np.float32), sizes)
    return bool(jax.jit(family.terminated)(nowhere))


def assemble(family: TaskFamily, episodes: int, tasks: Task, record: Recording) -> Rollout:
    """Episodes, rewards and outcomes from a recording; pure, for `jax.jit`.

    After its end an episode repeats its last state and observation, its actions, log densities
    and rewards are 0 and `alive` is False. A diverged step leaves the state where it was.
    """
    steps, batch = record.act.shape[:2]
    sizes = state_sizes(family)
    grid = (batch // episodes, episodes)
    states = unpack(record.states, sizes)
    terminal = jax.vmap(jax.vmap(family.terminated))(jax.tree.map(lambda x: x[1:], states))
    ended = record.diverged | terminal
    ends = ended.astype(jnp.int32)
    alive = jnp.cumsum(ends, 0) - ends == 0
    length = alive.sum(0, dtype=jnp.int32)
    broken = jnp.take_along_axis(record.diverged, length[None] - 1, 0)[0]
    last = length - broken.astype(jnp.int32)
    source = jnp.minimum(jnp.arange(steps + 1, dtype=jnp.int32)[:, None], last[None])

    def by_episode(x):
        return jnp.moveaxis(x, 0, 1).reshape(*grid, x.shape[0], *x.shape[2:])

    def repeated(x):
        return by_episode(x[source, jnp.arange(batch)])

    def masked(x):
        mask = alive if x.ndim == 2 else alive[..., None]
        return by_episode(jnp.where(mask, x, 0))

    states, sensors = jax.tree.map(repeated, (states, record.sensors))
    obs, act, here = repeated(record.obs), masked(record.act), by_episode(alive)
    terms = reward_terms(family, tasks, states, sensors, act, here)
    trajectories = Trajectories(
        obs=obs[:, :, :-1],
        act=act,
        reward=sum(terms.values(), jnp.zeros(here.shape, jnp.float32)),
        log_prob=masked(record.log_prob),
        alive=here,
        last_obs=obs[:, :, -1],
        terminated=ended.any(0).reshape(grid),
        held=jnp.asarray(record.held).reshape(*grid, -1),
    )
    per_task = jax.vmap(family.outcome, (None, 0, 0))
    return Rollout(
        trajectories=trajectories,
        terms=terms,
        outcome=jax.vmap(per_task)(tasks, states, sensors),
        paths=jax.vmap(jax.vmap(family.paths))(states, sensors),
        states=states,
        sensors=sensors,
    )


assemble_jit = jax.jit(assemble, static_argnums=(0, 1))


def reward_terms(
    family: TaskFamily,
    tasks: Task,
    states: State,
    sensors: Float[Array, "task ep t1 sensor"],
    act: Float[Array, "task ep t act"],
    alive: Bool[Array, "task ep t"],
) -> dict[str, Float[Array, "task ep t"]]:
    """What these episodes earn in `tasks`, which need not be the tasks they were made in."""
    before, after = (
        jax.tree.map(lambda x, part=part: x[:, :, part], (states, sensors))
        for part in (slice(None, -1), slice(1, None))
    )
    transitions = Transition(before[0], before[1], jnp.clip(act, -1, 1), after[0], after[1])
    reward = family.reward
    for axes in ((None, 0), (None, 0), (0, 0)):
        reward = jax.vmap(reward, axes)
    return {name: jnp.where(alive, x, 0) for name, x in reward(tasks, transitions).items()}


def finish(family: TaskFamily, episodes: int, tasks: Task, record: Recording) -> Rollout:
    """Episodes, rewards and outcomes, checked.

    Raises:
        NotFiniteError: see `require_finite`; or a reward term is not finite.
    """
    require_finite(family, episodes, record)
    rollout = assemble_jit(family, episodes, tasks, record)
    if not np.isfinite(np.asarray(rollout.trajectories.reward)).all():
        for name, term in rollout.terms.items():
            for task, episode, step in np.argwhere(~np.isfinite(np.asarray(term)))[:1]:
                what = f"the reward term {name!r} is not finite"
                hint = "look at what it divides by or takes a root of"
                raise not_finite(family, what, task, episode, step, hint)
    return rollout


def require_finite(family: TaskFamily, episodes: int, record: Recording) -> None:
    """Raise unless observations and actions are finite and every divergence is an end that the
    family defines.

    What happens after the end of an episode does not matter.

    Raises:
        NotFiniteError: names the family, the task's index, the episode and the step.
    """
    unseen = ~np.isfinite(np.asarray(record.obs)[:-1]).all(-1)
    if unseen.any():
        unseen &= np.isfinite(np.asarray(record.states)[:-1]).all(-1)
    hints = POLICY_HINT, "look at observe"
    faults = {
        "the observation of a finite state is not finite": unseen,
        "the actor's action is not finite": ~np.isfinite(np.asarray(record.act)).all(-1),
        "the state became non-finite, and this family has no such end": (
            np.zeros(0) if ends_on_divergence(family) else np.asarray(record.diverged)
        ),
    }
    for what, fault in faults.items():
        if not fault.any():
            continue
        states = unpack(jnp.asarray(record.states[1:]), state_sizes(family))
        terminal = np.asarray(jax.vmap(jax.vmap(family.terminated))(states))
        ended = np.logical_or(terminal, np.asarray(record.diverged))
        alive = np.cumsum(ended, 0) - ended == 0
        for t, b in np.argwhere(fault & alive)[:1]:
            hint = hints["observation" in what]
            raise not_finite(family, what, b // episodes, b % episodes, t, hint)


def not_finite(
    family: TaskFamily, what: str, task: int, episode: int, step: int, hint: str
) -> NotFiniteError:
    """The error that says what is not finite, and where."""
    return NotFiniteError(
        f"{family.name}: {what} (task {task}, episode {episode}, step {step}); {hint}."
    )

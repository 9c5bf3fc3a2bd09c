"""Worlds on this machine: pure JAX families as one compiled scan, MuJoCo families on threads."""

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Shared, Task, task_count, tree_index
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.sim.native import NativeSimulator, edited_model
from gmps.sim.scan import record_scan
from gmps.tasks.base import MujocoFamily, PureFamily, Sim, Spec, TaskFamily
from gmps.tasks.check import check_functions, compile_model
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import Draws, World
from gmps.worlds.gymnasium_world import GymnasiumWorld


def make_world(family: TaskFamily, threads: int | None = None, sim: Sim = "native") -> World:
    """The world that runs a family on this machine.

    Args:
        family: a `PureFamily`, a `MujocoFamily` or a `GymnasiumFamily`.
        threads: CPU threads for physics; default all that this process may use. For Gymnasium
            environments, processes; default none, or as many where the family says that its
            steps are slow. Results do not depend on it. MJX has none.
        sim: `mjx` simulates a `MujocoFamily` in JAX, on its default device: see `gmps.sim.mjx`.

    Raises:
        TypeError: the family is of none of these kinds.
        GmpsError: `threads` is below 1, or one of the family's functions does not return what it
            must, or `sim` cannot simulate the family.
    """
    if isinstance(family, PureFamily | MujocoFamily | GymnasiumFamily):
        check_functions(family)
    if sim == "mjx":
        from gmps.worlds.mjx_world import MjxWorld

        return MjxWorld(family)
    if isinstance(family, PureFamily):
        return PureWorld(family)
    if isinstance(family, PixelFamily):
        from gmps.worlds.vision_world import VisionWorld

        return VisionWorld(family, threads)
    if isinstance(family, MujocoFamily):
        return NativeWorld(family, threads)
    if isinstance(family, GymnasiumFamily):
        batch = family.make_batch(usable_cores() if threads is None else threads)
        if batch is not None:
            return GymnasiumWorld(family, batch=batch)
        default = usable_cores() if family.slow_steps else 0
        return GymnasiumWorld(family, processes=default if threads is None else threads)
    raise TypeError(
        f"{type(family).__name__} has no dynamics; derive it from PureFamily or MujocoFamily, or "
        "from GymnasiumFamily."
    )


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_batch(params: Params, tasks: Task, episodes: int) -> int:
    """The number of tasks, if parameters and tasks belong together.

    Raises:
        GmpsError: they do not, or `episodes` is below 1.
    """
    own = () if isinstance(params, Shared) else params
    counts, axes = (
        sorted({x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(tree)})
        for tree in (tasks, (own, tasks))
    )
    if len(counts) != 1 or counts[0] < 1:
        raise GmpsError(
            f"Tasks need one common leading axis of at least 1, got {counts}; stack them, also a "
            "single one."
        )
    if axes != counts:
        raise GmpsError(
            f"Parameters and tasks need the same leading task axis, got {counts[0]} tasks and axes "
            f"{axes}; stack one set of parameters per task, or mark them as Shared."
        )
    if episodes < 1:
        raise GmpsError(f"episodes is {episodes}; a rollout needs at least 1.")
    return counts[0]


class PureWorld:
    """A family with dynamics in JAX: the whole rollout is one compiled function."""

    def __init__(self, family: PureFamily):
        self.family: TaskFamily = family
        self._record = functools.partial(_pure_record, family)

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        check_batch(params, tasks, episodes)
        draws = draw(self.family, actor, episodes, tasks, key)
        record = self._record(actor, episodes, params, tasks, *draws)
        return ep.finish(self.family, episodes, tasks, record)


def draw(
    family: TaskFamily, actor: Actor, episodes: int, tasks: Task, key: Key[Array, ""] | Draws
) -> tuple[Float[Array, "b state"], Float[Array, "t b noise"]]:
    """Everything random in a batch of episodes: start states and the actor's noise."""
    if isinstance(key, Draws):
        return _given(family, actor, episodes, tasks, key)
    start_key, noise_key = jax.random.split(key)
    starts = ep.draw_starts(family, episodes, tasks, start_key)
    return starts, ep.draw_noise(actor, family.spec.horizon, len(starts), episodes, noise_key)


def _given(
    family: TaskFamily, actor: Actor, episodes: int, tasks: Task, draws: Draws
) -> tuple[Float[Array, "b state"], Float[Array, "t b noise"]]:
    """Given draws as a flat batch."""
    count = task_count(tasks)
    wanted = [(count, episodes, size) for size in ep.state_sizes(family)]
    shapes = [tuple(x.shape) for x in draws.starts]
    if shapes != wanted:
        raise GmpsError(
            f"The start states have shapes {shapes}; {count} tasks with {episodes} episodes of "
            f"{family.name} need {wanted}."
        )
    steps = draws.noise.shape[2] if draws.noise.ndim == 4 else 0
    if steps < 1 or draws.noise.shape != (count, episodes, steps, actor.noise_size):
        raise GmpsError(
            f"The noise has shape {tuple(draws.noise.shape)}; {count} tasks with {episodes} "
            f"episodes of this actor need ({count}, {episodes}, steps, {actor.noise_size}) with at "
            "least 1 step."
        )
    starts = jnp.concatenate(draws.starts, -1).reshape(count * episodes, -1)
    noise = jnp.moveaxis(draws.noise.reshape(count * episodes, steps, -1), 1, 0)
    return starts.astype(jnp.float32), ep.hold(actor, noise.astype(jnp.float32))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _pure_record(
    family: PureFamily,
    actor: Actor,
    episodes: int,
    params: Params,
    tasks: Task,
    starts: Float[Array, "b state"],
    noise: Float[Array, "t b noise"],
) -> ep.Recording:
    sizes = ep.state_sizes(family)

    def sense(states):
        return jnp.zeros((states.shape[0], 0), jnp.float32)

    def advance(states, acts):
        new = jax.vmap(lambda s, a: ep.pack(family.step(ep.unpack(s, sizes), a)))(states, acts)
        return new, sense(states)

    return record_scan(family, actor, episodes, advance, sense, params, tasks, starts, noise)


def edited_models(family: MujocoFamily, model: mujoco.MjModel, tasks: Task) -> list[mujoco.MjModel]:
    """The model of each of the stacked tasks.

    Raises:
        GmpsError: the family's `edit_model` fails; names the task.
    """
    tasks = jax.device_get(tasks)
    models = []
    for i in range(task_count(tasks)):
        edit = functools.partial(family.edit_model, task=tree_index(tasks, i))
        try:
            models.append(edited_model(model, edit))
        except Exception as error:
            raise GmpsError(
                f"{family.name}: edit_model failed in task {i}: {type(error).__name__}: {error}"
            ) from error
    return models


class NativeWorld:
    """A MuJoCo family on CPU threads; see `gmps.sim.native`.

    The batch is simulated in two halves that do not wait for each other: while the policy
    computes the actions of one half, the physics of the other runs. One rollout at a time: the
    simulators are shared by all calls.
    """

    def __init__(self, family: MujocoFamily, threads: int | None = None):
        threads = usable_cores() if threads is None else threads
        if threads < 1:
            raise GmpsError(f"threads is {threads}; physics needs at least 1.")
        self.family: TaskFamily = family
        self._mujoco_family = family
        self.threads = threads
        # With two threads each half steps in its own, which saves waking a pool; with more a whole
        # pool for each, so that cores that one half leaves idle serve the other.
        pool = threads if threads > 2 else 0
        self._simulators = [
            NativeSimulator(compile_model(family), family.frame_skip, pool) for _ in range(2)
        ]
        self._workers = ThreadPoolExecutor(max_workers=min(2, threads))

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        count = check_batch(params, tasks, episodes)
        starts, noise = jax.device_get(draw(self.family, actor, episodes, tasks, key))
        models = None
        if self._mujoco_family.edits_model:
            own = edited_models(self._mujoco_family, self._simulators[0].model, tasks)
            models = [model for model in own for _ in range(episodes)]
        tape = self._tape(starts, noise)
        encoder = actor.shared_encoder(params)
        leaves, structure = jax.tree.flatten((params, tasks))
        shared = jax.tree.structure(params).num_leaves if isinstance(params, Shared) else 0
        stop = threading.Event()
        jobs = []
        for (cut, rows), simulator in zip(_halves(count, episodes), self._simulators, strict=False):
            mine = leaves[:shared] + _task_slice(leaves[shared:], *cut)
            groups = cut[1] - cut[0]
            shape = (groups, (rows.stop - rows.start) // groups)
            policy = functools.partial(
                _decider(self._mujoco_family, actor, structure, shape), mine, encoder
            )
            decide = self._decide(actor, policy, tape, rows)
            # Compile here, once: two threads that meet the same new shape would both compile it.
            decide(0)
            own = models and models[rows]
            jobs.append((simulator, own, decide, tape, rows, stop))
        futures = [self._workers.submit(_simulate, *job) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            # Also on Ctrl-C: leave no thread behind that still uses the simulators.
            stop.set()
            wait(futures)
            raise
        record = tape.recording(self.family.spec, starts.shape[1], actor.held_noise)
        return ep.finish(self.family, episodes, tasks, record)

    def _decide(
        self, actor: Actor, policy: Callable[..., Array], tape: "Tape", rows: slice
    ) -> Callable[[int], Array]:
        """What gives the tape's outputs in a step."""
        if actor.needs_frames:
            raise GmpsError(
                f"{type(actor).__name__} looks at pictures, but {self.family.name} has none; "
                "choose a family with a camera, such as sawyer-push-vision."
            )
        return lambda t: policy(tape.inputs[t, rows], None)

    def _tape(self, starts: np.ndarray, noise: np.ndarray) -> "Tape":
        model, spec = self._simulators[0].model, self.family.spec
        steps, batch, _ = noise.shape
        size = starts.shape[1]
        inputs = np.zeros((steps + 1, batch, size + noise.shape[2]), np.float32)
        inputs[0, :, :size] = starts
        inputs[:-1, :, size:] = noise
        width = spec.obs_size + spec.act_size + 1 + self._simulators[0].control_size
        return Tape(
            inputs=inputs,
            outputs=np.empty((steps + 1, batch, width), np.float32),
            sensors=np.empty((steps + 1, batch, model.nsensordata), np.float32),
            diverged=np.zeros((steps, batch), bool),
        )


class Tape(NamedTuple):
    """Buffers of a rollout, one row per episode.

    What goes into the policy and what comes out of it is packed, because handing over each
    array costs more than the policy's arithmetic.
    """

    #: Packed state, then noise.
    inputs: Float[np.ndarray, "t1 b state_noise"]
    #: Observation, action, log density, control vector.
    outputs: Float[np.ndarray, "t1 b out"]
    sensors: Float[np.ndarray, "t1 b sensor"]
    diverged: Bool[np.ndarray, "t b"]

    def recording(self, spec: Spec, state_size: int, held: int) -> ep.Recording:
        """The parts, as views."""
        cuts = np.cumsum([spec.obs_size, spec.act_size, 1])
        obs, act, log_prob, _ = np.split(self.outputs, cuts, axis=-1)
        return ep.Recording(
            states=self.inputs[..., :state_size],
            sensors=self.sensors,
            obs=obs,
            act=act[:-1],
            log_prob=log_prob[:-1, :, 0],
            diverged=self.diverged,
            held=self.inputs[0, :, state_size : state_size + held],
        )


@functools.cache
def _decider(
    family: MujocoFamily, actor: Actor, structure: Any, shape: tuple[int, int]
) -> Callable[..., Any]:
    """The compiled policy step for (task, ep) = `shape`; parameters are a flat list of leaves,
    which saves dispatch."""
    return jax.jit(functools.partial(_decide, family, actor, structure, shape))


def _halves(count: int, episodes: int) -> list[tuple[tuple[int, int], slice]]:
    """First and last task, and batch rows, of the halves; depends on the batch alone.

    One task is split by its episodes, one single episode not at all.
    """
    if count > 1:
        middle = (count + 1) // 2
        cuts = [(0, middle), (middle, count)]
        return [((a, b), slice(a * episodes, b * episodes)) for a, b in cuts]
    middle = (episodes + 1) // 2
    rows = [slice(0, middle), slice(middle, episodes)]
    return [((0, 1), part) for part in rows if part.stop > part.start]


@functools.partial(jax.jit, static_argnums=(1, 2))
def _task_slice(leaves: list[Array], start: int, stop: int) -> list[Array]:
    return [x[start:stop] for x in leaves]


def _decide(
    family: MujocoFamily,
    actor: Actor,
    structure: Any,
    shape: tuple[int, int],
    leaves: list[Array],
    encoder: Any,
    inputs: Float[Array, "b state_noise"],
    frames: UInt8[Array, "b height width 3"] | None,
) -> Float[Array, "b out"]:
    """One row of a tape's outputs from one of its inputs, and pictures for an actor that sees."""
    params, tasks = jax.tree.unflatten(structure, leaves)
    sizes = ep.state_sizes(family)
    state, noise = ep.unpack(inputs[:, : sum(sizes)], sizes), inputs[:, sum(sizes) :]
    obs = jax.vmap(family.observe)(state)
    seen = actor.encode(encoder, frames, obs)
    grouped = [x.reshape(*shape, x.shape[-1]) for x in (seen, noise)]
    act, log_prob = ep.act_batch(actor, params, tasks, *grouped)
    act = act.reshape(inputs.shape[0], -1)
    control = jax.vmap(family.control)(state, jnp.clip(act, -1, 1))
    return jnp.concatenate([obs, act, log_prob.reshape(-1, 1), *control], -1)


def _simulate(
    simulator: NativeSimulator,
    models: list[mujoco.MjModel] | None,
    decide: Callable[[int], Array],
    tape: Tape,
    rows: slice,
    stop: threading.Event,
) -> None:
    """Run the closed loop for some rows of the tape, unless `stop` is set."""
    model, controls = simulator.model, simulator.control_size
    moving = model.nq + model.nv
    packed = moving + 3 * model.nmocap
    simulator.start(tape.inputs[0, rows, :moving], models)
    for t in range(len(tape.diverged)):
        if stop.is_set():
            return
        out = tape.outputs[t, rows]
        out[...] = decide(t)
        control = out[:, out.shape[1] - controls :]
        new = tape.inputs[t + 1, rows, :packed]
        new[:, moving:] = control[:, model.nu :]
        diverged = simulator.step(control, new[:, :moving], tape.sensors[t, rows])
        if diverged is not None:
            new[diverged] = tape.inputs[t, rows, :packed][diverged]
            tape.diverged[t, rows] = diverged
    simulator.sense(tape.sensors[-1, rows])
    tape.outputs[-1, rows] = decide(len(tape.diverged))

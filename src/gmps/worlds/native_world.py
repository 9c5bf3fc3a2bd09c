"""MuJoCo families on CPU threads: policy and physics take turns on two halves of the batch."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from gmps.core.actors import Actor, RememberingActor
from gmps.core.types import Params, Rollout, Shared, Task
from gmps.cores import usable_cores
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.sim.native import NativeSimulator, edited_models
from gmps.tasks.base import MujocoFamily, Spec, TaskFamily
from gmps.tasks.check import compile_model
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch, draw


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
        count = check_batch(self.family, params, tasks, episodes)
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
            if isinstance(actor, RememberingActor):
                known = self._mujoco_family, actor, structure, shape
                decide = _remembering(known, mine, simulator, tape, rows)
            else:
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
    seen = actor.encode(encoder, obs, frames)
    grouped = [x.reshape(*shape, x.shape[-1]) for x in (seen, noise)]
    act, log_prob = ep.act_batch(actor, params, tasks, *grouped)
    act = act.reshape(inputs.shape[0], -1)
    control = jax.vmap(family.control)(state, jnp.clip(act, -1, 1))
    return jnp.concatenate([obs, act, log_prob.reshape(-1, 1), *control], -1)


#: What is compiled for: family, actor, and how parameters and tasks are packed, for (task, ep).
_Known = tuple[MujocoFamily, RememberingActor, Any, tuple[int, int]]


def _remembering(
    known: _Known, leaves: list[Array], simulator: NativeSimulator, tape: Tape, rows: slice
) -> Callable[[int], Array]:
    """What gives the tape's outputs in a step where the actor remembers the steps before.

    Its rewards need the sensors of the state that it acts in, which are read once more for it.
    """
    size = tape.inputs.shape[2] - known[1].noise_size
    kept = [_begin(*known, leaves)]

    def decide(t: int) -> Array:
        if t:
            simulator.sense(tape.sensors[t, rows])
        else:
            kept[0] = _begin(*known, leaves)
        obs_size, act_size = known[0].spec.obs_size, known[0].spec.act_size
        act = tape.outputs[t - 1, rows, obs_size : obs_size + act_size]
        before = tape.inputs[t - 1, rows, :size], tape.sensors[t - 1, rows]
        here = tape.inputs[t, rows], tape.sensors[t, rows]
        kept[0], out = _remember(*known, leaves, t > 0, kept[0], before, act, here)
        return out

    return decide


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _begin(
    family: MujocoFamily,
    actor: RememberingActor,
    structure: Any,
    shape: tuple[int, int],
    leaves: list[Array],
) -> Any:
    del family
    params, _ = jax.tree.unflatten(structure, leaves)
    return ep.begin_batch(actor, params, *shape)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _remember(
    family: MujocoFamily,
    actor: RememberingActor,
    structure: Any,
    shape: tuple[int, int],
    leaves: list[Array],
    told: Bool[Array, ""],
    memory: Any,
    before: tuple[Float[Array, "b state"], Float[Array, "b sensor"]],
    act: Float[Array, "b act"],
    here: tuple[Float[Array, "b state_noise"], Float[Array, "b sensor"]],
) -> tuple[Any, Float[Array, "b out"]]:
    """As `_decide`, with the memories after the step before, if there was one."""
    params, tasks = jax.tree.unflatten(structure, leaves)
    sizes = ep.state_sizes(family)
    cut = sum(sizes)
    inputs, sensors = here

    def grouped(x: Array) -> Array:
        return x.reshape(*shape, x.shape[-1])

    after = grouped(inputs[:, :cut]), grouped(sensors)
    new = ep.tell_batch(
        family, actor, tasks, memory, (grouped(before[0]), grouped(before[1])), grouped(act), after
    )
    memory = jax.tree.map(lambda a, b: jnp.where(told, a, b), new, memory)
    state = ep.unpack(inputs[:, :cut], sizes)
    obs = jax.vmap(family.observe)(state)
    memory, act, log_prob = ep.step_batch(
        actor, params, memory, grouped(obs), grouped(inputs[:, cut:])
    )
    act = act.reshape(inputs.shape[0], -1)
    control = jax.vmap(family.control)(state, jnp.clip(act, -1, 1))
    return memory, jnp.concatenate([obs, act, log_prob.reshape(-1, 1), *control], -1)


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

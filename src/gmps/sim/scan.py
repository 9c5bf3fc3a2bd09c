"""A whole rollout as one compiled scan, for simulators in JAX."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.actors import Actor, RememberingActor
from gmps.core.types import Params, Task, task_count
from gmps.sim import episodes as ep
from gmps.tasks.base import TaskFamily

#: From states and clipped actions to the next states and the sensor data of the first.
Advance = Callable[
    [Float[Array, "b state"], Float[Array, "b act"]],
    tuple[Float[Array, "b state"], Float[Array, "b sensor"]],
]
#: From states to their sensor data.
Sense = Callable[[Float[Array, "b state"]], Float[Array, "b sensor"]]


def record_scan(
    family: TaskFamily,
    actor: Actor,
    episodes: int,
    advance: Advance,
    sense: Sense,
    params: Params,
    tasks: Task,
    starts: Float[Array, "b state"],
    noise: Float[Array, "t b noise"],
) -> ep.Recording:
    """Run the closed loop for a flat batch of packed states; pure, for `jax.jit`.

    A step to numbers that are not finite leaves the state where it was. States are carried in the
    precision of `advance`; family and actor see them in float32.
    """
    sizes = ep.state_sizes(family)

    def observed(state):
        seen = ep.unpack(state.astype(jnp.float32), sizes)
        return jax.vmap(family.observe)(seen).astype(jnp.float32)

    def grouped(x):
        return x.reshape(x.shape[0] // episodes, episodes, *x.shape[1:])

    mind = actor if isinstance(actor, RememberingActor) else None

    def step(carry, noise):
        state, memory = carry
        obs = observed(state)
        if mind is None:
            act, log_prob = ep.act_batch(actor, params, tasks, grouped(obs), grouped(noise))
        else:
            memory, act, log_prob = ep.step_batch(
                mind, params, memory, grouped(obs), grouped(noise)
            )
        act = act.reshape(state.shape[0], act.shape[-1]).astype(jnp.float32)
        log_prob = log_prob.reshape(-1).astype(jnp.float32)
        new, sensors = advance(state, jnp.clip(act, -1, 1))
        diverged = ~jnp.isfinite(new).all(-1)
        new = jnp.where(diverged[:, None], state, new)
        seen = [x.astype(jnp.float32) for x in (state, sensors)]
        if mind is not None:
            here, sensed = (grouped(x) for x in seen)
            led, felt = (grouped(x.astype(jnp.float32)) for x in (new, sense(new)))
            memory = ep.tell_batch(
                family, mind, tasks, memory, (here, sensed), grouped(act), (led, felt)
            )
        return (new, memory), (*seen, obs, act, log_prob, diverged)

    memory = () if mind is None else ep.begin_batch(mind, params, task_count(tasks), episodes)
    (last, _), (states, sensors, obs, act, log_prob, diverged) = jax.lax.scan(
        step, (starts, memory), noise
    )

    def ended(all_but_last, final):
        return jnp.concatenate([all_but_last, final[None].astype(jnp.float32)])

    return ep.Recording(
        states=ended(states, last),
        sensors=ended(sensors, sense(last)),
        obs=ended(obs, observed(last)),
        act=act,
        log_prob=log_prob,
        diverged=diverged,
        held=noise[0, :, : actor.held_noise],
    )

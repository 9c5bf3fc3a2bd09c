"""A trained run as a meta-policy: the folder that `gmps.deploy` reads."""

from typing import Any, NamedTuple

import jax
import numpy as np

from gmps.core.encoders import STRIDES, Convolutions
from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, Task, task_count
from gmps.deploy.folder import META
from gmps.evaluation.summaries import markdown_table
from gmps.methods.base import Method
from gmps.methods.deployed import head_arrays
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import World
from gmps.worlds.gymnasium_world import GymnasiumWorld

#: Smallest deviation of an observation in training, so that numbers that never move there do not
#: make every other value look far away.
_MIN_STD = 1e-3


class Exported(NamedTuple):
    """The content of a meta-policy's folder."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]
    card: str


def export(
    method: Method,
    state: Any,
    tasks: Task,
    demos: Demonstrations | None,
    facts: dict[str, Any],
) -> Exported:
    """What `gmps.deploy` needs of a trained method.

    Args:
        method: the method.
        state: its state after training.
        tasks: the stacked training tasks.
        demos: what experts did there, whose observations tell what is far from training.
        facts: about the run, JSON values: `family`, `method`, `seed`, `round`, `scores` (rows of
            the held-out table, or None), `versions`, `episodes` of one adaptation step, and the
            `return` of an episode in training, or None.

    Raises:
        GmpsError: the method's policies cannot be handed on.
    """
    deployed = method.deployed(state)
    family, policy = method.world.family, deployed.policy
    arrays = head_arrays("policy", policy.head) | deployed.arrays
    encoder = policy.encoder
    if isinstance(encoder, Convolutions):
        arrays |= {f"encoder/kernels/{i}": np.asarray(x) for i, x in enumerate(encoder.kernels)}
        arrays |= {f"encoder/biases/{i}": np.asarray(x) for i, x in enumerate(encoder.biases)}
    if deployed.latent is not None:
        arrays["latent/mean"] = np.asarray(deployed.latent.mean)
        arrays["latent/log_std"] = np.asarray(deployed.latent.log_std)
    seen = None if encoder.needs_frames or demos is None else demos
    if seen is not None:
        obs = np.asarray(seen.obs, np.float64)[np.asarray(seen.valid)]
        arrays["training/obs_mean"] = obs.mean(0).astype(np.float32)
        arrays["training/obs_std"] = np.maximum(obs.std(0), _MIN_STD).astype(np.float32)
    words = [
        family.describe(jax.tree.map(lambda x, i=i: x[i], tasks)) for i in range(task_count(tasks))
    ]
    usual = facts["return"]
    meta = {
        **{name: fact for name, fact in facts.items() if name != "return"},
        "reward": {"scale": None if usual is None else abs(usual) / family.spec.horizon},
        "horizon": family.spec.horizon,
        "seconds_per_step": family.spec.control_dt,
        "training_tasks": words,
        "spaces": spaces(method.world, policy),
        "policy": {
            "activation": policy.head.activation,
            "latent": deployed.latent is not None,
        },
        "exploration": {"spread": deployed.spread},
        "adaptation": deployed.adaptation,
    }
    return Exported(meta, arrays, card(meta, family))


def spaces(world: World, policy: Policy) -> dict[str, Any]:
    """What a policy for a world is given, and what its actions mean: JSON values."""
    family, frame = world.family, None
    if isinstance(policy.encoder, Convolutions):
        assert isinstance(family, PixelFamily)
        shape = [family.view.height, family.view.width, 3]
        frame = {"shape": shape, "dtype": "uint8", "strides": list(STRIDES)}
    # An environment that the world has is asked: a robot is not connected to once more.
    known = world if isinstance(world, GymnasiumWorld) else family
    low, high = known.action_bounds
    return {
        "observation": {"size": policy.obs_size, "names": list(family.observation_names)},
        "action": {
            "size": family.spec.act_size,
            "low": list(low),
            "high": list(high),
            "names": list(family.action_names),
        },
        "frame": frame,
    }


def card(meta: dict[str, Any], family: TaskFamily) -> str:
    """The folder's README.md: what the policy is, how good, how to run it."""
    space = meta["spaces"]
    names = space["observation"]["names"] or [f"{space['observation']['size']} numbers"]
    acts = space["action"]["names"] or [f"{space['action']['size']} numbers"]
    shown = ", ".join(names)
    if space["frame"]:
        shown = f"a picture of {space['frame']['shape']} (uint8), and {shown}"
    lines = [
        f"# {meta['family']}: a policy that adapts in one step",
        "",
        f"{family.summary}",
        "",
        f"- Method: `{meta['method']}` of gmps {meta['versions'].get('gmps', '')}, seed "
        f"{meta['seed']}, checkpoint of round {meta['round']}.",
        f"- Observation: {shown}.",
        f"- Action: {', '.join(acts)}; from {space['action']['low']} to {space['action']['high']}.",
        f"- An episode of training: {meta['horizon']} steps of {meta['seconds_per_step']:g} s; "
        f"{meta['episodes']} episodes for one step.",
        f"- Trained in {len(meta['training_tasks'])} tasks: "
        f"{'; '.join(meta['training_tasks'][:6])}"
        f"{'; ...' if len(meta['training_tasks']) > 6 else ''}.",
        "- Licence: MIT for the code that reads it. The weights are the trainer's to license.",
        "",
        "## Scores in held-out tasks, in simulation",
        "",
        *_scores(meta["scores"]),
        "",
        "## Run it",
        "",
        '`pip install "gmps[deploy]"` brings numpy and safetensors, nothing else.',
        "",
        "```python",
        "import gmps.deploy",
        "",
        'meta = gmps.deploy.load("path/of/this/folder")',
        f"for episode in meta.explore({meta['episodes']}):",
        "    obs, done = robot.reset(), False",
        "    while not done:",
        "        obs, reward, done = robot.step(episode.act(obs))",
        "        episode.record(reward, obs)",
        "policy = meta.adapt()",
        "print(meta.trust)",
        "action = policy(obs)",
        "```",
        "",
        f"`{META}` holds all of this for programs. Nothing in the folder is executed or unpickled.",
        "",
    ]
    return "\n".join(lines)


def _scores(rows: dict[str, dict[str, float]] | None) -> list[str]:
    if not rows:
        return ["Not evaluated: `gmps eval RUN`, then export again."]
    return markdown_table(rows)

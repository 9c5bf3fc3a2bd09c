"""Write families' models, policies and recorded motions for `warp_throughput.py`.

In FOLDER, for each family: `NAME.xml`, the model, its warm starts switched off as in our simulator,
and `NAME.npz`, what 64 closed-loop episodes of 16 random policies did on CPU threads: start states,
controls, the policies and their first mean actions, and how many contacts and constraints there
were at most.

Example:
    python benchmarks/warp_models.py build/warp-models
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
from model_xml import model_xml
from sampling import commanded, open_loop

from gmps.core.policy import Policy, PolicyActor, init_policy
from gmps.cores import usable_cores
from gmps.sim.episodes import draw_starts, state_sizes
from gmps.sim.native import markov_model
from gmps.tasks import make_family, sawyer
from gmps.tasks.base import MujocoFamily
from gmps.worlds.factory import make_world

#: Policies, each of one task, and the episodes of each.
TASKS, EPISODES = 16, 4
#: Every so many control steps contacts and constraints are counted.
COUNTED = 5


def main() -> None:
    args = parse()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.families:
        family = make_family(name)
        if not isinstance(family, MujocoFamily):
            raise SystemExit(f"{name} has no MuJoCo model to write.")
        (args.folder / f"{name}.xml").write_text(without_warm_starts(family))
        np.savez(args.folder / f"{name}.npz", **recorded(family))
        print(f"wrote {args.folder / name}.xml and .npz")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--families", nargs="+", default=["ant-goal", "sawyer-push"])
    return parser.parse_args()


def without_warm_starts(family: MujocoFamily) -> str:
    """The model as XML. MuJoCo Warp has no automatic resets that could be switched off."""
    spec = mujoco.MjSpec.from_string(model_xml(family))
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_WARMSTART
    spec.compile()
    return spec.to_xml()


def recorded(family: MujocoFamily) -> dict[str, Any]:
    """Policies, and what their episodes did."""
    world, spec = make_world(family), family.spec
    tasks = family.tasks("train", TASKS, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), TASKS)
    policies = jax.vmap(lambda key: init_policy(key, spec.obs_size, spec.act_size))(keys)
    actor = PolicyActor(spec.act_size, stochastic=True)
    key = jax.random.key(3)
    rollout = world.rollout(actor, policies, tasks, EPISODES, key).trajectories
    starts = draw_starts(family, EPISODES, tasks, jax.random.split(key)[0])
    controls = commanded(family, starts, rollout)
    model = markov_model(family.model())
    states = open_loop(model, family, starts, controls, usable_cores())()[..., 1:]
    contacts, constraints = most(model, states)
    return {
        "starts": np.asarray(starts),
        "state_sizes": np.array(state_sizes(family)),
        "controls": controls.astype(np.float32),
        "frame_skip": family.frame_skip,
        "contacts": contacts,
        "constraints": constraints,
        "target": np.array([sawyer.TARGET_LOW, sawyer.TARGET_HIGH, [sawyer.STEP_SIZE] * 3]),
        "means": means(rollout.obs[:, :, 0], policies),
        **layers(policies),
    }


def layers(policies: Policy) -> dict[str, np.ndarray]:
    """`w0`, `b0` and so on, stacked over the tasks; the bias transformation is in `b0`."""
    found = jax.vmap(lambda policy: policy.head.layers)(policies)
    named = {f"w{i}": np.asarray(w) for i, (w, _) in enumerate(found)}
    return named | {f"b{i}": np.asarray(b) for i, (_, b) in enumerate(found)}


def means(obs: jax.Array, policies: Policy) -> np.ndarray:
    """The mean actions in first observations `(task, ep, obs)`, one row for each episode."""
    acts = jax.vmap(lambda policy, x: policy.head.means(x))(policies, obs)
    return np.asarray(acts).reshape(-1, acts.shape[-1])


def most(model: mujoco.MjModel, states: np.ndarray) -> tuple[int, int]:
    """Contacts and constraints of one state, at most."""
    data, contacts, constraints = mujoco.MjData(model), 0, 0
    for state in states[:, ::COUNTED].reshape(-1, states.shape[-1]):
        data.qpos[:], data.qvel[:] = np.split(state, [model.nq])
        mujoco.mj_forward(model, data)
        contacts, constraints = max(contacts, data.ncon), max(constraints, data.nefc)
    return contacts, constraints


if __name__ == "__main__":
    main()

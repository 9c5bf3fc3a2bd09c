"""Gradient steps per second of SAC here and in SBX, on the same networks, batch and thread count.

Both learn from a full buffer of the same random transitions of the ant's sizes; neither simulates.
Actor and two critics of 2 x 256 ReLU units, batches of 256, Adam, temperature tuned, targets moved
after each step; no layer normalisation. The programs take turns, each first every other time; the
figures are medians. On a machine with other load the ratio within a turn is the steadier one.

`sbx-rl` and `torch` are not in this project's lock: install them beside it, in an environment of
their own.

Example:
    python benchmarks/sac_speed.py --out benchmarks/results/sac_speed.json
"""

import argparse
import importlib.metadata
import statistics
import time
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from reports import write_report

from gmps.core.types import Trajectories
from gmps.experts.replay import add, start_replay
from gmps.experts.sac import init_sac, update
from gmps.experts.sac_settings import SacConfig
from gmps.runs.versions import collect_versions

OBS, ACT, HORIZON, EPISODES = 40, 8, 200, 250


class Sizes(gymnasium.Env):
    """Spaces alone: nothing is simulated."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (ACT,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(OBS, np.float32), {}

    def step(self, action):
        return np.zeros(OBS, np.float32), 0.0, False, False, {}


def ours(data: Trajectories, steps: int):
    config = SacConfig(layer_norm=False)
    replay = start_replay(EPISODES, HORIZON, OBS, ACT, 0)
    replay = add(replay, data, data.reward, jnp.zeros((1, 0)))
    state = [init_sac(jax.random.key(0), config, OBS, 0, ACT)]

    def run(i: int) -> None:
        state[0], _ = update(config, state[0], replay, steps, jax.random.key(i))
        jax.block_until_ready(state[0])

    return run


def sbx(data: Trajectories, steps: int):
    from sbx import SAC  # noqa: PLC0415 - optional

    model = SAC(
        "MlpPolicy",
        Sizes(),
        batch_size=256,
        buffer_size=EPISODES * HORIZON,
        learning_starts=0,
        policy_kwargs={"net_arch": [256, 256]},
        seed=0,
    )
    model.learn(1)
    obs, act, reward = (np.asarray(x[0]) for x in (data.obs, data.act, data.reward))
    for e in range(EPISODES):
        for t in range(HORIZON - 1):
            row = (obs[e, t][None], obs[e, t + 1][None], act[e, t][None], reward[e, t][None])
            model.replay_buffer.add(*row, np.zeros(1), [{}])

    def run(i: int) -> None:
        del i
        model.train(gradient_steps=steps, batch_size=256)
        jax.block_until_ready(model.policy.actor_state.params)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="gradient steps of one call")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (1, EPISODES, HORIZON)
    data = Trajectories(
        obs=jnp.asarray(rng.normal(size=(*shape, OBS)), jnp.float32),
        act=jnp.asarray(rng.uniform(-1, 1, (*shape, ACT)), jnp.float32),
        reward=jnp.asarray(rng.normal(size=shape), jnp.float32),
        log_prob=jnp.zeros(shape),
        alive=jnp.ones(shape, bool),
        last_obs=jnp.zeros((1, EPISODES, OBS)),
        terminated=jnp.zeros((1, EPISODES), bool),
        held=jnp.zeros((1, EPISODES, 0)),
    )
    runs = {"gmps": ours(data, args.steps), "sbx": sbx(data, args.steps)}
    for run in runs.values():
        run(0)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(1, args.repeats + 1):
        # Whoever comes first may find the machine in another state: first places alternate.
        for name, run in list(runs.items())[:: 1 if i % 2 else -1]:
            start = time.perf_counter()
            run(i)
            speeds[name].append(args.steps / (time.perf_counter() - start))
    medians = {name: statistics.median(x) for name, x in speeds.items()}
    within = statistics.median(a / b for a, b in zip(speeds["gmps"], speeds["sbx"], strict=True))
    print({name: round(x, 1) for name, x in medians.items()}, round(within, 3))
    packages = ("sbx-rl", "stable-baselines3", "torch", "flax")
    report = {
        "benchmark": "sac_speed",
        "about": __doc__,
        "steps_of_a_call": args.steps,
        "updates_per_second": speeds,
        "median": medians,
        "ratio": medians["gmps"] / medians["sbx"],
        "ratio_within_a_turn": within,
        "peers": {name: importlib.metadata.version(name) for name in packages},
        "versions": collect_versions(),
    }
    write_report(report, args.out)


if __name__ == "__main__":
    main()

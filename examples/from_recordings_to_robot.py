# %% [markdown]
# # From your own recordings to a robot
#
# Somebody has driven a robot to several places and recorded it. We train a policy from that file
# alone, take it to a "robot" that needs numpy and nothing of the training, and let it find a place
# there that nobody tells it. Open as a notebook with jupytext, or run as a script.

# %%
from dataclasses import replace
from pathlib import Path

import numpy as np

import gmps
import gmps.deploy
from gmps.commands.cli import main

# %% [markdown]
# ## Recordings
#
# Yours come from a robot; these from a few lines. A point moves a tenth of what it is told, and is
# driven to one of twelve places, four times to each, with an unsteady hand. The file says
# `(task, episode, t, ...)`: what was seen, what was done, what it earned, and each task's place,
# which is not among what was seen.

# %%
rng = np.random.default_rng(0)
angles = np.linspace(0.1, np.pi - 0.1, 12)
goals = np.stack([np.cos(angles), np.sin(angles)], -1)
positions = np.zeros((12, 4, 21, 2))
actions = np.zeros((12, 4, 20, 2))
positions[:, :, 0] = 0.01 * rng.normal(size=(12, 4, 2))
for t in range(20):
    towards = 10 * (goals[:, None] - positions[:, :, t])
    actions[:, :, t] = np.clip(towards + 0.3 * rng.normal(size=towards.shape), -1, 1)
    positions[:, :, t + 1] = positions[:, :, t] + 0.1 * actions[:, :, t]
rewards = -np.linalg.norm(positions[:, :, 1:] - goals[:, None, None], axis=-1)
np.savez(
    "recordings.npz",
    observations=positions[:, :, :-1].astype(np.float32),
    actions=actions.astype(np.float32),
    rewards=rewards.astype(np.float32),
    goals=goals.astype(np.float32),
)

# %% [markdown]
# `gmps demos info` says what is in a file, before anything is made of it.

# %%
assert main(["demos", "info", "recordings.npz"]) == 0

# %% [markdown]
# ## Train
#
# Nobody is asked: the file is all there is. What it takes otherwise is the family, a simulator to
# try in; `point-goal` is one of ours, and yours is a class.

# %%
config = gmps.preset("point-goal", "gmps-latent")
method = replace(config.settings, episodes=10, hidden=(32,), pretrain_steps=400, outer_steps=30)
config = replace(config, demos="recordings.npz", rounds=6, settings=method)


def tell(done):
    before, after = done.metrics["return/before"], done.metrics["return/after"]
    print(f"round {done.round}: return {before:.1f} before the update, {after:.1f} after it")


run = gmps.train(config, "runs/from-recordings", callbacks=[tell], evaluate=False)

# %% [markdown]
# ## Export
#
# The folder holds the weights, how to explore and how to adapt. Numpy and safetensors read it.

# %%
assert main(["export", str(run.path), "--out", "policy"]) == 0

# %% [markdown]
# ## On the robot
#
# A robot of this page: it moves like the recorded one, a little less well, and pays by the distance
# to a place that it keeps to itself.


# %%
class Robot:
    """A point that is pushed about, and that says how near it is to its own goal."""

    def __init__(self, goal: tuple[float, float]):
        self.goal, self.rng = np.array(goal), np.random.default_rng(1)

    def reset(self) -> np.ndarray:
        """To the start; returns what is seen there."""
        self.position, self.t = 0.01 * self.rng.normal(size=2), 0
        return self.position.astype(np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """A control step: what is seen, what it earned, whether the episode is over."""
        moved = 0.095 * np.clip(action, -1, 1) + 0.002 * self.rng.normal(size=2)
        self.position, self.t = self.position + moved, self.t + 1
        reward = -float(np.linalg.norm(self.position - self.goal))
        return self.position.astype(np.float32), reward, self.t == 20


def play(robot: Robot, act, record=None) -> float:
    """One episode; returns the distance that is left."""
    seen, over = robot.reset(), False
    while not over:
        seen, reward, over = robot.step(act(seen))
        if record is not None:
            record(reward, seen)
    return float(np.linalg.norm(robot.position - robot.goal))


robot = Robot(goal=(0.6, 0.8))
meta = gmps.deploy.load("policy")
for episode in meta.explore(20, folder="episodes"):
    play(robot, episode.act, episode.record)

# %% [markdown]
# One step from these episodes, which lie in a folder: a program that crashes goes on where it was.
# `trust` says whether the step can be believed, from the episodes alone.

# %%
policy = meta.adapt()
print(meta.trust)
left = play(robot, policy)
print(f"{left:.2f} m are left of 1.00 m; {len(list(Path('episodes').rglob('*.npz')))} episodes")

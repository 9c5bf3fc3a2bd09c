# %% [markdown]
# # A first adaptation
#
# A point moves in the plane, and a goal that it is not told pays by distance. We train a policy
# from a scripted expert that sees the goal, look at what one update brings, and adapt to a goal of
# our own. Some seconds on one core. Open as a notebook with jupytext, or run as a script.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import gmps

# %% [markdown]
# ## Train
#
# `preset` gives the settings that are tuned for a family and a method; here fewer of everything. A
# callback is called after each round, and may stop the training by returning True.

# %%
config = gmps.preset("point-goal", "gmps-latent")
method = replace(config.settings, episodes=10, hidden=(32,), pretrain_steps=600, outer_steps=30)
config = replace(
    config,
    rounds=5,
    train_tasks=8,
    settings=method,
    evaluation=replace(config.evaluation, episodes=10, steps=1, repeats=2, tasks=6),
    plain=replace(config.plain, steps=300, episodes=10, stds=(0.2,), step_sizes=(0.02, 0.1)),
)


def tell(done):
    before, after = done.metrics["return/before"], done.metrics["return/after"]
    print(f"round {done.round}: return {before:.1f} before the update, {after:.1f} after it")


run = gmps.train(config, "runs/first-adaptation", callbacks=[tell])

# %% [markdown]
# ## Look
#
# Means over held-out tasks, with 95 % intervals: 0 is an untrained policy, 1 the
# expert. One update has to beat the policy before it, an update from a wrong task, a random one,
# and plain imitation with one tuned plain step.

# %%
scores = run.scores
assert scores is not None
for condition, measures in scores.heldout.deterministic.conditions.items():
    figure = measures["normalised"]
    print(f"{condition:14} {figure.mean:6.2f}  [{figure.ci_low:.2f}, {figure.ci_high:.2f}]")

# %% [markdown]
# ## Adapt
#
# The simulator's reward alone knows the goal. An adapted policy is a function of an observation:
# here the position.

# %%
policy = run.adapt(task=(0.6, 0.8), episodes=20)
mean, log_std = policy(np.zeros(2))
print(f"at the start it moves by {np.asarray(mean).round(3)}, deviation {np.exp(log_std).round(3)}")

# %% [markdown]
# ## The paths in held-out tasks, before the update and after it

# %%
paths = np.load(run.path / "paths.npz")
figure, panels = plt.subplots(2, 3, figsize=(9, 6), sharex=True, sharey=True)
for i, panel in enumerate(panels.flat):
    panel.plot(*paths["before/point"][i].mean(0).T, "0.6", label="before")
    panel.plot(*paths["after_1/point"][i].mean(0).T, "C0", label="after")
    panel.plot(*paths["goal"][i], "o", color="C3", alpha=0.6)
    panel.set_title(str(paths["task_names"][i]), fontsize=9)
panels[0, 0].legend(frameon=False)
plt.show()

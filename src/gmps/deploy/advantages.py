"""Advantages in numpy: of steps (policy gradients) and of whole episodes (a latent).

As `gmps.core.returns` and `gmps.methods.episode_advantage`, which say where they come from.
"""

import numpy as np

from gmps.deploy.episodes import Batch
from gmps.deploy.networks import Arrays

_RIDGE, _EPS = 1e-5, 1e-8


def step_advantages(
    batch: Batch, *, discount: float, gae_lambda: float, baseline: str
) -> np.ndarray:
    """Standardised advantages `(ep, t)` of one task's episodes; 0 behind their ends.

    `baseline` is `linear` in observations and time, `time` alone, or `zero`.
    """
    reward, alive = batch.reward, batch.alive
    value, last_value = np.zeros_like(reward), np.zeros(len(reward))
    if baseline != "zero":
        obs = batch.obs if baseline == "linear" else batch.obs[..., :0]
        last = batch.last_obs if baseline == "linear" else batch.last_obs[..., :0]
        features = _features(obs, np.arange(reward.shape[1])[None])
        weights = _ridge(features[alive], _discounted(reward, discount)[alive])
        value = features @ weights
        at_end = _features(last[:, None], alive.sum(1)[:, None])[:, 0] @ weights
        last_value = np.where(batch.terminated, 0.0, at_end)
    following = np.concatenate([value[:, 1:], np.zeros((len(value), 1))], 1)
    goes_on = np.concatenate([alive[:, 1:], np.zeros((len(value), 1), bool)], 1)
    following = np.where(goes_on, following, last_value[:, None])
    delta = np.where(alive, reward + discount * following - value, 0.0)
    raw = _discounted(delta, discount * gae_lambda)
    mean, std = raw[alive].mean(), raw[alive].std()
    return np.where(alive, (raw - mean) / (std + _EPS), 0.0)


def _discounted(x: np.ndarray, discount: float) -> np.ndarray:
    total, sums = np.zeros(len(x)), np.empty_like(x)
    for t in reversed(range(x.shape[1])):
        total = x[:, t] + discount * total
        sums[:, t] = total
    return sums


def _features(obs: np.ndarray, step: np.ndarray) -> np.ndarray:
    clipped = np.clip(obs, -10, 10)
    time = np.broadcast_to(step[..., None] / 100.0, (*obs.shape[:-1], 1))
    return np.concatenate([clipped, clipped**2, time, time**2, time**3, np.ones_like(time)], -1)


def _ridge(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    size = rows.shape[1]
    augmented = np.concatenate([rows, _RIDGE**0.5 * np.eye(size)])
    return np.linalg.lstsq(augmented, np.concatenate([target, np.zeros(size)]), rcond=None)[0]


def segment(reward: np.ndarray, segments: int) -> np.ndarray:
    """Sums `(ep, segment)` over nearly equal parts of the time axis of `(ep, t)`."""
    steps = reward.shape[1]
    part = np.arange(steps) * segments // steps
    return reward @ np.eye(segments)[part]


def episode_advantages(kind: str, arrays: Arrays, rewards: np.ndarray) -> np.ndarray:
    """How much better each episode was, for each number of the latent: `(ep, z or 1)`.

    `rewards` are those of `segment`; `kind` is `learned` or `softmax`.
    """
    if kind == "softmax":
        returns = rewards.sum(1)
        spread = max(returns.std(), np.finfo(np.float32).tiny)
        better = np.exp(float(arrays["advantage/log_sharpness"])) * (returns - returns.mean())
        weight = np.exp(better / spread - (better / spread).max())
        return (len(returns) * weight / weight.sum() - 1)[:, None]
    centred = rewards - arrays["scale/mean"]
    value = centred / arrays["scale/return_std"] @ arrays["advantage/weight"]
    hidden = np.tanh(
        centred / arrays["scale/std"] @ arrays["advantage/hidden"] + arrays["advantage/bias"]
    )
    value = value + hidden @ arrays["advantage/out"]
    return value - value.mean(0)

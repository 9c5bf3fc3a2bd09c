"""`seed_task_interval` of means, many at once, for simulations of its coverage."""

import numpy as np
from scipy.stats import t


def many_intervals(y: np.ndarray) -> np.ndarray:
    """The intervals of `(n, seed, task)` or `(n, task, repeat)`: a jackknife's variance of a mean
    is that of the parts' means."""
    parts = [y.mean(axis).var(-1, ddof=1) / y.shape[3 - axis] for axis in (2, 1)]
    variance = sum(parts)
    freedom = variance**2 / sum(v**2 / (n - 1) for v, n in zip(parts, y.shape[1:], strict=True))
    half = t.ppf(0.975, freedom) * np.sqrt(variance)
    return y.mean((1, 2)) + np.array([-half, half])

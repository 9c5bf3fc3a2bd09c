"""Which latents the exploring episodes of a step draw."""

import numpy as np


def spread_evenly(rng: np.random.Generator, episodes: int, size: int) -> np.ndarray:
    """What each episode holds, `(ep, size)`: as random as normal numbers each, evenly spread.

    Episodes come in pairs `e, -e`, and every `size` pairs have the identity for second moment, as
    have all together (for at least `size` pairs). So one may stop after any pair, best after
    `2 size` episodes.

    Args:
        rng: draws them.
        episodes: how many.
        size: numbers of the latent.
    """
    pairs = -(-episodes // 2)
    blocks = []
    while pairs > 0:
        count = pairs if pairs < 2 * size else size
        blocks.append(_frame(rng.standard_normal((count, size))))
        pairs -= count
    half = np.concatenate(blocks)
    return np.stack([half, -half], 1).reshape(-1, size)[:episodes].astype(np.float32)


def are_white(episodes: int, size: int) -> bool:
    """Whether so many episodes of `spread_evenly` have mean 0 and the identity for second
    moment."""
    return episodes % 2 == 0 and episodes >= 2 * size


def _frame(draws: np.ndarray) -> np.ndarray:
    """Random rows `(n, size)` whose second moment is the identity, or that are orthogonal and as
    long where they are fewer than their numbers."""
    count, size = draws.shape
    tall = draws if count >= size else draws.T
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))
    return np.sqrt(count) * q if count >= size else np.sqrt(size) * q.T

"""Do rewards follow what the robot did, or may they be chance? A permutation test.

The Hilbert-Schmidt independence criterion (Gretton et al. 2008) compares two Gram matrices of the
same episodes: how alike what they did is, and how alike what they earned is. Rewards that have
nothing to do with what was done may as well be handed to other episodes; so among random
permutations of the rewards, the criterion of the true order has a uniform rank, whatever the
family, the exploration and the number of episodes.
"""

from collections.abc import Sequence

import numpy as np

#: Episodes below which no order of the rewards is rare enough to tell anything.
LEAST = 5
#: Random permutations: the p-value is a multiple of 1/200.
PERMUTATIONS = 199


def chance(did: Sequence[np.ndarray], earned: np.ndarray) -> float:
    """The share of permutations of `earned` that follow `did` at least as well as it does itself.

    For rewards that are chance the result is uniform on (0, 1]; below 0.1 with probability 0.1.

    Args:
        did: descriptions of what each episode did, `(ep, n)` each.
        earned: its rewards, `(ep, m)`.

    Example:
        >>> x = np.arange(10.0)[:, None]
        >>> chance([x], x)
        0.005
    """
    count = len(earned)
    # Where the best is in the middle, mirrored episodes earn the same: hence the even parts.
    follows = sum(gram(x) + gram(x, even=True) for x in did)
    rng = np.random.Generator(np.random.Philox(key=0))
    orders = np.stack([rng.permutation(count) for _ in range(PERMUTATIONS)])
    kernel = gram(earned)
    true = float((follows * kernel).sum())
    others = [(follows * kernel[order][:, order]).sum() for order in orders]
    # Rounding may not make one and the same order a worse one.
    as_good = np.array(others) >= true - 1e-9 * abs(true)
    return float((1 + as_good.sum()) / (1 + PERMUTATIONS))


def gram(x: np.ndarray, even: bool = False) -> np.ndarray:
    """Centred Gram matrix `(ep, ep)` of norm 1 of a Gaussian kernel, as wide as the median
    distance, or of its even part, which takes a row and its mirror image for the same; 0 where all
    rows of `x` are the same."""
    x = x - x.mean(0)
    squares = _squares(x, x)
    apart = squares[np.triu_indices(len(x), 1)]
    width = np.median(apart) or apart.max()
    if width == 0:
        return np.zeros_like(squares)
    kernel = np.exp(-squares / width)
    if even:
        kernel = kernel + np.exp(-_squares(x, -x) / width)
    centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    size = np.linalg.norm(centred)
    return centred / size if size > 0 else centred


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances of the rows; not by differences, which would need much memory."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T, 0)

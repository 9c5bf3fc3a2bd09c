"""The lists of goals that Meta-World's benchmarks draw from a seed."""

import functools
from collections import OrderedDict
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from gmps.metaworld.environments import AnyKind, RewardVersion, environments
from gmps.tasks.choices import Split

#: Goals of each kind that Meta-World lists.
LISTED = 50
#: Parts that the training kinds of a benchmark are dealt into.
FOLDS = 5


class GoalList(NamedTuple):
    """The tasks of both splits, one a row: first those of training, then those held out."""

    #: Kind of task, such as `reach-v3`.
    env_names: tuple[str, ...]
    #: What Meta-World calls the random vector: start of the object, goal, or both, m.
    rand_vecs: tuple[np.ndarray, ...]
    #: Rows of the training split.
    train: int


@functools.cache
def goal_list(benchmark: str, seed: int, goals: int) -> GoalList:
    """The first `goals` of each kind of task in both splits, as Meta-World draws them."""
    kinds, whole = kinds_of(benchmark), kinds_of(_whole(benchmark))
    # ML1 holds out other goals of the same kind, drawn from the next seed; the others other kinds.
    shift = int(benchmark.startswith("ml1-"))
    train = _draw(whole["train"], seed)
    # A fold holds out kinds, with their goals, of those that are trained on otherwise.
    held = train if benchmark != _whole(benchmark) else _draw(whole["heldout"], seed + shift)
    drawn = [
        (name, vector)
        for names, vectors in ((kinds["train"], train), (kinds["heldout"], held))
        for name in names
        for vector in vectors[name][:goals]
    ]
    names, vectors = zip(*drawn, strict=True)
    return GoalList(names, vectors, goals * len(kinds["train"]))


def kinds_of(benchmark: str) -> dict[Split, tuple[str, ...]]:
    """The kinds of task of each split.

    `ml10-fold3` holds out the third of five parts of ML10's *training* kinds, every fifth of them,
    and trains on the others.
    """
    if benchmark.startswith("ml1-"):
        env = benchmark.removeprefix("ml1-")
        return {"train": (env,), "heldout": (env,)}
    from metaworld import env_dict  # noqa: PLC0415 - an extra

    whole = _whole(benchmark)
    kinds = getattr(env_dict, f"{whole.upper()}_V3")
    train, held = tuple(kinds["train"]), tuple(kinds["test"])
    if benchmark != whole:
        held = train[int(benchmark[-1]) - 1 :: FOLDS]
        train = tuple(kind for kind in train if kind not in held)
    return {"train": train, "heldout": held}


def _whole(benchmark: str) -> str:
    """The benchmark that a fold is of, as `ml10` for `ml10-fold3`; else itself."""
    return benchmark if benchmark.startswith("ml1-") else benchmark.partition("-")[0]


def _draw(names: tuple[str, ...], seed: int) -> OrderedDict[str, list[np.ndarray]]:
    """The random vectors that Meta-World's benchmarks draw from a seed: every reset of a fresh
    environment draws one. Of its physics nothing but a forward pass is done: the rest changes
    nothing that is drawn and takes nearly all of the time."""
    before = np.random.get_state()
    drawn: OrderedDict[str, list[np.ndarray]] = OrderedDict()
    try:
        np.random.seed(seed)
        for name in names:
            env = environments()[name]()
            env._freeze_rand_vec, env._set_task_called = False, True
            model, data = env.model, env.data
            env.do_simulation = lambda *_, m=model, d=data, **__: mujoco.mj_forward(m, d)
            drawn[name] = []
            for _ in range(LISTED):
                env.reset()
                drawn[name].append(np.array(env._last_rand_vec, np.float64))
            env.close()
    finally:
        np.random.set_state(before)
    return drawn


def goal_points(listed: GoalList, version: RewardVersion) -> Float[np.ndarray, "row 3"]:
    """The goal of each row, m, as Meta-World sets it: some follow from where an object rests."""
    env, found = AnyKind(version), []
    for name, vector in zip(listed.env_names, listed.rand_vecs, strict=True):
        env.choose(name, vector)
        env.reset()
        found.append(np.array(env.current._target_pos, np.float64))
    env.close()
    return np.array(found)

"""The lists of goals that Meta-World's benchmarks draw from a seed."""

import functools
from collections import OrderedDict
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from gmps.metaworld.environments import AnyKind, RewardVersion, environments
from gmps.tasks.base import Split

#: Goals of each kind that Meta-World lists.
LISTED = 50


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
    kinds = kinds_of(benchmark)
    # ML1 holds out other goals of the same kind, drawn from the next seed; the others other kinds.
    shift = int(benchmark.startswith("ml1-"))
    drawn = [
        (name, vector)
        for names, at in ((kinds["train"], seed), (kinds["heldout"], seed + shift))
        for name, vectors in _draw(names, at).items()
        for vector in vectors[:goals]
    ]
    names, vectors = zip(*drawn, strict=True)
    return GoalList(names, vectors, goals * len(kinds["train"]))


def kinds_of(benchmark: str) -> dict[Split, tuple[str, ...]]:
    """The kinds of task of each split."""
    if benchmark.startswith("ml1-"):
        env = benchmark.removeprefix("ml1-")
        return {"train": (env,), "heldout": (env,)}
    from metaworld import env_dict  # noqa: PLC0415 - an extra

    kinds = getattr(env_dict, f"{benchmark.upper()}_V3")
    return {"train": tuple(kinds["train"]), "heldout": tuple(kinds["test"])}


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

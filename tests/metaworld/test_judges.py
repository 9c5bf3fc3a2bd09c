"""Every kind of task in batch: bit for bit what Meta-World's own environment of that kind gives."""

import numpy as np
import pytest

from gmps.metaworld.environments import AnyKind, environments
from gmps.metaworld.experts import scripted_actions
from gmps.metaworld.family import MetaWorld
from gmps.metaworld.judges import JUDGES
from gmps.metaworld.judges.scalars import Scalars
from gmps.metaworld.judges.terms import both, floor_around, length, near, near_bell

# Not the folder of these tests, which is found under that name.
pytest.importorskip("metaworld.envs")
metaworld = pytest.importorskip("metaworld")
#: One or two of each file, those with most to go wrong; `pytest -m slow` compares all.
KINDS = ["coffee-pull", "button-press-wall", "door-open", "dial-turn"]
KINDS += ["bin-picking", "shelf-place", "peg-insert-side", "stick-push"]
FEW = 2


@pytest.fixture(autouse=True)
def short_lists(monkeypatch):
    for module in ("family", "goals"):
        monkeypatch.setattr(f"gmps.metaworld.{module}.LISTED", FEW)


def compared(kind: str, steps: int, exact: float, wild: float) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and successes of a good and of a clumsy expert, after each step compared.

    The first task's expert acts with noise `exact` for 60 % of the steps and with 0.8 thereafter,
    the second's with noise `wild`.
    """
    family = MetaWorld(f"ml1-{kind}", goals=FEW, horizon=500)
    tasks, rng = np.asarray(family.tasks("train")), np.random.default_rng(0)
    batch, envs = family.make_batch(1), [AnyKind() for _ in tasks]
    for env, task in zip(envs, tasks, strict=True):
        env.choose(*family.row(task))
    obs, earned, solved = batch.start(list(tasks), [0, 0]), [], []
    assert np.array_equal(obs, [env.reset()[0] for env in envs])
    for t in range(steps):
        noise = np.array([exact if t < 0.6 * steps else 0.8, wild])[:, None]
        act = scripted_actions(family._list.env_names, tasks, obs)
        act = np.clip(act + noise * rng.normal(size=act.shape), -1, 1).astype(np.float32)
        obs, reward, ended, success = batch.step(act)
        theirs = [env.step(a) for env, a in zip(envs, act, strict=True)]
        assert np.array_equal(obs, [x[0] for x in theirs]), (kind, t)
        assert np.array_equal(reward, [float(x[1]) for x in theirs]), (kind, t)
        assert np.array_equal(success, [float(x[-1]["success"]) for x in theirs]), (kind, t)
        assert not ended.any()
        assert not obs[:, 36:].any()
        earned.append(reward)
        solved.append(success)
    batch.close()
    for env in envs:
        env.close()
    return np.array(earned), np.array(solved)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_steps_of_some_kinds_are_metaworld_bit_for_bit(kind):
    earned, _ = compared(f"{kind}-v3", 60, 0.05, 0.4)
    assert len(np.unique(earned)) > 60


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(JUDGES))
def test_500_steps_of_every_kind_are_metaworld_bit_for_bit(kind):
    earned, solved = compared(kind, 500, 0.05, 0.4)
    # All that a reward distinguishes has been there: nothing done, and the task solved.
    assert solved[:, 0].max() == 1
    assert earned.max() > 2 * earned.min()


def seen_with(kind: str, goals: tuple[int, ...]) -> tuple[list, list]:
    """Observations of the same actions with the goal moved by so many cm away from the object,
    and where Meta-World has put the goal."""
    env, seen, found = AnyKind(), [], []
    acts = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype(np.float32)
    for cm in goals:
        env.choose(kind, np.zeros(6))
        space = env.current._random_reset_space
        # Far enough apart: Meta-World waits for that.
        vector = np.concatenate([space.low[:3], space.high[3:]])
        if len(vector) == 6:
            away = vector[3:5] - vector[:2]
            vector[3:5] += 0.01 * cm * away / np.linalg.norm(away)
        env.choose(kind, vector)
        seen.append([env.reset()[0], *(env.step(act)[0] for act in acts)])
        found.append(env.current._target_pos.copy())
    env.close()
    return seen, found


def check_hidden(kind: str) -> bool:
    """Whether the goal could be moved apart from the object."""
    seen, goals = seen_with(kind, (0, 2))
    assert not np.array(seen)[..., 36:].any(), kind
    assert np.array_equal(*seen), kind
    return not np.array_equal(*goals)


@pytest.mark.parametrize("kind", ["pick-place", "shelf-place", "soccer"])
def test_observations_do_not_tell_the_goal(kind):
    assert check_hidden(f"{kind}-v3")


@pytest.mark.slow
def test_in_one_kind_only_observations_tell_the_goal():
    """Elsewhere it is moved apart from the object, or follows from where the object is."""
    assert sum(check_hidden(kind) for kind in JUDGES if kind != "box-close-v3") > 20
    # Meta-World lets the lid fall on the box, whose place is the goal, before it puts it elsewhere.
    assert not np.array_equal(*seen_with("box-close-v3", (0, 2))[0])


def test_there_is_a_judge_for_every_kind():
    assert set(JUDGES) == set(environments())


def test_kinds_side_by_side_are_what_each_is_alone(monkeypatch):
    kinds = ("bin-picking-v3", "reach-v3", "drawer-close-v3")
    for module in ("family", "goals"):
        monkeypatch.setattr(
            f"gmps.metaworld.{module}.kinds_of", lambda _: {"train": kinds, "heldout": kinds[:1]}
        )
    family = MetaWorld("ml10", goals=FEW, seed=77)
    tasks = np.asarray(family.tasks("train"))[[4, 0, 2, 1, 3, 5]]
    together, alone = family.make_batch(2), [family.make_batch(1) for _ in tasks]
    obs = together.start(list(tasks), [0] * 6)
    assert np.array_equal(obs, [b.start([t], [0])[0] for b, t in zip(alone, tasks, strict=True)])
    rng = np.random.default_rng(0)
    for _ in range(5):
        act = rng.uniform(-1, 1, (6, 4)).astype(np.float32)
        all_of = together.step(act)
        each = [b.step(a[None]) for b, a in zip(alone, act, strict=True)]
        for i, part in enumerate(all_of):
            assert np.array_equal(part, [x[i][0] for x in each])
    # Started anew with fewer, the same again.
    assert np.array_equal(together.start(list(tasks[2:3]), [0]), obs[2:3])
    for batch in (together, *alone):
        batch.close()


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_lengths_are_those_of_single_vectors_to_the_last_bit(axes: int):
    vectors = np.random.default_rng(0).normal(size=(2000, axes))
    assert np.array_equal(length(vectors), [np.linalg.norm(v) for v in vectors])


def test_precision_is_that_of_numpy_scalars():
    values = np.array([0.1, 0.7, 0.3])
    single, double = np.array([True, False, False]), np.array([False, False, True])
    numbers = Scalars(values.astype(np.float32).astype(float), single, double)
    by_hand = [np.float32(0.1), float(np.float32(0.7)), np.float64(np.float32(0.3))]
    factors = [1 / 3, np.float32(1 / 3), np.float32(1 / 3)]
    factor = Scalars(np.array(factors, float), single=np.array([False, True, True]))
    result = (2.0 * numbers + 0.2) * factor / 3 - 0.05
    wanted = [(2.0 * x + 0.2) * f / 3 - 0.05 for x, f in zip(by_hand, factors, strict=True)]
    assert [type(x) for x in wanted] == [np.float32, np.float32, np.float64]
    assert result.value.tolist() == [float(x) for x in wanted]
    assert result.single.tolist() == [True, True, False]
    assert result.double.tolist() == [False, False, True]
    chosen = result.where(np.array([False, True, False]), 0.5)
    assert chosen.value.tolist() == [0.5, float(wanted[1]), 0.5]
    assert chosen.single.tolist() == [False, True, False]
    # Arrays leave the arithmetic to them, from either side.
    assert (np.ones(3) * result).single.tolist() == [True, True, False]


def test_terms_by_hand():
    x = np.array([-0.01, 0.0, 0.05, 0.15, 0.35])
    # At the margin beyond the bounds 0.1 is left; twice as far 1 / (9 * 4 + 1).
    np.testing.assert_allclose(near(x, 0.05, 0.1)[1:], [1, 1, 0.1, 1 / (9 * 9 + 1)])
    assert near(x, 0.05, 0.1)[0] == pytest.approx(1 / (9 * 0.01 + 1))
    np.testing.assert_allclose(near_bell(x, 0.05, 0.1)[1:4], [1, 1, 0.1])
    # No margin: inside or not.
    assert near(x, 0.05, 0.0).tolist() == [0, 1, 1, 0, 0]
    halves = both(np.array([0.5, 0.0, 1.0]), np.array([0.5, 0.0, 0.25]))
    np.testing.assert_allclose(halves, [1 / 3, 0, 0.25])
    floor = floor_around(np.array([0.02, 1.03]), 0.03, 0.02, 0.2)
    np.testing.assert_allclose(floor, [0, 0.2])

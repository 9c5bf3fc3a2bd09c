"""Meta-World: the same numbers as its own environments, goals hidden, judged by its own harness."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.policy import PolicyActor, init_policy
from gmps.core.types import Shared
from gmps.experts.score import ExpertScore, exclusions, meets, only
from gmps.experts.score_settings import ExpertThreshold
from gmps.metaworld.environments import AnyKind, environments, official_task
from gmps.metaworld.experts import scripted_actions
from gmps.metaworld.family import MetaWorld
from gmps.metaworld.harness import run_harness
from gmps.metaworld.harness_settings import HarnessConfig
from gmps.tasks import make_family
from gmps.tasks.check import check_functions
from gmps.training.expert_sources import find_expert
from gmps.worlds.factory import make_world
from gmps.worlds.gymnasium_world import GymnasiumWorld

# Not the folder of these tests, which is found under that name.
pytest.importorskip("metaworld.envs")
metaworld = pytest.importorskip("metaworld")
FEW = 3


@pytest.fixture(autouse=True)
def short_lists(monkeypatch):
    """Draw a few goals of each kind: the first of the whole list."""
    for module in ("family", "goals"):
        monkeypatch.setattr(f"gmps.metaworld.{module}.LISTED", FEW)


def family(kind="reach-v3", **options):
    return MetaWorld(f"ml1-{kind}", goals=FEW, **options)


def official(family, task):
    env = AnyKind(family.reward_version)
    env.choose(*family.row(task))
    return env


def scripted(family, tasks, obs):
    return scripted_actions(family._list.env_names, tasks, obs)


def test_a_world_may_be_started_anew_and_in_any_order():
    fam = family(horizon=5)
    tasks, key = fam.tasks("train", 3), jax.random.key(0)
    actor, policy = PolicyActor(4, stochastic=False), Shared(init_policy(key, 39, 4))
    world = make_world(fam, threads=1)
    others = make_world(fam, threads=2), GymnasiumWorld(fam, environments=3)
    first, *same = (w.rollout(actor, policy, tasks, 1, key) for w in (world, world, *others))
    for other in same:
        assert np.array_equal(first.trajectories.obs, other.trajectories.obs)
        assert np.array_equal(first.trajectories.reward, other.trajectories.reward)
    backwards = world.rollout(actor, policy, tasks[::-1], 1, key)
    assert np.array_equal(first.trajectories.reward, backwards.trajectories.reward[::-1])
    assert len(np.unique(first.trajectories.reward[:, 0, 0])) == 3


@pytest.mark.parametrize("kind", ["reach-v3", "push-v3", "pick-place-v3"])
def test_observations_do_not_depend_on_the_goal(kind):
    start = [0.05, 0.65, 0.02]
    goals = [[-0.1, 0.85, 0.02], [0.1, 0.82, 0.02]]
    rng, seen, paid = np.random.default_rng(0), [], []
    acts = rng.uniform(-1, 1, (40, 4)).astype(np.float32)
    env = AnyKind()
    for goal in goals:
        env.choose(kind, np.array([*start, *goal]))
        obs, _ = env.reset()
        steps = [env.step(a) for a in acts]
        seen.append([obs, *(x[0] for x in steps)])
        paid.append([x[1] for x in steps])
    assert np.array_equal(*seen)
    assert not np.array(seen)[..., 36:].any()
    # Pushing pays nothing that tells the goal until the puck is touched.
    assert np.array_equal(*paid) == (kind == "push-v3")


def test_every_worker_process_plays_the_task_that_it_was_asked_for():
    # Older rewards are known to Meta-World alone.
    fam = family("drawer-open-v3", horizon=3, reward_version="v1")
    assert fam.make_batch(1) is None
    tasks, rng = np.asarray(fam.tasks("train", 2)), np.random.default_rng(0)
    workers = GymnasiumWorld(fam, processes=2)._batch
    envs = [official(fam, task) for task in tasks[::-1]]
    obs = workers.start(list(tasks[::-1]), [0, 1])
    assert np.array_equal(obs, [env.reset()[0] for env in envs])
    assert obs[0, 4] != obs[1, 4]
    for env, task in zip(envs, tasks[::-1], strict=True):
        np.testing.assert_array_equal(env.current._target_pos.astype(np.float32), task[:3])
    for _ in range(3):
        act = rng.uniform(-1, 1, (2, 4)).astype(np.float32)
        obs, reward, _, success = workers.step(act)
        theirs = [env.step(a) for env, a in zip(envs, act, strict=True)]
        assert np.array_equal(obs, [x[0] for x in theirs])
        assert np.array_equal(reward, [x[1] for x in theirs])
        assert not obs[:, 36:].any()
        assert not success.any()
    workers.close()


def test_one_environment_becomes_any_kind():
    env, drawn = AnyKind(), {}
    for kind in ("reach-v3", "push-v3", "reach-v3"):
        fam = family(kind)
        env.choose(*fam.row(fam.tasks("train", 1)[0]))
        assert type(env.current) is environments()[kind]
        drawn.setdefault(kind, []).append(env.reset()[0])
    assert np.array_equal(*drawn["reach-v3"])


@pytest.mark.parametrize("kind", ["push-v3", "lever-pull-v3"])
def test_lists_of_goals_are_those_of_metaworld(kind, monkeypatch):
    monkeypatch.setattr(metaworld, "_N_GOALS", FEW)
    theirs, fam = metaworld.ML1(kind, seed=4), family(kind, seed=4)
    env = environments()[kind]()
    for split, listed in (("train", theirs.train_tasks), ("heldout", theirs.test_tasks)):
        for task, other in zip(fam.tasks(split), listed, strict=True):
            env.set_task(other)
            assert np.array_equal(fam.row(task)[1], env._last_rand_vec)


def test_benchmarks_of_many_kinds_hold_out_other_kinds(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "gmps.metaworld.goals._draw",
        lambda names, seed: drawn.setdefault(names, {n: [np.zeros(6)] * FEW for n in names}),
    )
    lists = {name: MetaWorld(name, goals=2)._list for name in ("ml10", "ml25", "ml45")}
    assert {n: (x.train, len(x.env_names)) for n, x in lists.items()} == {
        "ml10": (20, 30),
        "ml25": (50, 60),
        "ml45": (90, 100),
    }
    names = lists["ml10"].env_names
    assert names[:2] == ("reach-v3", "reach-v3")
    assert set(names[20:]) == {
        *("drawer-open-v3", "door-close-v3", "shelf-place-v3", "sweep-into-v3", "lever-pull-v3")
    }


def test_folds_hold_out_every_training_kind_once_and_none_of_the_others(monkeypatch):
    monkeypatch.setattr(
        "gmps.metaworld.goals._draw",
        lambda names, seed: {n: [np.full(6, len(n) + g) for g in range(FEW)] for n in names},
    )
    ml10 = MetaWorld("ml10", goals=2)
    folds = [make_family(f"ml10-fold{i}") for i in range(1, 6)]
    held = [kind for fold in folds for kind in fold.env_names("heldout")]
    assert sorted(held) == sorted(ml10.env_names("train"))
    assert folds[1].env_names("heldout") == ("push-v3", "peg-insert-side-v3")
    assert len(folds[1].env_names("train")) == 8
    listed = MetaWorld("ml10-fold2", goals=2, seed=5)._list
    assert (listed.train, len(listed.env_names)) == (16, 20)
    # Its goals are those that ML10 trains on.
    assert listed.rand_vecs[16][0] == len("push-v3")
    assert "Fold 2 of its training kinds is held out" in folds[1].summary
    with pytest.raises(ValueError, match="no task family 'ml10-fold6'"):
        make_family("ml10-fold6")
    with pytest.raises(ValueError, match="ml10-fold2 is a part of ML10"):
        run_harness(SimpleNamespace(), None, folds[1], HarnessConfig())


def test_success_is_told_ever_and_at_the_end():
    fam = family(horizon=3)
    sensors = jnp.array([[0, 0], [1, 0], [1, 1], [1, 0]])
    told = fam.outcome(fam.tasks("train", 1)[0], None, sensors)
    assert (float(told["success"]), float(told["success_at_end"])) == (1, 0)
    told = fam.outcome(fam.tasks("train", 1)[0], None, sensors.at[3, 1].set(1))
    assert (float(told["success"]), float(told["success_at_end"])) == (1, 1)


def test_names_and_their_errors(monkeypatch):
    assert make_family("ml1-reach-v3") == MetaWorld("ml1-reach-v3")
    cut = make_family("ml1-reach-v3@80")
    assert (cut.spec.horizon, cut.name) == (80, "ml1-reach-v3@80")
    with pytest.raises(ValueError, match="no environment 'reach-v9'; it has assembly-v3, basket"):
        make_family("ml1-reach-v9")
    with pytest.raises(ValueError, match="the horizon is 501; it must be 1 to 500"):
        make_family("ml10@501")
    with pytest.raises(ValueError, match="no task family 'ml11'"):
        make_family("ml11")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"takes the package metaworld: pip install 'gmps\[met"):
        make_family("ml10")


def test_the_family_keeps_the_contract():
    fam = family(horizon=60)
    check_functions(fam)
    tasks = fam.tasks("train", 50, jax.random.key(0))
    assert set(np.unique(tasks[:, 3])) == {0, 1, 2}
    assert fam.tasks("heldout")[:, 3].tolist() == [3, 4, 5]
    assert fam.describe(tasks[0]).startswith(f"reach-v3 #{int(tasks[0, 3])} (")
    with pytest.raises(ValueError, match="there is no task 6; its list has 6"):
        fam.row((0, 0, 0, 6))


def test_the_scripted_expert_sees_the_goal_and_solves_reaching():
    fam = family(horizon=80)
    expert, tasks = find_expert(["scripted"], fam), fam.tasks("train")
    obs = np.zeros((2, 39), np.float32)
    act = np.asarray(jax.vmap(expert.controller)(tasks[:2], obs))
    # Five times the way to 4.5 cm above the goal, and the gripper stays as it is.
    above = np.asarray(tasks)[:, :3] + [0, 0, 0.045]
    np.testing.assert_allclose(act[:, :3], np.clip(5 * above[:2], -1, 1), atol=1e-6)
    assert not act[:, 3].any()
    batch, solved = fam.make_batch(1), np.zeros(3)
    seen = batch.start(list(np.asarray(tasks)), [0] * 3)
    for _ in range(80):
        seen, _, _, success = batch.step(scripted(fam, np.asarray(tasks), seen))
        solved = np.maximum(solved, success)
    batch.close()
    assert solved.all()
    # The hand is above the goal and the fingers are at it, far within the 5 cm that count.
    assert np.linalg.norm(seen[:, :3] - above, axis=1).max() < 0.015


def test_tasks_that_the_expert_fails_are_left_out_and_named():
    fam = family("door-open-v3")
    tasks = fam.tasks("train")
    success = {"success": np.array([1.0, 0.25, 0.5])}
    score = ExpertScore(tasks, np.array([9.0, 8.0, 2.0]), success, 30)
    kept = meets(score, ExpertThreshold())
    assert kept.tolist() == [True, False, True]
    assert meets(score, ExpertThreshold(mean_return=5.0)).tolist() == [True, False, False]
    left = only(score, kept)
    assert left.returns.tolist() == [9, 2]
    assert left.env_steps == 30
    assert np.array_equal(left.tasks, tasks[jnp.array([0, 2])])
    said = exclusions(SimpleNamespace(family=fam), score, kept)
    assert "1 of 3 tasks: door-open-v3 #1 (" in said


def test_metaworlds_own_set_task_hides_the_goal():
    env = environments()["push-v3"]()
    env.set_task(official_task("push-v3", np.array([0, 0.6, 0.02, 0.05, 0.85, 0.015])))
    assert not env.reset()[0][36:].any()
    assert env._target_pos[0] == 0.05


def test_augmented_scenes_are_moved_whole_and_objects_come_from_other_tasks():
    family = make_family("ml10")
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(3, 400, 39)).astype(np.float32)
    # A task says itself in the object's rotation.
    obs[..., 7:18] = obs[..., 25:36] = np.arange(3, dtype=np.float32)[:, None, None]
    obs[..., 36:] = 0
    out = np.asarray(family.augment(jnp.asarray(obs), jax.random.key(0)))
    move = out[..., :3] - obs[..., :3]
    for other in (slice(4, 7), slice(18, 21), slice(22, 25)):
        np.testing.assert_allclose(out[..., other] - obs[..., other], move, atol=1e-6)
    share = np.any(move != 0, -1).mean()
    assert 0.4 < share < 0.6
    assert 0.35 < np.abs(move).max() <= 0.4
    for still in (3, 21, slice(36, 39)):
        assert np.array_equal(out[..., still], obs[..., still])
    turned = out[..., 7] != obs[..., 7]
    assert 0.4 < turned.mean() < 0.6
    # All of an object comes from one other task.
    for number in (*range(7, 18), *range(25, 36)):
        assert np.array_equal(out[..., number], out[..., 7])
    assert set(np.unique(out[..., 7])) == {0, 1, 2}

import json

import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np
import pytest

from gmps.sim.native import markov_model
from gmps.tasks import sawyer
from gmps.tasks.base import State, Transition
from gmps.tasks.sawyer_push import (
    AUTHORS_HELDOUT_GOALS,
    AUTHORS_TRAIN_GOALS,
    GOAL_HIGH,
    GOAL_LOW,
    SawyerPush,
    push_expert,
)
from places import DATA

DEMOS = DATA / "sawyer-push-sac-demos.npz"
GOALS = DATA / "author-goals.json"
FAMILY = SawyerPush()
MOCAP = mujoco.mjtState.mjSTATE_MOCAP_POS.value


def simulate(choose, qpos=None, steps=50, batch=1):
    """Qpos `(batch, steps + 1, 6)` of a closed loop; `choose(t, obs)` gives clipped actions."""
    model = markov_model(FAMILY.model())
    start = FAMILY.reset(jax.random.key(0), jnp.zeros(2))
    qpos = np.tile(start.qpos, (batch, 1)) if qpos is None else qpos
    state = np.zeros((batch, 1 + model.nq + model.nv))
    state[:, 1:7] = qpos
    target = qpos[:, :3] if batch > 1 else np.array(start.mocap_pos)[None]
    control = jax.jit(jax.vmap(FAMILY.control))
    data = [mujoco.MjData(model) for _ in range(2)]
    seen = [state[:, 1:7].astype(np.float32)]
    with mujoco.rollout.Rollout(nthread=2) as pool:
        for t in range(steps):
            now = State(jnp.array(seen[-1]), jnp.zeros((batch, 6)), jnp.array(target, jnp.float32))
            target = np.asarray(control(now, jnp.asarray(choose(t, seen[-1]))).mocap_pos)
            held = np.repeat(target[:, None].astype(float), FAMILY.frame_skip, axis=1)
            states, _ = pool.rollout([model] * batch, data, state, held, control_spec=MOCAP)
            state = states[:, -1].copy()
            seen.append(state[:, 1:7].astype(np.float32))
    return np.stack(seen, axis=1)


def follow_expert(goals, noise=0.0, **how):
    rng = np.random.default_rng(0)
    expert = jax.jit(jax.vmap(FAMILY.expert))

    def choose(t, obs):
        act = expert(goals, jnp.asarray(obs))
        return np.clip(act + noise * rng.normal(size=act.shape), -1, 1).astype(np.float32)

    return simulate(choose, batch=len(goals), **how)


def rewards(goal, qpos, family=FAMILY):
    """Reward terms of one episode from its qpos `(t + 1, 6)`."""
    none = jnp.zeros((len(qpos) - 1, 0))
    states = State(qpos, jnp.zeros_like(qpos), jnp.zeros((len(qpos), 3)))
    before, after = (jax.tree.map(lambda x, s=s: x[s], states) for s in (np.s_[:-1], np.s_[1:]))
    step = Transition(before, none, jnp.zeros((len(qpos) - 1, 3)), after, none)
    return jax.vmap(family.reward, in_axes=(None, 0))(goal, step)


def test_model_has_the_sizes_that_the_family_promises():
    model = FAMILY.model()
    state = FAMILY.reset(jax.random.key(0), jnp.zeros(2))
    assert (model.nq, model.nv, model.nu, model.nmocap) == (6, 6, 0, 1)
    assert state.qpos.shape == (6,) and state.qvel.shape == (6,) and state.mocap_pos.shape == (3,)
    assert model.opt.timestep * FAMILY.frame_skip == pytest.approx(FAMILY.spec.control_dt)
    assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert FAMILY.observe(state).shape == (FAMILY.spec.obs_size,)
    assert hash(FAMILY) == hash(SawyerPush()) and SawyerPush() == FAMILY


def test_start_is_at_rest():
    path = simulate(lambda t, obs: np.zeros((1, 3), np.float32))[0]
    np.testing.assert_allclose(path[0], [0, 0.4, 0.05, 0, 0.52, 0.02], atol=5e-4)
    np.testing.assert_allclose(path[:, :3], np.tile(path[0, :3], (51, 1)), atol=1e-6)
    np.testing.assert_allclose(path[:, 3:], np.tile(path[0, 3:], (51, 1)), atol=1e-3)


def test_hand_trails_its_target_as_the_authors_hand_does():
    # In all demonstrations the hand is 4.5 mm behind after four steps of 1 cm.
    path = simulate(lambda t, obs: np.array([[0, 1, 0]], np.float32), steps=4)[0]
    assert 0.44 - path[4, 1] == pytest.approx(0.0035, abs=0.0015)


def test_target_moves_by_a_centimetre_and_stays_in_its_box():
    moved = sawyer.move_target(jnp.array([0.0, 0.5, 0.2]), jnp.array([1.0, -0.5, 0.0]))
    np.testing.assert_allclose(moved, [0.01, 0.495, 0.2], rtol=1e-6)
    low = sawyer.move_target(jnp.array(sawyer.TARGET_LOW), -jnp.ones(3))
    high = sawyer.move_target(jnp.array(sawyer.TARGET_HIGH), jnp.ones(3))
    np.testing.assert_allclose(low, sawyer.TARGET_LOW)
    np.testing.assert_allclose(high, sawyer.TARGET_HIGH)


def test_reward_by_hand():
    # d0 = 0.2; the block is 0.05 from the goal and 0.03, 0.04 from the fingers: 100 * 0.15 - 0.05.
    fingers = np.array([0.03, 0.63, 0.02])
    hand = fingers - np.array(sawyer.FINGER_CENTRE)
    terms = rewards(jnp.array([0.0, 0.72]), jnp.array([np.r_[hand, 0, 0.67, 0.02]] * 2))
    assert float(terms["reach"][0]) == pytest.approx(-0.05, rel=1e-5)
    assert float(terms["progress"][0]) == pytest.approx(15.0, rel=1e-5)
    # Away from the goal there is no progress, and no penalty either.
    away = rewards(jnp.array([0.0, 0.72]), jnp.array([np.r_[hand, 0.5, 0.67, 0.02]] * 2))
    assert float(away["progress"][0]) == 0.0


def test_sparse_and_printed_rewards_by_hand():
    # d0 = 0.2. Block 0.04, then 0.06 from the goal; fingers 0.05 from it, 0.03 and 0.01 behind.
    goal = jnp.array([0.0, 0.72])
    fingers = np.array([0.03, 0.76, 0.02])
    hand = fingers - np.array(sawyer.FINGER_CENTRE)
    qpos = jnp.array([np.r_[hand, 0, y, 0.02] for y in (0, 0.76, 0.78)], jnp.float32)
    sparse = rewards(goal, qpos, SawyerPush(variant="sparse"))
    assert set(sparse) == {"progress"}
    np.testing.assert_allclose(sparse["progress"], [16.0, 0.0], rtol=1e-5)
    printed = rewards(goal, qpos, SawyerPush(variant="appendix"))
    np.testing.assert_allclose(printed["progress"], [15.0, 15.0], rtol=1e-5)
    np.testing.assert_allclose(printed["reach"], [-0.03, -np.hypot(0.03, 0.02)], rtol=1e-4)
    # The absolute value pays for going away, too: 0.5 from the goal earns 30.
    away = qpos.at[:, 1].add(0.5398 - 0.04)
    assert float(rewards(goal, away, SawyerPush(variant="appendix"))["progress"][0]) > 30
    with pytest.raises(ValueError, match="there is no reward 'spars'; choose one of dense, sparse"):
        SawyerPush(variant="spars")


@pytest.mark.skipif(not GOALS.exists(), reason="the authors' goals are not here")
def test_authors_goals_are_those_of_their_release():
    published = json.loads(GOALS.read_text(encoding="utf-8"))
    for name, ours in (("push_v4", AUTHORS_TRAIN_GOALS), ("push_v4_val", AUTHORS_HELDOUT_GOALS)):
        assert ours == tuple(tuple(task["goal"]) for task in published[name])
    family = SawyerPush(train_goals=AUTHORS_TRAIN_GOALS, heldout_goals=AUTHORS_HELDOUT_GOALS)
    assert family.tasks("train").shape == (20, 2)


def test_outcome_paths_and_words():
    qpos = np.zeros((3, 6), np.float32)
    qpos[:, 3:5] = [[0.0, 0.52], [0.0, 0.6], [0.03, 0.7]]
    states = State(jnp.array(qpos), jnp.zeros((3, 6)), jnp.zeros((3, 3)))
    none = jnp.zeros((3, 0))
    near = FAMILY.outcome(jnp.array([0.0, 0.74]), states, none)
    assert float(near["final_error"]) == pytest.approx(0.05, abs=1e-6)
    assert float(FAMILY.outcome(jnp.array([0.0, 0.73]), states, none)["success"]) == 1.0
    assert float(FAMILY.outcome(jnp.array([0.0, 0.75]), states, none)["success"]) == 0.0
    paths = FAMILY.paths(states, none)
    np.testing.assert_array_equal(paths["block"], qpos[:, 3:5])
    assert paths["hand"].shape == (3, 2)
    assert FAMILY.describe(jnp.array([-0.03, 0.752])) == "goal (-3.0, 75.2) cm"


def test_published_goals_cover_the_region_and_do_not_overlap():
    train, heldout = np.array(FAMILY.tasks("train")), np.array(FAMILY.tasks("heldout"))
    assert train.shape == heldout.shape == (20, 2)
    for goals in (train, heldout):
        assert (goals >= np.float32(GOAL_LOW)).all() and (goals <= np.float32(GOAL_HIGH)).all()
    corners = np.array(np.meshgrid([-0.1, 0.1], [0.7, 0.8])).T.reshape(-1, 2)
    gaps = np.linalg.norm(corners[:, None] - heldout, axis=-1).min(1)
    np.testing.assert_allclose(gaps, 0, atol=1e-6)
    assert np.linalg.norm(train[:, None] - heldout, axis=-1).min() > 0.004


def test_tasks_can_be_chosen_drawn_and_replaced():
    assert FAMILY.tasks("heldout", 4).shape == (4, 2)
    np.testing.assert_array_equal(
        FAMILY.tasks("heldout", 2), FAMILY.tasks("heldout")[jnp.array([0, 19])]
    )
    drawn = np.array(FAMILY.tasks("train", 500, jax.random.key(1)))
    assert (drawn.min(0) >= GOAL_LOW).all() and (drawn.max(0) <= GOAL_HIGH).all()
    np.testing.assert_allclose(drawn.mean(0), [0.0, 0.75], atol=0.01)
    other = SawyerPush(train_goals=((0.01, 0.75), (0.02, 0.76)))
    np.testing.assert_allclose(other.tasks("train"), [[0.01, 0.75], [0.02, 0.76]])
    assert other != FAMILY


@pytest.mark.parametrize("n", [0, 21])
def test_too_many_or_no_tasks(n):
    with pytest.raises(ValueError) as error:
        FAMILY.tasks("train", n)
    assert str(error.value) == (
        f"sawyer-push: {n} tasks asked for, but the train list has 20; "
        "ask for 1 to 20, or pass a key to draw random goals"
    )


@pytest.mark.parametrize("goals", [(), ((0.1,),), ((0.0, float("nan")),)])
def test_bad_goals(goals):
    with pytest.raises(ValueError, match="train_goals must be one or more finite pairs"):
        SawyerPush(train_goals=goals)


def test_expert_solves_every_published_goal():
    goals = jnp.concatenate([FAMILY.tasks("train"), FAMILY.tasks("heldout")])
    path = follow_expert(goals)
    errors = np.linalg.norm(path[:, -1, 3:5] - goals, axis=1)
    assert errors.max() < 0.01
    returns = jax.vmap(lambda g, q: sum(t.sum() for t in rewards(g, q).values()))(goals, path)
    assert float(returns.mean()) > 690  # the authors' SAC experts: 670, TRPO: 693


def test_expert_stands_action_noise():
    goals = FAMILY.tasks("train", 200, jax.random.key(2))
    errors = np.linalg.norm(follow_expert(goals, noise=0.3)[:, -1, 3:5] - goals, axis=1)
    assert np.mean(errors < 0.03) >= 0.95


def test_expert_goes_around_the_block():
    # The hand is beyond the block; beside it; behind it, but the goal is behind both (pull back).
    block = np.array([[0, 0.6, 0.02]] * 3)
    hand = np.array([[0, 0.72, 0.06], [0.08, 0.6, 0.06], [0.0, 0.53, 0.06]])
    goals = jnp.array([[0.05, 0.75], [0.05, 0.75], [0.0, 0.52]])
    path = follow_expert(goals, qpos=np.concatenate([hand, block], 1), steps=100)
    errors = np.linalg.norm(path[:, -1, 3:5] - goals, axis=1)
    assert (errors < 0.03).all()


def test_expert_is_bounded_and_smooth_everywhere():
    keys = jax.random.split(jax.random.key(3), 2)
    low = jnp.array([-0.2, 0.35, 0.03, -0.15, 0.45, 0.0])
    high = jnp.array([0.2, 0.9, 0.2, 0.15, 0.85, 0.05])
    obs = jax.random.uniform(keys[0], (300, 6), minval=low, maxval=high)
    goals = FAMILY.tasks("train", 300, keys[1])
    actions = jax.vmap(push_expert)(goals, obs)
    slopes = jax.vmap(jax.jacobian(push_expert, argnums=(0, 1)))(goals, obs)
    assert float(jnp.abs(actions).max()) <= 1.0 + 1e-6
    assert all(bool(jnp.isfinite(s).all()) for s in slopes)
    # Exactly at the goal, and with the finger exactly at the block's centre.
    at = jnp.array([0.0, 0.7 - sawyer.FRONT_FINGER_Y, 0.05, 0.0, 0.7, 0.02])
    slope = jax.jacobian(push_expert, argnums=1)(jnp.array([0.0, 0.7]), at)
    assert bool(jnp.isfinite(slope).all())


@pytest.mark.skipif(not DEMOS.exists(), reason="the authors' demonstrations are not here")
def test_replays_the_authors_demonstrations():
    with np.load(DEMOS) as file:
        obs, goals = file["observations"][:, 0], file["goals"]
        act, paid = np.clip(file["actions"][:, 0], -1, 1), file["rewards"][:, 0]
    path = np.concatenate(
        [simulate(lambda t, _, a=a: a[None, t], steps=obs.shape[1] - 1) for a in act]
    )
    hand = np.linalg.norm(path[..., :3] - obs[..., :3], axis=-1).max(1)
    block = np.linalg.norm(path[:, -1, 3:5] - obs[:, -1, 3:5], axis=-1)
    assert np.median(hand) < 0.016
    assert np.median(block) < 0.01 and np.sum(block < 0.02) >= 9

    terms = jax.vmap(rewards)(jnp.array(goals), jnp.array(obs))
    difference = np.abs(terms["reach"] + terms["progress"] - paid[:, :-1])
    assert np.median(difference) < 5e-4 and difference.max() < 0.02

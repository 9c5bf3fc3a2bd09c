import json

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.experts.base import ExpertActor
from gmps.sim.native import NativeSimulator
from gmps.tasks import sawyer
from gmps.tasks.base import State, Transition
from gmps.tasks.sawyer_door import (
    AUTHORS_VALIDATION_ANGLES,
    HANDLE,
    HELDOUT_ANGLES,
    HINGE,
    TRAIN_ANGLES,
    SawyerDoor,
    angle_of,
    door_expert,
    handle_at,
)
from gmps.worlds.factory import make_world
from places import DATA

GOALS = DATA / "author-goals.json"
FAMILY = SawyerDoor()


def follow_expert(tasks, qpos, steps):
    """Door angles `(batch, steps + 1)` with the expert from given states, targets at the hand."""
    simulator = NativeSimulator(FAMILY.model(), FAMILY.frame_skip)
    state = np.concatenate([qpos, np.zeros((len(qpos), 4))], 1)
    target, none = np.array(qpos[:, :3], np.float32), np.zeros((len(qpos), 0))
    simulator.start(state)

    @jax.jit
    def act(tasks, now):
        obs = jax.vmap(FAMILY.observe)(now)
        return jax.vmap(FAMILY.control)(now, jax.vmap(door_expert)(tasks, obs)).mocap_pos

    seen = [state[:, 3].copy()]
    for _ in range(steps):
        now = State(*(jnp.asarray(x, jnp.float32) for x in (state[:, :4], state[:, 4:], target)))
        target = np.asarray(act(tasks, now))
        assert simulator.step(target, state, none) is None
        seen.append(state[:, 3].copy())
    return np.stack(seen, 1)


def anywhere(n, seed=0):
    """Hand positions and door angles all over the place, without contact."""
    rng = np.random.default_rng(seed)
    model = FAMILY.model()
    data, found = mujoco.MjData(model), []
    while len(found) < n:
        hand = rng.uniform([-0.3, 0.4, 0.06], [0.3, 0.85, 0.45])
        data.qpos[:] = [*hand, rng.uniform(0, 1.2)]
        mujoco.mj_forward(model, data)
        if data.ncon == 0:
            found.append(data.qpos.copy())
    return np.array(found)


def reward(target, fingers, angle, **options):
    """Its one term; `fingers` is where their centre is, relative to the handle."""
    hand = np.asarray(handle_at(jnp.float32(angle))) + fingers - np.array(sawyer.FINGER_CENTRE)
    state = State(jnp.array([*hand, angle], jnp.float32), jnp.zeros(4), jnp.zeros(3))
    none = jnp.zeros(0)
    terms = SawyerDoor(**options).reward(
        jnp.array([target]), Transition(state, none, jnp.zeros(3), state, none)
    )
    assert set(terms) == {"angle"}
    return float(terms["angle"])


def test_model_has_the_sizes_that_the_family_promises():
    model = FAMILY.model()
    assert (model.nq, model.nv, model.nu, model.nmocap) == (4, 4, 0, 1)
    np.testing.assert_allclose(model.joint("hinge").range, [0, 1.4])
    assert model.opt.timestep * FAMILY.frame_skip == pytest.approx(FAMILY.spec.control_dt)


def test_handle_and_angle_belong_together():
    closed = handle_at(jnp.float32(0))
    np.testing.assert_allclose(closed, np.add(HINGE, HANDLE), atol=1e-6)
    # A quarter turn brings the handle from (-0.3, -0.1) to (0.1, -0.3) beside the hinge.
    np.testing.assert_allclose(handle_at(jnp.float32(np.pi / 2)), [0.3, 0.7, 0.3], atol=1e-6)
    angles = jnp.linspace(-0.5, 2.5, 50, dtype=jnp.float32)
    np.testing.assert_allclose(
        jax.vmap(lambda a: angle_of(handle_at(a)))(angles), angles, atol=1e-5
    )
    model = FAMILY.model()
    data = mujoco.MjData(model)
    data.qpos[3] = 0.8
    mujoco.mj_forward(model, data)
    bars = np.mean([data.geom(f"bar{i}").xpos for i in range(4)], 0)
    np.testing.assert_allclose(handle_at(jnp.float32(0.8)), bars, atol=1e-6)


def test_observation_is_hand_and_handle():
    state = FAMILY.reset(jax.random.key(0), jnp.zeros(1))
    obs = FAMILY.observe(state)
    np.testing.assert_allclose(obs, [0, 0.4, 0.1, -0.1, 0.9, 0.3], atol=5e-3)


@pytest.mark.parametrize(
    ("target", "angle", "paid"),
    [(0.6, 0.4, 4.0), (0.6, 0.6, 6.0), (0.6, 0.8, 4.0), (0.3, 0.8, 0.0)],
)
def test_reward_rises_to_the_target_and_falls_beyond(target, angle, paid):
    here = np.zeros(3)
    assert reward(target, here, angle) == pytest.approx(paid, abs=1e-5)
    assert reward(target, here, angle, always_paid=True) == pytest.approx(paid, abs=1e-5)


def test_only_one_variant_asks_for_the_hand():
    near, far = np.array([0.0, -0.099, 0.0]), np.array([0.0, -0.101, 0.0])
    assert reward(0.6, near, 0.4) == pytest.approx(4, abs=1e-5)
    assert reward(0.6, far, 0.4) == 0
    assert reward(0.6, far, 0.4, always_paid=True) == pytest.approx(4, abs=1e-5)


@pytest.mark.skipif(not GOALS.exists(), reason="the authors' goals are not here")
def test_angles_are_the_authors():
    lists = json.loads(GOALS.read_text(encoding="utf-8"))
    authors = {name: [t["goalAngle"][0] for t in lists[name]] for name in lists if "door" in name}
    assert list(TRAIN_ANGLES) == authors["door_60deg"]
    assert list(AUTHORS_VALIDATION_ANGLES) == authors["door_60deg_val"]
    assert [0.0, *HELDOUT_ANGLES] == authors["door_60deg_val1"]


def test_tasks_can_be_chosen_drawn_and_replaced():
    assert FAMILY.tasks("train").shape == (20, 1)
    assert FAMILY.tasks("heldout", 2).ravel().tolist() == pytest.approx([0.055116, 1.0472])
    assert not set(TRAIN_ANGLES) & set(HELDOUT_ANGLES)
    drawn = np.degrees(FAMILY.tasks("train", 500, jax.random.key(0)))
    assert drawn.shape == (500, 1)
    assert 0 <= drawn.min() < 2 and 58 < drawn.max() <= 60
    assert FAMILY.describe(jnp.array([np.pi / 6])) == "open by 30.0 deg"
    assert SawyerDoor(train_angles=(0.2,)).tasks("train").tolist() == [[pytest.approx(0.2)]]
    for bad in ((), ((0.1, 0.2),), (float("nan"),)):
        with pytest.raises(ValueError, match="train_angles must be one or more finite angles"):
            SawyerDoor(train_angles=bad)


def test_expert_opens_to_every_published_angle_and_stays():
    tasks = jnp.concatenate([FAMILY.tasks("train"), FAMILY.tasks("heldout")])
    actor = ExpertActor(FAMILY.expert, 3)
    out = make_world(FAMILY).rollout(actor, jnp.zeros(len(tasks)), tasks, 1, jax.random.key(0))
    assert out.outcome["success"].all()
    assert np.degrees(out.outcome["final_error"]).max() < 1
    # It never passes the target by more than two degrees, and pays from step 60 on.
    angles = np.asarray(out.states.qpos)[:, 0, :, 3]
    assert np.degrees(angles - tasks).max() < 2
    assert (np.asarray(out.trajectories.reward)[:, 0, 65:] > 0).all()
    np.testing.assert_allclose(
        out.trajectories.reward[:, 0, -1], 10 * tasks[:, 0], atol=10 * np.radians(1)
    )


def test_expert_stands_action_noise():
    tasks = FAMILY.tasks("train", 100, jax.random.key(2))
    actor = ExpertActor(FAMILY.expert, 3)
    out = make_world(FAMILY).rollout(actor, jnp.full(100, 0.3), tasks, 1, jax.random.key(0))
    assert float(out.outcome["success"].mean()) >= 0.95


def test_expert_finds_its_way_from_anywhere_and_closes_too():
    qpos = anywhere(60)
    tasks = FAMILY.tasks("train", 60, jax.random.key(3))
    angles = follow_expert(tasks, qpos, 150)
    solved = np.abs(angles[:, -1] - np.asarray(tasks)[:, 0]) < np.radians(3)
    assert solved.mean() >= 0.9
    closing = qpos[:, 3] > np.asarray(tasks)[:, 0] + 0.1
    assert closing.sum() > 10
    assert solved[closing].mean() >= 0.9


def test_expert_is_bounded_and_smooth_everywhere():
    qpos = jnp.asarray(anywhere(200, seed=1), jnp.float32)
    obs = jax.vmap(lambda q: FAMILY.observe(State(q, q, q)))(qpos)
    tasks = FAMILY.tasks("train", 200, jax.random.key(4))
    actions = jax.vmap(door_expert)(tasks, obs)
    assert float(jnp.abs(actions).max()) <= 1 + 1e-6
    slopes = jax.vmap(jax.jacobian(door_expert, argnums=(0, 1)))(tasks, obs)
    assert all(bool(jnp.isfinite(s).all()) for s in slopes)
    # Exactly over the handle's centre, at the target.
    handle = handle_at(jnp.float32(0.5))
    at = jnp.concatenate([handle - jnp.array([0, sawyer.FRONT_FINGER_Y, 0]), handle])
    assert bool(jnp.isfinite(jax.jacobian(door_expert, argnums=1)(jnp.array([0.5]), at)).all())

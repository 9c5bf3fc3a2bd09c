"""Pictures: what is in them, and what is said where there can be none."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gmps.experts.base import ExpertActor
from gmps.rendering.episodes import render_episode, steps_per_frame
from gmps.rendering.files import CAPTION, GAP, require_writable, side_by_side, write_frames
from gmps.sim.gl import choose_gl
from gmps.tasks import make_family
from gmps.tasks.point_goal import PointGoal
from gmps.worlds.factory import make_world


def can_draw():
    try:
        choose_gl()
    except ValueError:
        return False
    return True


needs_gl = pytest.mark.skipif(not can_draw(), reason="no EGL and no OSMesa")


def episode(name):
    """The expert's episode in the first held-out task, or that of zeros."""
    family = make_family(name)
    tasks = family.tasks("heldout", 1)
    act = family.spec.act_size
    actor = ExpertActor(family.expert or (lambda task, obs: jnp.zeros(act)), act)
    out = make_world(family).rollout(actor, jnp.zeros(1), tasks, 1, jax.random.key(0))
    shown = jax.tree.map(lambda x: x[0, 0], (out.states, out.sensors))
    return family, tasks[0], shown


def reddish(frame):
    """How many pixels have the colour of the goal's marker."""
    red, green, blue = (frame[..., i].astype(int) for i in range(3))
    return int(((red > green + 50) & (red > blue + 50)).sum())


@needs_gl
@pytest.mark.parametrize("name", ["sawyer-door", "push-dynamics"])
def test_mujoco_families_are_drawn_with_their_goal(name):
    family, task, shown = episode(name)
    frames = render_episode(family, task, *shown, width=96, height=72, every=40)
    # Every 40th state and the last one.
    assert frames.shape == ({50: 3, 100: 4}[family.spec.horizon], 72, 96, 3)
    assert frames.dtype == np.uint8
    assert reddish(frames[0]) > 10
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_each_backend_that_is_there_draws(backend):
    # In a process of its own: the choice cannot be undone within one.
    code = """
import numpy
try:
    import mujoco
except Exception:  # it loads the backend's library
    raise SystemExit("cannot draw with MUJOCO_GL=BACKEND")
from gmps.rendering.episodes import render_episode
from gmps.sim.gl import choose_gl
from gmps.tasks import make_family
from gmps.tasks.base import State
family = make_family("sawyer-push")
task = numpy.array([0.05, 0.75])
start = family.reset(None, task)
states = State(*(numpy.stack([x, x]) for x in start))
frames = render_episode(family, task, states, numpy.zeros((2, 0)), width=64, height=48)
print(choose_gl(), frames.shape, frames.std() > 10)
""".replace("BACKEND", backend)
    # MuJoCo leaves its choice in this variable, and no other backend starts with it.
    inherited = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "MUJOCO_GL": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    if f"cannot draw with MUJOCO_GL={backend}" in found.stderr:
        pytest.skip(f"no {backend} here")
    assert found.stdout.split("\n")[0] == f"{backend} (2, 48, 64, 3) True", found.stderr


def test_a_point_and_its_goal_are_drawn():
    family, task, shown = episode("point-goal")
    frames = render_episode(family, task, *shown, width=120, height=80, every=7)
    assert frames.shape == (4, 80, 120, 3)  # states 0, 7, 14 and the last one, 20
    assert reddish(frames[0]) > 50
    # The goal of task 0 is at (1, 0): right of the start, at the same height.
    warmth = frames[0][..., 0].astype(int) - frames[0][..., 2]
    (rows, columns), blue = np.nonzero(warmth > 50), np.nonzero(warmth < -50)
    assert columns.mean() > blue[1].mean() + 20
    assert abs(rows.mean() - blue[0].mean()) < 3
    again = render_episode(family, task, *shown, width=120, height=80, every=7)
    assert np.array_equal(frames, again)


def test_paths_may_come_from_sensors():
    """As those of a family of one's own may; here they are the positions themselves."""

    class Sensed(PointGoal):
        def paths(self, states, sensors):
            return {"sensed": sensors}

    family, task, (states, sensors) = episode("point-goal")
    assert sensors.shape == (21, 0)
    wanted = render_episode(family, task, states, sensors, width=60, height=40, every=20)
    frames = render_episode(Sensed(), task, states, states.qpos, width=60, height=40, every=20)
    assert np.array_equal(frames, wanted)


def test_sizes_are_checked():
    family, task, shown = episode("point-goal")
    with pytest.raises(ValueError, match="width is 0; it must be at least 1"):
        render_episode(family, task, *shown, width=0)
    with pytest.raises(ValueError, match="every is -1; it must be at least 1"):
        render_episode(family, task, *shown, every=-1)
    assert steps_per_frame(make_family("ant-goal"), 20) == 5
    assert steps_per_frame(PointGoal(), 50) == 1


def test_columns_stand_side_by_side_and_shorter_ones_rest():
    left = np.stack([np.full((10, 30, 3), v, np.uint8) for v in (10, 20, 30)])
    right = np.full((1, 10, 30, 3), 90, np.uint8)
    frames = side_by_side({"before": left, "after": right})
    assert frames.shape == (3, 10 + CAPTION, 30 + GAP + 30, 3)
    assert (frames[2, CAPTION:, :30] == 30).all()
    assert (frames[:, CAPTION:, 30 + GAP :] == 90).all()
    assert (frames[:, CAPTION:, 30 : 30 + GAP] == 255).all()
    assert (frames[0, :CAPTION] < 128).any()  # the captions
    with pytest.raises(ValueError, match=r"need one common size, got \[\(10, 30\), \(11, 30\)\]"):
        side_by_side({"a": left, "b": np.zeros((1, 11, 30, 3), np.uint8)})


def test_gif_and_png_hold_the_frames(tmp_path):
    frames = np.zeros((5, 20, 30, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 5 * i : 5 * i + 5] = (200, 30, 30)
    write_frames(tmp_path / "a.gif", frames, 20)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (30, 20), 50)
        image.seek(3)
        shown = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(shown - frames[3]).max() < 30
    write_frames(tmp_path / "new" / "a.png", frames, 20)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), frames[-1])
    with pytest.raises(ValueError, match=r"a\.gif already exists; choose another file with --out"):
        write_frames(tmp_path / "a.gif", frames, 20)
    with pytest.raises(ValueError, match=r"a\.avi must end in \.gif, \.mp4, \.png"):
        require_writable(tmp_path / "a.avi")


def test_mp4_holds_the_frames(tmp_path):
    encoder = pytest.importorskip("imageio_ffmpeg")
    frames = np.zeros((5, 65, 64, 3), np.uint8)  # an odd height loses its last row
    for i, frame in enumerate(frames):
        frame[:] = 40 * i
    write_frames(tmp_path / "a.mp4", frames, 20)
    count, seconds = encoder.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert (count, seconds) == (5, pytest.approx(0.25, abs=0.01))


def test_without_an_encoder_mp4_is_refused_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="takes the package imageio-ffmpeg; install gmps"):
        require_writable(tmp_path / "a.mp4")


def test_without_opengl_the_packages_to_install_are_named(monkeypatch):
    tried = []

    def fail(*args, env, **options):
        tried.append(env["MUJOCO_GL"])
        return subprocess.CompletedProcess(args, 1, "", "no")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(ValueError) as error:
        choose_gl.__wrapped__()
    assert tried == ["egl", "osmesa"]
    assert str(error.value) == (
        "MuJoCo cannot draw with EGL or OSMesa on this machine; install Debian's libegl1 and "
        "libgl1-mesa-dri, or libosmesa6, or set MUJOCO_GL to what there is."
    )
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(ValueError, match="cannot draw with MUJOCO_GL=osmesa on this machine"):
        choose_gl.__wrapped__()
    assert tried == ["egl", "osmesa", "osmesa"]

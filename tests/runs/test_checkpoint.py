import json
import os
import re
import socket
import subprocess
import sys
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

from gmps.runs import checkpoint
from gmps.runs.checkpoint import Checkpoints


def a_tree():
    mlp = eqx.filter(eqx.nn.MLP(3, 2, 8, 1, key=jax.random.key(0)), eqx.is_array)
    return {
        "policy": mlp,
        "optimiser": optax.adam(1e-3).init(mlp),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(1, impl="rbg"), 3),
        "host": (np.float64(0.1), np.arange(6.0).reshape(2, 3).T, np.zeros((0, 4), bool)),
        "small": jnp.asarray([1.5, -2.0], jnp.bfloat16),
    }


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_round_trip_is_exact(tmp_path):
    tree, path = a_tree(), tmp_path / "x.safetensors"
    checkpoint.save(path, tree, {"step": 3, "nested": {"a": (1, None, "b"), 10: 1, 2: 0.1}})
    back, metadata = checkpoint.load(path, tree)
    assert_same(tree, back)
    assert metadata == {"step": 3, "nested": {"a": [1, None, "b"], "10": 1, "2": 0.1}}
    assert checkpoint.verify(path) == metadata
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("tree", [jnp.float32(2), {}, [np.int8(3)]])
def test_odd_trees(tmp_path, tree):
    checkpoint.save(tmp_path / "x", tree)
    assert_same(tree, checkpoint.load(tmp_path / "x", tree)[0])


def test_restored_keys_draw_the_same_numbers(tmp_path):
    tree = a_tree()
    checkpoint.save(tmp_path / "x", tree)
    back, _ = checkpoint.load(tmp_path / "x", tree)
    np.testing.assert_array_equal(
        jax.random.normal(tree["key"], 5), jax.random.normal(back["key"], 5)
    )


def test_shapes_are_enough_to_load(tmp_path):
    tree = {"w": jnp.ones((2, 3)), "key": jax.random.key(1)}
    checkpoint.save(tmp_path / "x", tree)
    assert_same(tree, checkpoint.load(tmp_path / "x", jax.eval_shape(lambda: tree))[0])


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            {"w": jnp.ones((2, 4)), "b": jnp.ones(2)},
            "The leaf ['w'] of {path} has shape (2, 3) and dtype float32, but shape (2, 4) and "
            "dtype float32 are expected.",
        ),
        (
            {"w": jnp.ones((2, 3), int), "b": jnp.ones(2)},
            "The leaf ['w'] of {path} has shape (2, 3) and dtype float32, but shape (2, 3) and "
            "dtype int32 are expected.",
        ),
        (
            {"w": jnp.ones((2, 3))},
            "The checkpoint {path} holds a leaf ['b'] that is not expected here; it was saved "
            "with another network or method.",
        ),
        (
            {"w": jnp.ones((2, 3)), "b": jnp.ones(2), "c": jnp.ones(2)},
            "The checkpoint {path} lacks the leaf ['c']; it was saved with another network or "
            "method.",
        ),
        (
            {"w": jnp.ones((2, 3)), "b": jax.random.key(0)},
            "The leaf ['b'] of {path} is an array, but a random key is expected.",
        ),
    ],
)
def test_another_tree_names_the_leaf(tmp_path, like, message):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"w": jnp.ones((2, 3)), "b": jnp.ones(2)})
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(path=path))}$"):
        checkpoint.load(path, like)


def test_another_key_implementation(tmp_path):
    checkpoint.save(tmp_path / "x", {"k": jax.random.key(0)})
    with pytest.raises(ValueError, match=r"leaf \['k'\] .* dtype key<fry>, but .* key<rbg> are"):
        checkpoint.load(tmp_path / "x", {"k": jax.random.key(0, impl="rbg")})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"f": jax.nn.relu}, "A checkpoint holds arrays only, but the leaf ['f'] is of type "),
        ({"n": 3}, "A checkpoint holds arrays only, but the leaf ['n'] is of type int;"),
        (
            {"o": np.array([None])},
            "A checkpoint holds numbers only, but the leaf ['o'] has the dtype object.",
        ),
    ],
)
def test_leaves_that_are_no_numbers(tmp_path, tree, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint.save(tmp_path / "x", tree)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": object()}])
def test_metadata_must_be_json(tmp_path, metadata):
    with pytest.raises(ValueError, match="The metadata of a checkpoint must fit into JSON: "):
        checkpoint.save(tmp_path / "x", {}, metadata)


def test_equal_content_gives_equal_bytes(tmp_path):
    metadata = {name: 1 for name in "abcdefgh"}
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, a_tree(), metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_truncation_and_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"w": np.arange(5.0), "b": np.arange(3)}, {"step": 1})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"^The checkpoint {path} is damaged or cut short"):
            checkpoint.verify(path)
    rng = np.random.default_rng(0)
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        # Blanks of the header's padding and equal JSON may change without harm.
        if _same_content(path, whole, changed):
            continue
        with pytest.raises(ValueError, match=r"is damaged|is not a checkpoint of gmps"):
            checkpoint.verify(path)


def _same_content(path, whole, changed):
    size = int.from_bytes(whole[:8], "little")
    if whole[:8] != changed[:8] or whole[8 + size :] != changed[8 + size :]:
        return False
    try:
        return json.loads(whole[8 : 8 + size]) == json.loads(changed[8 : 8 + size])
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(ValueError, match=r"^There is no checkpoint .*/none\.safetensors\.$"):
        checkpoint.verify(tmp_path / "none.safetensors")
    safetensors.numpy.save_file({"a": np.ones(2)}, tmp_path / "other")
    with pytest.raises(
        ValueError, match=r"other is not a checkpoint of gmps \(gmps-checkpoint-1\)\."
    ):
        checkpoint.verify(tmp_path / "other")


def test_keeps_the_last_and_the_best(tmp_path):
    store = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert store.latest() is None
    assert store.best() is None
    for step, score in enumerate([1.0, 5.0, float("nan"), 5.0, None, 2.0, 3.0]):
        store.save(step, {"x": np.full(3, step)}, {"at": step}, score)
    assert store.steps() == [3, 5, 6]
    latest, best = store.latest(), store.best()
    assert latest is not None
    assert best is not None
    assert (latest.step, latest.score, latest.metadata) == (6, 3.0, {"at": 6})
    assert (best.step, best.score) == (3, 5.0)
    tree, metadata = store.load(best.step, {"x": np.zeros(3, int)})
    assert tree["x"].tolist() == [3, 3, 3]
    assert metadata == {"at": 3}


def test_falls_back_from_damaged_files_and_says_so(tmp_path):
    store = Checkpoints(tmp_path)
    for step in range(3):
        store.save(step, {"x": np.arange(100)}, score=float(step))
    store.path(2).write_bytes(store.path(2).read_bytes()[:-1])
    store.path(1).write_bytes(b"")
    for find in (store.latest, store.best):
        with pytest.warns(UserWarning, match=r"^Skipped a damaged checkpoint\. The") as caught:
            found = find()
        assert found is not None
        assert found.step == 0
        assert ["step_0000000002" in str(w.message) for w in caught] == [True, False]
    # The run goes on from step 0; what came later does not come back.
    store.discard_after(0)
    assert store.steps() == [0]
    assert (tmp_path / "step_0000000002.damaged").exists()
    store.save(1, {"x": np.arange(100)})
    latest = store.latest()
    assert latest is not None
    assert latest.step == 1


def test_discards_complete_later_checkpoints(tmp_path):
    store = Checkpoints(tmp_path, keep=5)
    for step in range(4):
        store.save(step, {})
    store.discard_after(1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step_0000000000.safetensors",
        "step_0000000001.safetensors",
    ]


def gone_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_half_written_files_are_ignored_and_cleaned_up(tmp_path):
    store = Checkpoints(tmp_path)
    store.save(0, {"x": np.ones(3)})
    leftover = tmp_path / f".writing-{gone_process()}@{socket.gethostname()}-1a2b"
    leftover.write_bytes(b"half")
    latest = store.latest()
    assert latest is not None
    assert latest.step == 0
    assert leftover.exists()  # a reader does not touch what a writer may be busy with
    store.save(1, {"x": np.ones(3)})
    assert not leftover.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    store = Checkpoints(tmp_path)
    store.save(0, {"x": np.ones(3)})

    def full_disk(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        store.save(0, {"x": np.zeros(3)})
    assert store.load(0, {"x": np.zeros(3)})[0]["x"].tolist() == [1, 1, 1]


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match=r"^At least 1 checkpoint must be kept, got keep=0\.$"):
        Checkpoints(tmp_path, keep=0)


KILLED_SAVER = """
import os, random, signal, sys, time, warnings
import numpy as np
from gmps.runs.checkpoint import Checkpoints

warnings.simplefilter("error", UserWarning)  # a damaged file would be skipped with a warning
store = Checkpoints(sys.argv[1], keep=2)
like = {"x": np.zeros(200_000), "step": np.zeros((), int)}
store.save(0, like)
random.seed(0)
last = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        step = last
        while True:
            step += 1
            store.save(step, {"x": np.full(200_000, step * 1.0), "step": np.array(step)})
    while store.steps()[-1] <= last:  # a busy machine may need a while for the first
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.04))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = store.latest()
    tree, _ = store.load(found.step, like)
    assert tree["step"] == found.step >= last and (tree["x"] == found.step).all()
    last = found.step
print("last", last)
"""


def test_killed_at_any_moment_leaves_a_complete_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", KILLED_SAVER, str(tmp_path / "c")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) >= 20  # it did save between the kills


def test_loading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Checkpoints(tmp_path)
        store.save(0, a_tree(), score=1.0)
        store.load(0, a_tree())

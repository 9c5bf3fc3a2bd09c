"""Checkpoints: any pytree of arrays in one `.safetensors` file, written atomically, never pickled.

The file is that of `gmps.tensors`; leaves are named by `jax.tree_util.keystr`.
"""

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from gmps.errors import GmpsError
from gmps.tensors import read_metadata, read_tensors, write_tensors

Tree = TypeVar("Tree")
_NAME = re.compile(r"step_(\d{10})\.safetensors")


def save(path: str | Path, tree: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write `tree` and `metadata` to one file, atomically.

    Args:
        path: file to write or replace; its folder must exist.
        tree: pytree whose leaves are JAX or NumPy arrays of any shape; typed PRNG keys are stored
            as their data and the name of their implementation.
        metadata: anything JSON can hold; no NaN.

    Raises:
        GmpsError: if a leaf is not an array, or the metadata do not fit into JSON.
    """
    arrays: dict[str, np.ndarray] = {}
    keys: dict[str, str] = {}
    for name, leaf in _named_leaves(tree):
        if _is_key(leaf):
            keys[name] = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        arrays[name] = _host_array(name, leaf)
    write_tensors(path, arrays, metadata or {}, keys)


def load(path: str | Path, like: Tree) -> tuple[Tree, dict[str, Any]]:
    """Read a checkpoint into the structure of `like`.

    Args:
        path: file written by `save`.
        like: pytree with the structure, shapes and dtypes expected. Leaves are JAX arrays, typed
            keys or `jax.ShapeDtypeStruct`s, which come back as JAX arrays, or NumPy arrays, which
            come back as NumPy arrays.

    Returns:
        The tree and the metadata.

    Raises:
        GmpsError: if the file is missing or damaged, or holds something other than `like`; the
            sentence names the first leaf that differs.
    """
    arrays, header = read_tensors(path)
    keys = header["keys"]
    wanted = _named_leaves(like)
    names = {name for name, _ in wanted}
    for name in arrays:
        if name not in names:
            raise GmpsError(
                f"The checkpoint {path} holds a leaf {name} that is not expected here; it was "
                "saved with another network or method."
            )
    leaves = [
        _restored(path, name, leaf, arrays.get(name), keys.get(name)) for name, leaf in wanted
    ]
    tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
    return tree, header["metadata"]


def verify(path: str | Path) -> dict[str, Any]:
    """Check a checkpoint's completeness and digest, and return its metadata.

    Raises:
        GmpsError: if the file is missing, truncated, changed or not a checkpoint.
    """
    return read_tensors(path)[1]["metadata"]


class Checkpoint(NamedTuple):
    """A complete checkpoint on disk."""

    path: Path
    step: int
    #: Higher is better; None if it was saved without one.
    score: float | None
    metadata: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: the last `keep` and the best are kept, the rest deleted.

    Readers never change the folder; a single writer at a time may save.
    """

    def __init__(self, folder: str | Path, keep: int = 3):
        if keep < 1:
            raise GmpsError(f"At least 1 checkpoint must be kept, got keep={keep}.")
        self.folder = Path(folder)
        self.keep = keep

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"step_{step:010d}.safetensors"

    def steps(self) -> list[int]:
        """Steps with a file, ascending; the files may be damaged."""
        if not self.folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def save(
        self,
        step: int,
        tree: Any,
        metadata: Mapping[str, Any] | None = None,
        score: float | None = None,
        log: Mapping[str, Any] | None = None,
    ) -> Path:
        """Save a step, then delete what is neither among the last nor the best.

        Args:
            step: number of the step, >= 0; a file of the same step is replaced.
            tree: see `gmps.runs.checkpoint.save`.
            metadata: see `gmps.runs.checkpoint.save`.
            score: the figure that decides which is best; higher is better. A NaN never wins.
            log: what is known of the logs up to this step, as JSON values.
        """
        # Not its parents: a run that was deleted does not go on without its settings.
        self.folder.mkdir(exist_ok=True)
        finite = None if score is None or not math.isfinite(score) else float(score)
        content = {"step": int(step), "score": finite, "metadata": dict(metadata or {})}
        content |= {} if log is None else {"log": dict(log)}
        save(self.path(step), tree, content)
        self._prune()
        return self.path(step)

    def latest(self) -> Checkpoint | None:
        """The complete checkpoint of the highest step, or None.

        Warns:
            UserWarning: for each damaged file that it skips, naming it.
        """
        return next(self._complete(), None)

    def best(self) -> Checkpoint | None:
        """The complete checkpoint of the highest score, the later one of equals, or None.

        Warns:
            UserWarning: for each damaged file, naming it.
        """
        scored = [c for c in self._complete() if c.score is not None]
        return max(scored, key=lambda c: (c.score, c.step), default=None)

    def load(self, step: int, like: Tree) -> tuple[Tree, dict[str, Any]]:
        """The tree and metadata of a step; see `gmps.runs.checkpoint.load`."""
        tree, content = load(self.path(step), like)
        return tree, content["metadata"]

    def known_log(self) -> tuple[int, dict[str, Any]] | None:
        """The last step that knows the logs up to it, and what it knows."""
        found = ((step, self._header(step).get("log")) for step in reversed(self.steps()))
        return next(((step, x) for step, x in found if isinstance(x, dict)), None)

    def _header(self, step: int) -> dict[str, Any]:
        """What the file says of itself; empty where it is damaged. Its arrays are not read."""
        try:
            content = read_metadata(self.path(step))
            return content if isinstance(content, dict) else {}
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
            return {}

    def discard_after(self, step: int) -> None:
        """Delete checkpoints of later steps; damaged ones are renamed to `.damaged` instead."""
        for later in self.steps():
            if later <= step:
                continue
            path = self.path(later)
            try:
                verify(path)
            except ValueError:
                path.replace(path.with_suffix(".damaged"))
            else:
                path.unlink()

    def _complete(self):
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                content = verify(path)
                if content.get("step") != step or not isinstance(content.get("metadata"), dict):
                    raise GmpsError(f"The file {path} is no checkpoint of step {step}.")
            except GmpsError as error:
                warnings.warn(f"Skipped a damaged checkpoint. {error}", stacklevel=3)
                continue
            yield Checkpoint(path, step, content.get("score"), content["metadata"])

    def _prune(self) -> None:
        steps = self.steps()
        # A damaged file has no score.
        scores = {s: x for s in steps if isinstance(x := self._header(s).get("score"), int | float)}
        kept = set(steps[-self.keep :])
        if scores:
            kept.add(max(scores, key=lambda step: (scores[step], step)))
        for step in steps:
            if step not in kept:
                self.path(step).unlink()


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    # A tree that is one bare leaf has the empty path.
    return [(jax.tree_util.keystr(path) or ".", leaf) for path, leaf in leaves]


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _host_array(name: str, leaf: Any) -> np.ndarray:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        raise GmpsError(
            f"A checkpoint holds arrays only, but the leaf {name} is of type "
            f"{type(leaf).__name__}; partition the tree with equinox.filter first."
        )
    array = np.asarray(leaf, order="C")
    if array.dtype.hasobject or array.dtype.kind in "USmM":
        raise GmpsError(
            f"A checkpoint holds numbers only, but the leaf {name} has the dtype {array.dtype}."
        )
    return array


def _restored(
    path: str | Path, name: str, like: Any, array: np.ndarray | None, key_impl: str | None
) -> Any:
    if array is None:
        raise GmpsError(
            f"The checkpoint {path} lacks the leaf {name}; it was saved with another network or "
            "method."
        )
    is_key = _is_key(like)
    if is_key != (key_impl is not None):
        kinds = ("a random key", "an array")
        got, wanted = kinds if key_impl is not None else kinds[::-1]
        raise GmpsError(f"The leaf {name} of {path} is {got}, but {wanted} is expected.")
    if is_key:
        value: Any = jax.random.wrap_key_data(jnp.asarray(array), impl=key_impl)
        got, wanted = str(value.dtype), str(like.dtype)
    else:
        value = array
        got, wanted = str(array.dtype), str(np.dtype(like.dtype))
    if value.shape != like.shape or got != wanted:
        raise GmpsError(
            f"The leaf {name} of {path} has shape {value.shape} and dtype {got}, but shape "
            f"{tuple(like.shape)} and dtype {wanted} are expected."
        )
    if isinstance(like, np.generic):
        return value[()]
    if isinstance(like, np.ndarray) or is_key:
        return value
    return jnp.array(value)  # `asarray` compiles a program for each shape

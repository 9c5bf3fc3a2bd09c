"""What an interrupted evaluation had done, so that it goes on where it was.

`RUN/evaluation/` holds the control that was fitted and the splits that were judged, each under the
digest of what it was made from. It goes when the scores are written.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import Levels, SplitResult
from gmps.evaluation.repeats import Measured
from gmps.evaluation.scores import MODES, Judged, Mode
from gmps.methods.fine_tuning import Candidate, FineTunedState, Tuned
from gmps.methods.multitask_bc import MultitaskBc
from gmps.methods.plain import PlainControl
from gmps.plain_json import digest_of
from gmps.runs.checkpoint import load, save
from gmps.runs.paths import read_arrays, write_arrays

FOLDER = "evaluation"
#: Arrays that are no condition's.
_UNTRAINED, _EXPERT, _DEMONSTRATORS = "levels/untrained", "levels/expert", "levels/demonstrators"
_SOURCE, _STEPS = "levels/source", "env_steps"


class Partial:
    """The parts of one evaluation that are done."""

    def __init__(self, run: Path, checkpoint: Path, what: Mapping[str, Any]):
        """Args:
        run: the run's folder.
        checkpoint: the file that is judged.
        what: all else that the outcome depends on, as plain JSON values.
        """
        self.folder = run / FOLDER
        content = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        self._key = digest_of({**what, "checkpoint": content})

    def plain(
        self,
        method: MultitaskBc,
        start: Callable[[], FineTunedState],
        fit: Callable[[], PlainControl],
    ) -> PlainControl:
        """The control: from the file, or fitted and kept.

        Args:
            method: the control's method.
            start: makes a state of the control's structure; it is traced, not run.
            fit: makes the control.
        """
        path = self.folder / f"plain-{self._key[:16]}.safetensors"
        if path.is_file():
            found = _read_plain(path, method, start)
            if found is not None:
                return found
        control = fit()
        tuned = control.tuned
        facts = {
            "step_size": tuned.step_size,
            "candidates": [list(x) for x in tuned.candidates],
            "env_steps": tuned.env_steps,
        }
        self.folder.mkdir(exist_ok=True)
        save(path, {"state": control.state, "policy": tuned.policy}, facts)
        return control

    def split(self, split: Judged, tasks: Task, judge: Callable[[], SplitResult]) -> SplitResult:
        """The figures of a split: from the file, or judged and kept."""
        path = self.folder / f"{split}-{self._key[:16]}.npz"
        try:
            arrays = read_arrays(path, "gmps eval")
        except GmpsError:
            arrays = None  # damaged: it is made again
        if arrays is not None:
            return _unpacked(arrays, tasks)
        result = judge()
        self.folder.mkdir(exist_ok=True)
        write_arrays(path, _packed(result))
        return result

    def clear(self) -> None:
        """Remove everything: the scores are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read_plain(
    path: Path, method: MultitaskBc, start: Callable[[], FineTunedState]
) -> PlainControl | None:
    """A kept control; None where the file is damaged, since it is made again."""
    state = jax.eval_shape(start)
    try:
        tree, facts = load(path, {"state": state, "policy": state.policy})
    except GmpsError:
        return None
    candidates = tuple(Candidate(*x) for x in facts["candidates"])
    tuned = Tuned(tree["policy"], facts["step_size"], candidates, facts["env_steps"])
    return PlainControl(method, tree["state"], tuned)


def _packed(result: SplitResult) -> dict[str, np.ndarray]:
    levels = result.levels
    arrays = {
        _UNTRAINED: levels.untrained,
        _EXPERT: levels.expert,
        _SOURCE: np.array(levels.source),
        _STEPS: np.array(result.env_steps),
    }
    if levels.demonstrators is not None:
        arrays[_DEMONSTRATORS] = levels.demonstrators
    for mode, conditions in result.conditions.items():
        for name, measured in conditions.items():
            start = f"{mode}/{name}"
            arrays |= {f"{start}/figures/{k}": x for k, x in measured.figures.items()}
            arrays |= {f"{start}/paths/{k}": x for k, x in measured.paths.items()}
            if measured.frames is not None:
                arrays[f"{start}/frames/"] = measured.frames
    return arrays


def _unpacked(arrays: Mapping[str, np.ndarray], tasks: Task) -> SplitResult:
    conditions: dict[Mode, dict[str, Measured]] = {mode: {} for mode in MODES}
    for mode in MODES:
        parts = [x.split("/", 3) for x in arrays if x.startswith(f"{mode}/")]
        for name in dict.fromkeys(part[1] for part in parts):
            own = {
                (kind, key): arrays[f"{mode}/{name}/{kind}/{key}"]
                for _, other, kind, key in parts
                if other == name
            }
            conditions[mode][name] = Measured(
                {key: x for (kind, key), x in own.items() if kind == "figures"},
                {key: x for (kind, key), x in own.items() if kind == "paths"},
                own.get(("frames", "")),
            )
    levels = Levels(
        arrays[_UNTRAINED], arrays[_EXPERT], str(arrays[_SOURCE]), arrays.get(_DEMONSTRATORS)
    )
    return SplitResult(tasks, levels, conditions, int(arrays[_STEPS]))

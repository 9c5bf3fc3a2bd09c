"""What training takes from experts, kept in the run's folder, so that the run can be carried away.

`experts.safetensors` holds the training tasks, their demonstrations and the experts' level, to the
bit, and beside the arrays as JSON what was said and spent. It is written once, when a run starts.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, Task, TaskMoments, TaskSpread, Trajectories
from gmps.errors import GmpsError
from gmps.experts.score import ExpertScore
from gmps.runs.checkpoint import load, save, verify
from gmps.tasks.base import TaskFamily
from gmps.tasks.lists import SAME_TASK
from gmps.training.clone import init_clone

#: The file in the run's folder.
EXPERTS = "experts.safetensors"
#: What whose levels are called begins with, where they are of demonstrations.
DEMONSTRATORS = "demonstrators'"


class KnownLevels(NamedTuple):
    """Mean returns of an expert in some tasks."""

    contexts: Float[np.ndarray, "task ctx"]
    returns: Float[np.ndarray, " task"]
    #: Whose they are, such as "experts'".
    whose: str

    @property
    def of_demonstrators(self) -> bool:
        """Whether they are those of demonstrations, not of an expert who was asked."""
        return self.whose.startswith(DEMONSTRATORS)

    def at(self, wanted: Float[np.ndarray, "n ctx"]) -> Float[np.ndarray, " n"]:
        """Returns as measured, or between the nearest known tasks interpolated."""
        return np.array([self._interpolated(context) for context in wanted])

    def _interpolated(self, context: Float[np.ndarray, " ctx"]) -> float:
        """Inverse-distance weighting of the nearest `d + 1` known tasks."""
        distance = np.linalg.norm(self.contexts - context, axis=1)
        nearest = np.argsort(distance, kind="stable")[: self.contexts.shape[1] + 1]
        if distance[nearest[0]] < SAME_TASK:
            return float(self.returns[nearest[0]])
        return float(np.average(self.returns[nearest], weights=1 / distance[nearest]))


class ExpertData(NamedTuple):
    """What was gathered from experts before the first round."""

    #: The stacked training tasks.
    tasks: Task
    demos: Demonstrations
    #: How good the expert is in the training tasks; None where none was asked, or a clone.
    score: ExpertScore | None
    known_levels: KnownLevels | None
    #: Environment steps, by column.
    steps: dict[str, int]
    #: What training takes of demonstrations, a sentence each.
    notes: tuple[str, ...]
    #: What is to be said loudly before training starts.
    warnings: tuple[str, ...]
    #: Who can be asked for labels, in words; None: nobody.
    source: str | None
    #: Whether that expert knows the held-out tasks too. A clone is not counted.
    knows_heldout: bool
    #: The clone of the demonstrations that labels states; see `gmps.training.clone`.
    clone: Policy | None


def save_expert_data(folder: Path, data: ExpertData) -> None:
    """Write `experts.safetensors`, atomically."""
    arrays, levels, score = _arrays(data), data.known_levels, data.score
    facts = {
        "leaves": [_describe(x) for x in jax.tree.leaves(arrays)],
        "frames": data.demos.frames is not None,
        "spread": data.demos.spread is not None,
        "episodes": data.demos.episodes is not None,
        "outcome": None if score is None else list(score.outcome),
        "score_env_steps": None if score is None else score.env_steps,
        "whose": None if levels is None else levels.whose,
        "steps": data.steps,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
        "source": data.source,
        "knows_heldout": data.knows_heldout,
        "clone": data.clone is not None,
    }
    save(folder / EXPERTS, arrays, facts)


def load_expert_data(folder: Path, family: TaskFamily) -> ExpertData | None:
    """What `save_expert_data` wrote, or None where a run has none.

    Raises:
        GmpsError: the file is damaged, or of another family.
    """
    path = folder / EXPERTS
    if not path.exists():
        return None
    facts = verify(path)
    try:
        structure = jax.tree.structure(_skeleton(facts, family))
        like = jax.tree.unflatten(structure, [_like(*leaf) for leaf in facts["leaves"]])
        arrays, _ = load(path, like)
        return _checked(path, family, _assembled(arrays, facts))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GmpsError):
            raise
        raise GmpsError(
            f"{path} was written by another version of gmps, or for another family ({error!r})."
        ) from error


def _arrays(data: ExpertData) -> dict[str, Any]:
    """The part that the file holds as arrays."""
    score, levels = data.score, data.known_levels
    return {
        "tasks": data.tasks,
        "demos": data.demos._asdict(),
        "score": score and {"returns": score.returns, "outcome": score.outcome},
        "levels": levels and {"contexts": levels.contexts, "returns": levels.returns},
        "clone": data.clone,
    }


def _skeleton(facts: dict[str, Any], family: TaskFamily) -> dict[str, Any]:
    """A tree of the same structure."""
    kind = TaskMoments if facts["frames"] else TaskSpread
    spread = kind(*[0] * len(kind._fields)) if facts["spread"] else None  # pyright: ignore
    # Files of before there were episodes do not say that they hold none.
    episodes = Trajectories(*[0] * 8) if facts.get("episodes") else None  # pyright: ignore
    demos = Demonstrations(0, 0, 0, 0 if facts["frames"] else None, spread, episodes)  # pyright: ignore
    outcome, known = facts["outcome"], facts["whose"]
    return {
        "tasks": family.tasks("train", 1),
        "demos": demos._asdict(),
        "score": None if outcome is None else {"returns": 0, "outcome": dict.fromkeys(outcome, 0)},
        "levels": None if known is None else {"contexts": 0, "returns": 0},
        "clone": init_clone(family, jax.random.key(0)) if facts["clone"] else None,
    }


def _describe(leaf: Any) -> tuple[list[int], str, bool]:
    """Shape, type, and whether it stays on the host."""
    return list(leaf.shape), str(leaf.dtype), not isinstance(leaf, jax.Array)


def _like(shape: list[int], dtype: str, host: bool) -> Any:
    return np.empty(shape, dtype) if host else jax.ShapeDtypeStruct(tuple(shape), dtype)


def _assembled(arrays: dict[str, Any], facts: dict[str, Any]) -> ExpertData:
    tasks, score, levels = arrays["tasks"], arrays["score"], arrays["levels"]
    return ExpertData(
        tasks=tasks,
        demos=Demonstrations(**arrays["demos"]),
        score=score and ExpertScore(tasks, **score, env_steps=facts["score_env_steps"]),
        known_levels=levels and KnownLevels(**levels, whose=facts["whose"]),
        steps=facts["steps"],
        notes=tuple(facts["notes"]),
        warnings=tuple(facts["warnings"]),
        source=facts["source"],
        knows_heldout=facts["knows_heldout"],
        clone=arrays["clone"],
    )


def _checked(path: Path, family: TaskFamily, data: ExpertData) -> ExpertData:
    for what, array, size in (
        ("observations", data.demos.obs, family.spec.obs_size),
        ("actions", data.demos.act, family.spec.act_size),
    ):
        if array.shape[-1] != size:
            raise GmpsError(
                f"The {what} of {path} have {array.shape[-1]} numbers, but {family.name} takes "
                f"{size}; name the family that the run was made with."
            )
    return data

"""What is in a file or dataset of demonstrations, before anything is made of it."""

from pathlib import Path
from typing import Any

import numpy as np

from gmps.data.bounded import recorded
from gmps.data.episodes import Episodes
from gmps.data.padded import Padded, of_recording, read, says_tasks
from gmps.data.readers.kinds import recognise
from gmps.data.recording import Recording


def info(source: str | Path) -> dict[str, Any]:
    """Facts about demonstrations, for tables; needs no family.

    Returns:
        Of `.npz` files and Minari datasets that say the task of each episode: `kind`, `tasks`,
        `episodes`, `steps`, `observation_size`, `action_size`, `action_low`, `action_high`,
        `clipped_fraction` (share of the numbers of actions outside [-1, 1]), `rewards` (whether
        known), `not_read` (other arrays), `notes`, and `per_task`, a list with `goal`, `episodes`,
        `shortest` and `longest` (steps), and `return_mean`, `return_low`, `return_high` over
        episodes (None without rewards).

        Of all others `kind`, `episodes`, `steps`, `shortest`, `longest`, `tasks` (how many are
        told apart), `failed` (episodes that failed by its own word), `hz`, `notes`, and
        `columns`, a list with `name`, `shape` (of a step), `low` and `high`.

    Raises:
        GmpsError: see `gmps.data.demos.load_demos`.
    """
    kind, path = recognise(source)
    if kind == "npz":
        return _padded_facts(read(kind, path, Path(source), None))
    with recorded(kind, path) as recording:
        if kind == "minari" and says_tasks(recording):
            return _padded_facts(of_recording(path, recording))
        return _facts(recording)


def _padded_facts(read: Padded) -> dict[str, Any]:
    episodes = read.episodes
    act = episodes.act[episodes.alive]
    return {
        "kind": read.kind,
        "tasks": len(episodes.tasks),
        "episodes": int(episodes.alive.any(-1).sum()),
        "steps": int(episodes.alive.sum()),
        "observation_size": episodes.obs.shape[-1],
        "action_size": episodes.act.shape[-1],
        "action_low": float(act.min()),
        "action_high": float(act.max()),
        "clipped_fraction": float((np.abs(act) > 1).mean()),
        "rewards": episodes.reward is not None,
        "not_read": list(read.ignored),
        "notes": list(read.notes),
        "per_task": [_task_info(episodes, i) for i in range(len(episodes.tasks))],
    }


def _task_info(episodes: Episodes, i: int) -> dict[str, Any]:
    lengths = episodes.alive[i].sum(-1)
    used = lengths > 0
    low = mean = high = None
    if episodes.reward is not None:
        returns = episodes.reward[i].sum(-1, dtype=np.float64)[used]
        low, mean, high = float(returns.min()), float(returns.mean()), float(returns.max())
    return {
        "goal": [float(x) for x in episodes.tasks[i]],
        "episodes": int(used.sum()),
        "shortest": int(lengths[used].min()),
        "longest": int(lengths.max()),
        "return_mean": mean,
        "return_low": low,
        "return_high": high,
    }


def _facts(recording: Recording) -> dict[str, Any]:
    facts = recording.facts
    known = {t for t in facts.tasks if t is not None}
    known = known or {tuple(goal) for goal in facts.goals if goal is not None}
    columns = [
        {
            "name": name,
            "shape": " x ".join(map(str, array.shape[1:])) or "1",
            "low": float(array.min()),
            "high": float(array.max()),
        }
        for name, array in recording.columns.items()
    ]
    columns += [
        {"name": name, "shape": " x ".join(map(str, shape)), "low": None, "high": None}
        for name, shape in recording.unread.items()
    ]
    return {
        "kind": recording.kind,
        "episodes": len(facts.names),
        "steps": sum(facts.lengths),
        "shortest": min(facts.lengths),
        "longest": max(facts.lengths),
        "tasks": len(known) or None,
        "failed": sum(s is False for s in facts.success),
        "hz": recording.hz,
        "notes": list(recording.notes),
        "columns": columns,
    }

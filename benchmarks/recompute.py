"""Compute the summaries of stored results anew from their rows of tasks.

Files of benchmarks/results that hold rows (`per_seed`) keep the rows, and get the means, intervals
and scores of today; those of an earlier format are brought to today's. Nothing is trained or
simulated. With --check nothing is written, and files are named whose summaries do not follow from
their rows.

example:
  python benchmarks/recompute.py
  python benchmarks/recompute.py --check
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from reports import write_report

from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import FORMAT, JUDGED, MODES, SPLITS, Judged, Scores
from gmps.evaluation.summaries import summarise, task_score
from gmps.runs.config_json import decode_config, encode_config


@dataclass(frozen=True)
class Recompute:
    """Settings."""

    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Result files; all that hold rows by default."""
    results: Path = Path("benchmarks/results")
    """Folder of the results."""
    check: bool = False
    """Write nothing."""


def recompute(settings: Recompute) -> None:
    changed = []
    for path in settings.files or sorted(settings.results.glob("*.json")):
        content = json.loads(path.read_text())
        if not has_rows(content):
            continue
        new = recomputed(content)
        if same(new, content):
            continue
        changed.append(path.name)
        if not settings.check:
            write_report(new, path)
    print(f"{'differ' if settings.check else 'rewritten'}: {', '.join(changed) or 'none'}")
    if settings.check and changed:
        raise SystemExit(1)


def has_rows(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("per_seed"), dict)


def recomputed(content: dict[str, Any]) -> dict[str, Any]:
    """A result with the summaries that follow from its rows."""
    scores = {seed: from_rows(stored) for seed, stored in content["per_seed"].items()}
    return {
        **content,
        "over_seeds": encode_config(combine_scores(scores)),
        "per_seed": {seed: encode_config(x) for seed, x in scores.items()},
    }


def from_rows(stored: dict[str, Any]) -> Scores:
    """The scores of one seed, from what is stored of it in any format so far."""
    rows = [_row(row, stored["levels"]) for row in stored["tasks"]]
    known = {"expert": None, "expert_queries": 0.0, "plain_control": None}
    content = {**known, **stored, "format": FORMAT, "tasks": rows}
    empty = {"conditions": {}, "differences": {}, "adaptation_score": {}, "demonstrator_score": {}}
    content |= {split: dict.fromkeys(MODES, empty) for split in SPLITS}
    scores = decode_config(Scores, content)
    judged: list[Judged] = [x for x in JUDGED if scores.rows(x)]
    summaries = {split: summarise([scores.rows(split)]) for split in judged}
    return replace(scores, **summaries)


def _row(row: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    levels = {"demonstrators": None} | (row.get("levels") or _levels(row))
    if "demonstrators'" in words["expert"]:
        levels["demonstrators"] = levels["expert"]
    scores = {mode: task_score(row[mode]) for mode in MODES}
    return {**row, "levels": levels, "adaptation_score": scores}


def _levels(row: dict[str, Any]) -> dict[str, float]:
    """What makes a return 0 and 1, from returns and normalised ones of all conditions."""
    figures = [x for mode in MODES for x in row[mode].values()]
    slope, start = np.polyfit([x["normalised"] for x in figures], [x["return"] for x in figures], 1)
    return {"untrained": float(start), "expert": float(start + slope)}


def same(x: Any, y: Any) -> bool:
    """Equal but for the last digits of floats. A field that was added later is None where a file
    lacks it."""
    if isinstance(x, dict) and isinstance(y, dict):
        return all(same(x.get(k), y.get(k)) for k in x.keys() | y.keys())
    if isinstance(x, (list, tuple)) and isinstance(y, (list, tuple)):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, float) and isinstance(y, (int, float)):
        return bool(np.isclose(x, y, rtol=1e-9, atol=1e-9))
    return x == y


if __name__ == "__main__":
    recompute(tyro.cli(Recompute, description=__doc__))

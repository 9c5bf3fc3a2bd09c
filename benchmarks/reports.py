"""What the benchmarks share: where their report goes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gmps.evaluation.stats import seed_task_interval


def words(figure: dict[str, Any] | None) -> str:
    """A stored figure or score with its interval, for a table."""
    value = None if figure is None else figure.get("mean", figure.get("value"))
    if figure is None or value is None:
        return "-"
    if figure["ci_low"] is None:
        return f"{value:.2f}"
    return f"{value:.2f} [{figure['ci_low']:.2f}, {figure['ci_high']:.2f}]"


def over_seeds(values: np.ndarray) -> dict[str, Any]:
    """Mean of figures `(seed, task)`, its 95 % interval, and the mean of each seed."""
    return {
        "mean": float(values.mean()),
        "interval": list(seed_task_interval(np.mean, values)),
        "seeds": values.mean(1).tolist(),
    }


def write_report(report: Any, out: Path | None) -> None:
    """Write a report as JSON and say so; nothing where no file was named."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {out}")

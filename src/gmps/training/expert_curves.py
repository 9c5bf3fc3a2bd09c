"""The learning curve of experts as a picture."""

import io
from pathlib import Path

import numpy as np

from gmps.aside import write_atomically
from gmps.runs.run import Run


def draw_curve(run: Run, path: Path) -> None:
    """Write a PNG: measured mean return, over all tasks and in the worst one, against steps."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - 0.4 s

    rows = [row for row in run.metrics() if row.get("evaluation/return") is not None]
    steps = np.array([row["steps/expert"] for row in rows]) / 1e6
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, words in (("return", "mean over tasks"), ("worst", "worst task")):
        axes.plot(steps, [row[f"evaluation/{name}"] for row in rows], label=words)
    axes.set_xlabel("expert environment steps (millions)")
    axes.set_ylabel("return without action noise")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    write_atomically(path, picture.getvalue())

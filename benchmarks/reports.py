"""What the benchmarks share: where their report goes."""

import json
from pathlib import Path
from typing import Any


def write_report(report: Any, out: Path | None) -> None:
    """Write a report as JSON and say so; nothing where no file was named."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {out}")

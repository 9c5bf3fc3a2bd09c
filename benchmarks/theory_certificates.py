"""Gather certificates of runs, and draw how gap and bounds move over the rounds of training.

example:
  gmps certify runs/push --history 6
  python benchmarks/theory_certificates.py runs/point runs/push runs/ant
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from matplotlib.figure import Figure
from reports import write_report

from gmps.runs.config_json import encode_config
from gmps.theory.certificate import read_certificate

LINES = {
    "gap": ("observed gap", "C0"),
    "sharp": ("sharp bound", "C2"),
    "averaged": ("δ H √(mean KL / 2)", "C4"),
    "published": ("as printed", "C1"),
}


@dataclass(frozen=True)
class Certificates:
    """Settings."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders with a certificate; those with a history are drawn."""
    out: str = "benchmarks/results/theory_certificates.json"
    """File of the results."""
    figure: str = "docs/images/theory-certificates.png"
    """File of the picture."""


def gather(folder: str) -> dict[str, Any]:
    found = read_certificate(Path(folder))
    if found is None:
        raise SystemExit(f"{folder} has no certificate; make one with gmps certify.")
    return encode_config(found)


def plot(certificates: list[dict[str, Any]], file: str) -> None:
    figure = Figure(figsize=(3.6 * len(certificates), 5.2), layout="constrained")
    rows = figure.subplots(2, len(certificates), squeeze=False, height_ratios=(3, 2))
    for column, certificate in enumerate(certificates):
        top, bottom = rows[:, column]
        history = certificate["history"]
        rounds = [row["round"] + 1 for row in history]
        for name, (label, colour) in LINES.items():
            series = [row["figures"][name] for row in history]
            top.plot(rounds, [f["value"] for f in series], color=colour, marker="o", label=label)
            if series[0]["low"] is not None:
                ends = [[max(f[end], 1e-3) for f in series] for end in ("low", "high")]
                top.fill_between(rounds, *ends, color=colour, alpha=0.2)
        top.axhline(certificate["room"], color="k", ls=":", label="expert − untrained")
        top.set(yscale="log", title=certificate["family"])
        values = [row["figures"]["mean_kl"]["value"] for row in history]
        bottom.plot(rounds, values, color="C3", marker="o")
        bottom.set(xlabel="rounds of training", ylim=(0, None))
        for axes in (top, bottom):
            axes.grid(alpha=0.3)
    rows[0, 0].set_ylabel("return")
    rows[1, 0].set_ylabel("mean KL to the expert, nats")
    figure.legend(*rows[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.savefig(file, dpi=110)


def main(settings: Certificates) -> None:
    certificates = [gather(folder) for folder in settings.runs]
    write_report(certificates, Path(settings.out))
    plot([c for c in certificates if c["history"]], settings.figure)


if __name__ == "__main__":
    main(tyro.cli(Certificates))

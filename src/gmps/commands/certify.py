"""`gmps certify RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro
from rich.table import Table

from gmps.commands.cli import console, leading, parse
from gmps.experts.base import reporting_faults
from gmps.report import write_report
from gmps.runs.run import REPORT, Run
from gmps.settings import Settings
from gmps.theory.certificate import CERTIFICATE, Certificate, CertifyConfig, in_words
from gmps.theory.certify import certify_run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment


@dataclass(frozen=True)
class Certify(Settings):
    """Bound how far the adapted policies of a run can be from their expert, on held-out tasks.

    Estimates what the theorem of GMPS is made of by putting the simulator back into visited states,
    and says whether the bound says anything. Writes certificate.json and report.html into the run.

    example:
      gmps certify runs/push --history 5
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    config: Annotated[CertifyConfig, tyro.conf.arg(name="")] = field(default_factory=CertifyConfig)


ROWS = {
    "gap": "observed gap to the expert",
    "decomposition": "the same, from action values",
    "sharp": "sharp bound",
    "averaged": "delta H sqrt(mean KL / 2)",
    "published": "as printed, delta H sqrt(eps)",
    "delta": "delta, largest span of Q",
    "mean_span": "mean span of Q",
    "epsilon": "eps, largest KL, nats",
    "mean_kl": "mean KL, nats",
    "mean_tv": "mean total variation",
}


def run(argv: Sequence[str]) -> int:
    """Measure, report, print the table."""
    folder, options = leading(argv, "certify", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Certify, options, "certify RUN", Certify())
    with Run.open(folder) as opened:
        config = opened.load_config(TrainConfig)
        experiment = load_experiment(opened, config, family=command.family, ask=True)
        with console.status("certifying") as status, reporting_faults(experiment.expert):
            found = certify_run(
                opened, config, experiment, command.config, command.checkpoint, status.update
            )
        write_report([opened.path], opened.path / REPORT)
        print_certificate(found)
        console.print(f"certificate  {opened.path / CERTIFICATE}")
        console.print(f"report       {opened.path / REPORT}")
    return 0


def print_certificate(certificate: Certificate) -> None:
    """The table and the sentences, at most 80 characters wide."""
    console.print(
        f"{certificate.family}, {certificate.tasks} held-out tasks, round "
        f"{certificate.checkpoint_round}; expert: {certificate.expert}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("estimate", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name, words in ROWS.items():
        figure = getattr(certificate.figures, name)
        value, low, high = map(_cell, (figure.value, figure.low, figure.high))
        table.add_row(words, value, f"[{low}, {high}]")
    console.print(table)
    for sentence in in_words(certificate):
        console.print(sentence)


def _cell(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"

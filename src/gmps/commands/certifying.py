"""What `gmps certify` does."""

from rich.table import Table

from gmps.commands.certify import Certify
from gmps.commands.cli import console
from gmps.experts.base import reporting_faults
from gmps.report import write_report
from gmps.runs.run import REPORT, Run
from gmps.theory.certificate import CERTIFICATE, Certificate, in_words
from gmps.theory.certify import certify_run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment

ROWS = {
    "gap": "observed gap to the expert",
    "decomposition": "the same, from action values",
    "discrepancy": "that minus the gap, by task",
    "sharp": "sharp bound",
    "averaged": "delta H sqrt(mean KL / 2)",
    "published": "as printed, delta H sqrt(eps)",
    "delta": "delta, largest span of Q",
    "mean_span": "mean span of Q",
    "epsilon": "eps, largest KL, nats",
    "mean_kl": "mean KL, nats",
    "mean_tv": "mean total variation",
}


def certify(folder: str, command: Certify) -> None:
    """Measure, report, print the table."""
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
        found = figure.low is not None
        interval = f"[{_cell(figure.low)}, {_cell(figure.high)}]" if found else ""
        table.add_row(words, _cell(figure.value), interval)
    console.print(table)
    for sentence in in_words(certificate):
        console.print(sentence)


def _cell(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"

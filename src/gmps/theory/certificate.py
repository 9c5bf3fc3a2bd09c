"""What `gmps certify` leaves in a run folder: reading it, and saying what it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gmps.runs.results import read_result, write_result
from gmps.theory.estimate import Estimates, Figure, Verdict
from gmps.theory.settings import CertifyConfig

CERTIFICATE = "certificate.json"
FORMAT = 2


@dataclass(frozen=True)
class TaskCertificate:
    """One task: means over repeats of returns, gap and bound; the largest span."""

    task: str
    expert: float
    adapted: float
    before: float
    untrained: float
    quiet_expert: float
    gap: float
    sharp: float
    mean_kl: float
    delta: float


@dataclass(frozen=True)
class Earlier:
    """The estimates of an earlier checkpoint."""

    round: int
    figures: Estimates


@dataclass(frozen=True)
class Certificate:
    """The content of `certificate.json`."""

    format: Literal[2]
    family: str
    method: str
    seed: int
    checkpoint_round: int
    #: Whose actions are the standard, in words.
    expert: str
    horizon: int
    settings: CertifyConfig
    #: How many.
    tasks: int
    #: Standard deviations of the actions of both.
    std: tuple[float, ...]
    figures: Estimates
    #: Mean returns: `expert` and `adapted`, `before`, `untrained`, and `quiet_expert` without
    #: action noise.
    levels: dict[str, Figure]
    mean_kl_before: float
    #: What separates the expert from an untrained policy.
    room: float
    #: Of `sharp`, `averaged` and `published`.
    verdicts: dict[str, Verdict]
    rows: tuple[TaskCertificate, ...]
    history: tuple[Earlier, ...]
    env_steps: int


def read_certificate(run: Path) -> Certificate | None:
    """The certificate of a run folder, or None if there is none.

    Raises:
        GmpsError: it is damaged or of another version.
    """
    return read_result(run / CERTIFICATE, Certificate, f"gmps certify {run}")


def write_certificate(run: Path, certificate: Certificate) -> Path:
    """Write `certificate.json` into a run's folder, replacing an older one."""
    return write_result(run / CERTIFICATE, certificate)


def in_words(certificate: Certificate) -> list[str]:
    """What the certificate says, in sentences."""
    f, levels, apart = certificate.figures, certificate.levels, certificate.figures.discrepancy
    noise = levels["quiet_expert"].value - levels["expert"].value
    text = [
        f"On {certificate.tasks} held-out tasks the adapted policy lacks {_show(f.gap)} of the "
        f"expert's return of {levels['expert'].value:.4g}, both with action noise: that is what "
        f"imitation loses. The noise itself costs the expert {noise:.3g}.",
        f"Measured in the states that the policy visits (mean KL {f.mean_kl.value:.3g} nats, "
        f"actions are worth up to {f.delta.value:.3g} more or less), the loss adds up to "
        f"{_show(f.decomposition)}; the sharp bound is {_show(f.sharp)}.",
    ]
    if apart.low is not None and apart.high is not None and not apart.low <= 0 <= apart.high:
        text.append(
            f"These two should agree and do not, they are {_show(apart)} apart: compare more "
            "states with --sampling.states before trusting the bounds."
        )
    for name, label in (("sharp", "The sharp bound"), ("published", "The bound as printed")):
        text.append(_verdict(label, certificate.verdicts[name], certificate))
    return text


def _verdict(label: str, verdict: Verdict, certificate: Certificate) -> str:
    room, f = certificate.room, certificate.figures
    if room <= 0:
        return (
            f"{label} cannot say anything: the expert is not better than an untrained policy in "
            "these tasks."
        )
    share = f"{100 * verdict.ratio:,.0f} % of the {_number(room)} that separate the expert from an "
    if not verdict.vacuous:
        return f"{label} is not vacuous: {share}untrained policy."
    text = f"{label} is vacuous: {_number(verdict.bound)} is {share}untrained policy."
    if verdict.informative_kl is not None:
        error = (2 * f.epsilon.value) ** 0.5
        text += (
            f" With this delta it would speak below a KL of {verdict.informative_kl:.2g} nats, "
            f"mean actions {verdict.informative_error:.2g} standard deviations apart, in every "
            f"state; the largest found is {f.epsilon.value:.3g} nats ({error:.2g})."
        )
    return text


def _show(figure: Figure) -> str:
    value = _number(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{_number(figure.low)}, {_number(figure.high)}]"


def _number(x: float) -> str:
    """Three significant digits, without an exponent for large numbers."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"

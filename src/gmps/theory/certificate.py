"""What `gmps certify` leaves in a run folder: reading it, and saying what it says."""

import json
from pathlib import Path
from typing import Any

from gmps.errors import GmpsError

CERTIFICATE = "certificate.json"
FORMAT = 1


def read_certificate(run: Path) -> dict[str, Any] | None:
    """The certificate of a run folder, or None if there is none.

    Raises:
        GmpsError: it is damaged or of another version.
    """
    path = run / CERTIFICATE
    if not path.exists():
        return None
    try:
        certificate = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GmpsError(f"{path} is damaged: {error}.") from error
    if certificate.get("format") != FORMAT:
        raise GmpsError(
            f"{path} has format {certificate.get('format')}, but this version of gmps reads format "
            f"{FORMAT}; certify again with `gmps certify {run}`."
        )
    return certificate


def in_words(certificate: dict[str, Any]) -> list[str]:
    """What the certificate says, in sentences."""
    f, levels = certificate["figures"], certificate["levels"]
    noise = levels["quiet_expert"]["value"] - levels["expert"]["value"]
    gap = f["gap"]
    text = [
        f"On {certificate['tasks']} held-out tasks the adapted policy lacks {_show(gap)} of the "
        f"expert's return of {levels['expert']['value']:.4g}, both with action noise: that is what "
        f"imitation loses. The noise itself costs the expert {noise:.3g}.",
        f"Measured in the states that the policy visits (mean KL {f['mean_kl']['value']:.3g} nats, "
        f"actions are worth up to {f['delta']['value']:.3g} more or less), the loss adds up to "
        f"{_show(f['decomposition'])}; the sharp bound is {_show(f['sharp'])}.",
    ]
    if not _overlap(gap, f["decomposition"]):
        text.append(
            "These two should agree and do not: compare more states with --sampling.states before "
            "trusting the bounds."
        )
    for name, label in (("sharp", "The sharp bound"), ("published", "The bound as printed")):
        verdict = certificate["verdicts"][name]
        text.append(_verdict(label, verdict, certificate))
    return text


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return a["low"] <= b["high"] and b["low"] <= a["high"]


def _verdict(label: str, verdict: dict[str, Any], certificate: dict[str, Any]) -> str:
    room, f = certificate["room"], certificate["figures"]
    if room <= 0:
        return (
            f"{label} cannot say anything: the expert is not better than an untrained policy in "
            "these tasks."
        )
    share = (
        f"{100 * verdict['ratio']:,.0f} % of the {_number(room)} that separate the expert from an "
    )
    if not verdict["vacuous"]:
        return f"{label} is not vacuous: {share}untrained policy."
    text = f"{label} is vacuous: {_number(verdict['bound'])} is {share}untrained policy."
    if verdict["informative_kl"] is not None:
        error = (2 * f["epsilon"]["value"]) ** 0.5
        text += (
            f" With this delta it would speak below a KL of {verdict['informative_kl']:.2g} nats, "
            f"mean actions {verdict['informative_error']:.2g} standard deviations apart, in every "
            f"state; the largest found is {f['epsilon']['value']:.3g} nats ({error:.2g})."
        )
    return text


def _show(figure: dict[str, float]) -> str:
    value, low, high = (_number(figure[name]) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _number(x: float) -> str:
    """Three significant digits, without an exponent for large numbers."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"

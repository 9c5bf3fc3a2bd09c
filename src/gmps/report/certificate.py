"""The report's section about a certificate: gap, bounds and what they are made of, as HTML."""

import math

from gmps.report.runs import RunData
from gmps.report.tables import facts_table
from gmps.report.text import details, escape, number, steps
from gmps.theory.certificate import Certificate, in_words
from gmps.theory.estimate import Figure

#: The picture's rows: name, words, class.
_BARS = (
    ("gap", "Observed gap", "after"),
    ("decomposition", "From action values", "after"),
    ("sharp", "Sharp bound", "expert"),
    ("averaged", "With the mean KL", "plain"),
    ("published", "As printed", "control"),
)
_PARTS = {
    "discrepancy": "From action values − observed gap",
    "delta": "δ, largest span of Q",
    "mean_span": "Mean span of Q",
    "epsilon": "ε, largest KL, nats",
    "mean_kl": "Mean KL, nats",
    "mean_tv": "Mean total variation",
}
#: Of the picture, in its own units: width, room for words, height of a row.
_WIDTH, _WORDS, _ROW = 760, 160, 26


def certificate_section(run: RunData, heading: str) -> str:
    """Sentences, picture, table and history of a run's certificate; empty without one."""
    certificate = run.certificate
    if certificate is None:
        return ""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in in_words(certificate))
    figures = certificate.figures
    rows = [(label, _interval(getattr(figures, name))) for name, label, _ in _BARS]
    rows += [(label, _interval(getattr(figures, name))) for name, label in _PARTS.items()]
    rows.append(("Mean KL before the update", number(certificate.mean_kl_before)))
    rows.append(("Environment steps it took", steps(certificate.env_steps)))
    table = f'<div class="panel">{facts_table(rows)}</div>'
    note = (
        f"Round {certificate.checkpoint_round}; expert: {certificate.expert}. Both act with "
        f"standard deviation {_std(certificate.std)}. In units of return, logarithmic; the line "
        "is what separates the expert from an untrained policy: a bound beyond it says nothing."
    )
    return (
        f"<{heading}>Certificate: what imitation loses</{heading}>{text}"
        f"<figure>{picture(certificate)}<figcaption>{escape(note)}</figcaption></figure>"
        f"{details('Estimates, with 95 % intervals over other tasks', table)}"
        f"{_history(certificate)}"
    )


def picture(certificate: Certificate) -> str:
    """Gap and bounds with their intervals on one logarithmic axis, as an SVG element."""
    room = certificate.room
    shown = [getattr(certificate.figures, name) for name, _, _ in _BARS]
    ends = [x for f in shown for x in (f.value, f.low, f.high)]
    values = [x for x in (*ends, room) if x is not None and x > 0]
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)

    def x(value: float) -> float:
        place = (math.log10(max(value, 10.0**first)) - first) / (last - first)
        return _WORDS + place * (_WIDTH - _WORDS - 40)

    bottom = _ROW * len(_BARS) + 4
    parts = []
    for power in range(first, last + 1):
        at = x(10.0**power)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{bottom}" stroke="var(--line)"/>'
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle" fill="var(--muted)" '
            f'font-size="12">{_power(power)}</text>'
        )
    if room > 0:
        parts.append(
            f'<line x1="{x(room):.1f}" x2="{x(room):.1f}" y1="0" y2="{bottom}" '
            'stroke="var(--goal)" stroke-width="1.5" stroke-dasharray="4 3"/>'
        )
    for i, (f, (_, label, kind)) in enumerate(zip(shown, _BARS, strict=True)):
        y = _ROW * i + _ROW / 2 + 4
        parts.append(
            f'<text x="{_WORDS - 12}" y="{y + 4}" text-anchor="end" fill="var(--ink)" '
            f'font-size="13">{escape(label)}</text>'
        )
        if f.low is not None and f.high is not None:
            parts.append(
                f'<line x1="{x(f.low):.1f}" x2="{x(f.high):.1f}" y1="{y}" y2="{y}" '
                f'stroke="var(--{kind})" stroke-width="4" stroke-linecap="round" opacity=".45"/>'
            )
        parts.append(f'<circle cx="{x(f.value):.1f}" cy="{y}" r="5" fill="var(--{kind})"/>')
    label = ", ".join(f"{w} {f.value:.3g}" for f, (_, w, _) in zip(shown, _BARS, strict=True))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 22}" style="max-width:{_WIDTH}px" role="img" '
        f'aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _history(certificate: Certificate) -> str:
    if not certificate.history:
        return ""
    names = {"gap": "Gap", "sharp": "Sharp bound", "published": "As printed", **_PARTS}
    head = "".join(f"<th>{escape(label)}</th>" for label in names.values())
    body = "".join(
        f'<tr><th scope="row">round {row.round}</th>'
        + "".join(f"<td>{number(getattr(row.figures, name).value)}</td>" for name in names)
        + "</tr>"
        for row in certificate.history
    )
    table = f'<table class="tasks"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody>'
    return details(
        "Over the rounds of training", f'<div class="panel scroll">{table}</table></div>'
    )


def _interval(figure: Figure) -> str:
    value = f"<b>{number(figure.value)}</b>"
    if figure.low is None:
        return value
    return f'{value} <span class="ci">{number(figure.low)} to {number(figure.high)}</span>'


def _power(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _std(std: tuple[float, ...]) -> str:
    low, high = min(std), max(std)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"

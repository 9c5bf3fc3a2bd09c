"""Sections of the report about one group of seeds, as HTML."""

from typing import Any

from gmps.evaluation.aggregate import SPLITS
from gmps.evaluation.evaluate import MODES
from gmps.report.certificate import certificate_section
from gmps.report.curves import curves_section
from gmps.report.paths import draw_tasks, legend
from gmps.report.pictures import draw_frames
from gmps.report.runs import Group, RunData
from gmps.report.tables import facts_table, score_table, task_table
from gmps.report.text import (
    condition_label,
    details,
    duration,
    escape,
    interval,
    number,
    steps,
    words,
)
from gmps.runs.config_json import flatten_config

#: Columns of environment steps, in words.
_COLUMNS = {
    "meta": "meta-learner",
    "expert": "expert",
    "demonstration": "demonstrations",
    "evaluation": "evaluation",
}
SPLIT_TITLES = {"heldout": "Held-out tasks", "train": "Training tasks"}
MODE_TITLES = {
    "deterministic": "Without action noise (deterministic)",
    "stochastic": "With action noise (stochastic)",
}


def lead(group: Group) -> str:
    """What came out, in sentences; says plainly when adaptation does not beat its control."""
    seeds = ", ".join(str(run.seed) for run in group.runs)
    trained = f"Trained for {_rounds(group)} with seed{'s' * (len(group.runs) > 1)} {seeds}."
    if group.scores is None:
        folder = escape(group.runs[0].path)
        return (
            f'<p class="lead">{escape(trained)}</p><p class="warning">Not evaluated yet: run '
            f"<code>gmps eval {folder}</code>.</p>"
        )
    level = group.scores.get("heldout", {}).get("deterministic", {})
    if not {"before", "after_1"} <= level.keys():
        return f'<p class="lead">{escape(trained)}</p>'
    count = sum(row["split"] == "heldout" for row in group.scores["tasks"])
    before, after = level["before"]["return"], level["after_1"]["return"]
    expert = level.get("expert", {}).get("return")
    outcome = _outcome(level)
    text = (
        f"On {count} tasks that were never trained on, one update takes the return from "
        f"{number(before['iqm'])} to {number(after['iqm'])}"
        + (f" (expert {number(expert['iqm'])})" if expert else "")
        + outcome
    )
    verdict = f"{_verdict(level)} {_against_plain(level)}".strip()
    return (
        f'<p class="lead">{escape(text)}</p><p>{escape(verdict)}</p>'
        f'<p class="note">{escape(trained)}</p>{_cards(level)}'
    )


def _outcome(level: dict[str, Any]) -> str:
    """The family's own figure, such as the final error, in words; ends the sentence."""
    before, after = level["before"], level["after_1"]
    names = [m for m in before if m not in ("return", "normalised", "success") and m in after]
    if not names or before[names[0]].get("median") is None:
        return "."
    return (
        f" and the median {words(names[0]).lower()} from {number(before[names[0]]['median'])} to "
        f"{number(after[names[0]]['median'])}."
    )


def _verdict(level: dict[str, Any]) -> str:
    score = level.get("adaptation_score", {}).get("after_1")
    if score is None or score["iqm"] is None:
        control = condition_label(score["control"]).lower() if score and score["control"] else ""
        return (
            f"The control ({control}) is as good as the expert, so there is no room to adapt in."
            if control
            else ""
        )
    control = condition_label(score["control"]).lower()
    if score["ci_low"] > 0:
        return (
            f"That is {100 * score['iqm']:.0f} % of the way from the best control ({control}) to "
            "the expert."
        )
    return (
        f"That does not beat the best control ({control}): the interval of the adaptation score "
        "includes zero or less."
    )


def _against_plain(level: dict[str, Any]) -> str:
    """How the update compares with the control without meta-learning, in a sentence."""
    plain = level.get("plain", {}).get("normalised")
    after = level["after_1"].get("normalised")
    if plain is None or after is None:
        return ""
    words = "not clearly different from"
    if plain["ci_low"] > after["ci_high"]:
        words = "better than"
    elif plain["ci_high"] < after["ci_low"]:
        words = "worse than"
    return (
        "Without meta-learning, plain imitation and one gradient step reach a normalised score of "
        f"{number(plain['iqm'], 'normalised')}, {words} the update's "
        f"{number(after['iqm'], 'normalised')}."
    )


def _cards(level: dict[str, Any]) -> str:
    cards = [
        (condition_label(name), interval(level[name].get("normalised"), "normalised"))
        for name in ("before", "after_1", "wrong_task", "plain")
        if name in level
    ]
    if "after_1" in level.get("adaptation_score", {}):
        score = level["adaptation_score"]["after_1"]
        cards.append(("Adaptation score, 1 update", interval(score, "adaptation")))
    body = "".join(
        f'<dl class="card"><dt>{escape(label)}</dt><dd>{value}</dd></dl>' for label, value in cards
    )
    return (
        '<p class="note">Normalised scores on held-out tasks, without action noise: 0 is an '
        "untrained policy, 1 the expert.</p>"
        f'<div class="cards">{body}</div>'
    )


def group_section(group: Group, titled: bool) -> str:
    """Tables, pictures, curves and facts of one group.

    Args:
        group: the runs.
        titled: whether the page shows other groups too. Then the group gets a heading and its
            sentences, and its curves stand with those of the others.
    """
    parts = [f"<h2>{escape(group.label)}</h2>{lead(group)}"] if titled else []
    heading = "h3" if titled else "h2"
    scores = group.scores
    if scores is not None:
        for split in SPLITS:
            if split in scores:
                parts.append(_split(scores, split, heading))
    parts.append(_pictures(group, heading))
    certified = next((run for run in group.runs if run.certificate is not None), None)
    if certified is not None:
        parts.append(certificate_section(certified, heading))
    if not titled:
        parts.append(curves_section([group]))
    parts.append(_facts(group, heading))
    return "".join(parts)


def _split(scores: dict[str, Any], split: str, heading: str) -> str:
    level = scores[split]
    modes = [mode for mode in MODES if mode in level]
    blocks = []
    for mode in modes:
        table = f'<div class="panel">{score_table(level[mode])}</div>'
        blocks.append(f"<h3>{MODE_TITLES[mode]}</h3>{table}{_adaptation(level[mode])}")
    for mode in modes:
        tasks = task_table(scores, split, mode)
        if tasks:
            title = f"Task by task, {mode}: normalised scores"
            blocks.append(details(title, f'<div class="panel">{tasks}</div>'))
    title, content = SPLIT_TITLES[split], "".join(blocks)
    if split == "heldout":
        return f"<{heading}>{title}</{heading}>{_protocol(scores)}{content}"
    return details(title, content)


def _protocol(scores: dict[str, Any]) -> str:
    parts = []
    if "checkpoint_round" in scores:
        parts.append(f"The policy judged is that after round {scores['checkpoint_round']}.")
    episodes = scores.get("episodes", {})
    if "adaptation" in episodes:
        parts.append(f"Each update uses {episodes['adaptation']} episodes of own experience.")
    if "evaluation" in episodes:
        repeats = episodes.get("repeats")
        adapted = f"{repeats} independent adaptations, each with " if repeats else ""
        parts.append(
            f"A task's figure comes from {adapted}{episodes['evaluation']} evaluation episodes."
        )
    levels = scores.get("levels", {})
    parts += [f"{words(k)} level: {v}." for k, v in levels.items() if isinstance(v, str)]
    plain = scores.get("plain_control", {})
    if plain.get("step_size") is not None:
        parts.append(
            f"The plain control's step size, tuned on training tasks, is {plain['step_size']:g}."
        )
    text = " ".join(parts)
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _adaptation(level: dict[str, Any]) -> str:
    items = "".join(
        f"<li>{escape(condition_label(name))} {interval(score, 'adaptation')} "
        f"<span class=ci>control: {escape(condition_label(score['control']).lower())}</span></li>"
        for name, score in level.get("adaptation_score", {}).items()
        if score.get("control")
    )
    return f'<ul class="chips"><li>Adaptation score</li>{items}</ul>' if items else ""


def _pictures(group: Group, heading: str) -> str:
    run = next((run for run in group.runs if run.paths is not None), None)
    if run is None or run.paths is None:
        return ""
    keys = "".join(
        f'<li><svg viewBox="0 0 26 10"><line class="path {name}" x1="2" x2="24" y1="5" y2="5"/>'
        f"</svg>{escape(label)}</li>"
        for name, label in legend(run.paths)
    )
    keys += (
        '<li><svg viewBox="0 0 26 10"><g class="goal"><circle cx="13" cy="5" r="4"/></g></svg>'
        'Goal</li><li><svg viewBox="0 0 26 10"><circle class="start" cx="13" cy="5" r="2.6"/></svg>'
        "Start</li>"
    )
    figures = "".join(
        f"<figure>{svg}<figcaption>{escape(title)}</figcaption></figure>"
        for title, svg in draw_tasks(run.paths)
    )
    seed = f" of seed {escape(run.seed)}" if len(group.runs) > 1 else ""
    return (
        f"<{heading}>Paths in held-out tasks</{heading}>"
        f'<p class="note">Paths{seed}, all at one scale; a dot marks where each ends.</p>'
        f'<ul class="legend">{keys}</ul><div class="grid pictures">{figures}</div>'
        f"{_seen(run, heading)}"
    )


def _seen(run: RunData, heading: str) -> str:
    """Frames of a policy that sees; nothing for others."""
    assert run.paths is not None
    figures = "".join(
        f"<figure><h3>{escape(title)}</h3>{content}</figure>"
        for title, content in draw_frames(run.paths)
    )
    if not figures:
        return ""
    return (
        f"<{heading}>What the policy sees</{heading}>"
        '<p class="note">Frames of one episode in held-out tasks, without action noise. Each dot '
        "is a point that the convolutions found, one colour a channel; the update does not change "
        f'the convolutions.</p><div class="seen">{figures}</div>'
    )


def _facts(group: Group, heading: str) -> str:
    run = group.runs[0]
    parts = [f"<{heading}>What it took</{heading}>"]
    rows = [("Rounds", _rounds(group))]
    if group.scores is not None and "steps" in group.scores:
        counts = group.scores["steps"]
    elif run.metrics:
        last = run.metrics[-1]
        counts = {n.removeprefix("steps/"): last[n] for n in last if n.startswith("steps/")}
    else:
        counts = {}
    order = [*_COLUMNS, *(name for name in counts if name not in _COLUMNS)]
    rows += [
        (f"Environment steps, {_COLUMNS.get(name, name)}", steps(counts[name]))
        for name in order
        if counts.get(name) is not None
    ]
    rows += _seconds(run)
    parts.append(f'<div class="panel">{facts_table(rows)}</div>')
    settings = [
        (name, f"<code>{escape(value)}</code>")
        for name, value in flatten_config(run.config).items()
    ]
    parts.append(details("Settings", f'<div class="panel">{facts_table(settings)}</div>'))
    versions = [
        (name.removeprefix("packages."), f"<code>{escape(value)}</code>")
        for name, value in flatten_config(run.versions).items()
    ]
    versions += [("run folder", f"<code>{escape(r.path)}</code>") for r in group.runs]
    parts.append(
        details("Versions and folders", f'<div class="panel">{facts_table(versions)}</div>')
    )
    return "".join(parts)


def _seconds(run: RunData) -> list[tuple[str, str]]:
    """Total time of each phase in `timing.jsonl`."""
    names = dict.fromkeys(n for row in run.timing for n in row if n.startswith("seconds/"))
    totals = {n: sum(row.get(n) or 0 for row in run.timing) for n in names}
    return [(f"Time, {words(n.partition('/')[2]).lower()}", duration(x)) for n, x in totals.items()]


def _rounds(group: Group) -> str:
    counts = {len(run.metrics) for run in group.runs}
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low} round{'s' * (low != 1)}"
    return f"{low} to {high} rounds"

"""Sections of the report about one group of seeds, as HTML."""

from gmps.evaluation.conditions import after, condition_label
from gmps.evaluation.scores import MODES, SPLITS, AdaptationScore, ModeScores, Scores, is_rate
from gmps.report.certificate import certificate_section
from gmps.report.curves import curves_section
from gmps.report.paths import draw_tasks, legend
from gmps.report.pictures import draw_frames
from gmps.report.runs import Group, RunData
from gmps.report.tables import difference_table, facts_table, score_table, task_table
from gmps.report.text import (
    details,
    duration,
    escape,
    interval,
    number,
    steps,
    words,
)
from gmps.runs.config_json import encode_config, flatten_config
from gmps.tasks.choices import Split

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
    level = group.scores.heldout.deterministic
    rows = level.conditions
    top = "expert" if "expert" in rows else "demonstrators"
    text = (
        f"On {len(group.scores.rows('heldout'))} tasks that were never trained on, one update "
        f"takes the return from {number(rows['before']['return'].mean)} to "
        f"{number(rows[after(1)]['return'].mean)} ({top} "
        f"{number(rows[top]['return'].mean)})"
        f"{_outcome(level)}"
    )
    verdict = f"{_verdict(level)} {_against_plain(level)}".strip()
    return (
        f'<p class="lead">{escape(text)}</p><p>{escape(verdict)}</p>'
        f'<p class="note">{escape(trained)}</p>{_cards(level)}'
    )


def _outcome(level: ModeScores) -> str:
    """The family's own figure, such as the final error, in words; ends the sentence."""
    first, then = level.conditions["before"], level.conditions[after(1)]
    scales = ("return", "normalised")
    names = [m for m in first if m not in scales and not is_rate(m) and m in then]
    if not names:
        return "."
    return (
        f" and the median {words(names[0]).lower()} from {number(first[names[0]].median)} to "
        f"{number(then[names[0]].median)}."
    )


def _verdict(level: ModeScores) -> str:
    score = level.adaptation_score[after(1)]
    if score.control is None:
        return ""
    control = condition_label(score.control).lower()
    top = "the expert" if "expert" in level.conditions else "the demonstrators"
    if score.value is None:
        return f"The control ({control}) is as good as {top}, so there is no room to adapt in."
    if score.ci_low is None:
        return (
            f"The control ({control}) comes so close to {top} that these tasks do not bound the "
            "adaptation score."
        )
    if score.ci_low > 0:
        return (
            f"That is {100 * score.value:.0f} % of the way from the best control ({control}) to "
            f"{top}."
        )
    return (
        f"That does not beat the best control ({control}): the interval of the adaptation score "
        "includes zero or less."
    )


def _against_plain(level: ModeScores) -> str:
    """How the update compares with the control without meta-learning, in a sentence."""
    if "plain" not in level.conditions:
        return ""
    plain = level.conditions["plain"]["normalised"]
    adapted = level.conditions[after(1)]["normalised"]
    gain = level.differences[after(1)]["plain"]["normalised"]
    words = "not clearly different from"
    if gain.ci_high < 0:
        words = "better than"
    elif gain.ci_low > 0:
        words = "worse than"
    low, high = (number(x, "normalised") for x in (gain.ci_low, gain.ci_high))
    return (
        "Without meta-learning, plain imitation and one gradient step reach a normalised score of "
        f"{number(plain.mean, 'normalised')}, {words} the update's "
        f"{number(adapted.mean, 'normalised')} (difference {number(gain.mean, 'normalised')}, "
        f"{low} to {high})."
    )


def _cards(level: ModeScores) -> str:
    cards = [
        (condition_label(name), interval(level.conditions[name]["normalised"], "normalised"))
        for name in ("before", after(1), "wrong_task", "plain")
        if name in level.conditions
    ]
    score = level.adaptation_score[after(1)]
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
            parts.append(_split(scores, split, heading))
    parts.append(_pictures(group, heading))
    certified = next((run for run in group.runs if run.certificate is not None), None)
    if certified is not None:
        parts.append(certificate_section(certified, heading))
    if not titled:
        parts.append(curves_section([group]))
    parts.append(_facts(group, heading))
    return "".join(parts)


def _split(scores: Scores, split: Split, heading: str) -> str:
    blocks = []
    for mode, level in scores[split].items():
        table = f'<div class="panel">{score_table(level.conditions)}</div>'
        table += details(
            "Differences, task by task", f'<div class="panel">{difference_table(level)}</div>'
        )
        blocks.append(f"<h3>{MODE_TITLES[mode]}</h3>{table}{_adaptation(level)}")
    for mode in MODES:
        tasks = task_table(scores, split, mode)
        if tasks:
            title = f"Task by task, {mode}: normalised scores"
            blocks.append(details(title, f'<div class="panel">{tasks}</div>'))
    title, content = SPLIT_TITLES[split], "".join(blocks)
    if split == "heldout":
        return f"<{heading}>{title}</{heading}>{_protocol(scores)}{content}"
    return details(title, content)


def _protocol(scores: Scores) -> str:
    parts, episodes = [], scores.episodes
    if scores.checkpoint_round is not None:
        parts.append(f"The policy judged is that after round {scores.checkpoint_round}.")
    parts.append(
        f"Each update uses {episodes.adaptation} episodes of own experience. A task's figure comes "
        f"from {_repeats(scores)} independent adaptations, each with {episodes.evaluation} "
        f"evaluation episodes. Untrained level: {scores.levels.untrained}. Expert level: "
        f"{scores.levels.expert}."
    )
    if scores.plain_control is not None:
        size = scores.plain_control.step_size
        edge = "" if scores.plain_control.inside else ", at the edge of what was tried"
        parts.append(f"The plain control's step size, tuned on training tasks, is {size:g}{edge}.")
    return f'<p class="note">{escape(" ".join(parts))}</p>'


def _repeats(scores: Scores) -> str:
    """How often the held-out tasks were adapted to, as in `2` or `2 to 5`."""
    counts = [row.repeats or scores.episodes.repeats for row in scores.rows("heldout")]
    return str(min(counts)) if len({*counts}) == 1 else f"{min(counts)} to {max(counts)}"


def _adaptation(level: ModeScores) -> str:
    return _chips("Adaptation score", level.adaptation_score) + _chips(
        "Towards the demonstrators", level.demonstrator_score
    )


def _chips(title: str, scores: dict[str, AdaptationScore]) -> str:
    items = "".join(
        f"<li>{escape(condition_label(name))} {interval(score, 'adaptation')} "
        f"<span class=ci>control: {escape(condition_label(score.control).lower())}</span></li>"
        for name, score in scores.items()
        if score.control is not None
    )
    return f'<ul class="chips"><li>{title}</li>{items}</ul>' if items else ""


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


def _labels(scores: Scores) -> list[tuple[str, str]]:
    """What experts were asked, beside the environment steps."""
    taken = scores.expert_labels
    return [
        ("Experts' labels, own episodes", "–" if taken is None else steps(taken)),
        ("Experts' labels, asked for in visited states", steps(scores.expert_queries)),
    ]


def _facts(group: Group, heading: str) -> str:
    run = group.runs[0]
    parts = [f"<{heading}>What it took</{heading}>"]
    rows = [("Rounds", _rounds(group))]
    if group.scores is not None:
        counts = group.scores.steps
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
    if group.scores is not None:
        rows += _labels(group.scores)
    rows += _seconds(run)
    parts.append(f'<div class="panel">{facts_table(rows)}</div>')
    settings = [
        (name, f"<code>{escape(value)}</code>")
        for name, value in flatten_config(run.config).items()
    ]
    parts.append(details("Settings", f'<div class="panel">{facts_table(settings)}</div>'))
    versions = (
        [
            (name.removeprefix("packages."), f"<code>{escape(value)}</code>")
            for name, value in flatten_config(encode_config(run.versions)).items()
            if name != "settings"
        ]
        if run.versions is not None
        else []
    )
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
    if any(run.problems and not run.metrics for run in group.runs):
        return "a number of rounds that is not known"
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low} round{'s' * (low != 1)}"
    return f"{low} to {high} rounds"

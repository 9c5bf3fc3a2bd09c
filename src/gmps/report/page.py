"""The report's page: reads top to bottom as it is put together."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.evaluation.conditions import CONDITIONS
from gmps.evaluation.scores import MODES, SPLITS
from gmps.report.curves import curves_section
from gmps.report.runs import Group, group_runs, load_run
from gmps.report.sections import MODE_TITLES, SPLIT_TITLES, group_section, lead
from gmps.report.tables import comparison_table, facts_table
from gmps.report.text import details, escape
from gmps.runs.run import REPORT
from gmps.version import __version__

_GENERATOR = '<meta name="generator" content="gmps report">'


def write_report(runs: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Write one self-contained HTML page about run folders.

    Args:
        runs: run folders. Runs whose settings differ in the seed alone are shown as one.
        out: file to write; by default `report.html` in the run folder if there is only one.

    Returns:
        The file written.

    Raises:
        GmpsError: if a folder is no run, its settings are damaged, there is no place to write to,
            or `out` is a file that is no report.

    Warns:
        UserWarning: for each file that is damaged and left out; the page says so, too.
    """
    if not runs:
        raise GmpsError("A report needs at least one run folder; name one that gmps wrote.")
    if out is None:
        if len(runs) > 1:
            raise GmpsError("A report of several runs needs a file to write; name it with --out.")
        out = Path(runs[0]) / REPORT
    out = Path(out)
    if out.is_dir():
        raise GmpsError(f"{out} is a folder; name a file such as {out / REPORT} with --out.")
    if out.exists() and _GENERATOR.encode() not in out.read_bytes()[:1000]:
        raise GmpsError(f"{out} exists and is no report; choose another file with --out.")
    page = render(group_runs([load_run(run) for run in runs]))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page.encode())
    return out


def render(groups: Sequence[Group]) -> str:
    """The page as text; a function of the groups alone."""
    body = [_header(groups), _problems(groups)]
    if len(groups) > 1:
        body.append(_comparison(groups))
    curves = curves_section(groups)
    if len(groups) > 1:
        body.append(curves)
    for group in groups:
        body.append(group_section(group, titled=len(groups) > 1))
    body += [_reading(groups), _footer(groups)]
    style = files("gmps.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{_GENERATOR}\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(_title(groups))}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<main>\n{''.join(body)}\n</main>\n</body>\n</html>\n"
    )


# -- Top of the page --------------------------------------------------------------------------


def _title(groups: Sequence[Group]) -> str:
    if len(groups) == 1:
        return groups[0].label
    names = [(group.family, group.method) for group in groups]
    shared = " · ".join(", ".join(dict.fromkeys(column)) for column in zip(*names, strict=True))
    return f"{shared}: {len(groups)} settings"


def _header(groups: Sequence[Group]) -> str:
    words = lead(groups[0]) if len(groups) == 1 else ""
    return (
        '<header><p class="eyebrow">Guided meta-policy search · report</p>'
        f"<h1>{escape(_title(groups))}</h1>{words}</header>"
    )


def _problems(groups: Sequence[Group]) -> str:
    """What the page leaves out."""
    found = [problem for group in groups for run in group.runs for problem in run.problems]
    return "".join(f'<p class="warning">{escape(problem)}</p>' for problem in found)


# -- Comparison ------------------------------------------------------------------------------


def _comparison(groups: Sequence[Group]) -> str:
    parts = ["<h2>Comparison</h2>"]
    for split in SPLITS:
        for mode in MODES:
            table = comparison_table(groups, split, mode)
            if not table:
                continue
            title = f"{SPLIT_TITLES[split]}: {MODE_TITLES[mode].lower()}"
            block = f'<div class="panel">{table}</div>'
            main = split == "heldout"
            parts.append(f"<h3>{title}</h3>{block}" if main else details(title, block))
    return "".join(parts)


# -- End of the page --------------------------------------------------------------------------


def _reading(groups: Sequence[Group]) -> str:
    seeds = max(len(group.evaluated) for group in groups)
    spread = (
        "Figures are means over seeds and tasks; the intervals are over other seeds and other "
        "tasks like these."
        if seeds > 1
        else "One seed: figures are means over tasks, and the intervals are over other tasks like "
        "these. They do not cover another training seed."
    )
    label = {"after": "After k updates"}
    rows = [(label.get(n) or x.label, escape(x.meaning)) for n, x in CONDITIONS.items()]
    text = (
        f"<p>{spread} All intervals are 95 %, Student's t on jackknife variances; "
        "of differences, paired by seed and task.</p>"
        "<p>The normalised score is 0 for an untrained policy and 1 for the expert, task by task. "
        "The adaptation score is (after − control) / (expert − control) of the normalised scores, "
        "where the control is the best of no update, another task's update and a random update: a "
        "method adapts only as far as it is above 0.</p>"
    )
    table = f'<div class="panel">{facts_table(rows)}</div>'
    return f"<h2>How to read this page</h2>{text}{details('What each row means', table)}"


def _footer(groups: Sequence[Group]) -> str:
    count = sum(len(group.runs) for group in groups)
    return (
        f"<footer>Written by gmps {__version__} from {count} run folder{'s' * (count != 1)}. "
        "This page needs no network.</footer>"
    )

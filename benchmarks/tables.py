"""The tables of README and docs, written from the files of benchmarks/results.

A table stands between two comments, of which the first says what it shows:

    <!-- table FILE rows=before,*after_1,after_1-plain,expert columns=final_error:cm,success -->
    <!-- /table -->

`FILE` is a result with rows of tasks, without `.json`, or `FILE@train` for its training tasks. A
row is a condition, or a difference of two (paired by task and seed); a star makes it bold. Several
`LABEL=FILE` have their columns beside each other. Without rows a row is a file, and a column
`MEASURE@CONDITION` or `score@CONDITION`, or `steps@COLUMN`, or `labels` of the experts' own
episodes, or `queries`, the labels asked for in visited states. `mode=stochastic` has action noise,
`titles=A|B` other heads. `methods FILE columns=before,after_1` is a row for each method of a
methods-FAMILY.json, `harness LABEL=FILE split=test` what Meta-World's harness said. One figure in
the text: `<!-- figure FILE MEASURE@CONDITION -->7 %<!-- /figure -->`, with `ci` its interval too.

example:
  python benchmarks/tables.py
  python benchmarks/tables.py --check
"""

import json
import re
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tyro

RESULTS = Path(__file__).resolve().parent / "results"
PAGES = ("README.md", "docs/*.md", "docs/*/*.md")
BLOCK = re.compile(
    r"(?P<open><!-- (?P<kind>table|methods|harness)\s(?P<spec>[^>]*?)\s-->)\n.*?"
    r"(?P<close><!-- /table -->)",
    re.DOTALL,
)
INLINE = re.compile(
    r"(?P<open><!--\s+figure\s(?P<spec>[^>]*?)\s-->)[^<]*(?P<close><!--\s+/figure\s-->)"
)
LABELS = {
    "before": "before",
    "zero_step": "zero step",
    "wrong_task": "wrong task",
    "random_update": "random update",
    "plain_before": "blind imitation",
    "plain": "blind imitation + a plain step",
    "plain_all": "blind imitation + as many plain steps",
    "best_episode": "imitated latent, best episode",
    "expert": "expert",
    "demonstrators": "demonstrators",
}
#: Unit to its factor and digits; measures without one are in their own.
UNITS = {"cm": (100.0, 1), "mm": (1000.0, 1), "m": (1.0, 2), "deg": (57.29577951308232, 1)}
DIGITS = {"normalised": 2, "return": 0, "score": 2, "demonstrators": 2}
#: Adaptation scores, towards the expert and towards the demonstrators.
SCORES = {"score": "adaptation_score", "demonstrators": "demonstrator_score"}
#: Counts, and what they are called in scores.
COUNTS = {"steps": "steps", "labels": "expert_labels", "queries": "expert_queries"}
#: Levels, whose intervals nobody compares with.
LEVELS = ("expert", "demonstrators")


@dataclass(frozen=True)
class Tables:
    """Settings."""

    root: Path = Path()
    """Folder of README.md and docs."""
    check: bool = False
    """Write nothing; fail where a table is not what its file says."""


def tables(settings: Tables) -> None:
    stale = []
    for path in pages(settings.root):
        text = path.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            stale.append(str(path))
            if not settings.check:
                path.write_text(new, encoding="utf-8")
    print(f"{'differ' if settings.check else 'rewritten'}: {', '.join(stale) or 'none'}")
    if settings.check and stale:
        raise SystemExit(1)


def pages(root: Path) -> list[Path]:
    return [path for pattern in PAGES for path in sorted(root.glob(pattern))]


def rewritten(text: str) -> str:
    """A page with its tables as the files have them."""

    def block(found: re.Match[str]) -> str:
        lines = KINDS[found["kind"]](Spec.parsed(found["spec"]))
        return "\n".join([found["open"], "", *lines, found["close"]])

    def figure(found: re.Match[str]) -> str:
        name, column, *more = found["spec"].split()
        text = cell(*split_of(name), "deterministic", column)
        return f"{found['open']}{text if more else text.partition(' [')[0]}{found['close']}"

    return INLINE.sub(figure, BLOCK.sub(block, text))


@dataclass(frozen=True)
class Spec:
    """What a comment asks for."""

    #: Files by label.
    files: tuple[tuple[str, str], ...]
    options: dict[str, str]

    @classmethod
    def parsed(cls, text: str) -> "Spec":
        files, options = [], {}
        for word in shlex.split(" ".join(text.split())):
            key, found, value = word.partition("=")
            if found and key in ("rows", "columns", "titles", "split", "mode"):
                options[key] = f"{options[key]},{value}" if key in options else value
            else:
                files.append((key, value or key))
        return cls(tuple(files), options)

    @property
    def columns(self) -> list[str]:
        return self.options["columns"].split(",")


def table(spec: Spec) -> list[str]:
    """The lines of one table."""
    mode = spec.options.get("mode", "deterministic")
    heads = list(map(title, spec.columns))
    if "rows" in spec.options:
        rows = spec.options["rows"].split(",")
        bold = [row.startswith("*") for row in rows]
        names = [row.lstrip("*") for row in rows]
        cells = [
            [
                label(row),
                *(
                    cell(*split_of(name), mode, f"{column}@{row}")
                    for _, name in spec.files
                    for column in spec.columns
                ),
            ]
            for row in names
        ]
        if len(spec.files) > 1:
            heads = [f"{text}: {head}" for text, _ in spec.files for head in heads]
    else:
        cells = [
            [text, *(cell(*split_of(name), mode, column) for column in spec.columns)]
            for text, name in spec.files
        ]
        bold = [False] * len(cells)
    if "titles" in spec.options:
        heads = spec.options["titles"].split("|")
    return [*markdown(["", *heads], cells, bold), "", source([name for _, name in spec.files])]


def split_of(name: str) -> tuple[str, str]:
    """A file and one of its splits."""
    file, _, split = name.partition("@")
    return file, split or "heldout"


def markdown(head: list[str], cells: list[list[str]], bold: list[bool]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row, strong in zip(cells, bold, strict=True):
        shown = [f"**{x}**" if strong and x != "-" else x for x in row]
        lines.append(f"| {' | '.join(shown)} |")
    return lines


@cache
def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def source(names: list[str]) -> str:
    """Where a table is from, with its seeds and tasks."""
    parts: dict[tuple[int, int], list[str]] = {}
    for name in dict.fromkeys(split_of(name)[0] for name in names):
        content = read(name)
        first = next(iter(content["per_seed"].values()))
        tasks = sum(row["split"] == "heldout" for row in first["tasks"])
        parts.setdefault((len(content["seeds"]), tasks), []).append(f"`{name}.json`")
    texts = [
        f"{', '.join(files)} ({seeds_of(seeds)}, {tasks} held-out tasks)"
        for (seeds, tasks), files in parts.items()
    ]
    return filled(f"Means with 95 % intervals: {'; '.join(texts)}.")


def filled(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def seeds_of(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def label(row: str) -> str:
    if "-" in row:
        return " − ".join(label(part) for part in row.split("-"))
    steps = re.fullmatch(r"after_(\d+)", row)
    if steps:
        return f"after {steps[1]} step{'s' * (steps[1] != '1')}"
    return LABELS.get(row, row)


def title(column: str) -> str:
    measure, _, condition = column.partition("@")
    name, _, unit = measure.partition(":")
    text = name.replace("_", " ") + (f", {'degrees' if unit == 'deg' else unit}" if unit else "")
    return f"{text}, {label(condition)}" if condition else text


def cell(name: str, split: str, mode: str, column: str) -> str:
    """One figure: `MEASURE[:UNIT]@CONDITION`, a difference, a score, or a count."""
    measure, _, condition = column.partition("@")
    measure, _, unit = measure.partition(":")
    if measure in COUNTS:
        found = read(name)["over_seeds"]
        return count(found["steps"][condition] if condition else found.get(COUNTS[measure]))
    level = read(name)["over_seeds"][split][mode]
    if measure in SCORES:
        return worded(level[SCORES[measure]].get(condition), measure, unit)
    if "-" in condition:
        after, other = condition.split("-")
        return worded(
            level["differences"].get(after, {}).get(other, {}).get(measure), measure, unit
        )
    figure = level["conditions"].get(condition, {}).get(measure)
    if condition in LEVELS and figure is not None:
        return number(measure, unit)(figure["mean"])
    return worded(figure, measure, unit)


def count(x: float | None) -> str:
    """Steps or labels: in millions, or in thousands where there are few."""
    if x is None:
        return "-"
    return f"{x / 1e6:.2f} M" if x >= 1e5 else f"{x / 1e3:.1f} k" if x else "0"


def worded(figure: dict[str, Any] | None, measure: str, unit: str) -> str:
    value = None if figure is None else figure.get("mean", figure.get("value"))
    if figure is None or value is None:
        return "-"
    show = number(measure, unit)
    if figure["ci_low"] is None:
        return show(value)
    low, high = (show(figure[end]).removesuffix(" %") for end in ("ci_low", "ci_high"))
    return f"{show(value)} [{low}, {high}]"


def number(measure: str, unit: str) -> Callable[[float], str]:
    if measure == "success":
        return lambda x: f"{100 * x:.0f} %"
    factor, digits = UNITS[unit] if unit else (1.0, DIGITS.get(measure, 3))
    return lambda x: f"{factor * x:.{digits}f}"


# -- Comparisons of methods ----------------------------------------------------------------------

NAMES = {
    "gmps": "GMPS",
    "gmps-latent": "GMPS with a latent",
    "pearl": "PEARL",
    "maml": "MAML",
    "maesn": "MAESN",
    "multitask": "multi-task",
    "multitask-bc": "multi-task imitation",
}


def methods_table(spec: Spec) -> list[str]:
    """A row for each method of a comparison: normalised returns and the adaptation score."""
    ((_, name),) = spec.files
    columns, rows, kept = spec.columns, [], 0
    for method, found in read(name)["methods"].items():
        level, kept = found["heldout"]["deterministic"], kept + ("per_seed" in found)
        figures = [(level.get(column) or {}).get("normalised") for column in columns]
        score = level["adaptation_score"]["after_1"]
        cells = [old(x) for x in (*figures, score)]
        steps = [count(found["steps"][column]) for column in ("meta", "expert")]
        rows.append([f"{NAMES[method]} ({len(found['seeds'])})", *cells, *steps])
    if kept:
        raise SystemExit(f"{name} has rows of tasks; print it as a table of files.")
    head = [
        *("method (seeds)", *map(label, columns)),
        *("adaptation score", "own steps", "expert's steps"),
    ]
    note = (
        f"`{name}.json`, from before rows of tasks were kept: *interquartile* means and percentile "
        "intervals, which cover 76 % with three seeds. What GMPS asked in visited states was not "
        "counted."
    )
    return [*markdown(head, rows, [False] * len(rows)), "", filled(note)]


def harness_table(spec: Spec) -> list[str]:
    """A row for each result: success that Meta-World's harness counted."""
    split, cells = spec.options["split"], []
    for text, name in spec.files:
        content = read(name)
        success = content["harness"]["success"][split]
        seeds = [found[split] for found in content["harness"]["per_seed"].values()]
        each = ", ".join(
            f"{x['before']['success']:.0%} → {x['after']['success']:.0%}" for x in seeds
        )
        steps = content["over_seeds"]["steps"]
        cells.append(
            [
                text,
                *(f"{100 * success[x]:.0f} %" for x in ("before", "after")),
                each.replace("%", " %"),
                count(steps["meta"]),
                count(steps["expert"]),
            ]
        )
    head = ["success", "before", "after", "each seed", "own steps", "expert's steps"]
    return [*markdown(head, cells, [False] * len(cells)), "", "No interval: means over seeds."]


KINDS: dict[str, Callable[[Spec], list[str]]] = {
    "table": table,
    "methods": methods_table,
    "harness": harness_table,
}


def old(figure: dict[str, Any] | None) -> str:
    if figure is None or figure["iqm"] is None:
        return "-"
    return "{iqm:.2f} [{ci_low:.2f}, {ci_high:.2f}]".format(**figure)


if __name__ == "__main__":
    tables(tyro.cli(Tables, description=__doc__))

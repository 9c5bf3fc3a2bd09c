"""Scores in a terminal, wide and narrow: nothing is cut off, and no value is broken in two."""

from dataclasses import replace

import pytest

from gmps.commands.cli import console
from gmps.commands.score_tables import print_first, print_scores
from gmps.evaluation.scores import read_scores
from gmps.evaluation.summaries import summarise
from gmps.report import write_report
from synthetic_runs import write_run

SENTENCES = (
    "environment steps",
    "experts' labels",
    "What one step brings",
    "Adaptation score",
    "(Intervals",
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("scores") / "run")
    return read_scores(folder)


def printed(scores, width, monkeypatch, capsys):
    monkeypatch.setattr(console, "width", width)
    print_scores(scores)
    text = capsys.readouterr().out
    lines = [line.rstrip() for line in text.splitlines()]
    # Sentences are whole where there is no terminal.
    assert max(len(line) for line in lines if not line.startswith(SENTENCES)) <= width
    return lines


def test_eighty_columns_hold_figures_with_intervals(scores, monkeypatch, capsys):
    lines = printed(scores, 80, monkeypatch, capsys)
    assert lines[0] == "ant-goal: means with 95 % intervals, 8 held-out tasks, one seed (0)"
    head = ["deterministic", "return", "normalised", "final", "distance", "success"]
    assert lines[1].split() == head
    figure = scores.heldout.deterministic.conditions["before"]["normalised"]
    interval = f"{figure.mean:.2f} [{figure.ci_low:.2f}, {figure.ci_high:.2f}]"
    assert lines[2].startswith("before") and interval in lines[2]


@pytest.mark.parametrize(
    ("labels", "queries", "words"),
    [
        (4000.0, 420_000.0, "4,000 in their own episodes, 420,000 asked for in visited states"),
        (4000.0, 0.0, "4,000 in their own episodes, 0 asked for in visited states"),
        (None, 420_000.0, "not counted in their own episodes, 420,000 asked for in visited states"),
        (None, 0.0, "not counted"),
        (0.0, 0.0, "none"),
    ],
)
def test_experts_labels_stand_beside_the_steps(scores, labels, queries, words, monkeypatch, capsys):
    counted = replace(scores, expert_labels=labels, expert_queries=queries)
    lines = printed(counted, 80, monkeypatch, capsys)
    steps = next(i for i, line in enumerate(lines) if line.startswith("environment steps: "))
    assert lines[steps + 1] == f"experts' labels: {words}"


def test_sixty_columns_keep_the_return(scores, monkeypatch, capsys):
    lines = printed(scores, 60, monkeypatch, capsys)
    assert lines[0] == "ant-goal: means, 8 held-out tasks, one seed (0)"
    before = scores.heldout.deterministic.conditions["before"]
    words = lines[2].split()
    assert words[1] == f"{before['return'].mean:.1f}"
    assert words[2] == f"{before['normalised'].mean:.2f}"
    assert len(words) == 5
    assert "(Intervals need a wider terminal; they are in scores.json too.)" in lines


@pytest.mark.parametrize("width", [60, 80])
def test_what_a_step_brings_is_a_table(scores, width, monkeypatch, capsys):
    lines = printed(scores, width, monkeypatch, capsys)
    at = next(i for i, line in enumerate(lines) if line.startswith("What one step brings"))
    gain = scores.heldout.stochastic.differences["after_1"]["plain"]["normalised"]
    value = f"{gain.mean:+.2f} [{gain.ci_low:+.2f}, {gain.ci_high:+.2f}]"
    row = next(line for line in lines[at:] if line.startswith("a plain step"))
    assert row.endswith(value)
    at = lines.index("Adaptation score: 0 at the best control, 1 at the expert")
    names = [line.partition("  ")[0] for line in lines[at + 2 : at + 6]]
    assert names == ["after 1 step(s)", "after 2 step(s)", "after 3 step(s)", "best control"]
    assert lines[at + 5].split() == ["best", "control", "before", "before"]


def test_a_family_that_tells_no_success_has_no_column_of_it(tmp_path, monkeypatch, capsys):
    run = write_run(tmp_path / "run", success=False)
    lines = printed(read_scores(run), 80, monkeypatch, capsys)
    assert lines[1].split() == ["deterministic", "return", "normalised", "final", "distance"]
    assert not any("success" in line for line in lines)
    page = write_report([run], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "normalised" in page.lower() and "success" not in page.lower()


def test_a_score_towards_demonstrators_has_a_table_of_its_own(scores, monkeypatch, capsys):
    rows = [
        replace(row, levels=replace(row.levels, demonstrators=0.8 * row.levels.expert))
        for row in scores.tasks
    ]
    heldout = summarise([[row for row in rows if row.split == "heldout"]])
    lines = printed(replace(scores, heldout=heldout), 80, monkeypatch, capsys)
    assert "Adaptation score: 0 at the best control, 1 at the expert" in lines
    assert "Adaptation score: 0 at the best control, 1 at the demonstrators" in lines


def test_first_figures_are_means_of_the_held_out_tasks(scores, capsys):
    print_first(scores.rows("heldout"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "first figures, of 8 held-out tasks (means):"
    figure = scores.heldout.deterministic.conditions["before"]["normalised"]
    assert lines[2].split()[:3:2] == ["before", f"{figure.mean:.2f}"]

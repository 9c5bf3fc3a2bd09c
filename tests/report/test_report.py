import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.conditions import condition_label
from gmps.evaluation.scores import MODES, SPLITS, read_scores
from gmps.evaluation.stats import seed_task_interval
from gmps.report import write_report
from gmps.report.runs import group_runs, load_run
from gmps.report.text import number
from gmps.runs.jsonl import RoundLog
from gmps.runs.results import DIGEST, sealed
from synthetic_runs import CONDITIONS, Learner, Settings, write_run

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Collects text and tags, and fails on tags that do not match."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text, self.ids = [], [], "", []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += f" {data}"


def scores_of(runs):
    found = {str(run): read_scores(run) for run in runs}
    assert None not in found.values()
    return found


def read(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def ant(folder):
    return [write_run(folder / f"ant{s}", Settings(seed=s, rounds=12)) for s in range(3)]


@pytest.fixture(scope="module")
def page(ant):
    return write_report([ant[0]])


# -- The page ---------------------------------------------------------------------------------


def test_is_written_into_the_run(ant, page):
    assert page == ant[0] / "report.html"
    assert page.stat().st_size < 500_000


def test_is_self_contained(page):
    text = page.read_text(encoding="utf-8")
    for tag, attributes in read(page).tags:
        assert tag not in ("script", "link", "iframe", "img")
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert 'name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text


def test_identifiers_are_unique_and_references_resolve(page):
    parsed = read(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r'(?:url\(#|href="#)([^)"]+)', text):
        assert target in parsed.ids


def test_no_colour_is_left_that_only_suits_one_scheme(page):
    body = page.read_text(encoding="utf-8").split("</style>", 1)[1]
    assert not re.search(r"#[0-9a-f]{6}", body)


def test_is_a_function_of_the_folder(ant, page):
    first = page.read_bytes()
    write_report([ant[0]])
    assert page.read_bytes() == first


def test_shows_the_figures_of_scores_json(ant, page):
    scores = read_scores(ant[0])
    assert scores is not None
    text = read(page).text
    for split in SPLITS:
        for mode in MODES:
            for name in CONDITIONS:
                for measure, figure in scores[split][mode].conditions[name].items():
                    assert number(figure.mean, measure) in text
                    assert number(figure.ci_low, measure).removesuffix(" %") in text
                assert condition_label(name) in text
    for row in scores.tasks:
        assert row.task in text
    assert "1\u202f600\u202f000" in text  # environment steps of the meta-learner
    assert "Experts' labels, own episodes – Experts' labels, asked for in visited states 0" in text
    assert "gmps.step_size" in text


def test_held_out_tasks_without_noise_come_first(page):
    text = read(page).text
    places = [
        text.index(x)
        for x in ("Held-out tasks", "Without action noise", "With action noise", "Training tasks")
    ]
    assert places == sorted(places)


def test_says_what_the_update_brought(folder, page):
    text = read(page).text
    assert "of the way from the best control (before the update) to the expert." in text
    assert re.search(r"one gradient step reach a normalised score of \S+, worse than the", text)
    useless = write_report([write_run(folder / "useless", gain=0.0)])
    text = read(useless).text
    assert "That does not beat the best control (before the update)" in text
    assert re.search(r"reach a normalised score of \S+, better than the update's", text)


def test_x_axis_names_what_it_counts(page):
    text = read(page).text
    assert "environment steps: meta-learner + expert + demonstrations" in text
    assert "Steps of the evaluation are not counted." in text


def test_a_run_without_evaluation_or_metrics(folder):
    run = write_run(folder / "early", Settings(rounds=3), evaluated=False)
    text = read(write_report([run])).text
    assert f"gmps eval {run}" in text
    assert "Learning curves" in text
    run = write_run(folder / "empty", Settings(rounds=0), evaluated=False)
    assert "Learning curves" not in read(write_report([run])).text


def write_sealed(run, content):
    """Scores with another content than the program wrote, as if it had."""
    del content[DIGEST]
    (run / "scores.json").write_text(json.dumps(sealed(content)))


def test_an_undefined_adaptation_score(folder, ant):
    run = write_run(folder / "no-room")
    content = json.loads((ant[0] / "scores.json").read_text())
    none = {"value": None, "ci_low": None, "ci_high": None, "control": "wrong_task"}
    content["heldout"]["deterministic"]["adaptation_score"] = {"after_1": none}
    write_sealed(run, content)
    text = read(write_report([run])).text
    assert "The control (another task's update) is as good as the expert" in text


def test_hostile_names_stay_text(folder):
    nasty = '<script>alert("x")</script>'
    run = write_run(folder / "nasty", Settings(method=nasty, rounds=2))
    scores = json.loads((run / "scores.json").read_text())
    scores["tasks"][0]["task"] = nasty
    scores["levels"]["expert"] = nasty
    write_sealed(run, scores)
    parsed = read(write_report([run]))
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert parsed.text.count(nasty) >= 3


def test_push_shows_hand_and_block(folder):
    run = write_run(folder / "push", Settings(family="sawyer-push", rounds=4))
    tags = read(write_report([run])).tags
    classes = {a.get("class") for tag, a in tags if tag == "polyline"}
    assert classes == {
        f"path {condition} {weight}"
        for condition in ("before", "after_1", "expert")
        for weight in ("main", "side")
    }


# -- Several runs -----------------------------------------------------------------------------


def test_seeds_of_one_setting_are_one_group(ant, folder):
    other = write_run(folder / "small-step", Settings(gmps=Learner(0.1), rounds=5), gain=0.4)
    groups = group_runs([load_run(run) for run in (ant[1], other, ant[0], ant[2])])
    labels = ["rounds 12 · step size 0.5", "rounds 5 · step size 0.1"]
    assert [group.label for group in groups] == labels
    assert [[run.seed for run in group.runs] for group in groups] == [[0, 1, 2], [0]]
    out = folder / "pages" / "both.html"
    assert write_report([*ant, other], out) == out
    text = read(out).text
    assert "ant-goal · gmps: 2 settings" in text
    assert "3 seeds: 0, 1, 2" in text
    assert "Comparison" in text
    assert "Thin lines are seeds, the thick one their mean." in text


def test_other_families_side_by_side(ant, folder):
    push = write_run(folder / "push2", Settings(family="sawyer-push", rounds=12))
    groups = group_runs([load_run(run) for run in (ant[0], push)])
    assert [group.label for group in groups] == ["ant-goal", "sawyer-push"]
    read(write_report([ant[0], push], folder / "families.html"))


def test_seeds_are_combined_from_the_rows_of_tasks(ant):
    named = scores_of(ant)
    combined = combine_scores(named)
    rows = np.array(
        [
            [row.stochastic["after_1"]["return"] for row in scores.rows("heldout")]
            for scores in named.values()
        ]
    )
    figure = combined.heldout.stochastic.conditions["after_1"]["return"]
    assert (figure.mean, figure.median) == pytest.approx((rows.mean(), np.median(rows)))
    assert (figure.ci_low, figure.ci_high) == seed_task_interval(np.mean, rows)
    assert combined.tasks[2].stochastic["after_1"]["return"] == rows[:, 2].mean()
    assert combined.steps["meta"] == 1_600_000
    assert combined.seed is None and combined.expert is None
    untrained = np.mean([r.levels.untrained for s in named.values() for r in s.rows("heldout")])
    assert combined.levels.untrained == f"mean return {untrained:.1f} of an untrained policy"
    source = "the demonstrators' mean return, between their tasks interpolated"
    assert combined.levels.source == next(iter(named.values())).levels.source == source
    # Counts are means too, where all seeds have them.
    assert combined.expert_labels is None
    counted = {
        name: replace(scores, expert_queries=n, expert_labels=2 * n)
        for (name, scores), n in zip(named.items(), (100.0, 200.0, 600.0), strict=True)
    }
    both = combine_scores(counted)
    assert (both.expert_queries, both.expert_labels) == (300.0, 600.0)


def test_training_tasks_that_each_seed_drew_have_figures_and_no_rows(ant):
    named = scores_of(ant)
    listed = combine_scores(named)
    for name, scores in named.items():
        own = [replace(row, task=f"{row.task} drawn in {name}") for row in scores.rows("train")]
        named[name] = replace(scores, tasks=(*scores.rows("heldout"), *own))
    drawn = combine_scores(named)
    assert drawn.train == listed.train
    assert drawn.heldout == listed.heldout
    assert drawn.tasks == listed.rows("heldout")
    first = next(iter(named))
    named[first] = replace(named[first], tasks=named[first].tasks[:-1])
    with pytest.raises(ValueError, match="were evaluated on different tasks"):
        combine_scores(named)


def test_combined_adaptation_score_by_hand(ant):
    named = scores_of(ant)
    score = combine_scores(named).heldout.deterministic.adaptation_score["after_1"]

    def level(name):
        return np.mean(
            [
                [row.deterministic[name]["normalised"] for row in scores.rows("heldout")]
                for scores in named.values()
            ]
        )

    assert score.control == "before"
    by_hand = (level("after_1") - level("before")) / (level("expert") - level("before"))
    assert score.value == pytest.approx(by_hand)
    assert score.ci_low <= score.value <= score.ci_high


def test_expert_without_rows_of_its_own(ant):
    """A level that was measured elsewhere has no episodes, and no outcomes."""
    named = scores_of(ant)
    for scores in named.values():
        for row in scores.tasks:
            for mode in MODES:
                del row[mode]["expert"]
    level = combine_scores(named).heldout.deterministic
    expert = level.conditions["expert"]
    assert expert.keys() == {"return", "normalised"}
    assert (expert["return"].mean, expert["normalised"].mean) == (539.0, 1.0)
    assert level.adaptation_score["after_1"].value is not None


def test_the_demonstrators_have_a_row_and_a_score_of_their_own(ant, folder):
    named = scores_of(ant)
    for name, scores in named.items():
        shown = [
            replace(row, levels=replace(row.levels, demonstrators=475.0)) for row in scores.tasks
        ]
        named[name] = replace(scores, tasks=tuple(shown))
    level = combine_scores(named).heldout.deterministic
    assert level.conditions["demonstrators"]["return"].mean == 475.0
    share = (475 - 308) / 231
    assert level.conditions["demonstrators"]["normalised"].mean == pytest.approx(share)
    after, before, expert = (
        level.conditions[x]["normalised"].mean for x in ("after_1", "before", "expert")
    )
    score, shown = (x["after_1"].value for x in (level.adaptation_score, level.demonstrator_score))
    assert score == pytest.approx((after - before) / (expert - before))
    assert shown == pytest.approx((after - before) / (share - before))
    # Where no expert acts, the demonstrators' level is the top, and there is one score.
    for scores in named.values():
        for row in scores.tasks:
            for mode in MODES:
                del row[mode]["expert"]
    level = combine_scores(named).heldout.deterministic
    assert "expert" not in level.conditions
    assert level.demonstrator_score == {}
    assert level.adaptation_score["after_1"].value == pytest.approx(shown)


def test_seeds_on_different_tasks(ant, folder):
    other = write_run(folder / "ant9", Settings(seed=9, rounds=12), tasks=5)
    message = f"{ant[0]} and {other} have equal settings but were evaluated on different tasks; "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        write_report([ant[0], other], folder / "x.html")


def test_some_seeds_without_evaluation(ant, folder):
    other = write_run(folder / "ant8", Settings(seed=8, rounds=12), evaluated=False)
    RoundLog(other / "metrics.jsonl").truncate_after(5)
    text = read(write_report([ant[0], other], folder / "some.html")).text
    assert "Trained for 6 to 12 rounds with seeds 0, 8." in text


# -- Bad input --------------------------------------------------------------------------------


def test_no_run():
    message = "A report needs at least one run folder; name one that gmps wrote."
    with pytest.raises(ValueError, match=re.escape(message)):
        write_report([])


def test_not_a_run(tmp_path):
    with pytest.raises(ValueError, match="is not a run: it has no config"):
        write_report([tmp_path])


def test_several_runs_need_a_file(ant):
    message = "A report of several runs needs a file to write; name it with --out."
    with pytest.raises(ValueError, match=re.escape(message)):
        write_report(ant)


def test_never_overwrites_what_is_no_report(ant, tmp_path):
    thesis = tmp_path / "thesis.html"
    thesis.write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.html exists and is no report; choose another"):
        write_report(ant, thesis)
    assert thesis.read_text() == "years of work"
    with pytest.raises(ValueError, match=r"is a folder; name a file such as .*report\.html with"):
        write_report(ant, tmp_path)


def test_scores_of_another_version(folder):
    run = write_run(folder / "old", Settings(rounds=1))
    (run / "scores.json").write_text('{"format": 7}')
    with pytest.warns(UserWarning, match=r"^Left out: .*has format 7, but this version of gmps "):
        page = read(write_report([run]))
    assert "Left out: " in page.text and "has format 7" in page.text
    assert "Not evaluated yet" in page.text


@pytest.mark.filterwarnings("ignore:Left out")
@pytest.mark.parametrize(
    "name", ["scores.json", "versions.json", "paths.npz", "timing.jsonl", "metrics.jsonl"]
)
def test_what_is_damaged_is_left_out_and_said(folder, name):
    run = write_run(folder / f"damaged-{name}", Settings(rounds=3))
    for data in (b"[" * 50_000 + b"\n", b"PK\x03\x04 nothing\n", b"\xff" * 9 + b"\n"):
        (run / name).write_bytes(data)
        text = read(write_report([run])).text
        assert "Left out: " in text
        assert name in text

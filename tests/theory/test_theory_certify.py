"""`gmps certify` on a small run: files, words, report."""

import json
import shutil
from dataclasses import fields, replace

import pytest

from gmps.commands.cli import main
from gmps.methods.gmps_settings import GmpsConfig
from gmps.presets import preset
from gmps.report.certificate import picture
from gmps.report.runs import load_run
from gmps.runs.run import Run
from gmps.theory.certificate import CERTIFICATE, Certificate, in_words, read_certificate
from gmps.theory.estimate import Estimates, Figure, Verdict
from gmps.theory.settings import CertifyConfig
from gmps.training.experiment import prepare
from gmps.training.train import train

CONFIG = replace(
    preset("point-goal", "gmps"),
    rounds=2,
    train_tasks=3,
    settings=GmpsConfig(episodes=4, pretrain_steps=20, outer_steps=2),
)
SMALL = ("--tasks=2", "--history=2", "--adaptation-episodes=4", "--sampling.repeats=2")
SMALL += ("--sampling.states=4", "--sampling.pairs=2", "--sampling.continuations=2")


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "point"
    with Run.create(folder, CONFIG) as run:
        train(run, CONFIG, prepare(CONFIG))
    assert main(["certify", str(folder), *SMALL]) == 0
    return folder


def test_the_certificate_holds_everything(certified):
    certificate = read_certificate(certified)
    assert certificate is not None
    figures = certificate.figures
    maxima = {"averaged", "published", "delta", "epsilon"}
    for name in (field.name for field in fields(figures)):
        found = getattr(figures, name)
        assert (found.low is None) == (found.high is None) == (name in maxima)
        assert name in maxima or found.low <= found.value <= found.high
    apart = figures.decomposition.value - figures.gap.value
    assert figures.discrepancy.value == pytest.approx(apart)
    assert figures.sharp.value <= figures.averaged.value <= figures.published.value
    assert certificate.tasks == len(certificate.rows) == 2
    assert [row.round for row in certificate.history] == [0, 1]
    levels = certificate.levels
    gap = levels["expert"].value - levels["adapted"].value
    assert figures.gap.value == pytest.approx(gap)
    assert certificate.room == pytest.approx(levels["expert"].value - levels["untrained"].value)
    assert certificate.env_steps > 0


def test_certifying_again_gives_the_same(certified):
    first = (certified / CERTIFICATE).read_bytes()
    assert main(["certify", str(certified), *SMALL]) == 0
    assert (certified / CERTIFICATE).read_bytes() == first


def test_the_report_shows_the_certificate(certified):
    page = (certified / "report.html").read_text(encoding="utf-8")
    assert "Certificate: what imitation loses" in page
    assert page.count("<svg") == page.count("</svg>")
    assert "round 0" in page and "δ, largest span of Q" in page


def example(ratio, room=10.0):
    figure = Figure(2.0, 1.0, 3.0)
    figures = Estimates(**{field.name: figure for field in fields(Estimates)})
    figures = replace(figures, discrepancy=Figure(0.5, -1.0, 2.0))
    verdict = Verdict(ratio * room, ratio >= 1, ratio, 0.5, 1.0)
    return Certificate(
        format=2,
        family="point-goal",
        method="gmps",
        seed=0,
        checkpoint_round=0,
        expert="somebody",
        horizon=20,
        settings=CertifyConfig(),
        tasks=3,
        std=(0.1,),
        figures=replace(figures, epsilon=Figure(8.0)),
        levels={"expert": Figure(5.0), "quiet_expert": Figure(6.5)},
        mean_kl_before=1.0,
        room=room,
        verdicts={"sharp": verdict, "published": verdict},
        rows=(),
        history=(),
        env_steps=1,
    )


def test_a_bound_that_says_nothing_is_said_to():
    assert in_words(example(0.2))[-1] == (
        "The bound as printed is not vacuous: 20 % of the 10 that separate the expert from an "
        "untrained policy."
    )
    assert in_words(example(3.0))[-1] == (
        "The bound as printed is vacuous: 30 is 300 % of the 10 that separate the expert from an "
        "untrained policy. With this delta it would speak below a KL of 0.5 nats, mean actions 1 "
        "standard deviations apart, in every state; the largest found is 8 nats (4)."
    )
    assert "not better than an untrained policy" in in_words(example(1.0, room=0.0))[-1]
    assert in_words(example(0.2))[0].startswith(
        "On 3 held-out tasks the adapted policy lacks 2 [1, 3] of the expert's return of 5, both "
    )


def test_estimates_that_contradict_each_other_are_said_to():
    case = example(0.2)
    assert not any("should agree" in sentence for sentence in in_words(case))
    # The intervals of both overlap widely; it is their difference, task by task, that tells.
    apart = replace(case.figures, discrepancy=Figure(0.5, 0.25, 0.75))
    case = replace(case, figures=apart)
    assert in_words(case)[2] == (
        "These two should agree and do not, they are 0.5 [0.25, 0.75] apart: compare more states "
        "with --sampling.states before trusting the bounds."
    )
    unknown = replace(case.figures, discrepancy=Figure(0.5))
    assert len(in_words(replace(case, figures=unknown))) == 4


def test_the_picture_takes_a_gap_that_is_not_positive():
    case = example(0.2)
    below = replace(case.figures, gap=Figure(-1.0, -2.0, 0.5))
    assert "nan" not in picture(replace(case, figures=below))
    without = replace(case.figures, published=Figure(9.0))
    bars = [picture(replace(case, figures=f)).count("stroke-linecap") for f in (below, without)]
    assert bars == [5, 4]


def test_damaged_certificates_are_refused(tmp_path):
    assert read_certificate(tmp_path) is None
    (tmp_path / CERTIFICATE).write_text("{")
    with pytest.raises(ValueError, match=r"certificate\.json is damaged"):
        read_certificate(tmp_path)
    (tmp_path / CERTIFICATE).write_text(json.dumps({"format": 9}))
    with pytest.raises(ValueError, match="has format 9, but this version of gmps reads format 2"):
        read_certificate(tmp_path)


def test_a_run_without_a_certificate_is_reported_without(certified, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(certified, copy)
    (copy / CERTIFICATE).unlink()
    assert load_run(copy).certificate is None

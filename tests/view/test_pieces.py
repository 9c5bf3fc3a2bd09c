"""Pieces of HTML: right figures, and words from files that stay words."""

import re

import numpy as np

from gmps.view.attempt import Played
from gmps.view.learner import Latents
from gmps.view.pieces import curves, latent_plane, note, ramp, results

EVIL = '<img src=x onerror="alert(1)">'


def played(label="before", **figures):
    still = np.zeros((2, 1, 7), np.float32)
    return Played(
        "before", label, "before", still, figures, np.zeros((2, 2)), None, np.zeros((2, 0))
    )


def test_figures_are_shown_as_a_table():
    html = results([played(final_error=0.0345, **{"return": 547.21}, success=0.0)])
    assert re.findall(r'data-figure="(\w+)">([^<]*)<', html) == [
        ("return", "547"),
        ("final_error", "0.0345"),
        ("success", "no"),
    ]


def test_names_from_files_are_text():
    html = results([played(EVIL, **{EVIL: 1.0})]) + note(EVIL) + curves([(EVIL, [])])
    html += curves([(EVIL, [{"return/before": 1.0, "steps/meta": 5}])])
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") >= 4


def test_the_latents_of_episodes_and_the_step():
    drawn = np.array([[1.0, 0.0, 0.5], [-1.0, 0.0, 0.5]])
    latents = Latents(drawn, np.zeros(3), np.array([0.0, 2.0, 0.0]))
    html = latent_plane(latents, np.array([1.0, 2.0]))
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.2"', html)
    # Symmetric about the middle of 150, at the same height.
    assert float(dots[0][0]) == 98.4 and float(dots[1][0]) == 51.6  # 75 / 3.2 from it
    assert dots[0][1] == dots[1][1] == "75.0"
    assert 'x1="75.0" y1="75.0" x2="75.0"' in html
    assert "2 of its 3 numbers" in html
    one = latent_plane(Latents(drawn[:, :1], np.zeros(1), np.ones(1)), np.array([1.0, 2.0]))
    assert "of its" not in one


def test_returns_are_coloured_from_worst_to_best():
    colours = ramp(np.array([-3.0, 5.0, 1.0])).astype(int)
    assert colours[0].tolist() == [70, 80, 165] and colours[1].tolist() == [245, 200, 45]
    assert ramp(np.array([2.0, 2.0])).tolist() == [[70, 80, 165]] * 2


def test_curves_over_own_steps():
    rows = [
        {"return/before": 1.0, "return/after": 2.0, "steps/meta": 100, "steps/expert": 50},
        {"return/before": 1.5, "return/after": 3.0, "steps/meta": 200, "steps/expert": 50},
    ]
    html = curves([("one", rows), ("two", rows[:1])])
    assert html.count("<polyline") == 4
    assert "250 own steps" in html
    assert ">3.00<" in html and ">1.00<" in html
    assert "No round has ended yet." in curves([("one", [])])

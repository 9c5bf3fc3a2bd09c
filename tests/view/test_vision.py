"""Policies of pictures on the page: what they see, with the points that they find."""

import re
from dataclasses import replace

import numpy as np
import pytest
from browsers import PATIENCE, needs_browser, opened, ready, until

import gmps
from gmps.presets import preset
from gmps.view.attempt import Attempt, Options, Played
from gmps.view.export import export_page
from gmps.view.learner import RunLearner
from gmps.view.page import seen
from gmps.view.server import Server


def played(label, frames=None, points=None):
    still = np.zeros((2, 1, 7), np.float32)
    return Played(
        label, label, "before", still, {}, np.zeros((2, 2)), None, np.zeros((2, 0)), frames, points
    )


def test_what_is_seen_is_drawn_with_its_points():
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    points = np.zeros((3, 2, 2))
    points[1] = [[-1.0, 1.0], [1.0, 0.0]]  # in step 1: above on the right, below in the middle
    html = seen([played("before", frames, points), played("after", frames, points)], 1)
    assert re.findall(r"<figcaption[^>]*>([^<]*)<", html) == ["before", "after"]
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', html)
    assert dots == [("64.0", "0.0"), ("32.0", "48.0")] * 2
    assert html.count("data:image/png;base64,") == 2
    # An episode may be over already: its last picture stays.
    assert seen([played("before", frames, points)], 9) == seen(
        [played("before", frames, points)], 2
    )
    # An expert sees the state, and nothing is drawn of it.
    assert seen([played("expert", frames)], 0) == ""


@pytest.fixture(scope="module")
def sighted(tmp_path_factory):
    """A policy of pictures that was hardly trained."""
    config = preset("sawyer-push-vision", "gmps-latent")
    settings = replace(
        config.settings, episodes=4, pretrain_steps=40, outer_steps=4, hidden=(16,), labels=20
    )
    evaluation = replace(config.evaluation, episodes=4)
    config = replace(
        config, rounds=1, train_tasks=4, expert_episodes=1, settings=settings, evaluation=evaluation
    )
    folder = tmp_path_factory.mktemp("sighted") / "run"
    return RunLearner(gmps.train(config, folder, evaluate=False).path)


@pytest.mark.slow
def test_an_attempt_keeps_pictures_and_points(sighted):
    attempt = Attempt(sighted, sighted.goals.heldout[0], Options(4))
    attempt.advance()
    before, after, expert = (attempt.play(name) for name in ("before", "after", "expert"))
    for episode in (before, after):
        assert episode.frames.shape == (50, 48, 64, 3) and np.ptp(episode.frames) > 100
        assert episode.points.shape == (50, 16, 2) and np.abs(episode.points).max() <= 1
    # What they see differs, once they have acted differently.
    assert np.array_equal(before.frames[0], after.frames[0])
    assert not np.array_equal(before.frames[-1], after.frames[-1])
    assert expert.points is None


@pytest.mark.slow
@needs_browser
def test_pages_show_what_the_policy_sees(browser, sighted, tmp_path):
    server = Server(lambda: [sighted], port=8783)
    assert server.worker.wait(600)  # convolutions take their time to compile
    page = opened(browser, server.address)
    page.set_default_timeout(5 * PATIENCE)  # the server draws what the policy sees, too
    ready(page)
    # Not by the mouse, which waits for pictures that are drawn without a GPU.
    page.get_by_role("button", name="Adapt: take one step").dispatch_event("click")
    page.wait_for_selector('[data-condition="after_1"]', state="attached")
    pictures = page.locator('[data-gmps="seen"] figure')
    until(lambda: pictures.count() == 2, 300)
    assert page.locator('[data-gmps="seen"] circle').count() == 32
    first = pictures.first.inner_html()
    until(lambda: pictures.first.inner_html() != first, 300)  # the film goes on
    page.close()
    server.close()
    written = export_page(sighted, tmp_path / "page.html", tasks=1)
    page = opened(browser, written.as_uri())
    page.wait_for_selector("#seen svg image")
    page.close()

"""The page in a real browser: headless Chromium, where there is one."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsers import PATIENCE, figure, needs_browser, opened, pixels, pressed, ready, until

import gmps
from gmps.errors import GmpsError
from gmps.view.export import export_page
from gmps.view.learner import RunLearner
from gmps.view.server import Server

pytestmark = needs_browser


@pytest.fixture(scope="module")
def server(learner):
    made = Server(lambda: [learner], port=8770)
    yield made
    made.close()


def test_a_click_on_the_floor_then_adapt(browser, server, learner):
    page = opened(browser, server.address)
    ready(page)
    words = page.locator('[data-gmps="task"]')
    first = words.text_content()
    scene = {"x": 20, "y": 120, "width": 250, "height": 240}
    before = pixels(page, scene)

    def another_goal():
        # Somewhere on the floor, left of its middle; the first pictures may still be on their way.
        page.mouse.click(100, 220)
        page.wait_for_timeout(500)
        return words.text_content() != first

    until(another_goal)
    assert words.text_content().endswith(" deg")
    # To a goal that the policy has to learn about: at 180 degrees.
    page.get_by_label("held-out").click()
    page.get_by_role("option", name="180 deg").click()
    until(lambda: words.text_content() == "Task: 180 deg")
    pressed(page, "Adapt: take one step")
    page.wait_for_selector('[data-condition="after_1"]', state="attached")
    errors = [figure(page, name, "final_error") for name in ("before", "after_1")]
    assert errors[1] < errors[0]
    assert page.locator('[data-gmps="latents"] circle').count() == 2 + 20 + 1
    until(lambda: np.abs(pixels(page, scene) - before).max() > 40)
    pressed(page, "Take step 2")
    page.wait_for_selector('[data-condition="after_2"]', state="attached")
    page.close()


def test_two_browsers_at_once_and_a_closed_one(browser, server):
    one, two = (opened(browser, server.address) for _ in range(2))
    for page in (one, two):
        ready(page)
    pressed(one, "Adapt: take one step")
    one.wait_for_selector('[data-condition="after_1"]', state="attached")
    assert two.locator('[data-condition="after_1"]').count() == 0
    until(lambda: server.pages == 2)
    players = [t for t in threading.enumerate() if t.name == "gmps-player"]
    assert len(players) == 2
    pressed(two, "Adapt: take one step")
    two.close()
    until(lambda: server.pages == 1)
    until(lambda: sum(t.is_alive() for t in players) == 1)
    assert server.worker.wait(60)
    one.close()
    until(lambda: server.pages == 0)


def test_a_damaged_run_is_a_sentence_and_no_html(browser, tmp_path):
    def load():
        raise GmpsError('The run <img src="x" onerror="document.title=1"> is damaged.')

    broken = Server(load, port=8775)
    page = opened(browser, broken.address)
    status = page.locator('[data-gmps="status"]')
    until(lambda: "damaged" in (status.text_content() or ""))
    assert status.text_content().startswith('The run <img src="x"')
    assert status.locator("img").count() == 0
    page.close()
    broken.close()


def test_colours_follow_the_system_until_the_box_is_ticked(browser):
    def load():
        raise GmpsError("Nothing to show.")

    server = Server(load, port=8778)
    page = opened(browser, server.address, color_scheme="dark")

    def shown(scheme):
        return page.locator("html").get_attribute("data-mantine-color-scheme") == scheme

    until(lambda: shown("dark"))
    page.emulate_media(color_scheme="light")
    until(lambda: shown("light"))
    page.get_by_role("checkbox", name="dark", exact=True).click()
    until(lambda: shown("dark"))
    page.close()
    server.close()


def test_a_training_is_followed(browser, trained, tmp_path):
    path = shutil.copytree(trained, tmp_path / "run")
    learner = RunLearner(path, "latest")
    following = Server(lambda: [learner], port=8780)
    page = opened(browser, following.address)
    ready(page)
    assert "round 0." in page.locator("body").text_content()
    pressed(page, "Adapt: take one step")
    page.wait_for_selector('[data-condition="after_1"]', state="attached")
    before = figure(page, "after_1", "return")
    gmps.train(replace(learner.config, rounds=2), path, evaluate=False)
    following.worker.submit("a look", following._follow)
    page.wait_for_selector("text=round 1.")
    # What was done is done again with the new checkpoint.
    until(lambda: figure(page, "after_1", "return") != before)
    page.close()
    following.close()


@pytest.mark.parametrize("size", [(390, 844), (1000, 700)])
def test_a_page_without_server_and_network(browser, learner, tmp_path, size):
    asked = []
    page_file = export_page(learner, tmp_path / "page.html", tasks=3)
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark", offline=True
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(page_file.as_uri())
    page.wait_for_selector('[data-condition="expert"]')
    canvas = page.locator("canvas").bounding_box()
    first = pixels(page, canvas)
    assert np.ptp(first.reshape(-1, 3), axis=0).max() > 100  # something is drawn
    page.locator("#task").select_option(label="180 deg")
    page.locator("#other").select_option("expert")
    assert page.locator("#right").text_content() == "expert"
    until(lambda: np.abs(pixels(page, canvas) - first).max() > 60)
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    # A click near the goal at 0 degrees, which is on the right of the floor, chooses it.
    portrait = canvas["height"] > canvas["width"]
    width, height = (
        (canvas["width"], canvas["height"] / 2)
        if portrait
        else (
            canvas["width"] / 2,
            canvas["height"],
        )
    )
    page.mouse.click(canvas["x"] + 0.80 * width, canvas["y"] + 0.62 * height)
    assert page.locator("#task").evaluate("x => x.selectedOptions[0].text") == "0 deg"
    assert faults == []
    assert asked == [page_file.as_uri()]
    context.close()
    assert Path(page_file).stat().st_size < 200_000

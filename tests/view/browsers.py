"""Headless Chromium, where there is one, and what tests do in it."""

import io
import shutil
import time

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; install Debian's package of that name"
)

#: Draws without a GPU, and asks nobody on the network for anything.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: ms; machines that draw without a GPU and do other things are slow.
PATIENCE = 120_000


def opened(browser, address, size=(640, 480), **more):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **more)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    return page


def ready(page):
    page.wait_for_selector('[data-condition="before"]', state="attached")


def pressed(page, name):
    page.get_by_role("button", name=name).click()


def figure(page, condition, name):
    cell = page.locator(f'[data-condition="{condition}"] [data-figure="{name}"]')
    return float(cell.text_content().replace("−", "-"))


def pixels(page, clip):
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)

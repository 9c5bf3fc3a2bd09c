"""Seconds from pressing *Adapt* on the page to the adapted policy's first picture.

Measured in the server, until the poses of the first picture are handed to viser, with the time of
cores that it takes; and in headless Chromium, which draws without a GPU, until the results of the
step are in the page, which arrive with that picture. The first press comes after the page has said
that it is ready.

    python benchmarks/view_latency.py runs/point runs/push --out latency.json
"""

import argparse
import os
import platform
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from reports import write_report

from gmps.compile_cache import keep_compiled_programs
from gmps.view.learner import RunLearner
from gmps.view.server import Server
from gmps.view.session import Session
from gmps.view.worker import Worker

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
FLAGS += ["--enable-unsafe-swiftshader", "--disable-background-networking", "--no-first-run"]


class Stopwatch:
    """A display that keeps how long each press took, and how much time of cores until then."""

    def __init__(self):
        self.seconds: list[float] = []
        self.cores: list[float] = []
        self._pressed = 0.0

    def press(self) -> None:
        self._pressed = time.process_time()

    def played(self, played: Any, steps: int, seconds: float | None) -> None:
        if seconds is not None:
            self.seconds.append(seconds)
            self.cores.append(time.process_time() - self._pressed)

    def progress(self, progress: Any) -> None: ...
    def explored(self, explored: Any, steps: int) -> None: ...
    def task(self, task: Any, warning: str | None) -> None: ...
    def failed(self, sentence: str) -> None:
        raise RuntimeError(sentence)


def in_server(learner: RunLearner, presses: int) -> tuple[list[float], list[float]]:
    """Presses in tasks of their own, without a browser: seconds, and seconds of cores."""
    worker, watch = Worker(), Stopwatch()
    session = Session([learner], worker, watch)
    tasks = learner.goals.spread(presses)
    for i in range(presses):
        session.choose(tasks[i % len(tasks)])
        assert worker.wait(600)
        watch.press()
        session.adapt()
        assert worker.wait(600)
    worker.close()
    return watch.seconds, watch.cores


def in_browser(server: Server, presses: int) -> list[float]:
    """Presses of *Adapt* in headless Chromium, each after *Reset*."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is a browser

    found = []
    with sync_playwright() as driver:
        chromium = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 640, "height": 480})
        page.set_default_timeout(600_000)
        page.goto(server.address)
        page.wait_for_selector('[data-condition="before"]', state="attached")
        for _ in range(presses):
            page.wait_for_selector('[data-condition="after_1"]', state="detached")
            start = time.perf_counter()
            # A pointer that is there already: without the frames that a driver waits for.
            page.get_by_role("button", name="Adapt: take one step").dispatch_event("click")
            page.wait_for_selector('[data-condition="after_1"]', state="attached")
            found.append(time.perf_counter() - start)
            page.get_by_role("button", name="Reset").click()
        browser.close()
    return found


def measure(run: Path, presses: int, browser: bool) -> dict[str, Any]:
    """One run's row."""
    start = time.perf_counter()
    learner = RunLearner(run)
    loaded = time.perf_counter() - start
    server = Server(lambda: [learner], port=8900)
    assert server.worker.wait(1200)
    ready = time.perf_counter() - start
    seconds, cores = in_server(learner, presses)
    row = {
        "family": learner.family.name,
        "method": learner.config.method,
        "episodes": learner.episodes,
        "seconds_until_loaded": round(loaded, 2),
        "seconds_until_ready": round(ready, 2),
        "in_server": figures(seconds),
        # What others do on the machine delays a press, but hardly adds to this.
        "core_seconds": figures(cores),
        "load_average": round(os.getloadavg()[0], 1),
    }
    if browser:
        row["in_browser"] = figures(in_browser(server, presses))
    server.close()
    return row


def figures(seconds: list[float]) -> dict[str, Any]:
    """Of the presses."""
    return {
        "presses": len(seconds),
        "median": round(statistics.median(seconds), 3),
        "largest": round(max(seconds), 3),
        "all": [round(x, 3) for x in seconds],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--presses", type=int, default=10)
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_compiled_programs()
    rows = {}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    for run in options.runs:
        row = measure(run, options.presses, options.browser)
        rows[row["family"]] = row
        print(row["family"], row["in_server"]["median"], row.get("in_browser", {}).get("median"))
        write_report({"machine": machine, "families": rows}, options.out)


if __name__ == "__main__":
    main()

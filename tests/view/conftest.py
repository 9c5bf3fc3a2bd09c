"""One small run for all tests of the view: training it takes longer than looking at it."""

import pytest
from browsers import CHROMIUM, FLAGS
from view_runs import small_run

from gmps.view.learner import RunLearner


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of the run."""
    return small_run(tmp_path_factory.mktemp("view") / "point")


@pytest.fixture(scope="module")
def learner(trained):
    """What it shows; each module compiles its own, because programs are forgotten in between."""
    return RunLearner(trained)


@pytest.fixture(scope="module")
def browser():
    """Chromium, started once for a module."""
    pytest.importorskip("viser")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()

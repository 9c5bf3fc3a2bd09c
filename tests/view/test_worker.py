"""One thread for all that is heavy: order, dropping, and what is said when something fails."""

import threading

import pytest

from gmps.errors import GmpsError
from gmps.view.worker import Worker


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()


def test_urgent_work_is_done_first_and_in_order(worker):
    done, started, go = [], threading.Event(), threading.Event()

    def first(check):
        started.set()
        go.wait(10)
        done.append("first")

    worker.submit("a", first)
    assert started.wait(10)
    worker.submit("b", lambda check: done.append("later"), urgent=False)
    worker.submit("c", lambda check: done.append("second"))
    worker.submit("d", lambda check: done.append("third"))
    assert worker.waiting == 4
    go.set()
    assert worker.wait(10)
    assert done == ["first", "second", "third", "later"]


def test_new_work_of_an_owner_replaces_and_stops_the_old(worker):
    done, started, go = [], threading.Event(), threading.Event()

    def old(check):
        started.set()
        go.wait(10)
        check()
        done.append("old, to its end")

    worker.submit("tab", old)
    assert started.wait(10)
    worker.submit("tab", lambda check: done.append("waiting, then replaced"))
    worker.submit("tab", lambda check: done.append("new"))
    go.set()
    assert worker.wait(10)
    assert done == ["new"]


def test_what_a_closed_tab_wanted_is_forgotten(worker):
    done, started, go = [], threading.Event(), threading.Event()

    def work(check):
        started.set()
        go.wait(10)
        check()
        done.append("for nobody")

    worker.submit("tab", work)
    worker.submit("other", lambda check: done.append("other"))
    assert started.wait(10)
    worker.drop("tab")
    go.set()
    assert worker.wait(10)
    assert done == ["other"]


def test_failures_are_said_and_the_next_work_is_done(worker, capsys):
    said, done = [], []

    def bad_input(check):
        raise GmpsError("The run is damaged; copy it again.")

    def fault(check):
        raise RuntimeError("a bug")

    worker.submit("a", bad_input, said.append)
    worker.submit("b", fault, said.append)
    worker.submit("c", lambda check: done.append(1))
    assert worker.wait(10)
    assert said == [
        "The run is damaged; copy it again.",
        "This failed (RuntimeError: a bug); the terminal has the details.",
    ]
    assert done == [1]
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_a_closed_worker_takes_no_more():
    worker = Worker()
    worker.close()
    worker.submit("a", lambda check: pytest.fail("was done"))
    assert worker.wait(1)

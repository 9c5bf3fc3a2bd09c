import signal
import threading

import pytest

from gmps.runs.interrupts import held_interrupts


@pytest.fixture(autouse=True)
def listening():
    # A shell starts background jobs with Ctrl-C ignored, and pytest with them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    # To this thread: what is sent to the process may arrive late, and two become one.
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_raised_where_it_is_asked_for():
    before = signal.getsignal(signal.SIGINT)
    with held_interrupts() as raise_pressed:
        raise_pressed()
        press()
        with pytest.raises(KeyboardInterrupt):
            raise_pressed()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_is_not_held_back():
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        press()
        press()


def test_other_threads_hold_nothing():
    def work() -> None:
        with held_interrupts() as raise_pressed:
            raise_pressed()
            done.append(True)

    done: list[bool] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]

"""Ctrl-C that waits for a safe moment."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back; the function given raises KeyboardInterrupt if it was pressed.

    A second Ctrl-C is not held back. Outside of the main thread nothing is.
    """
    pressed = False

    def raise_pressed() -> None:
        if pressed:
            raise KeyboardInterrupt

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        if pressed and callable(previous):
            previous(number, frame)
        pressed = True

    if threading.current_thread() is not threading.main_thread():
        yield raise_pressed
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield raise_pressed
    finally:
        signal.signal(signal.SIGINT, previous)

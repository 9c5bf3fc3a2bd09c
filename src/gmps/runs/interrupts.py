"""Ctrl-C that waits for a safe moment, and one that need not wait for XLA."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Where JAX hands a program to XLA; from 0.12 on it does so in the main thread, and Python hears
#: of Ctrl-C when the program is compiled, half a minute later perhaps.
_COMPILER = "jax._src.compiler"
#: Seconds that a compilation may take to notice Ctrl-C.
_PATIENCE = 1.0


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


def watch_compilations(say: Callable[[str], object], end: Callable[[], object]) -> None:
    """Let a second Ctrl-C end this process where the first one waits for XLA to compile.

    What `say` is given tells so after the first; `end` is called in a thread and does not return.
    What was saved is left as a kill would leave it. Belongs to a process's own main program: the
    wake-up descriptor of its signals is taken.
    """
    ends = socket.socketpair()  # a pipe cannot be made not to block everywhere
    ends[1].setblocking(False)
    signal.set_wakeup_fd(ends[1].fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ends, say, end), name="ctrl-c", daemon=True).start()


def _watch(
    ends: tuple[socket.socket, socket.socket],
    say: Callable[[str], object],
    end: Callable[[], object],
) -> None:
    asked = False
    while numbers := ends[0].recv(1):
        if numbers[0] != signal.SIGINT:
            continue
        time.sleep(0 if asked else _PATIENCE)
        waits = _compiling()
        if waits and asked:
            end()
        if waits:
            say("Interrupted, as soon as XLA has compiled a program; Ctrl-C again ends at once.")
        asked = waits


def _compiling() -> bool:
    """Whether the main thread waits for XLA."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_globals.get("__name__") != _COMPILER:
        frame = frame.f_back
    return frame is not None

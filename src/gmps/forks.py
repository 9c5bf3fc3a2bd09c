"""Other programs started by packages that fork first."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def expected_fork() -> Iterator[None]:
    """Silence JAX's warning of forks: what is forked here starts another program at once, and so
    never waits for a thread that it does not have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        yield

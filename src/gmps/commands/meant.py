"""Options that a user types and a command calls otherwise."""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import tyro

from gmps.errors import GmpsError

#: Words for what a command writes, and for other things that go by several names.
_WRITTEN = ("out", "o", "output", "output-dir", "folder", "dir", "logdir", "run-dir", "save")
_SAME = (
    (*_WRITTEN, "run", "runs", "export", "film"),
    ("task", "goal", "target"),
    ("rounds", "epochs", "iterations", "iters"),
    ("demos", "demonstrations", "dataset", "data"),
    ("threads", "workers", "cpus", "cores", "jobs"),
    ("environments", "envs", "num-envs"),
    ("eval", "evaluate"),
)
#: Commands that write into the folder of the run that they are given.
_INTO_RUN = ("eval", "diagnose", "certify", "resume")


def refuse_other_names(unknown: Sequence[str], prog: str, *kinds: Any) -> None:
    """Say which option is meant by one that a command does not have.

    Args:
        unknown: words of the command line that no option took.
        prog: the command, in words.
        kinds: the dataclasses whose fields are its options.

    Raises:
        GmpsError: one of the words is another name of an option, "`gmps report` has no option
            --output; it is called --out there."
    """
    options = {name for kind in kinds for name in _options(kind)}
    for word in unknown:
        option = word.partition("=")[0]
        typed = option.lstrip("-").replace("_", "-")
        if not word.startswith("-") or typed in options:
            continue
        meant = [f"--{x}" for same in _SAME if typed in same for x in same if x in options]
        if meant:
            raise GmpsError(
                f"`gmps {prog}` has no option {option}; it is called {' or '.join(meant)} there."
            )
        if typed in _WRITTEN and prog.partition(" ")[0] in _INTO_RUN:
            raise GmpsError(
                f"`gmps {prog}` has no option {option}: it writes into the folder of the run."
            )


def _options(kind: Any) -> list[str]:
    """The options of a dataclass, without dashes in front; words without a name are none."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        field.name.replace("_", "-")
        for field in dataclasses.fields(kind)
        if tyro.conf.Positional not in getattr(hints[field.name], "__metadata__", ())
    ]

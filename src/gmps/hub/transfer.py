"""Pushing and pulling: lists first, digests after, nothing of a stranger's executed."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from gmps.aside import aside
from gmps.deploy import folder as meta_policy
from gmps.errors import GmpsError
from gmps.evaluation.scores import read_scores
from gmps.evaluation.summaries import markdown_table
from gmps.hub.contents import (
    CARD,
    LIST,
    MAX_LIST,
    Contents,
    Entry,
    decode,
    entry_of,
    require_plain,
    survey,
)
from gmps.hub.places import Place
from gmps.runs.checkpoint import Checkpoints, verify
from gmps.runs.run import CONFIG, Run

Watcher = Callable[[str, int], None]


def push(source: Path, to: Place, public: bool = False) -> tuple[Contents, str]:
    """Hand a run or a meta-policy on.

    Args:
        source: its folder.
        to: where.
        public: whether a repository that is made for it may be seen by everybody.

    Returns:
        What was pushed, and where it is to be seen.

    Raises:
        GmpsError: see `survey` and `Place.store`.
    """
    contents, paths = survey(source)
    files: dict[str, Path | bytes] = dict(paths)
    if contents.kind == "run":
        card = run_card(source).encode()
        entry = Entry(len(card), hashlib.sha256(card).hexdigest())
        contents = Contents("run", {**contents.files, CARD: entry})
        files[CARD] = card
    files[LIST] = contents.encode()
    return contents, to.store(files, public)


def pull(
    source: Place, out: Path, max_bytes: int, watch: Watcher = lambda name, size: None
) -> Contents:
    """Fetch a run or a meta-policy into a new folder, whole or not at all.

    Nothing of it is executed or unpickled: only files of the project's kinds are taken, each no
    longer than the list says and with its digest, and a run that takes other code than gmps's own
    is refused.

    Args:
        source: where from.
        out: the folder, which must not exist or be empty.
        max_bytes: of all files together.
        watch: told each file and its size, before it is fetched.

    Raises:
        GmpsError: the place holds none, holds something else than its list says or more than
            `max_bytes`, or what is there is damaged.
    """
    with aside(out) as staging:
        staging.mkdir()
        source.fetch(LIST, staging / LIST, MAX_LIST)
        contents = decode((staging / LIST).read_bytes(), source)
        if contents.size > max_bytes:
            raise GmpsError(
                f"{source} has {contents.size:,} bytes; at most {max_bytes:,} are taken. "
                "--max-gb allows more."
            )
        for name, entry in contents.files.items():
            watch(name, entry.size)
            path = staging / name
            path.parent.mkdir(exist_ok=True)
            source.fetch(name, path, entry.size)
            if entry_of(path) != entry:
                raise GmpsError(f"{name} of {source} is not the file that its {LIST} lists.")
        _check(staging, contents)
        # What the download's library keeps for itself.
        shutil.rmtree(staging / ".cache", ignore_errors=True)
    return contents


def _check(folder: Path, contents: Contents) -> None:
    """That it is what it says, by reading it.

    Raises:
        GmpsError: it is not.
    """
    if contents.kind == "meta-policy":
        meta_policy.read(folder)
        return
    require_plain(folder, "pulled")
    Run.open(folder)
    for step in Checkpoints(folder / "checkpoints").steps():
        verify(Checkpoints(folder / "checkpoints").path(step))
    read_scores(folder)


def run_card(folder: Path) -> str:
    """A run's README.md: what it is, how good, how to use it."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    lines = [
        "---",
        "library_name: gmps",
        "tags: [meta-reinforcement-learning, robotics, imitation-learning]",
        "---",
        f"# {config['family']}, meta-trained by {config['method']}, seed {config['seed']}",
        "",
        "A training run of gmps: a policy that adapts to a new task from its own few episodes.",
        "",
    ]
    scores = read_scores(folder)
    if scores is not None:
        rows = scores.heldout.deterministic.conditions
        means = {name: {m: x.mean for m, x in row.items()} for name, row in rows.items()}
        lines += ["Held-out tasks, actions without noise, means over tasks:", ""]
        lines += [*markdown_table(means), ""]
    lines += [
        "```",
        "gmps pull hf:OWNER/NAME runs/pulled",
        "gmps eval runs/pulled",
        "```",
        "",
    ]
    return "\n".join(lines)

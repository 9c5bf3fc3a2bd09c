"""`gmps view RUN...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, parse
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class View(Settings):
    """Set a task on a page and watch the policy adapt to it, live.

    One run, or two of one family side by side. A run that is still training is followed.

    example:
      gmps view runs/push
      gmps view runs/push --export push.html
      gmps view runs/push --film push.gif
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = ()
    """Folders that `gmps train` wrote; or one that `gmps export` wrote."""
    host: str = "127.0.0.1"
    """Address to listen on. Whoever reaches another than this machine's own may use the page."""
    port: int = setting(8080, at_least=1, at_most=65535)
    """Port to listen on; the next free one is taken."""
    browser: bool = True
    """Open the page, where there is a display."""
    checkpoint: Literal["best", "latest"] | None = None
    """Which checkpoint adapts: by default the best, and the latest while a run is training."""
    export: str | None = None
    """Write a page that needs neither server nor network, a .html file or a folder, and end."""
    film: str | None = None
    """Write a film of a few held-out tasks, .gif or .mp4 (takes imageio-ffmpeg), and end."""
    tasks: int | None = setting(None, at_least=1)
    """Tasks of the page or the film: by default 25 and 4."""
    family: str | None = None
    """Another definition of the runs' family, as FILE.py:NAME, in place of their own."""


def run(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C."""
    command = parse(View, argv, "view")
    return late("gmps.commands.viewing").view(command)

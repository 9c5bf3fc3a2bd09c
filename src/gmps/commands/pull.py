"""`gmps pull SOURCE DEST`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gmps.aside import refuse_taken
from gmps.commands.cli import console, late, leading, parse
from gmps.settings import Settings, setting

_RULE = "SOURCE is hf:OWNER/NAME, a URL or a folder that `gmps push` wrote; DEST is a new folder."


@dataclass(frozen=True)
class Pull(Settings):
    """Fetch a run or a meta-policy that was pushed. Nothing of it is executed or unpickled.

    example:
      gmps pull hf:me/push-policy policy
      gmps pull https://example.org/push runs/push
    """

    max_gb: float = setting(2.0, above=0)
    """The most that is fetched, in gigabytes."""


def run(argv: Sequence[str]) -> int:
    """Pull."""
    source, options = leading(argv, "pull", "SOURCE DEST", _RULE)
    dest, options = leading(options, f"pull {source}", "DEST", _RULE)
    command = parse(Pull, options, "pull SOURCE DEST")
    transfer, place = late("gmps.hub.transfer"), late("gmps.hub.places").place(source)
    refuse_taken(dest)
    with console.status("asking") as status:

        def watch(name: str, size: int) -> None:
            status.update(f"{name} ({size:,} bytes)")

        contents = transfer.pull(place, Path(dest), int(command.max_gb * 1e9), watch)
    console.print(f"pulled: {contents.kind}, {len(contents.files)} files, {contents.size:,} bytes")
    use = "gmps eval" if contents.kind == "run" else "gmps explore"
    console.print(f"written: {dest}\ngo on with: {use} {dest} --help", soft_wrap=True)
    return 0

"""`python -m gmps` is `gmps`."""

from gmps.commands.cli import script

raise SystemExit(script())

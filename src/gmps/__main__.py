"""`python -m gmps` is `gmps`."""

from gmps.commands.cli import main

raise SystemExit(main())

"""A page on which one sets a task and watches the policy adapt to it.

`Server` serves it (package viser), `export_page` writes one that needs no server, `write_film` a
film. What they show is simulated by the same worlds, and adapted by the same loop, as everywhere.
"""

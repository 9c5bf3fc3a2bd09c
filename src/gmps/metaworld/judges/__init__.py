"""Observations and rewards of Meta-World's 50 kinds of task, for many worlds at once.

Each judge computes what Meta-World's environment of that kind computes (package `metaworld`,
reward v2), in the same order of operations and in the same precision, so that the numbers are equal
bit for bit; a test compares each with its environment.
"""

from gmps.metaworld.judges import buttons, doors, handles, picking, pushing, tools

#: How each kind of task is judged.
JUDGES = {
    **pushing.JUDGES,
    **buttons.JUDGES,
    **doors.JUDGES,
    **handles.JUDGES,
    **picking.JUDGES,
    **tools.JUDGES,
}

"""What goes wrong around a command, in one sentence: the machine, and code that users brought."""

import errno
import traceback
from pathlib import Path

from gmps.errors import GmpsError
from gmps.user_code import is_users

#: What the system says, in a user's words.
_CAUSES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the quota of the disk is used up; make room",
    errno.EFBIG: "the file would be larger than this process may write; raise the limit (ulimit)",
    errno.EROFS: "the disk can only be read; choose another place",
    errno.EACCES: "this user may not; choose another place, or change its permissions",
    errno.EPERM: "this user may not; choose another place, or change its permissions",
    errno.ENOENT: "a file or folder is gone, or was never there",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "this process has too many files open; raise the limit (ulimit -n)",
    errno.EIO: "the disk failed",
}


def in_words(error: BaseException) -> str | None:
    """One sentence about an error that no program can prevent, and below it what is safe and, of an
    error in a user's code, where it happened. None for a fault of gmps."""
    sentence = _sentence(error)
    if sentence is None:
        return None
    # JAX adds a note about its own frames, which are not shown anyway.
    notes = (x for x in getattr(error, "__notes__", ()) if not x.startswith("--------"))
    parts = [sentence, *notes]
    frames = users_frames(error)
    if frames:
        parts.append("In your code:\n" + "".join(frames).rstrip())
    return "\n".join(parts)


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, GmpsError):
        return str(error)
    if users_frames(error):
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        where = _place(error)
        if isinstance(error, SystemExit):
            return (
                f"{where} ends the program (SystemExit: {error.code}), which gmps may not let it."
            )
        return f"{where} fails: {what}."
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return (
            "There is not enough memory for this; take fewer episodes, tasks or repeats at once, "
            "or smaller networks."
        )
    return None


def _of_the_system(error: OSError) -> str:
    cause = _CAUSES.get(error.errno or 0) or error.strerror or str(error)
    if error.filename is None:
        return f"The system refused: {cause}."
    return f"{error.filename} cannot be read or written: {cause}."


def users_frames(error: BaseException) -> list[str]:
    """The lines of a traceback that lie in users' files, of the error or of what caused it."""
    lines = traceback.TracebackException.from_exception(error, compact=True)
    own = [frame for frame in lines.stack if is_users(frame.filename)]
    is_syntax = isinstance(error, SyntaxError) and is_users(error.filename or "")
    if own or is_syntax:
        return [*traceback.StackSummary.from_list(own).format(), *lines.format_exception_only()]
    cause = error.__cause__
    return users_frames(cause) if cause is not None else []


def _place(error: BaseException) -> str:
    """File, line and function of the last of a user's frames."""
    if isinstance(error, SyntaxError) and is_users(error.filename or ""):
        return f"{error.filename}, line {error.lineno},"
    found: BaseException | None = error
    while found is not None:
        own = [f for f in traceback.extract_tb(found.__traceback__) if is_users(f.filename)]
        if own:
            name = "" if own[-1].name == "<module>" else f", in {own[-1].name}"
            return f"{_short(own[-1].filename)}, line {own[-1].lineno}{name},"
        found = found.__cause__
    return "Your code"


def _short(file: str) -> str:
    """Relative to here, where that is shorter."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file

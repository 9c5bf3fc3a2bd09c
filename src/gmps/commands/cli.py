"""The `gmps` command."""

import difflib
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from gmps import __doc__ as about
from gmps.cluster import disconnect
from gmps.commands.mishaps import in_words, users_frames
from gmps.compile_cache import keep_compiled_programs
from gmps.errors import GmpsError
from gmps.printable import printable
from gmps.runs.interrupts import watch_compilations
from gmps.settings import SettingError, check, checks_wait
from gmps.version import __version__

T = TypeVar("T")

#: What `__getattr__` makes when it is first asked for.
console: Any

#: Name -> one line of help. The module of that name in `gmps.commands` reads the options.
COMMANDS = {
    "train": "Meta-train a policy on a task family, then judge it on held-out tasks.",
    "resume": "Go on with an interrupted run.",
    "sweep": "Train every setting of a grid; by default the grids of the paper.",
    "eval": "Judge a run on held-out tasks, beside its controls.",
    "adapt": "Adapt a trained policy to one task and write the adapted policy.",
    "export": "Write a trained policy for a robot's computer, which needs numpy alone.",
    "push": "Hand a run or a meta-policy on: to a Hugging Face repository or a folder.",
    "pull": "Fetch a run or a meta-policy from a repository, a URL or a folder.",
    "explore": "Play exploring episodes of an exported policy in a gymnasium.Env.",
    "diagnose": "Say why adaptation works or fails: does the update know its task?",
    "certify": "Bound what the adapted policies of a run lose to their expert.",
    "render": "Show a policy in one task before and after the update, as an animation.",
    "view": "Set a task on a page and watch the policy adapt to it, live.",
    "report": "Write one HTML page about one run or several.",
    "expert": "Train SAC experts, or measure an expert in each task.",
    "demos": "Import or record demonstrations, or say what is in them.",
    "tasks": "List the task families.",
    "doctor": "Check the installation.",
    "demo": "Train a pushing robot from a scripted expert and show what it learned: minutes.",
}
#: The exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130
EPILOG = """examples:
  gmps demo
  gmps train sawyer-push --rounds 30 --run runs/push
  gmps train ant-goal --demos ant-goal-demos.npz --run runs/ant
  gmps adapt runs/push --task -0.08 0.72
  gmps report runs/push runs/ant --out report.html
"""


def __getattr__(name: str) -> Any:
    """`console`, made late: without what training needs, there is help and no rich."""
    if name != "console":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gmps.commands.terminal import Terminal  # noqa: PLC0415 - of the extra `train`

    globals()["console"] = Terminal()
    return globals()["console"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one sentence on stderr, status 2."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        _help()
        return 0
    if args[0] == "--version":
        print(f"gmps {__version__}")
        return 0
    if args[0] not in COMMANDS:
        close = difflib.get_close_matches(args[0], COMMANDS, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return _fail(f"There is no command {args[0]!r}.{hint} Commands: {', '.join(COMMANDS)}.")
    warnings.showwarning = _show_warning
    keep_compiled_programs()
    try:
        return _run(args[0], args[1:])
    except KeyboardInterrupt:
        return _fail("Interrupted.", status=INTERRUPTED)
    except BaseException as error:
        words = in_words(error)
        if words is None:
            raise
        return _fail(words)


def script() -> int:
    """Run the command of this process; what `gmps` and `python -m gmps` are."""
    watch_compilations(say=_fail, end=lambda: _end(_fail("Interrupted.", status=INTERRUPTED)))
    status = main()
    if status == INTERRUPTED:
        # XLA compiles in a thread that Ctrl-C does not stop. The interpreter's own end waits for
        # it, half a minute perhaps, and has by then freed the device that it reads: SIGSEGV.
        _end(status)
    return status


def _end(status: int) -> NoReturn:
    """End this process at once, whatever its threads do."""
    disconnect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(name: str, options: Sequence[str]) -> int:
    """Run a command, until all that it says is said."""
    try:
        status = importlib.import_module(f"gmps.commands.{name}").run(options)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "gmps" or users_frames(error):
            raise
        raise GmpsError(
            f"`gmps {name}` needs the package {error.name}, which is not installed: "
            'pip install "gmps[train]".'
        ) from None
    except BrokenPipeError:
        # Whoever read what is printed has ended; what Python still holds of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def late(module: str) -> Any:
    """A module that does what a command was told to. Commands import it when their options are
    read: it takes JAX and MuJoCo, two seconds that neither help nor a refusal has to wait.

    Raises:
        GmpsError: MuJoCo, which loads the library that `MUJOCO_GL` names, cannot be imported.
        ModuleNotFoundError: a package is not installed.
    """
    try:
        importlib.import_module("mujoco")
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever the OpenGL binding meets where its library is missing
        raise GmpsError(
            f"MuJoCo cannot be imported with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r} "
            f"({error}); install the library that it names (Debian's libegl1 or libosmesa6), "
            "or unset the variable."
        ) from error
    return importlib.import_module(module)


def parse(kind: type[T], argv: Sequence[str], prog: str, default: T | None = None) -> T:
    """The options in `argv` as an instance of the dataclass `kind`.

    Ends the process with status 2 on an unknown or malformed option, after naming it.

    Raises:
        GmpsError: an option's value breaks its rule, or an option is called otherwise here.
    """
    import tyro  # noqa: PLC0415 - of the extra `train`

    from gmps.commands.meant import refuse_other_names  # noqa: PLC0415 - it takes tyro

    options: Any = {} if default is None else {"default": default}
    with checks_wait():
        read = functools.partial(tyro.cli, kind, args=list(argv), prog=f"gmps {prog}", **options)
        command, unknown = read(return_unknown_args=True)
        if unknown:
            refuse_other_names(unknown, prog, kind)
            command = read()  # says what is unknown, and ends
    check_options(command)
    return command


def check_options(command: Any) -> None:
    """Check all settings of a command, of which those in its field `config` have no prefix.

    Raises:
        GmpsError: naming the option whose value breaks its rule.
    """
    try:
        check(command)
    except SettingError as error:
        option = error.name.removeprefix("config.").replace("_", "-")
        raise GmpsError(error.sentence(f"--{option}")) from None


def leading(argv: Sequence[str], command: str, what: str, rule: str) -> tuple[str, Sequence[str]]:
    """The leading word of a command's arguments, and the others.

    Raises:
        GmpsError: it is missing.
    """
    if argv and argv[0] in ("-h", "--help"):
        about = COMMANDS[command.partition(" ")[0]]
        print(f"usage: gmps {command} {what} [options]\n\n{about}\n{rule}")
        print(f"`gmps {command} {what} --help` lists the options.")
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        raise GmpsError(f"`gmps {command}` needs {what} first. {rule}")
    return argv[0], argv[1:]


def _help() -> None:
    lines = [str(about).partition("\n")[0], "", "usage: gmps COMMAND [options]", ""]
    lines += [f"  {name:<8} {text}" for name, text in COMMANDS.items()]
    print("\n".join([*lines, "", "`gmps COMMAND --help` explains a command.", "", EPILOG]))


def _fail(message: str, status: int = 2) -> int:
    print(f"gmps: {printable(message)}", file=sys.stderr)
    return status


def _show_warning(message: object, *_: object) -> None:
    print(f"gmps: warning: {printable(str(message))}", file=sys.stderr)

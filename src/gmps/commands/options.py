"""Options that depend on others: a method's settings, and pages of help.

A command whose field `config` holds settings is read in two stages. The first finds what decides
which options there are, and their defaults; the second reads these.
"""

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from gmps.commands.cli import check_options
from gmps.commands.meant import refuse_other_names
from gmps.errors import GmpsError
from gmps.methods.registry import method_names, option_prefix
from gmps.presets import Preset
from gmps.settings import checks_wait
from gmps.training.config import TrainConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Help:
    """Which page of help is wanted, if any."""

    help: Annotated[bool, tyro.conf.arg(aliases=["-h"])] = False
    help_all: bool = False


@dataclass(frozen=True)
class Choice(Help):
    """What decides which options there are, and their defaults."""

    method: str | None = None
    preset: Preset | None = None
    config: str | None = None


H = TypeVar("H", bound=Help)


def first_stage(kind: type[H], argv: Sequence[str], prog: str) -> tuple[H, list[str]]:
    """The options in `argv` that decide about the others, and what is left of it."""
    return tyro.cli(
        kind,
        args=list(argv),
        prog=f"gmps {prog}",
        return_unknown_args=True,
        add_help=False,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def second_stage(
    argv: Sequence[str], prog: str, default: T, wanted: Help, page: Collection[str]
) -> T:
    """The other options, as a command like `default`, which holds the defaults.

    The settings of a method have its name for a prefix.

    Args:
        argv: what the first stage left.
        prog: the command, in words.
        default: a dataclass with settings in its field `config`.
        wanted: what the first stage found.
        page: fields of the command and of `config` that the first page of help shows.

    Raises:
        GmpsError: an option belongs to another method or is called otherwise here, or its value
            breaks its rule.
        SystemExit: an option is unknown or malformed, which was said; or help was shown.
    """
    config: Any = default.config  # pyright: ignore[reportAttributeAccessIssue]
    shown = page if wanted.help and not wanted.help_all else None
    kinds = {}
    if isinstance(config, TrainConfig):
        prefix = tyro.conf.arg(name=option_prefix(config.method))
        kinds["settings"] = Annotated[type(config.settings), prefix]
    inner = _variant(type(config), kinds, shown)
    unprefixed = Annotated[inner, tyro.conf.arg(name="")]
    outer = _variant(type(default), {"config": unprefixed}, {"config", *shown} if shown else None)
    start = _like(outer, default, config=_like(inner, config))
    if wanted.help or wanted.help_all:
        _show_help(outer, prog, start)
    with checks_wait():
        read = lambda **more: tyro.cli(  # noqa: E731
            outer, args=list(argv), prog=f"gmps {prog}", default=start, **more
        )
        found, unknown = read(return_unknown_args=True)
        if unknown:
            if isinstance(config, TrainConfig):
                _refuse_others(unknown, config.method)
            refuse_other_names(unknown, prog, type(default), type(config))
            found = read()  # says what is unknown, and ends
        command = _like(type(default), found, config=_like(type(config), found.config))
    check_options(command)
    return command


def _show_help(kind: Any, prog: str, default: Any) -> NoReturn:
    tyro.cli(kind, args=["--help"], prog=f"gmps {prog}", default=default)
    raise SystemExit(0)


def _refuse_others(unknown: Sequence[str], method: str) -> None:
    """Raise GmpsError if an unknown option is a setting of a method that is not trained."""
    others = {option_prefix(name): name for name in method_names() if name != method}
    for word in unknown:
        owner = word.removeprefix("--").partition(".")[0].replace("_", "-")
        if word.startswith("--") and "." in word and owner in others:
            raise GmpsError(
                f"{word.partition('=')[0]} is a setting of {others[owner]}, but the method is "
                f"{method}: leave it out, or choose --method {others[owner]}."
            )


def _variant(cls: Any, kinds: Mapping[str, Any], shown: Collection[str] | None) -> Any:
    """A dataclass like `cls` with other types of some fields; all but `shown` do not appear."""
    fields = []
    hints = typing.get_type_hints(cls, include_extras=True)
    for f in dataclasses.fields(cls):
        kind = kinds.get(f.name, hints[f.name])
        if shown is not None and f.name not in shown:
            kind = Annotated[kind, tyro.conf.Suppress]
        if f.default is not dataclasses.MISSING:
            fields.append((f.name, kind, dataclasses.field(default=f.default, metadata=f.metadata)))
        elif f.default_factory is not dataclasses.MISSING:
            factory: Any = f.default_factory
            fields.append((f.name, kind, dataclasses.field(default_factory=factory)))
        else:
            fields.append((f.name, kind))
    text = {"__doc__": cls.__doc__}
    return dataclasses.make_dataclass(
        cls.__name__, fields, bases=(cls,), frozen=True, namespace=text
    )


def _like(cls: Any, other: Any, **changes: Any) -> Any:
    """An instance of `cls` with the values of a dataclass that has its fields."""
    return cls(**{f.name: getattr(other, f.name) for f in dataclasses.fields(cls)} | changes)

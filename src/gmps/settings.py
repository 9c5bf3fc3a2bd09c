"""Settings: frozen dataclasses whose rules stand beside their fields.

    @dataclass(frozen=True)
    class MamlConfig(Settings):
        episodes: int = setting(20, at_least=1)

An instance is checked when it is made, nested settings and all: types, choices, bounds. Numbers
are what JAX can hold: whole numbers of 32 bits, other numbers finite as 32-bit floats. What is
wrong is one sentence that names the setting, its value and the rule.
"""

import contextlib
import dataclasses
import functools
import math
import numbers
import operator
import types
import typing
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn

from gmps.errors import GmpsError

#: Largest absolute values that JAX computes with.
_LIMITS: dict[type, float] = {int: 2**31 - 1, float: 3.4028234663852886e38}
#: What a value of a plain kind is an instance of, and what to say where it is not.
_PLAIN: dict[type, tuple[type, str]] = {
    bool: (bool, "it must be True or False"),
    int: (numbers.Integral, "it must be a whole number"),
    float: (numbers.Real, "it must be a number"),
    str: (str, "it must be a word"),
}
#: Seeds beyond would repeat others: a key is made of 32 bits.
SEED_MAX = 2**32 - 1
_BOUNDS = {
    "at_least": (operator.ge, "at least"),
    "above": (operator.gt, "above"),
    "at_most": (operator.le, "at most"),
    "below": (operator.lt, "below"),
}
_checks_wait: ContextVar[bool] = ContextVar("checks_wait", default=False)


class SettingError(GmpsError):
    """A setting whose value breaks a rule."""

    def __init__(self, name: str, value: object, rule: str):
        self.name, self.value, self.rule = name, value, rule
        super().__init__(self.sentence(name))

    def sentence(self, name: str) -> str:
        """The same of a setting that is called `name` where the user sees it."""
        value = "empty" if self.value in ((), "") else repr(self.value)
        return f"{name} is {value}; {self.rule}."


def setting(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    infinite: bool = False,
    not_empty: str | None = None,
    because: str | None = None,
    before: Any = dataclasses.MISSING,
) -> Any:
    """A field of `Settings` with rules; those of a tuple hold for each of its numbers.

    Args:
        default: its default.
        at_least: smallest value.
        above: bound that is no value itself.
        at_most: largest value.
        below: bound that is no value itself.
        infinite: whether infinity is a value.
        not_empty: what a tuple needs at least one of, in words.
        because: why the bounds are what they are, in words.
        before: of a field that came after runs had been stored, the value that says what they did.
    """
    rules = {
        **{"at_least": at_least, "above": above, "at_most": at_most, "below": below},
        **{"infinite": infinite, "not_empty": not_empty, "because": because},
    }
    if before is not dataclasses.MISSING:
        rules["before"] = before
    return dataclasses.field(default=default, metadata=rules)


def seed_setting() -> Any:
    """A field that holds the seed of a random key, by default 0."""
    return setting(0, at_least=0, at_most=SEED_MAX)


class Settings:
    """Base of dataclasses that are checked when they are made."""

    def __post_init__(self) -> None:
        if not _checks_wait.get():
            check(self)

    @classmethod
    def kinds(cls, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """The types of fields that depend on the values stored in others, by name."""
        del stored
        return {}

    def called(self, name: str) -> str:
        """What a field is called where the user sees it."""
        return name

    def rules(self) -> None:
        """Rules that concern several fields; called when each is right for itself.

        Raises:
            GmpsError: one is broken; see `refuse`.
        """

    def refuse(self, name: str, rule: str) -> NoReturn:
        """Say that a field, or `nested.field`, breaks a rule."""
        raise SettingError(name, operator.attrgetter(name)(self), rule)


@contextlib.contextmanager
def checks_wait() -> Iterator[None]:
    """Settings made in here are not checked: whoever makes them parts first, then `check`s the
    whole, can say where a wrong one stands."""
    token = _checks_wait.set(True)
    try:
        yield
    finally:
        _checks_wait.reset(token)


def check(settings: Any, name: str = "") -> None:
    """Check a dataclass, and all settings nested in it.

    Args:
        settings: a dataclass; only what is derived from `Settings` has rules.
        name: where it stands, as in `"pearl.sac"`.

    Raises:
        SettingError: naming the first setting that is wrong.
        GmpsError: a rule about several settings is broken.
    """
    kinds = _kinds(type(settings))
    for field in dataclasses.fields(settings):
        called = settings.called(field.name) if isinstance(settings, Settings) else field.name
        value, full = getattr(settings, field.name), f"{name}.{called}".removeprefix(".")
        if isinstance(value, Settings):
            check(value, full)
        if isinstance(settings, Settings):
            rule = _broken(kinds[field.name], value, field.metadata)
            if rule is not None:
                raise SettingError(full, value, rule)
    if isinstance(settings, Settings):
        try:
            settings.rules()
        except SettingError as error:
            full = f"{name}.{error.name}".removeprefix(".")
            raise SettingError(full, error.value, error.rule) from None


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _broken(kind: Any, value: Any, rules: Any) -> str | None:
    """The rule that a value breaks, in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _broken_union(arguments, value, rules)
    if origin is typing.Literal:
        return None if value in arguments else f"it must be {_one_of(arguments)}"
    if origin in (tuple, list):
        if not isinstance(value, origin):
            return f"it must be a {origin.__name__}"
        kinds = (*arguments, ...) if origin is list else arguments
        return _broken_entries(kinds, tuple(value), rules)
    return _broken_plain(kind, value, rules)


def _broken_union(kinds: tuple[Any, ...], value: Any, rules: Any) -> str | None:
    """The same where one of several kinds is enough."""
    if value is None and types.NoneType in kinds:
        return None
    if value == "" and str in kinds:
        return "leave it out, or name something"
    found = [_broken(k, value, rules) for k in kinds if k is not types.NoneType]
    return None if None in found else found[0]


def _broken_entries(kinds: tuple[Any, ...], value: tuple[Any, ...], rules: Any) -> str | None:
    if not value and rules.get("not_empty"):
        return f"name at least one {rules['not_empty']}"
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        return f"it must have {len(kinds)} entries"
    found = [_broken(k, v, rules) for k, v in zip(kinds, value, strict=True)]
    rule = next((rule for rule in found if rule is not None), None)
    return rule and rule.replace("it must be", "each must be")


def _broken_plain(kind: Any, value: Any, rules: Any) -> str | None:
    """The same for a kind that is one class."""
    fits, words = _PLAIN.get(kind, (object, ""))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fits, words = kind, f"it must be a {kind.__name__}"
    if not isinstance(value, fits) or (isinstance(value, bool) and kind in _LIMITS):
        return words
    if kind in _LIMITS:
        return _out_of_bounds(value, rules, _LIMITS[kind])
    return "it must hold no null byte" if isinstance(value, str) and "\0" in value else None


def _out_of_bounds(value: Any, rules: Any, limit: float) -> str | None:
    bounds = {name: rules[name] for name in _BOUNDS if rules.get(name) is not None}
    words = [f"{_BOUNDS[name][1]} {bound:.10g}" for name, bound in bounds.items()]
    kept = all(_BOUNDS[name][0](value, bound) for name, bound in bounds.items())
    # A whole number may be too large to become a float, which `isfinite` makes of it.
    if not (isinstance(value, int) or math.isfinite(value)):
        if not (rules.get("infinite") and math.isinf(value)):
            kept, words = False, ["a finite number", *words]
    elif abs(value) > max(limit, bounds.get("at_most", limit)):
        kept, side = False, "at_most" if value > 0 else "at_least"
        if side not in bounds:
            words = [*words, f"{_BOUNDS[side][1]} {limit if value > 0 else -limit:.10g}"]
    because = f"{rules['because']}, so " if rules.get("because") else ""
    return None if kept else f"{because}it must be {' and '.join(words)}"


def _one_of(choices: tuple[Any, ...]) -> str:
    *others, last = map(repr, choices)
    return f"{', '.join(others)} or {last}" if others else last

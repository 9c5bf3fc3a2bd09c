"""Settings as JSON: nested frozen dataclasses to plain values and back.

JSON has no infinity: `float` fields hold it as the strings "inf" and "-inf".
"""

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from gmps.errors import GmpsError
from gmps.settings import SettingError, Settings, check, checks_wait

Config = TypeVar("Config")


class Misfit(GmpsError):
    """Stored values that do not fit a dataclass."""

    def __init__(self, problem: str, sentence: str | None = None):
        #: A field's dotted name and what is wrong with it: the end of a sentence.
        self.problem = problem
        sentence = sentence or f"The stored setting {problem}"
        super().__init__(f"{sentence}; the run was made by another version of gmps.")


def encode_config(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values; nested dataclasses become objects, tuples lists.

    Raises:
        GmpsError: naming the field that does not fit into JSON.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise GmpsError(f"Settings must be a dataclass instance, got {type(config).__name__}.")
    return _encode(config, "")


def decode_config(cls: type[Config], values: dict[str, Any]) -> Config:
    """The inverse of `encode_config`.

    A field with several dataclasses for a type takes the one whose fields are those stored.

    Raises:
        Misfit: naming the field that is missing, unknown or of another type.
        GmpsError: naming the field whose value breaks its rule.
    """
    with checks_wait():
        config = _decode(cls, values, "")
    try:
        check(config)
    except SettingError as error:
        raise GmpsError(error.sentence(f"The stored setting {error.name}")) from None
    return config


def flatten_config(values: Any, name: str = "") -> dict[str, Any]:
    """Plain values of all fields under dotted names, such as `"learner.rounds"`."""
    if not isinstance(values, dict) or not values:
        return {name: values}
    flat = {}
    for key, value in values.items():
        flat.update(flatten_config(value, f"{name}.{key}" if name else key))
    return flat


def _encode(value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: _encode(getattr(value, f.name), f"{name}.{f.name}") for f in fields}
    if isinstance(value, dict):
        return {str(k): _encode(v, f"{name}.{k}") for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(v, f"{name}.{i}") for i, v in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    is_nan = isinstance(value, float) and math.isnan(value)
    if not is_nan and (value is None or isinstance(value, bool | int | float | str)):
        return value
    raise GmpsError(
        f"The setting {name[1:]} = {value!r} of type {type(value).__name__} does not fit into JSON."
    )


def _decode(kind: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _decode(arguments[0], value, name)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value, name)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _decode_dataclass(kind, value, name)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_decode(k, v, name) for k, v in _paired(origin, arguments, value, name))
    if origin is dict and isinstance(value, dict):
        return {k: _decode(arguments[1], v, f"{name}.{k}") for k, v in value.items()}
    return _decode_plain(kind, value, name)


def _decode_plain(kind: Any, value: Any, name: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and (is_number or value in ("inf", "-inf")):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    fits = kind is Any or ((kind is None or kind is type(None)) and value is None)
    fits |= kind in (bool, int, str, dict, list) and type(value) is kind
    fits |= typing.get_origin(kind) is typing.Literal and value in typing.get_args(kind)
    if fits:
        return value
    named = getattr(kind, "__name__", kind)
    raise Misfit(f"{name[1:]} = {json.dumps(value)} is not of the type {named}")


def _decode_union(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    first: Misfit | None = None
    for kind in kinds:
        try:
            return _decode(kind, value, name)
        except Misfit as error:
            first = first or error
    assert first is not None
    raise first


def _decode_dataclass(cls: Any, values: dict[str, Any], name: str) -> Any:
    kinds = typing.get_type_hints(cls, include_extras=True)
    fields = [f.name for f in dataclasses.fields(cls) if f.init]
    # Of fields that came after runs had been stored: what these did.
    before = {
        f.name: f.metadata["before"] for f in dataclasses.fields(cls) if "before" in f.metadata
    }
    for missing in (f for f in fields if f not in values and f not in before):
        full = f"{name}.{missing}"[1:]
        raise Misfit(f"{full} is missing", f"The stored settings lack {full}")
    for unknown in (f for f in values if f not in fields):
        raise Misfit(f"{f'{name}.{unknown}'[1:]} is not known")
    if issubclass(cls, Settings):
        kinds |= cls.kinds(values)
    stored = [f for f in fields if f in values]
    return cls(**before | {f: _decode(kinds[f], values[f], f"{name}.{f}") for f in stored})


def _paired(origin: type, kinds: tuple[Any, ...], values: list[Any], name: str):
    if origin is list or (len(kinds) == 2 and kinds[1] is Ellipsis):
        return [(kinds[0], value) for value in values]
    if len(kinds) != len(values):
        raise Misfit(f"{name[1:]} has {len(values)} entries, but {len(kinds)} are expected")
    return list(zip(kinds, values, strict=True))

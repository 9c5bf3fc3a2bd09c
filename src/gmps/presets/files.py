"""Settings from a file: a run's `config.json`, or the same by hand in JSON or YAML."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from gmps.errors import GmpsError
from gmps.presets import preset
from gmps.runs.config_json import decode_config, encode_config
from gmps.training.config import TrainConfig


def load_settings(path: str, family: str | None = None) -> TrainConfig:
    """The settings in a file. What it leaves out is as in the preset of its family and method.

    Args:
        path: JSON, or YAML if its name ends in .yaml or .yml.
        family: the family, which the file need not name then.

    Raises:
        GmpsError: there is no such file, or it is not of this form, or for another family.
    """
    values = _read(Path(path))
    named = values.get("family", family)
    if not isinstance(named, str):
        raise GmpsError(f"{path} names no family; give one before --config.")
    if family is not None and named != family:
        raise GmpsError(
            f"{path} holds settings for {named}, not for {family}; name {named}, or take its line "
            "`family` out."
        )
    method = values.get("method")
    if method is not None and not isinstance(method, str):
        raise GmpsError(f"method in {path} is {method!r}; it must be a method's name.")
    defaults = encode_config(preset(named, method))
    return decode_config(TrainConfig, _merged(defaults, values | {"family": named}))


def _merged(defaults: Any, values: Any) -> Any:
    if not (isinstance(defaults, dict) and isinstance(values, dict)):
        return values
    return defaults | {k: _merged(defaults.get(k), v) for k, v in values.items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise GmpsError(f"There is no file {path}; give --config a run's config.json, or YAML.")
    try:
        text = path.read_text(encoding="utf-8")
        is_yaml = path.suffix in (".yaml", ".yml")
        values = yaml.load(text, _Loader) if is_yaml else json.loads(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise GmpsError(f"{path} cannot be read as settings: {words}.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise GmpsError(f"{path} holds no settings: it must hold names with values.")
    return values


class _Loader(yaml.SafeLoader):
    """Plain values only, and `1e-3` is a number, as in YAML 1.2 and JSON."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)

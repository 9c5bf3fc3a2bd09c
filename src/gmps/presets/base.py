"""What a preset is: changes of the settings' defaults, by name."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

Config = TypeVar("Config")
#: Names of settings to values; of nested settings to changes of these.
Changes = Mapping[str, Any]


class FamilyPreset(NamedTuple):
    """Tuned defaults of a family."""

    #: The method that is trained where none is named.
    method: str = "gmps-latent"
    #: Of `TrainConfig`.
    training: Changes = MappingProxyType({})
    #: Of `TrainConfig` on top, by the name of the method.
    training_of: Mapping[str, Changes] = MappingProxyType({})
    #: Of the experts that are trained for it, `ExpertConfig`.
    expert: Changes = MappingProxyType({})
    #: Of each method's settings, by its name.
    methods: Mapping[str, Changes] = MappingProxyType({})


def changed(config: Config, changes: Changes) -> Config:
    """The settings with changes; those that are settings themselves are changed in turn."""
    values = {
        name: changed(getattr(config, name), value) if isinstance(value, Mapping) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(config, **values)  # pyright: ignore[reportArgumentType, reportCallIssue]

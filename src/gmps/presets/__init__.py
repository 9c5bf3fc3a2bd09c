"""Tuned settings: one file for each family, and the published recipes in `paper`.

`preset` is where the settings of a training start, on the command line and in Python:

    config = replace(preset("sawyer-push", "maml"), rounds=20, seed=1)
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Literal, get_args

from gmps.errors import GmpsError
from gmps.methods.registry import settings_class
from gmps.presets import metaworld, paper
from gmps.presets.base import FamilyPreset, changed
from gmps.tasks import METAWORLD_NAME, family_names, family_spec
from gmps.training.config import TrainConfig
from gmps.training.sac_settings import ExpertConfig

if TYPE_CHECKING:
    from gmps.tasks.base import TaskFamily

Preset = Literal["default", "paper"]
PRESETS = get_args(Preset)
#: The method of the paper's recipe where none is named.
PUBLISHED = "gmps"


def preset(
    family: "str | TaskFamily | type[TaskFamily]",
    method: str | None = None,
    name: str = "default",
) -> TrainConfig:
    """The settings to train with in a family: what `gmps train FAMILY` takes without options.

    Args:
        family: see `gmps.tasks.family_spec`; nothing is tuned for a family of a user's own.
        method: see `gmps.methods.registry.make_method`; by default the one that suits the family,
            with `paper` the published one.
        name: `default`, tuned for the family, or `paper`, the published recipe of the method where
            there is one.

    Raises:
        GmpsError: there is no such method or preset.
    """
    family = family_spec(family)
    if name not in PRESETS:
        raise GmpsError(f"There is no preset {name!r}; there are {' and '.join(PRESETS)}.")
    tuned = family_preset(family)
    method = method or (tuned.method if name == "default" else PUBLISHED)
    settings = settings_class(method)()
    if name == "paper" and method in paper.METHODS:
        settings = changed(settings, paper.METHODS[method])
        settings = changed(settings, paper.FAMILIES.get(family, {}).get(method, {}))
    else:
        settings = changed(settings, tuned.methods.get(method, {}))
    config = TrainConfig(family, method, settings, sac=expert_preset(family))
    return changed(changed(config, tuned.training), tuned.training_of.get(method, {}))


def expert_preset(family: str) -> ExpertConfig:
    """The settings to train experts with in a family."""
    return changed(ExpertConfig(family), family_preset(family).expert)


def family_preset(family: str) -> FamilyPreset:
    """What is tuned for a family; nothing where there is no file of its name here."""
    if METAWORLD_NAME.fullmatch(family):
        return metaworld.tuned(family)
    module = f"{__name__}.{family.replace('-', '_')}"
    if family not in family_names() or importlib.util.find_spec(module) is None:
        return FamilyPreset()
    return getattr(importlib.import_module(module), "PRESET", FamilyPreset())

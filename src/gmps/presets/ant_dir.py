"""Tuned settings of ant-dir."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(expert={"rounds": 350, "tasks": 20})

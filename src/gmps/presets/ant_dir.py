"""Tuned settings of ant-dir."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(method="gmps-latent", expert={"rounds": 350, "tasks": 20})

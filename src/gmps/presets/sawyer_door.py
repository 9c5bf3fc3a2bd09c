"""Tuned settings of sawyer-door."""

from gmps.presets.base import FamilyPreset

#: Tasks differ in one number.
LATENT = {"latent": 2, "std": 0.1}
PRESET = FamilyPreset(methods={"gmps-latent": LATENT})

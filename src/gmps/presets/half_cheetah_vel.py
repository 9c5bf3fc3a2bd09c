"""Tuned settings of half-cheetah-vel."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    expert={"rounds": 200, "tasks": 20},
    methods={"gmps-latent": {"latent": 2}, "in-context": {"latent": 2}},
)

"""Tuned settings of half-cheetah-dir: two tasks, between which actions tell little alone."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    training={"rounds": 20, "expert_episodes": 5},
    expert={"rounds": 150, "tasks": 8, "sac": {"hidden": (128, 128)}},
    methods={"gmps-latent": {"latent": 1}, "in-context": {"latent": 1}},
)

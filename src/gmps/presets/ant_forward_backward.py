"""Tuned settings of ant-forward-backward."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    training={"rounds": 20, "expert_episodes": 5},
    expert={"rounds": 250, "tasks": 8},
    methods={"gmps-latent": {"latent": 1}, "in-context": {"latent": 1}},
)

"""Tuned settings of ant-gear."""

from gmps.presets import ant_goal
from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    methods={
        # Without the next observation a transition says nothing about how the world moves.
        "pearl": {**ant_goal.PRESET.methods["pearl"], "next_obs": True},
    },
)

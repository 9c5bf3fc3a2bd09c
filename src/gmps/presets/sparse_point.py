"""Tuned settings of sparse-point: as point-goal's, with episodes that reach as far as the goals."""

from gmps.presets import point_goal
from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    methods=dict(point_goal.PRESET.methods),
)

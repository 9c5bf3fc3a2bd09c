"""Tuned settings of walker-params."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    # A body has its own dynamics: what happened in it says nothing of another's rewards.
    expert={"rounds": 300, "relabel": 0},
    methods={"pearl": {"next_obs": True}},
)

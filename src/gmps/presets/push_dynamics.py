"""Tuned settings of push-dynamics."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    methods={
        "pearl": {
            # Without the next observation a transition says nothing about how the world moves.
            "next_obs": True,
            # Rewards of up to 25 a step, brought to the order of 1.
            "sac": {"learning_rate": 5e-4, "reward_scale": 0.1},
        },
    },
)

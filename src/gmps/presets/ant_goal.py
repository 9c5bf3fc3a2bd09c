"""Tuned settings of ant-goal."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    expert={"rounds": 350},
    methods={
        # With all of it the ends of the range are missed: docs/demonstrations.md.
        "gmps-latent": {"practice": 0.3},
        # 200 steps an episode: a few tasks a round, or nothing but simulation happens.
        "pearl": {"collect": 8, "prior_episodes": 1, "posterior_episodes": 1, "capacity": 60},
    },
)

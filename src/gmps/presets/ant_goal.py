"""Tuned settings of ant-goal."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    expert={"rounds": 350},
    methods={
        # Goals have two numbers: spare ones make the step from 20 episodes less exact. With more
        # practice the ends of the range are missed: docs/demonstrations.md.
        "gmps-latent": {"latent": 2, "practice": 0.05},
        # 200 steps an episode: a few tasks a round, or nothing but simulation happens.
        "pearl": {"collect": 8, "prior_episodes": 1, "posterior_episodes": 1, "capacity": 60},
    },
)

"""Tuned settings of point-goal: small networks."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    expert={
        "rounds": 60,
        "tasks": 16,
        "gradient_steps": 50,
        "sac": {"hidden": (64, 64), "learning_rate": 1e-3},
    },
    methods={
        # Actions of 0.1 m: their noise must not outweigh what the latent does.
        "gmps-latent": {"std": 0.1, "outer_steps": 200},
        "in-context": {"std": 0.1, "outer_steps": 200},
        "pearl": {
            "gradient_steps": 200,
            "kl_weight": 0.002,
            "sac": {"hidden": (64, 64), "learning_rate": 1e-3, "reward_scale": 5.0},
        },
    },
)

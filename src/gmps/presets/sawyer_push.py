"""Tuned settings of sawyer-push."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    training={"rounds": 80},
    training_of={"gmps-latent": {"rounds": 40}},
    # Rewards of order 1 suit the critics: they are up to 25 a step here.
    expert={
        "rounds": 200,
        "capacity": 10_000,
        "sac": {"learning_rate": 5e-4, "reward_scale": 0.03},
    },
    methods={
        "gmps": {"std": 0.3, "step_size": 0.08},
        "maml": {"std": 0.3, "step_size": 0.08},
        "maesn": {"std": 0.3, "step_size": 4.0},
        "multitask": {"std": 0.3},
        "multitask-bc": {"std": 0.3},
        "rl2": {"std": 0.3},
        "pearl": {"std": 0.3, "sac": {"learning_rate": 5e-4, "reward_scale": 0.1}},
    },
)

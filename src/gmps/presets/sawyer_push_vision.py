"""Tuned settings of pictures: what a core trains and judges within twenty minutes."""

from gmps.presets.base import FamilyPreset

PRESET = FamilyPreset(
    training={
        "rounds": 20,
        "checkpoint_every": 5,
        "keep": 1,
        "evaluation": {"steps": 1, "repeats": 2, "evaluation_episodes": 2},
        "plain": {
            "steps": 1000,
            "labels": 20,
            "measure_episodes": 1,
            "baseline": "time",
        },
    },
    # Labels take 9 KB each.
    methods={
        "gmps": {
            "std": 0.3,
            "step_size": 0.08,
            "baseline": "time",
            "labels": 100,
            "pretrain_steps": 2000,
            "pretrain_labels": 20,
            "capacity": 1000,
        },
        "gmps-latent": {"labels": 30, "pretrain_steps": 1500, "capacity": 1500},
        "multitask-bc": {
            "pretrain_steps": 1000,
            "steps": 50,
            "labels": 20,
            "measure_episodes": 1,
            "baseline": "time",
        },
    },
)

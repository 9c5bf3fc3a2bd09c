"""Tuned settings of the door in pictures: episodes are twice as long as those of pushing."""

from gmps.presets import sawyer_door, sawyer_push_vision

_PUSH = sawyer_push_vision.PRESET
PRESET = _PUSH._replace(
    training={**_PUSH.training, "train_tasks": 10},
    methods={
        **_PUSH.methods,
        "gmps-latent": {**_PUSH.methods["gmps-latent"], **sawyer_door.LATENT},
    },
)

"""Tuned settings of the door in pictures: those of pushing in pictures, and the door's latent."""

from gmps.presets import sawyer_door, sawyer_push_vision

_PUSH = sawyer_push_vision.PRESET
PRESET = _PUSH._replace(
    methods={
        **_PUSH.methods,
        "gmps-latent": {**_PUSH.methods["gmps-latent"], **sawyer_door.LATENT},
    },
)

"""The published recipes (released launchers; appendix D of the paper for the ranges).

What appendix D does not say is as in the code that it builds on.
"""

from collections.abc import Mapping

from gmps.presets.base import Changes

_REGION = {"damping": 1e-5}
#: Nothing is subtracted from returns. Labels take 9 KB each.
_PICTURES = {"baseline": "zero", "capacity": 1000}
#: Changes of each method's own defaults. They take the place of what is tuned for a family.
METHODS: Mapping[str, Changes] = {
    "gmps": {
        "subset": "all",
        "imitation": "mse",
        "blind_weight": 0.0,
        "label_others": 0,
        "label_before": False,
        "step_size": 0.5,
        "std": 1.0,
        "bias_init": 1.0,
        "normalise": False,
        "weight_clip": None,
        "outer_steps": 500,
        "min_ess": 0.0,
        "max_kl": float("inf"),
        "pretrain_steps": 0,
    },
    "maml": {
        "subset": "all",
        "std": 1.0,
        "bias_init": 1.0,
        "normalise": False,
        "sampling": "none",
        "trust_region": _REGION,
    },
    # The best settings of its publication within the ranges of appendix D.
    "maesn": {
        "episodes": 50,
        "step_size": 1.0,
        "std": 1.0,
        "normalise": False,
        "trust_region": _REGION,
    },
    "multitask": {"std": 1.0, "normalise": False, "trust_region": _REGION},
    # What the appendix and PEARL's own code say.
    "pearl": {
        "kl_weight": 0.1,
        "collect": 5,
        "gradient_steps": 2000,
        "std": 1.0,
        "normalise": False,
        "sac": {
            "hidden": (300, 300, 300),
            "batch": 16 * 256,
            "temperature": 1.0,
            "reward_scale": 5.0,
            "layer_norm": False,
        },
    },
}
#: Beyond these, in single families.
FAMILIES: Mapping[str, Mapping[str, Changes]] = {
    "ant-goal": {"pearl": {"kl_weight": 1.0}},
    "sawyer-push-vision": {"gmps": _PICTURES},
    "sawyer-door-vision": {"gmps": _PICTURES},
}

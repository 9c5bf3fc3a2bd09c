"""Tuned settings of Meta-World: ten episodes for each adaptation, as its harness plays, starts
without chance, and scripted policies that fail in some tasks."""

from gmps.presets.base import FamilyPreset
from gmps.tasks import METAWORLD_NAME

_TEN = {"episodes": 10, "std": 0.3}
#: One kind of task.
ONE_KIND = FamilyPreset(
    method="gmps-latent",
    training={
        "rounds": 25,
        "train_tasks": 50,
        "expert_episodes": 2,
        "expert_std": 0.2,
        "threshold": {"episodes": 1, "exclude": True},
        "evaluation": {"episodes": 10, "repeats": 2, "evaluation_episodes": 1, "tasks": 10},
        "plain": {"episodes": 10, "stds": (0.2, 0.5), "measure_episodes": 1},
    },
    methods={
        "gmps": {**_TEN, "visit_episodes": 2},
        "gmps-latent": {
            "latent": 3,
            "episodes": 10,
            "visit_episodes": 2,
            "own_episodes": 1,
            # Goals differ little in some numbers, which latents that are dear or slow leave out.
            "kl_weight": 5e-5,
            "latent_rate": 10.0,
        },
        "in-context": {
            "latent": 3,
            "episodes": 10,
            "visit_episodes": 2,
            "own_episodes": 1,
            "kl_weight": 5e-5,
            "latent_rate": 10.0,
        },
        "maml": _TEN,
        "maesn": _TEN,
        "multitask": {**_TEN, "measure_episodes": 1},
        "multitask-bc": {**_TEN, "measure_episodes": 1},
        "rl2": _TEN,
    },
)
#: Training tasks and rounds where there are many kinds: a million own steps, 2 in ML45.
_SIZES = {"ml10": (30, 12), "ml25": (50, 8), "ml45": (90, 9)}


def tuned(family: str) -> FamilyPreset:
    """The preset of one of Meta-World's families."""
    name = METAWORLD_NAME.fullmatch(family)
    if name is None or name["many"] is None:
        return ONE_KIND
    tasks, rounds = _SIZES[name["many"]]
    # A fold trains on four fifths of the kinds.
    return _many_kinds(tasks * 4 // 5 if name["fold"] else tasks, rounds)


def _many_kinds(tasks: int, rounds: int) -> FamilyPreset:
    training, methods = ONE_KIND.training, ONE_KIND.methods
    # What another kind's expert would do here means nothing.
    kinds = {"label_others": 0, "activation": "tanh"}
    # Kinds held out show numbers unlike all of training, and rewards on a scale of their own.
    shared = {"latent": 4, "augment": True, "kl_weight": 1.5e-4}
    softmax = {"advantage": "softmax", "step_size": 5.0}
    return ONE_KIND._replace(
        training={
            **training,
            **{"rounds": rounds, "train_tasks": tasks, "expert_episodes": 3, "expert_std": 0.6},
            "evaluation": {**training["evaluation"], "steps": 1, "repeats": 1},
        },
        methods={
            **methods,
            "gmps": {**methods["gmps"], **kinds},
            "gmps-latent": {**methods["gmps-latent"], **kinds, **shared, **softmax},
            "in-context": {**methods["in-context"], **kinds, **shared},
        },
    )

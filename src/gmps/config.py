"""Settings of a training run, and the presets of each family."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

import tyro

from gmps.evaluate import EvaluationConfig
from gmps.methods.gmps import GmpsConfig
from gmps.methods.plain import PlainConfig

Preset = Literal["default", "paper"]
PRESETS = get_args(Preset)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `gmps train`."""

    family: Annotated[str, tyro.conf.Suppress]
    """Task family."""
    demos: str | None = None
    """Demonstrations: an .npz file or a Minari dataset. Without them the family's scripted expert
    gives trajectories and labels the states that the learner visits."""
    clone: bool = False
    """With demonstrations: clone them into an expert that sees the task, which labels the states
    that the learner visits. Without it the outer loop has the demonstrators' own states alone."""
    method: Literal["gmps"] = "gmps"
    """Meta-learner."""
    rounds: int = 50
    """Rounds of collecting episodes and learning from them."""
    seed: int = 0
    """Seed of everything random."""
    expert_episodes: int = 4
    """Episodes of the scripted expert in each training task, when there are no demonstrations."""
    expert_std: float = 0.3
    """Action noise in those episodes. The labels are without noise."""
    train_tasks: int | None = None
    """Training tasks, evenly chosen from the family's list; all by default."""
    checkpoint_every: int = 1
    """Rounds between checkpoints."""
    keep: int = 3
    """Checkpoints kept beside the best one."""
    threads: int | None = None
    """Threads of the simulation; by default all that this process may use."""
    gmps: GmpsConfig = field(default_factory=GmpsConfig)
    """Settings of the method."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Settings of the evaluation at the end."""
    plain: PlainConfig = field(default_factory=PlainConfig)
    """Settings of the control that imitates and then takes one plain gradient step."""

    def __post_init__(self):
        for name in ("rounds", "expert_episodes", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")


#: The published recipe (released launchers; appendix D for the ranges).
PAPER = GmpsConfig(
    subset="all",
    imitation="mse",
    blind_weight=0.0,
    label_others=0,
    label_before=False,
    step_size=0.5,
    std=1.0,
    bias_init=1.0,
    normalise=False,
    weight_clip=None,
    outer_steps=500,
    min_ess=0.0,
    max_kl=float("inf"),
    pretrain_steps=0,
)


def preset(family: str, name: Preset = "default") -> TrainConfig:
    """The preset of a family: tuned defaults, or the paper's recipe."""
    config = TrainConfig(family)
    tuned = config.gmps
    if family == "sawyer-push":
        config = replace(config, rounds=80)
        tuned = replace(tuned, std=0.3, step_size=0.08)
    return replace(config, gmps=PAPER if name == "paper" else tuned)

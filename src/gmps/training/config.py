"""Settings of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import tyro

from gmps.cluster import Executor
from gmps.errors import GmpsError
from gmps.evaluation.settings import EvaluationConfig
from gmps.experts.score_settings import ExpertThreshold
from gmps.methods.plain_settings import PlainConfig
from gmps.methods.registry import option_prefix, settings_class
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks.choices import Sim
from gmps.training.sac_settings import ExpertConfig

#: Settings that may differ when a run goes on: none of them changes a round that was done.
FREE = (
    *("rounds", "threads", "environments", "checkpoint_every", "keep", "demos", "expert"),
    "address",
)


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of `gmps train`.

    `gmps.presets.preset` makes them, with what is tuned for the family and the method.
    """

    family: Annotated[str, tyro.conf.Suppress]
    """Task family."""
    method: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """What learns: gmps-latent, gmps (the published step),
    in-context, maml, maesn, multitask, multitask-bc, pearl,
    rl2, one that a package brings, or FILE.py:CLASS."""
    settings: Settings
    """Settings of the method."""
    demos: str | None = None
    """Demonstrations: an .npz file or a Minari dataset. Without
    --expert nobody labels the states that the learner visits."""
    demos_best: float = setting(1.0, above=0, at_most=1, before=1.0)
    """With demonstrations of unequal skill: learn from this share of each task's episodes, those
    of highest return."""
    expert: tuple[str, ...] = ()
    """Who labels the states that the learner visits: scripted
    (the family's controller), sac (trained first, in
    RUN/expert, from --demos too), FILE.py:FUNCTION, or
    folders of `gmps expert train`. Without demonstrations:
    scripted where the family has one, or else sac."""
    clone: bool = False
    """With demonstrations: clone them into an expert that sees the task and labels states."""
    spread: float = setting(1.0, at_least=0)
    """Move the observations of demonstrations about, their actions kept, as far as those of
    different tasks differ at the same moment, times this; 0: not at all. Otherwise a state betrays
    its task and nothing is learned about tasks. Of pictures, what the policy makes of them is
    moved. Has no effect where somebody labels states."""
    rounds: int = setting(50, at_least=1)
    """Rounds of collecting episodes and learning from them."""
    seed: int = seed_setting()
    """Seed of everything random."""
    expert_episodes: int = setting(4, at_least=1)
    """Episodes of the expert in each training task, when there are no demonstrations."""
    expert_std: float = setting(0.3, at_least=0, at_most=100)
    """Action noise in those episodes. The labels are without noise."""
    train_tasks: int | None = setting(None, at_least=2, because="meta-training compares tasks")
    """Training tasks, evenly chosen from the family's list or those shown; all by default."""
    random_tasks: int | None = setting(None, at_least=2, because="meta-training compares tasks")
    """Train on this many tasks drawn from the family's whole
    range, in place of --train-tasks of its list. Held-out
    tasks stay those of the list."""
    checkpoint_every: int = setting(1, at_least=1)
    """Rounds between checkpoints."""
    keep: int = setting(3, at_least=1)
    """Checkpoints kept beside the best one."""
    threads: int | None = setting(None, at_least=1)
    """Threads of the simulation; by default all that this process may use."""
    environments: int | None = setting(None, at_least=1, before=None)
    """Of a family of Gymnasium environments, at most how many there are at once; by default 64, and
    never more than episodes. 1 for a robot. Results do not depend on it."""
    on: Executor = "here"
    """Where rollouts run: here, or spread over a Ray cluster, a few tasks to a piece. The episodes
    of the two differ by their random numbers."""
    address: str | None = None
    """The cluster, HOST:PORT; by default one of this machine alone, started for the run."""
    sim: Sim = "native"
    """Who simulates a MuJoCo family: MuJoCo on CPU threads, or MJX on JAX's device, such as a GPU
    (takes the extra mjx); see docs/simulators.md for how far they agree."""
    threshold: ExpertThreshold = field(default_factory=ExpertThreshold)
    """What is expected of the expert; training says loudly where it falls short."""
    sac: ExpertConfig = field(default_factory=lambda: ExpertConfig(""))
    """Settings of the experts that the run trains for itself."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Settings of the evaluation at the end."""
    plain: PlainConfig = field(default_factory=PlainConfig)
    """Settings of the control that imitates and then takes one plain gradient step."""

    @property
    def taught(self) -> bool:
        """Whether the demonstrations teach an expert of all tasks: it then shows the family's
        training tasks and answers there, and the demonstrated tasks are its own affair."""
        contextual = self.sac.kind == "contextual"
        return self.demos is not None and self.expert == ("sac",) and contextual

    @classmethod
    def kinds(cls, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """The method says what its settings are."""
        return {"settings": settings_class(stored["method"])}

    def called(self, name: str) -> str:
        """The settings of the method go by its name."""
        return option_prefix(self.method) if name == "settings" else name

    def rules(self) -> None:
        """What goes together."""
        wanted = settings_class(self.method)
        if type(self.settings) is not wanted:
            raise GmpsError(
                f"The settings are a {type(self.settings).__name__}, but the method is "
                f"{self.method}, which takes a {wanted.__name__}; gmps.presets.preset makes both."
            )
        if self.random_tasks is not None and self.demos is not None and not self.taught:
            raise GmpsError(
                "--random-tasks draws the training tasks; leave out --demos, which choose them too."
            )
        if self.demos_best < 1 and self.demos is None:
            self.refuse("demos_best", "it chooses among demonstrations: give --demos too")
        if self.address is not None and self.on != "ray":
            self.refuse("address", "it is of a Ray cluster: give --on ray too")
        if self.clone and (self.demos is None or self.expert):
            raise GmpsError("--clone makes an expert of --demos; give these, and no --expert.")
        if self.sim == "mjx" and self.on == "ray":
            raise GmpsError("--sim mjx runs on this machine; leave out --on ray.")


def with_environments(config: TrainConfig, environments: int | None) -> TrainConfig:
    """The settings with another number of Gymnasium environments at once, if one is given."""
    return config if environments is None else replace(config, environments=environments)

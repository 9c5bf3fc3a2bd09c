"""Settings of a training run, and the presets of each family."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

import tyro

from gmps.cluster import Place
from gmps.core.trust_region import TrustRegionConfig
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import EvaluationConfig
from gmps.experts.sac import SacConfig
from gmps.experts.score import ExpertThreshold
from gmps.metaworld.family import is_metaworld
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.gmps_vision_settings import GmpsVisionConfig
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.pearl_settings import PearlConfig
from gmps.methods.plain_settings import PlainConfig
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks.base import Sim
from gmps.training.sac_training import ExpertConfig

Preset = Literal["default", "paper"]
PRESETS = get_args(Preset)


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of `gmps train`."""

    family: Annotated[str, tyro.conf.Suppress]
    """Task family."""
    demos: str | None = None
    """Demonstrations: an .npz file or a Minari dataset. Without --expert beside them nobody labels
    the states that the learner visits."""
    expert: tuple[str, ...] = ()
    """Who labels the states that the learner visits: scripted (the family's controller), sac
    (trained first, in RUN/expert), FILE.py:FUNCTION, or folders of `gmps expert train`. Without
    demonstrations: scripted where the family has one, or else sac."""
    clone: bool = False
    """With demonstrations: clone them into an expert that sees the task and labels states."""
    method: Literal[
        "gmps", "gmps-latent", "gmps-vision", "maml", "maesn", "multitask", "multitask-bc", "pearl"
    ] = "gmps"
    """What learns. Of the settings of the methods, only its own count."""
    rounds: int = setting(50, at_least=1)
    """Rounds of collecting episodes and learning from them."""
    seed: int = seed_setting()
    """Seed of everything random."""
    expert_episodes: int = setting(4, at_least=1)
    """Episodes of the expert in each training task, when there are no demonstrations."""
    expert_std: float = setting(0.3, at_least=0, at_most=100)
    """Action noise in those episodes. The labels are without noise."""
    train_tasks: int | None = setting(None, at_least=2, because="meta-training compares tasks")
    """Training tasks, evenly chosen from the family's list; all by default."""
    random_tasks: int | None = setting(None, at_least=2, because="meta-training compares tasks")
    """Train on this many tasks drawn from the family's whole range, in place of `train_tasks` from
    its list. Held-out tasks stay those of the list."""
    checkpoint_every: int = setting(1, at_least=1)
    """Rounds between checkpoints."""
    keep: int = setting(3, at_least=1)
    """Checkpoints kept beside the best one."""
    threads: int | None = setting(None, at_least=1)
    """Threads of the simulation; by default all that this process may use."""
    on: Place = "here"
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
    gmps: GmpsConfig = field(default_factory=GmpsConfig)
    """Settings of GMPS."""
    gmps_latent: GmpsLatentConfig = field(default_factory=GmpsLatentConfig)
    """Settings of GMPS with a latent that an episode draws."""
    gmps_vision: GmpsVisionConfig = field(default_factory=GmpsVisionConfig)
    """Settings of GMPS on pictures."""
    maml: MamlConfig = field(default_factory=MamlConfig)
    """Settings of MAML."""
    maesn: MaesnConfig = field(default_factory=MaesnConfig)
    """Settings of MAESN."""
    multitask: MultitaskConfig = field(default_factory=MultitaskConfig)
    """Settings of one policy for all tasks, by reinforcement learning."""
    multitask_bc: MultitaskBcConfig = field(default_factory=MultitaskBcConfig)
    """Settings of one policy for all tasks, by imitation."""
    pearl: PearlConfig = field(default_factory=PearlConfig)
    """Settings of PEARL."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Settings of the evaluation at the end."""
    plain: PlainConfig = field(default_factory=PlainConfig)
    """Settings of the control that imitates and then takes one plain gradient step."""

    def rules(self) -> None:
        """What goes together."""
        if self.random_tasks is not None and self.demos is not None:
            raise GmpsError(
                "--random-tasks draws the training tasks; leave out --demos, which choose them too."
            )
        if self.clone and (self.demos is None or self.expert):
            raise GmpsError("--clone makes an expert of --demos; give these, and no --expert.")
        if self.sim == "mjx" and self.on == "ray":
            raise GmpsError("--sim mjx runs on this machine; leave out --on ray.")


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
#: The same of the baselines. What appendix D does not say is as in the code that it builds on.
_PAPER_REGION = TrustRegionConfig(damping=1e-5)
PAPER_MAML = MamlConfig(
    subset="all",
    std=1.0,
    bias_init=1.0,
    normalise=False,
    sampling="none",
    trust_region=_PAPER_REGION,
)
#: The best settings of its publication within the ranges of appendix D.
PAPER_MAESN = MaesnConfig(
    episodes=50, step_size=1.0, std=1.0, normalise=False, trust_region=_PAPER_REGION
)
PAPER_MULTITASK = MultitaskConfig(std=1.0, normalise=False, trust_region=_PAPER_REGION)
#: Of PEARL, what the appendix and PEARL's own code say.
PAPER_PEARL = PearlConfig(
    kl_weight=0.1,
    collect=5,
    gradient_steps=2000,
    std=1.0,
    normalise=False,
    sac=SacConfig(
        hidden=(300, 300, 300),
        batch=16 * 256,
        temperature=1.0,
        reward_scale=5.0,
        layer_norm=False,
    ),
)


def preset(family: str, name: Preset = "default") -> TrainConfig:
    """The preset of a family: tuned defaults, or the paper's recipe."""
    config = TrainConfig(family, sac=expert_preset(family), pearl=_pearl_preset(family))
    if family == "point-goal":
        # Actions of 0.1 m: their noise must not outweigh what the latent does.
        config = replace(config, gmps_latent=replace(config.gmps_latent, std=0.1, outer_steps=200))
    if family == "sawyer-door":
        # Its tasks differ in one number.
        config = replace(config, gmps_latent=replace(config.gmps_latent, latent=2, std=0.1))
    if family == "sawyer-push":
        config = replace(
            config,
            rounds=80,
            gmps=replace(config.gmps, std=0.3, step_size=0.08),
            maml=replace(config.maml, std=0.3, step_size=0.08),
            maesn=replace(config.maesn, std=0.3, step_size=4.0),
            multitask=replace(config.multitask, std=0.3),
            multitask_bc=replace(config.multitask_bc, std=0.3),
        )
    if is_metaworld(family):
        config = _metaworld_preset(config)
    if family == "sawyer-push-vision":
        config = _vision_preset(config)
    if family == "sawyer-door-vision":
        # Its episodes are twice as long, and its tasks differ in one number.
        config = replace(_vision_preset(config), train_tasks=10)
        config = replace(config, gmps_latent=replace(config.gmps_latent, latent=2, std=0.1))
    if name == "paper":
        config = replace(
            config,
            gmps=PAPER,
            maml=PAPER_MAML,
            maesn=PAPER_MAESN,
            multitask=PAPER_MULTITASK,
            pearl=replace(PAPER_PEARL, kl_weight=1.0 if family == "ant-goal" else 0.1),
        )
    return config


#: Training tasks and rounds where there are many kinds: a million own steps, 2 in ML45.
_MANY_KINDS = {"ml10": (30, 12), "ml25": (50, 8), "ml45": (90, 9)}


def _metaworld_preset(config: TrainConfig) -> TrainConfig:
    """Meta-World: ten episodes for each adaptation, as its harness plays, starts without chance,
    and scripted policies that fail in some tasks."""
    benchmark = config.family.partition("@")[0]
    tasks, rounds = _MANY_KINDS.get(benchmark, (50, 25))
    gmps = replace(config.gmps, episodes=10, visit_episodes=2, std=0.3)
    latent = replace(
        config.gmps_latent,
        latent=3,
        episodes=10,
        visit_episodes=2,
        own_episodes=1,
        # Goals differ little in some numbers, which latents that are dear or slow leave out.
        kl_weight=5e-5,
        latent_rate=10.0,
    )
    evaluation = replace(config.evaluation, episodes=10, repeats=2, evaluation_episodes=1, tasks=10)
    if benchmark in _MANY_KINDS:
        # What another kind's expert would do here means nothing.
        gmps = replace(gmps, label_others=0, activation="tanh")
        # Kinds held out show numbers unlike all of training, and rewards on a scale of their own.
        latent = replace(
            latent,
            latent=4,
            label_others=0,
            activation="tanh",
            advantage="softmax",
            step_size=5.0,
            augment=True,
            kl_weight=1.5e-4,
        )
        evaluation = replace(evaluation, steps=1, repeats=1)
        config = replace(config, expert_episodes=3, expert_std=0.6)
    else:
        config = replace(config, expert_episodes=2, expert_std=0.2)
    return replace(
        config,
        method="gmps-latent",
        rounds=rounds,
        train_tasks=tasks,
        threshold=replace(config.threshold, episodes=1, exclude=True),
        gmps=gmps,
        gmps_latent=latent,
        maml=replace(config.maml, episodes=10, std=0.3),
        maesn=replace(config.maesn, episodes=10, std=0.3),
        multitask=replace(config.multitask, episodes=10, std=0.3, measure_episodes=1),
        multitask_bc=replace(config.multitask_bc, episodes=10, std=0.3, measure_episodes=1),
        evaluation=evaluation,
        plain=replace(config.plain, episodes=10, stds=(0.2, 0.5), measure_episodes=1),
    )


def _vision_preset(config: TrainConfig) -> TrainConfig:
    """What a core trains and judges within twenty minutes."""
    return replace(
        config,
        method="gmps-latent",
        rounds=20,
        checkpoint_every=5,
        keep=1,
        gmps_latent=replace(config.gmps_latent, labels=30, pretrain_steps=1500, capacity=1500),
        evaluation=EvaluationConfig(steps=1, repeats=2, evaluation_episodes=2),
        plain=PlainConfig(
            steps=1000,
            labels=20,
            stds=(0.3,),
            step_sizes=(0.01, 0.03, 0.1, 0.3),
            measure_episodes=1,
            baseline="time",
        ),
    )


def _pearl_preset(family: str) -> PearlConfig:
    """Tuned settings of PEARL: what a core learns in minutes."""
    # Without the next observation a transition says nothing about how the world moves.
    config = PearlConfig(next_obs=family in ("ant-gear", "push-dynamics"))
    match family:
        case "ant-goal" | "ant-gear":
            # 200 steps an episode: a few tasks a round, or nothing but simulation happens.
            config = replace(config, collect=8, prior_episodes=1, posterior_episodes=1, capacity=60)
        case "sawyer-push" | "push-dynamics":
            # Rewards of up to 25 a step, brought to the order of 1.
            sac = replace(config.sac, learning_rate=5e-4, reward_scale=0.1)
            config = replace(config, sac=sac, std=0.3 if family == "sawyer-push" else config.std)
        case "point-goal":
            sac = replace(config.sac, hidden=(64, 64), learning_rate=1e-3, reward_scale=5.0)
            return replace(config, gradient_steps=200, kl_weight=0.002, sac=sac)
    return config


def expert_preset(family: str) -> ExpertConfig:
    """Tuned settings of a family's SAC experts."""
    config = ExpertConfig(family)
    match family:
        case "ant-goal":
            return replace(config, rounds=350)
        case "sawyer-push":
            # Rewards of order 1 suit the critics: they are up to 25 a step here.
            tuned = SacConfig(learning_rate=5e-4, reward_scale=0.03)
            return replace(config, rounds=200, capacity=10_000, sac=tuned)
        case "point-goal":
            return replace(config, rounds=60, tasks=16, gradient_steps=50, sac=_SMALL)
    return config


_SMALL = SacConfig(hidden=(64, 64), learning_rate=1e-3)

"""Settings of the baselines, apart from the methods: reading them imports no method."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from gmps.core.adapt import StepSizeKind
from gmps.core.losses import Imitation, check_imitation
from gmps.core.nets import Activation, Subset
from gmps.core.trust_region import TrustRegionConfig
from gmps.errors import GmpsError
from gmps.experts.sac import SacConfig
from gmps.methods.episode_advantage import AdvantageKind
from gmps.methods.outer import Outer, PpoConfig
from gmps.runs.config_json import ADDED


@dataclass(frozen=True)
class GmpsLatentConfig:
    """Settings of GMPS with structured exploration."""

    latent: int = 4
    """Size of the latent z."""
    episodes: int = 20
    """Episodes of each task for one inner step, each with a z of its own."""
    narrowing: float = 0.5
    """Factor of the latent's standard deviation after an inner step: the next explores less."""
    advantage: AdvantageKind = field(default="learned", metadata=ADDED)
    """How episodes are compared: `learned` from their rewards, on one scale for all tasks; or
    `softmax` of their returns within the task, which goes to the best of them."""
    step_size: float = 1.0
    """Initial weight of an episode's return in its advantage. With `softmax`, of the return in
    deviations over the task's episodes: how far the best one outweighs the others."""
    segments: int = 25
    """Parts of the episode whose rewards the learned advantage sees, at most one a time step."""
    advantage_hidden: int = 64
    """Hidden units of the learned advantage."""
    kl_weight: float = 3e-4
    """Weight of KL(own latent || prior), the mean over training tasks."""
    blind_weight: float = 0.1
    """Weight of the imitation loss at the prior's mean, the policy before adaptation."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the policy."""
    activation: Activation = field(default="relu", metadata=ADDED)
    """Of the hidden layers."""
    std: float = 0.2
    """Standard deviation of the actions, given z. It is not learned."""
    normalise: bool = True
    """Shift and scale observations by the mean and standard deviation of the experts' data."""
    imitation: Imitation = "huber"
    """Outer loss, as of GMPS."""
    pretrain_steps: int = 6000
    """Steps of imitation with own latents, before the first round."""
    outer_steps: int = 100
    """Outer steps on the same episodes."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    latent_rate: float = field(default=1.0, metadata=ADDED)
    """Learning rate of the training tasks' own latents, in multiples of `learning_rate`. Fast
    latents lie in order before the network learns them by heart."""
    labels: int = 60
    """Expert labels of each task in one step."""
    augment: bool = field(default=False, metadata=ADDED)
    """Imitate in augmented observations, where the family knows some (Meta-World)."""
    visit_episodes: int = 4
    """Episodes of each adapted policy in a round; the expert, where there is one, labels them."""
    own_episodes: int = 2
    """The same at each training task's own latent."""
    label_others: int = 1
    """The expert of each task also labels what was visited in this many other tasks."""
    capacity: int = 10_000
    """Most labels of each task beyond the expert's own trajectories."""

    def __post_init__(self):
        for name in (
            *("latent", "segments", "advantage_hidden", "outer_steps", "labels"),
            *("visit_episodes", "own_episodes"),
        ):
            if getattr(self, name) < 1:
                raise GmpsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.episodes < 2:
            raise GmpsError(
                f"episodes is {self.episodes}; the inner step compares episodes, so it must be at "
                "least 2."
            )
        if not 0 < self.narrowing <= 1:
            raise GmpsError(f"narrowing is {self.narrowing}; it must be above 0 and at most 1.")
        for name in ("kl_weight", "blind_weight", "latent_rate"):
            if getattr(self, name) < 0:
                raise GmpsError(f"{name} is {getattr(self, name)}; it must be at least 0.")
        if self.advantage not in get_args(AdvantageKind):
            raise GmpsError(f"advantage is {self.advantage!r}; it must be 'learned' or 'softmax'.")
        if self.advantage == "softmax" and self.step_size <= 0:
            raise GmpsError(
                f"step_size is {self.step_size}; with advantage softmax it must be above 0."
            )
        check_imitation(self.imitation)

    @property
    def bias_size(self) -> int:
        """Size of the network's bias transformation: the latent takes its place."""
        return self.latent


@dataclass(frozen=True)
class MamlConfig:
    """Settings of MAML."""

    episodes: int = 20
    """Episodes of each task before the update, for each inner step; as many after the last."""
    inner_steps: int = 1
    """Inner policy-gradient steps, k; each has episodes of its own."""
    step_size: float = 0.1
    """Initial step size alpha of the inner step."""
    step_sizes: StepSizeKind = "parameter"
    """One step size in all, one a leaf, or one a parameter."""
    learn_step_sizes: bool = True
    """Whether the outer loop changes the step sizes."""
    subset: Subset = "mean"
    """What the inner step moves: all parameters, all but the std (mean), or the bias alone."""
    bias_size: int = 4
    """Size of the bias transformation; 0 switches it off."""
    bias_init: float = 0.0
    """Initial value of the bias transformation."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the policy."""
    activation: Activation = field(default="relu", metadata=ADDED)
    """Of the hidden layers."""
    std: float = 0.5
    """Initial standard deviation of the actions."""
    learn_std: bool = True
    """Whether the outer loop changes the standard deviation."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""
    discount: float = 0.99
    """Discount of the returns, in both loops."""
    gae_lambda: float = 1.0
    """Lambda of generalised advantage estimation, in both loops."""
    sampling: Literal["ratio", "none"] = "ratio"
    """Sampling term of the meta-gradient: ratio keeps how the episodes before the update depend on
    the policy, step by step (ProMP); none drops it, as the first code of MAML and GMPS do."""
    first_order: bool = False
    """Leave out the derivative of the inner gradient altogether."""
    outer: Outer = "trpo"
    """Outer step: trpo, as published, or ppo (ProMP)."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the trpo outer step."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """Settings of the ppo outer steps."""


@dataclass(frozen=True)
class MaesnConfig:
    """Settings of MAESN."""

    latent: int = 2
    """Size of the latent z."""
    kl_weight: float = 0.1
    """Weight of KL(latent || prior), the mean over training tasks before the inner step."""
    episodes: int = 20
    """Episodes of each task before the inner step, each with a z of its own; as many after it."""
    step_size: float = 8.0
    """Initial step size alpha of the latent's mean and log deviation."""
    learn_step_sizes: bool = True
    """Whether the outer loop changes the step sizes, one for each number."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the policy."""
    activation: Activation = field(default="relu", metadata=ADDED)
    """Of the hidden layers."""
    std: float = 0.5
    """Initial standard deviation of the actions, given z."""
    learn_std: bool = True
    """Whether the outer loop changes the standard deviation."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""
    discount: float = 0.99
    """Discount of the returns, in both loops."""
    gae_lambda: float = 1.0
    """Lambda of generalised advantage estimation, in both loops."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the outer step."""

    def __post_init__(self):
        for name in ("latent", "episodes"):
            if getattr(self, name) < 1:
                raise GmpsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.kl_weight < 0:
            raise GmpsError(f"kl_weight is {self.kl_weight}; it must be at least 0.")

    @property
    def bias_size(self) -> int:
        """Size of the network's bias transformation: the latent takes its place."""
        return self.latent


@dataclass(frozen=True)
class MultitaskConfig:
    """Settings of one policy for all tasks, by reinforcement learning."""

    episodes: int = 20
    """Episodes of each task in a round, and of each candidate's plain step."""
    step_sizes: tuple[float, ...] = (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4)
    """Step sizes of the plain step that are tried on the training tasks."""
    tune_every: int = 10
    """Rounds between two such searches; the first round has one."""
    measure_episodes: int = 4
    """Episodes that measure one candidate, or the adapted policy, in one task."""
    bias_size: int = 4
    """Size of the bias transformation; 0 switches it off."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the policy."""
    activation: Activation = field(default="relu", metadata=ADDED)
    """Of the hidden layers."""
    std: float = 0.5
    """Initial standard deviation of the actions."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""
    discount: float = 0.99
    """Discount of the returns."""
    gae_lambda: float = 1.0
    """Lambda of generalised advantage estimation."""
    outer: Outer = "trpo"
    """How the policy learns: trpo or ppo."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the trpo step."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """Settings of the ppo steps."""

    def __post_init__(self):
        check_tuning(self.tune_every, self.step_sizes)


@dataclass(frozen=True)
class MultitaskBcConfig:
    """Settings of one policy for all tasks, by imitation of the experts."""

    pretrain_steps: int = 3000
    """Steps of imitation before the first round."""
    steps: int = 200
    """Steps of imitation in a round."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    labels: int = 30
    """Labels of each task in one step of imitation."""
    imitation: Imitation = "huber"
    """Imitation loss, as of GMPS."""
    episodes: int = 20
    """Episodes of each task for one plain policy-gradient step."""
    stds: tuple[float, ...] = (0.2, 0.35, 0.5, 1.0)
    """Standard deviations of the exploration that are tried on the training tasks."""
    step_sizes: tuple[float, ...] = (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4)
    """Step sizes of the plain step that are tried with each."""
    tune_every: int = 10
    """Rounds between two such searches; the first round has one."""
    measure_episodes: int = 4
    """Episodes that measure one candidate, or the adapted policy, in one task."""
    bias_size: int = 4
    """Size of the bias transformation; 0 switches it off."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the policy."""
    activation: Activation = field(default="relu", metadata=ADDED)
    """Of the hidden layers."""
    std: float = 0.5
    """Standard deviation of an untrained policy's actions: the zero of the normalised score."""
    normalise: bool = True
    """Shift and scale observations by the mean and standard deviation of the experts' data."""

    def __post_init__(self):
        check_tuning(self.tune_every, self.step_sizes)
        if not self.stds:
            raise GmpsError("stds is empty; name at least one standard deviation to try.")


@dataclass(frozen=True)
class PearlConfig:
    """Settings of PEARL."""

    latent: int = 5
    """Size of the latent z."""
    kl_weight: float = 0.01
    """Weight of KL(posterior || prior), summed over the tasks of a gradient step."""
    prior_episodes: int = 2
    """Episodes of each task in a round with z from the prior."""
    posterior_episodes: int = 2
    """Episodes of each task in a round with z from the posterior that the former give."""
    collect: int | None = None
    """Tasks of a round, drawn anew; all by default, and always in the first round."""
    gradient_steps: int = 400
    """Gradient steps of a round."""
    meta_batch: int = 16
    """Tasks in a gradient step; all where there are fewer."""
    context: int = 64
    """Transitions of each task that the encoder sees in a gradient step, from the episodes of the
    task's last round."""
    next_obs: bool = False
    """Show the encoder the change of the observation too: for tasks that differ in dynamics."""
    capacity: int = 300
    """Episodes of each task that are kept for actor and critics."""
    sac: SacConfig = field(default_factory=lambda: SacConfig(hidden=(128, 128)))
    """Settings of actor, critics and encoder, which have the same hidden layers; its batch is that
    of all tasks of a gradient step together."""
    bias_size: int = 4
    """Size of the bias transformation of the untrained policy."""
    hidden: tuple[int, ...] = (100, 100)
    """Hidden layers of the untrained policy, which is the zero of the normalised score and the
    start of the plain control; as of the other methods."""
    std: float = 0.5
    """Standard deviation of the untrained policy's actions."""
    normalise: bool = True
    """Shift and scale observations, and the rewards that the encoder sees, by the mean and std of
    the own episodes so far; those of the untrained policy by the experts' data."""

    def __post_init__(self):
        for name in (
            *("latent", "prior_episodes", "posterior_episodes", "gradient_steps", "meta_batch"),
            *("context", "capacity"),
        ):
            if getattr(self, name) < 1:
                raise GmpsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.collect is not None and self.collect < 1:
            raise GmpsError(f"collect is {self.collect}; it must be at least 1.")
        if self.kl_weight < 0:
            raise GmpsError(f"kl_weight is {self.kl_weight}; it must be at least 0.")
        if self.sac.batch < self.meta_batch:
            raise GmpsError(
                f"sac.batch is {self.sac.batch}; it must be at least meta_batch, "
                f"{self.meta_batch}: each task needs a transition."
            )


def check_tuning(tune_every: int, step_sizes: tuple[float, ...]) -> None:
    """Raise GmpsError where there is nothing to try, or no time to try it."""
    if tune_every < 1:
        raise GmpsError(f"tune_every is {tune_every}; it must be at least 1.")
    if not step_sizes:
        raise GmpsError("step_sizes is empty; name at least one step size to try.")

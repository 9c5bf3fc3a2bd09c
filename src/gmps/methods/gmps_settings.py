"""Settings of GMPS: reading them imports no method."""

from dataclasses import dataclass
from typing import Literal

from gmps.core.choices import Activation, Baseline, Imitation, StepSizeKind, Subset
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class GmpsConfig(Settings):
    """Settings of GMPS. The published recipe is the preset `paper`."""

    episodes: int = setting(20, at_least=1)
    """Episodes of each task for one inner step."""
    inner_steps: int = setting(1, at_least=1)
    """Inner policy-gradient steps, k; each has episodes of its own."""
    step_size: float = setting(0.1, at_least=0)
    """Initial step size alpha of the inner step."""
    step_sizes: StepSizeKind = "parameter"
    """One learned step size in all, one a leaf, or one a parameter."""
    subset: Subset = "mean"
    """What the inner step moves: all parameters, all but the std (mean), or the bias alone."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation; 0 switches it off."""
    bias_init: float = 0.0
    """Initial value of the bias transformation."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.5, above=0, at_most=100)
    """Initial standard deviation of the actions."""
    learn_std: bool = True
    """Whether the outer loop changes the standard deviation."""
    normalise: bool = True
    """Shift and scale observations by the mean and standard deviation of the experts' data."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount of the inner step's returns."""
    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of generalised advantage estimation."""
    baseline: Baseline = "linear"
    """What the inner step subtracts from returns: a linear function of observation and time, a
    cubic of time, or nothing (zero). On pictures time, or zero as published."""
    imitation: Imitation = "huber"
    """Outer loss: squared error of the mean (mse, released code), that made linear for large errors
    (huber), or negative log likelihood (nll, the paper's text)."""
    blind_weight: float = setting(1.0, at_least=0)
    """Weight of the imitation loss of the policy before the update, in the outer loss. It keeps
    that policy near the experts, where its episodes say something about the task."""
    outer_steps: int = setting(10, at_least=1)
    """Outer steps on the same episodes, at most."""
    learning_rate: float = setting(1e-3, above=0)
    """Adam's learning rate in the outer loop."""
    labels: int = setting(200, at_least=1)
    """Expert labels of each task in one outer step."""
    first_order: bool = False
    """Leave out the derivative of the inner gradient."""
    weight_clip: float | None = setting(2.0, above=0)
    """Upper limit of the importance weights; None as published."""
    min_ess: float = setting(0.3, at_least=0, at_most=1)
    """End the block when the mean effective sample size falls below this fraction; 0: never."""
    max_kl: float = setting(1.0, above=0, infinite=True)
    """End the block when the KL from the collecting policy exceeds this (nats); inf: never."""
    pretrain_steps: int = setting(3000, at_least=0)
    """Steps of plain imitation, without the task, before the first round."""
    pretrain_labels: int = setting(30, at_least=1)
    """Expert labels of each task in one step of it."""
    aggregate: bool = True
    """Whether the expert, where there is one, labels the states that the learner visits (DAgger).
    Without it the outer loop imitates the expert's own episodes alone."""
    beta: Literal["zero", "linear", "geometric"] = "zero"
    """Schedule of the expert's share when states are collected for aggregation."""
    beta_rounds: int = setting(20, at_least=1)
    """Linear: rounds until the share is 0. Geometric: rounds until it is 1/e."""
    visit_episodes: int = setting(4, at_least=1)
    """Episodes of each adapted policy in a round; the expert, where there is one, labels them."""
    label_others: int = setting(1, at_least=0)
    """The expert of each task also labels the states visited in this many other tasks. On its own
    path a state betrays the goal, and imitating needs no adaptation; on others' it does not."""
    label_before: bool = True
    """The expert also labels episodes of the policy before the update, as many."""
    capacity: int = setting(10_000, at_least=1)
    """Most labels of each task beyond the expert's own trajectories."""
    collapse_factor: float = setting(3.0, above=0)
    """Return to the last good state when the loss on fresh episodes exceeds its lowest running
    mean by this factor."""

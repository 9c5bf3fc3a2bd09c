"""Settings of GMPS with structured exploration: reading them imports no method."""

from dataclasses import dataclass
from typing import Literal

from gmps.core.choices import Activation, Imitation
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class LatentSettings(Settings):
    """Settings of every method that imitates experts with a latent for each task."""

    latent: int = setting(4, at_least=1)
    """Size of the latent z."""
    episodes: int = setting(20, at_least=2, because="the inner step compares episodes")
    """Episodes of each task for one inner step, each with a z of its own."""
    narrowing: float = setting(0.5, above=0, at_most=1)
    """Factor of the latent's standard deviation after an inner step: the next explores less."""
    segments: int = setting(25, at_least=1)
    """Parts of the episode whose rewards the inner step sees, at most one a time step."""
    kl_weight: float = setting(3e-4, at_least=0)
    """Weight of KL(own latent || prior), the mean over training tasks."""
    blind_weight: float = setting(0.1, at_least=0)
    """Weight of the imitation loss at the prior's mean, the policy before adaptation."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.2, above=0, at_most=100)
    """Standard deviation of the actions, given z. It is not learned."""
    normalise: bool = True
    """Shift and scale observations by the mean and standard deviation of the experts' data."""
    imitation: Imitation = "huber"
    """Outer loss, as of GMPS."""
    pretrain_steps: int = setting(6000, at_least=0)
    """Steps of imitation with own latents, before the first round."""
    outer_steps: int = setting(100, at_least=1)
    """Outer steps on the same episodes."""
    learning_rate: float = setting(1e-3, above=0)
    """Adam's learning rate."""
    latent_rate: float = setting(1.0, at_least=0)
    """Learning rate of the training tasks' own latents, in multiples of `learning_rate`. Fast
    latents lie in order before the network learns them by heart."""
    labels: int = setting(60, at_least=1)
    """Expert labels of each task in one step."""
    augment: bool = False
    """Imitate in augmented observations, where the family knows some (Meta-World)."""
    visit_episodes: int = setting(4, at_least=1)
    """Episodes of each adapted policy in a round; the expert, where there is one, labels them."""
    own_episodes: int = setting(2, at_least=1)
    """The same at each training task's own latent."""
    label_others: int = setting(1, at_least=0)
    """The expert of each task also labels what was visited in this many other tasks."""
    capacity: int = setting(10_000, at_least=1)
    """Most labels of each task beyond the expert's own trajectories."""

    imitation_weight: float = setting(1.0, at_least=0, before=1.0)
    """Weight of imitation in the outer loss; 0: it makes the start, and practice alone goes on."""
    practice: float = setting(1.0, at_least=0)
    """Where nobody labels states: weight of what own episodes in the training tasks earn, beside
    imitation; 0: demonstrations alone. Has no effect on pictures."""
    practice_episodes: int = setting(10, at_least=2, because="returns are compared")
    """Episodes of each adapted policy in a round, and of each at its own latent, to practise on."""
    practice_tasks: int = setting(10, at_least=0, before=0)
    """Where nobody labels states: further tasks of the family to practise in, the farthest from
    those that were demonstrated; 0: none."""
    practice_discount: float = setting(0.97, above=0, at_most=1, before=1.0)
    """Discount of the rewards to come, for each step, in practice."""
    practice_std: float = setting(0.1, above=0, at_most=100)
    """Standard deviation of the actions in place of `std` where the learner practises."""

    @property
    def bias_size(self) -> int:
        """Size of the network's bias transformation: the latent takes its place."""
        return self.latent


@dataclass(frozen=True)
class GmpsLatentConfig(LatentSettings):
    """Settings of GMPS with structured exploration."""

    advantage: Literal["learned", "softmax"] = "learned"
    """How episodes are compared: `learned` from their rewards, on one scale for all tasks; or
    `softmax` of their returns within the task, which goes to the best of them."""
    step_size: float = setting(1.0, at_least=0)
    """Initial weight of an episode's return in its advantage. With `softmax`, of the return in
    deviations over the task's episodes: how far the best one outweighs the others."""
    advantage_hidden: int = setting(64, at_least=1)
    """Hidden units of the learned advantage."""

    def rules(self) -> None:
        """A softmax needs a scale."""
        if self.advantage == "softmax" and self.step_size == 0:
            self.refuse("step_size", "with advantage softmax it must be above 0")

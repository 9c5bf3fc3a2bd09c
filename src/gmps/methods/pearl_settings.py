"""Settings of PEARL: reading them imports no method."""

from dataclasses import dataclass, field

from gmps.experts.sac_settings import SacConfig
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class PearlConfig(Settings):
    """Settings of PEARL."""

    latent: int = setting(5, at_least=1)
    """Size of the latent z."""
    kl_weight: float = setting(0.01, at_least=0)
    """Weight of KL(posterior || prior), summed over the tasks of a gradient step."""
    prior_episodes: int = setting(2, at_least=1)
    """Episodes of each task in a round with z from the prior."""
    posterior_episodes: int = setting(2, at_least=1)
    """Episodes of each task in a round with z from the posterior that the former give."""
    collect: int | None = setting(None, at_least=1)
    """Tasks of a round, drawn anew; all by default, and always in the first round."""
    gradient_steps: int = setting(400, at_least=1)
    """Gradient steps of a round."""
    meta_batch: int = setting(16, at_least=1)
    """Tasks in a gradient step; all where there are fewer."""
    context: int = setting(64, at_least=1)
    """Transitions of each task that the encoder sees in a gradient step, from the episodes of the
    task's last round."""
    next_obs: bool = False
    """Show the encoder the change of the observation too: for tasks that differ in dynamics."""
    capacity: int = setting(300, at_least=1)
    """Episodes of each task that are kept for actor and critics."""
    sac: SacConfig = field(default_factory=lambda: SacConfig(hidden=(128, 128)))
    """Settings of actor, critics and encoder, which have the same hidden layers; its batch is that
    of all tasks of a gradient step together."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation of the untrained policy."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the untrained policy, which is the zero of the normalised score and the
    start of the plain control; as of the other methods."""
    std: float = setting(0.5, above=0, at_most=100)
    """Standard deviation of the untrained policy's actions."""
    normalise: bool = True
    """Shift and scale observations, and the rewards that the encoder sees, by the mean and std of
    the stored episodes so far; those of the untrained policy by the experts' data."""
    pretrain_steps: int = setting(0, at_least=0, before=0)
    """Gradient steps before the first round on the experts' episodes, which stay in the buffers,
    with an actor that imitates their labels; 0: no expert is asked."""

    def rules(self) -> None:
        """Each task needs a transition."""
        if self.sac.batch < self.meta_batch:
            self.refuse(
                "sac.batch",
                f"it must be at least meta_batch, {self.meta_batch}: each task needs a transition",
            )

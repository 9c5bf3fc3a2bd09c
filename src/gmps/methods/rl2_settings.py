"""Settings of RL2: reading them imports no method."""

from dataclasses import dataclass, field

from gmps.methods.outer_settings import PpoConfig
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class Rl2Config(Settings):
    """Settings of RL2."""

    episodes: int = setting(20, at_least=1)
    """Episodes of a trial, one after another; the memory is reset between trials alone."""
    trials: int = setting(2, at_least=1)
    """Trials of each task in a round."""
    memory: int = setting(64, at_least=1)
    """Size of the GRU's state."""
    hidden: tuple[int, ...] = setting((64,), at_least=1, not_empty="layer")
    """Hidden layers of the head, which acts on observation and state; they apply tanh."""
    std: float = setting(0.5, above=0, at_most=100)
    """Initial standard deviation of the actions."""
    learn_std: bool = True
    """Whether the standard deviation is learned."""
    normalise: bool = True
    """Shift and scale observations and rewards by the mean and std of the first round's own
    episodes."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount of the return of the trial, a step, across the ends of episodes."""
    gae_lambda: float = setting(0.95, at_least=0, at_most=1)
    """Lambda of generalised advantage estimation over the trial."""
    window: int | None = setting(None, at_least=1)
    """Steps after which backpropagation through time is cut; by default it reaches back to the
    start of the trial."""
    ppo: PpoConfig = field(default_factory=lambda: PpoConfig(steps=10, clip=0.2))
    """Settings of the clipped outer steps, as of MAML."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation of the untrained policy, the zero of the normalised score."""

"""Settings of a certificate: reading them imports no JAX."""

from dataclasses import dataclass, field

from gmps.settings import Settings, seed_setting, setting


@dataclass(frozen=True)
class SamplingConfig(Settings):
    """How much is simulated."""

    repeats: int = setting(4, at_least=1)
    """Independent adaptations to each task."""
    episodes: int = setting(4, at_least=1)
    """Episodes of each adapted policy, and of the expert beside it."""
    states: int = setting(8, at_least=1)
    """Visited states of each adapted policy in which actions are compared, spread over time."""
    pairs: int = setting(4, at_least=1)
    """Actions compared in each of them: this many of the policy and of the expert each."""
    continuations: int = setting(4, at_least=1)
    """Times that the expert goes on after each of these actions."""


@dataclass(frozen=True)
class CertifyConfig(Settings):
    """Settings of `gmps certify`."""

    tasks: int | None = setting(None, at_least=1)
    """Held-out tasks, evenly chosen; all by default."""
    std: float | None = setting(
        None, above=0, at_most=100, because="the KL needs policies with noise"
    )
    """Standard deviation with which policy and expert act; by default the policy's own."""
    adaptation_episodes: int = setting(20, at_least=1)
    """Episodes of own experience for the adaptation step."""
    history: int = setting(0, at_least=0)
    """Also certify this many evenly chosen checkpoints of those that the run has kept."""
    seed: int = seed_setting()
    """Seed of everything random."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

"""Settings of the evaluation: reading them imports no JAX."""

from dataclasses import dataclass

from gmps.settings import Settings, seed_setting, setting


@dataclass(frozen=True)
class EvaluationConfig(Settings):
    """How a policy is judged."""

    episodes: int = setting(20, at_least=1)
    """Episodes of own experience for each adaptation step."""
    steps: int = setting(3, at_least=1)
    """Adaptation steps, each from fresh episodes."""
    repeats: int = setting(4, at_least=1)
    """Independent adaptations to each task, at most: they end early where all of them would narrow
    no interval of a normalised return by more than 0.01 at each end."""
    evaluation_episodes: int = setting(2, at_least=1)
    """Episodes that measure each adapted policy, in each noise mode."""
    tasks: int | None = setting(
        None, at_least=2, because="the wrong-task control takes another task"
    )
    """Tasks of each split, evenly chosen; all by default."""
    validation: bool = setting(False, before=False)
    """Judge on the validation tasks too, which settings are chosen by."""
    seed: int = seed_setting()
    """Seed of the evaluation's own randomness."""

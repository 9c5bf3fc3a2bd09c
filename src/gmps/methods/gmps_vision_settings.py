"""Settings of GMPS on pictures: reading them imports no method."""

from dataclasses import dataclass

from gmps.core.returns import Baseline, check_without_state
from gmps.methods.gmps_settings import GmpsConfig
from gmps.settings import setting


@dataclass(frozen=True)
class GmpsVisionConfig(GmpsConfig):
    """Settings of GMPS on pictures: those of GMPS, with defaults that two cores can afford."""

    std: float = setting(0.3, above=0, at_most=100)
    """Initial standard deviation of the actions."""
    step_size: float = setting(0.08, at_least=0)
    """Initial step size alpha of the inner step."""
    baseline: Baseline = "time"
    """What the inner step subtracts from returns: a cubic of time, or nothing (zero, published)."""
    labels: int = setting(100, at_least=1)
    """Expert labels of each task in one outer step."""
    pretrain_steps: int = setting(2000, at_least=0)
    """Steps of plain imitation, without the task, before the first round."""
    pretrain_labels: int = setting(20, at_least=1)
    """Expert labels of each task in one step of it."""
    capacity: int = setting(1000, at_least=1)
    """Most labels of each task beyond the expert's own trajectories, 9 KB each."""

    def rules(self) -> None:
        """A policy that sees is no expert's turn, and its baseline sees no state."""
        if self.beta != "zero":
            self.refuse(
                "beta",
                "an expert does not act in turn with a policy that sees: leave it at 'zero'",
            )
        check_without_state(self.baseline)

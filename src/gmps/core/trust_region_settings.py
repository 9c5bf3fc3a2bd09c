"""Settings of the trust region: reading them imports no JAX."""

from dataclasses import dataclass

from gmps.settings import Settings, setting


@dataclass(frozen=True)
class TrustRegionConfig(Settings):
    """Settings of a trust-region step."""

    max_kl: float = setting(0.01, above=0)
    """Limit of the mean KL from the old policy to the new one, in nats."""
    cg_iterations: int = setting(10, at_least=1)
    """Iterations of conjugate gradient."""
    damping: float = setting(1e-2, at_least=0)
    """Added to the diagonal of the Fisher matrix."""
    shrink: float = setting(0.8, above=0, below=1)
    """Factor between two tries of the line search."""
    tries: int = setting(15, at_least=1)
    """Tries of the line search; when all fail the step is rejected."""

"""Settings of in-context adaptation: reading them imports no method."""

from dataclasses import dataclass

from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.settings import setting


@dataclass(frozen=True)
class InContextConfig(LatentSettings):
    """Settings of in-context adaptation; those it shares with gmps-latent are the same."""

    segments: int = setting(5, at_least=1)
    """Tokens of an episode, each of a part of it; at most one a time step."""
    width: int = setting(32, at_least=1)
    """Numbers of a token inside the transformer."""
    heads: int = setting(2, at_least=1)
    """Attention heads; they divide the width."""
    layers: int = setting(2, at_least=1)
    """Blocks of the transformer."""
    remembered: int = setting(60, at_least=1)
    """Most episodes in the context; older ones are forgotten."""

    def rules(self) -> None:
        """Heads share the width."""
        if self.width % self.heads:
            self.refuse("width", f"it must be a multiple of heads, {self.heads}")

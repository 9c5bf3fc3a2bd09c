"""The words that settings choose among: reading them imports no JAX."""

from typing import Literal

#: Which parameters the inner step moves: every one; all but the standard deviation; or the bias
#: transformation alone.
Subset = Literal["all", "mean", "bias"]
#: What the hidden layers apply.
Activation = Literal["relu", "tanh"]
#: One step size for all parameters, one for each leaf, or one for each parameter.
StepSizeKind = Literal["scalar", "leaf", "parameter"]
#: The outer loss on expert labels, see `gmps.core.losses`.
Imitation = Literal["mse", "huber", "nll"]
#: What is subtracted from returns: a linear function of observation and time, one of time alone
#: (for pictures), or nothing (as published for pictures).
Baseline = Literal["linear", "time", "zero"]

"""Numbers in the precision that Meta-World's own scalars have, for many worlds at once.

Meta-World computes a reward from one world's scalars, and an action is in single precision. NumPy
lets a Python number take the type of what it meets, so a reward goes on in single precision behind
a gripper that closes, until it meets a `numpy.float64`; without it stays in double. Which of the
two holds may differ from world to world. `Scalars` follows that, number by number.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


class Scalars:
    """One scalar of each world: a Python float, unless said otherwise.

    Example:
        >>> grip = Scalars(np.array([0.1, 0.0]), single=np.array([True, False]))
        >>> (grip + 0.2).value - 0.3
        array([ 1.19209290e-08, -1.00000000e-01])
    """

    # NumPy's arrays leave arithmetic with these to them.
    __array_ufunc__ = None

    def __init__(
        self,
        value: Float[np.ndarray, " n"],
        single: Bool[np.ndarray, " n"] | None = None,
        double: Bool[np.ndarray, " n"] | None = None,
    ):
        """Args:
        value: the numbers, in double precision, which holds those of single precision too.
        single: where they are `numpy.float32`; None for nowhere.
        double: where they are `numpy.float64`, which single precision gives way to.
        """
        self.value = value
        none = np.zeros(len(value), bool)
        self.single = none if single is None else single
        self.double = none if double is None else double

    def where(self, condition: Bool[np.ndarray, " n"], other: Any) -> "Scalars":
        """Another's numbers where the condition does not hold, each as precise as there."""
        other = scalars(other, len(self.value))
        pairs = ((x, getattr(other, name)) for name, x in vars(self).items())
        return Scalars(*(np.where(condition, mine, theirs) for mine, theirs in pairs))

    def __add__(self, other: Any) -> "Scalars":
        return self._combine(operator.add, other)

    __radd__ = __add__

    def __mul__(self, other: Any) -> "Scalars":
        return self._combine(operator.mul, other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> "Scalars":
        return self._combine(operator.sub, other)

    def __truediv__(self, other: Any) -> "Scalars":
        return self._combine(operator.truediv, other)

    def _combine(self, what: Callable[[Any, Any], Any], other: Any) -> "Scalars":
        other = scalars(other, len(self.value))
        value = what(self.value, other.value)
        double = self.double | other.double
        single = (self.single | other.single) & ~double
        if single.any():
            narrow = what(self.value.astype(np.float32), other.value.astype(np.float32))
            value = np.where(single, narrow, value)
        return Scalars(value, single, double)


def scalars(numbers: Any, n: int) -> Scalars:
    """Numbers as `Scalars`: what is not yet counts as Python floats."""
    if isinstance(numbers, Scalars):
        return numbers
    return Scalars(np.broadcast_to(np.asarray(numbers, np.float64), n))

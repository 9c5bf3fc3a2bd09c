"""What a user can mend: one sentence that names the value, the rule and the fix."""


class GmpsError(ValueError):
    """Bad input of a user's. The command line prints its sentence and ends with status 2.

    Any other exception is a fault of the program, which keeps its traceback; or of the machine or
    of code that a user brought, which the command line tells in a sentence too.
    """


class UserCodeError(GmpsError, RuntimeError):
    """Code that a user brought failed; its sentence says where, and its cause is the error."""


class NotFiniteError(GmpsError, FloatingPointError):
    """A number of a family, an environment or a policy is infinite or no number; its sentence names
    the family, the task's index, the episode and the step."""

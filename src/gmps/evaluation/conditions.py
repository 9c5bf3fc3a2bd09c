"""The conditions of the evaluation: what they are called, in tables and in files."""

import re
from typing import Literal, NamedTuple

#: The class of a condition, which decides its colour in a report.
Kind = Literal["before", "after", "control", "plain", "expert", "other"]


class Condition(NamedTuple):
    """A condition in words."""

    #: In a narrow table.
    short: str
    #: In a report.
    label: str
    #: What it is, in a sentence.
    meaning: str
    kind: Kind


#: In the order of tables. `after` stands for `after_1`, `after_2` and so on.
CONDITIONS: dict[str, Condition] = {
    "before": Condition(
        "before", "Before the update", "The meta-trained policy, before any update.", "before"
    ),
    "after": Condition(
        "after {} step(s)",
        "After the update",
        "After gradient steps on its own experience in the task.",
        "after",
    ),
    "zero_step": Condition(
        "zero step",
        "Step of size zero",
        "A step of size zero, on fresh episodes: shows the noise of the evaluation.",
        "other",
    ),
    "random_update": Condition(
        "random update",
        "Random update, same size",
        "A random update of the same size.",
        "control",
    ),
    "wrong_task": Condition(
        "wrong task",
        "Another task's update",
        "The same update, computed from another task's experience.",
        "control",
    ),
    "plain_before": Condition(
        "blind imitation",
        "Plain imitation",
        "Plain imitation of all experts, without meta-learning, before its update.",
        "plain",
    ),
    "plain": Condition(
        "  + a plain step",
        "Plain imitation + 1 step",
        "Plain imitation, then one plain policy-gradient step whose size was tuned on training "
        "tasks.",
        "plain",
    ),
    "plain_all": Condition(
        "  + as many steps",
        "Plain imitation + all steps",
        "The same after as many plain steps as the method takes, each from fresh episodes.",
        "plain",
    ),
    "best_episode": Condition(
        "imitated latent",
        "Imitated latent, best episode",
        "The latent imitated without an outer loop, at that of the best of its own episodes.",
        "plain",
    ),
    "demonstrators": Condition(
        "demonstrators",
        "Demonstrators",
        "The mean return of the demonstrations, between demonstrated tasks interpolated.",
        "expert",
    ),
    "expert": Condition("expert", "Expert", "The expert, which knows the task.", "expert"),
}
#: Conditions that may serve as the control of the adaptation score: the best one does.
CONTROLS = ("before", "wrong_task", "random_update")
#: What an adapted policy is compared with, task by task and seed by seed.
COMPARED = ("before", "wrong_task", "plain", "plain_all", "best_episode")


def after(steps: int) -> str:
    """The name of the condition after so many adaptation steps."""
    return f"after_{steps}"


def after_steps(name: str) -> int | None:
    """Of how many adaptation steps a condition is; None where it is of another kind."""
    found = re.fullmatch(r"after_(\d+)", name)
    return int(found[1]) if found else None


def is_condition(name: str) -> bool:
    """Whether a name is one of the evaluation's conditions."""
    return name in CONDITIONS or after_steps(name) is not None


def condition_label(name: str) -> str:
    """A condition in the words of a report."""
    steps = after_steps(name)
    if steps is not None:
        return "After 1 update" if steps == 1 else f"After {steps} updates"
    return _condition(name).label


def condition_short(name: str) -> str:
    """A condition in few words."""
    return _condition(name).short.format(after_steps(name))


def condition_kind(name: str) -> Kind:
    """The class of a condition."""
    return _condition(name).kind


def condition_order(name: str) -> tuple[int, int]:
    """Sort key of conditions."""
    steps = after_steps(name)
    known = [*CONDITIONS, name]
    return known.index(name if steps is None else "after"), steps or 0


def _condition(name: str) -> Condition:
    """What is known of a condition; one of a later version is called as it is named."""
    text = name.replace("_", " ")
    other = Condition(text, text[:1].upper() + text[1:], "", "other")
    return CONDITIONS.get(name if after_steps(name) is None else "after", other)

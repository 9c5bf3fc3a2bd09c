"""A family's model as MuJoCo's XML, for programs in environments of their own."""

from typing import Any

import mujoco

from gmps.tasks.base import MujocoFamily


def model_xml(family: MujocoFamily) -> str:
    """The XML of the model that the family compiles from a specification."""
    written, compiled = [], mujoco.MjSpec.compile

    def noted(spec: mujoco.MjSpec, *rest: Any) -> mujoco.MjModel:
        model = compiled(spec, *rest)
        written.append(spec.to_xml())
        return model

    mujoco.MjSpec.compile = noted
    try:
        family.model()
    finally:
        mujoco.MjSpec.compile = compiled
    return written[-1]

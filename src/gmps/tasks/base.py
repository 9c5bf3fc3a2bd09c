"""Task families: a distribution over tasks that share spaces and dynamics.

A family is pure functions of one state, one task and one action; simulators add the batch axes.
The task parameter is never part of an observation.
"""

import abc
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import mujoco
from jaxtyping import Array, Bool, Float, Key

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.tasks.choices import Split

#: Other observations to act alike in, of observations and a key: see `TaskFamily.augment`.
Augment = Callable[[Float[Array, "task label obs"], Key[Array, ""]], Float[Array, "task label obs"]]


class State(NamedTuple):
    """State of one simulated world. Leaves that a family does not use have size 0."""

    #: Generalised positions (m, rad, unit quaternions).
    qpos: Float[Array, " nq"]
    #: Generalised velocities (m/s, rad/s).
    qvel: Float[Array, " nv"]
    #: Positions of mocap bodies, flattened (m).
    mocap_pos: Float[Array, " mocap"]


class Control(NamedTuple):
    """What an action commands the simulator to do for one control step."""

    #: Actuator inputs.
    ctrl: Float[Array, " nu"]
    #: New positions of the mocap bodies, flattened (m).
    mocap_pos: Float[Array, " mocap"]


class Transition(NamedTuple):
    """One control step, as rewards see it. Sensor data belong to exactly the state beside them."""

    state: State
    sensors: Float[Array, " sensor"]
    #: The action after clipping to [-1, 1].
    act: Float[Array, " act"]
    next_state: State
    next_sensors: Float[Array, " sensor"]


class Camera(NamedTuple):
    """From where a family is drawn."""

    #: The point in the middle of the picture, m.
    lookat: tuple[float, float, float]
    #: From there, m.
    distance: float
    #: Angles in degrees: seen along +x for azimuth 0, along +y for 90; below 0 from above.
    azimuth: float
    elevation: float


class Part(NamedTuple):
    """Some numbers of an observation that follow each other."""

    name: str
    size: int
    #: Such as "m" or "rad"; empty where they have none.
    unit: str = ""


@dataclass(frozen=True)
class Spec:
    """Sizes and durations of a family. Actions are in [-1, 1] in every family."""

    obs_size: int
    act_size: int
    #: Size of the context: the task parameter as an expert may see it.
    context_size: int
    #: Control steps per episode.
    horizon: int
    #: Seconds per control step.
    control_dt: float


class TaskFamily(abc.ABC):
    """Base of all families; see the module docstring. Instances are immutable and hashable."""

    name: ClassVar[str]
    #: The family that its variants have observations, actions and tasks in common with.
    variant_of: ClassVar[str | None] = None
    #: Whether the learner is shown pictures: see `gmps.tasks.pixels.PixelFamily`.
    has_camera: ClassVar[bool] = False
    #: What the numbers of an observation are, in order; empty where nobody says. Recordings are
    #: mapped and their units checked by these names.
    parts: ClassVar[tuple[Part, ...]] = ()
    spec: Spec

    @abc.abstractmethod
    def tasks(self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None) -> Task:
        """`n` tasks of a split, stacked.

        Without `n`, the family's published list for the split. With `n` and no key, an even
        selection of that list (at most its length); with a key, `n` random tasks.
        """

    @abc.abstractmethod
    def context(self, task: Task) -> Float[Array, " ctx"]:
        """The task parameter, for experts only."""

    @abc.abstractmethod
    def reset(self, key: Key[Array, ""], task: Task) -> State:
        """Draw a start state."""

    @abc.abstractmethod
    def observe(self, state: State) -> Float[Array, " obs"]:
        """What the learner sees. Pure function of the state: no sensor, so never stale."""

    @abc.abstractmethod
    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """The named reward terms of one step; the reward is their sum."""

    @abc.abstractmethod
    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 sensor"]
    ) -> dict[str, Float[Array, ""]]:
        """Figures of one episode from its `t + 1` states: errors, and `success` (0/1) where the
        family can say; without it, tables show "-".

        States after the end of the episode repeat the last one.
        """

    @property
    def expert_families(self) -> tuple[str, ...]:
        """Families whose trained experts act here: its own, and those of the family that it is a
        variant of, for experts need not be paid as the learner is."""
        return (self.name,) if self.variant_of is None else (self.name, self.variant_of)

    @property
    def proprioception_size(self) -> int:
        """How many numbers of an observation, the first ones, the learner is shown: by default all,
        and with a camera those that stand beside the picture."""
        return self.spec.obs_size

    @property
    def observation_names(self) -> tuple[str, ...]:
        """What each number that the learner is shown is, with its unit; empty if not said."""
        return ()

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each number of an action is; empty if not said."""
        return ()

    @property
    def action_bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The robot's actions that -1 and 1 stand for: by default these. Of a Gymnasium environment
        its world knows them."""
        return (-1.0,) * self.spec.act_size, (1.0,) * self.spec.act_size

    def terminated(self, state: State) -> Bool[Array, ""]:
        """True in a terminal state."""
        del state
        return jax.numpy.zeros((), bool)

    @abc.abstractmethod
    def paths(
        self, states: State, sensors: Float[Array, "t1 sensor"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """Named 2-D paths of one episode for pictures, in m."""

    @abc.abstractmethod
    def goal_point(self, task: Task) -> Float[Array, " 2"]:
        """Where to draw the task's goal in the same plane as `paths`."""

    def describe(self, task: Task) -> str:
        """A task in words, for tables."""
        return " ".join(f"{float(x):.3g}" for x in self.context(task))

    @property
    def shares_dynamics(self) -> bool:
        """Whether `reward` also scores what happened in another task: no task changes how the
        world moves."""
        return True

    @property
    def summary(self) -> str:
        """One line about the family: by default the first of its module's or its own words, not of
        its base's."""
        module = inspect.getmodule(type(self))
        text = inspect.getdoc(module) or inspect.cleandoc(type(self).__doc__ or "")
        return text.partition("\n")[0] or "it has no description"

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """Sizes of `qpos`, `qvel` and `mocap_pos`, by default those of a start state."""
        task = jax.tree.map(lambda x: x[0], self.tasks("train", 1))
        start = jax.eval_shape(self.reset, jax.random.key(0), task)
        return start.qpos.shape[0], start.qvel.shape[0], start.mocap_pos.shape[0]

    @property
    def augment(self) -> Augment | None:
        """Other observations in which experts would act, nearly, as they do in these; or None."""
        return None

    @property
    def expert(self) -> "Callable[[Task, Float[Array, ' obs']], Float[Array, ' act']] | None":
        """A scripted controller `(task, obs) -> action` in pure JAX, or None."""
        return None


class MujocoFamily(TaskFamily):
    """A family whose dynamics are a MuJoCo model, shared by all its tasks or edited for each."""

    #: Physics steps per control step.
    frame_skip: int
    #: Whether tasks change the model, by `edit_model`.
    edits_model: ClassVar[bool] = False
    #: From where to draw it; None shows the whole model.
    camera: ClassVar[Camera | None] = None

    @abc.abstractmethod
    def model(self) -> mujoco.MjModel:
        """The compiled model. Simulators switch warm starts off: see `gmps.sim.native`."""

    def edit_model(self, model: mujoco.MjModel, task: Task) -> None:
        """Change a copy of the model in place into that of `task`, whose leaves are NumPy arrays.

        Called where `edits_model` is set. May change numbers, not sizes and not the time step;
        what follows from masses and positions is computed afterwards.
        """
        del model, task

    @abc.abstractmethod
    def control(self, state: State, act: Float[Array, " act"]) -> Control:
        """What the clipped action commands."""

    def recorded_state(self, obs: Float[Array, " obs"]) -> State | None:
        """The state in which `observe` gives `obs`, as far as sensors and rewards depend on it;
        None, the default, if an observation does not tell. Demonstrations whose rewards are not
        this family's get their returns from it."""
        del obs

    @property
    def shares_dynamics(self) -> bool:
        """True unless tasks change the model."""
        return not self.edits_model

    def sensor(self, name: str) -> slice:
        """Where the numbers of a sensor stand in the sensor data.

        Raises:
            GmpsError: the model has no sensor of that name; lists what it has.
        """
        return _sensor_slices(self)(name)

    def goal_marker(self, task: Task) -> Float[Array, " 3"]:
        """Where in the scene to draw the goal, m: by default `goal_point` on the ground."""
        return jax.numpy.append(self.goal_point(task), 0.0)


@functools.cache
def _sensor_slices(family: MujocoFamily) -> Callable[[str], slice]:
    model = family.model()
    sensors = [model.sensor(i) for i in range(model.nsensor)]
    found = {s.name: slice(int(s.adr[0]), int(s.adr[0] + s.dim[0])) for s in sensors}

    def find(name: str) -> slice:
        if name not in found:
            raise GmpsError(
                f"{family.name}: the model has no sensor {name!r}; it has "
                f"{', '.join(found) or 'none'}."
            )
        return found[name]

    return find


class PureFamily(TaskFamily):
    """A family whose dynamics are a pure JAX function."""

    @abc.abstractmethod
    def step(self, state: State, act: Float[Array, " act"]) -> State:
        """The state after one control step with the clipped action."""

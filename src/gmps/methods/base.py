"""What a method is: the contract between a meta-learner, the training driver and the evaluator."""

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key, PyTree

from gmps.core.actors import Actor
from gmps.core.policy import Policy, PolicyActor, init_policy
from gmps.core.types import Demonstrations, Task, Trajectories
from gmps.data.aggregate import Aggregate
from gmps.errors import GmpsError
from gmps.experts.base import Controller
from gmps.methods.deployed import Deployed
from gmps.methods.normalisation import normalised, renormalised
from gmps.tasks.base import TaskFamily
from gmps.worlds.base import World

#: What training takes from experts: nothing, their labels, their episodes with rewards as well, or
#: their labels and their answers in visited states.
Needs = Literal["nothing", "demonstrations", "episodes", "answers"]
Metrics = dict[str, Float[Array, ""]]


class NetworkSettings(Protocol):
    """The settings of every method that say what its policy network is."""

    @property
    def hidden(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def bias_size(self) -> int: ...  # noqa: D102
    @property
    def std(self) -> float: ...  # noqa: D102
    @property
    def normalise(self) -> bool: ...  # noqa: D102


class MethodState(Protocol):
    """A training state: a named tuple of arrays."""

    @property
    def round(self) -> Int[Array, ""]:
        """Finished rounds."""
        ...


class MethodPolicy(Protocol):
    """A policy of a method, one task's or with a leading `task` axis: a pytree of arrays."""

    @property
    def action_std(self) -> Float[Array, "*task act"]:
        """The standard deviation of its actions, for others who are to act as noisily."""
        ...

    def with_std(self, std: Float[Array, " act"]) -> Self:
        """The same, acting with this standard deviation: so no update looks good by acting with
        less noise."""
        ...

    def export(self) -> Policy:
        """One policy as it is handed on: it needs nothing but what the learner is shown.

        Raises:
            GmpsError: this method's policies are of no such form.
        """
        ...


Config = TypeVar("Config", bound=NetworkSettings)
State = TypeVar("State", bound=MethodState)
P = TypeVar("P", bound=MethodPolicy)


class Gathered(NamedTuple):
    """What one round's simulation yields."""

    #: What `Method.learn` consumes: a pytree of arrays, of the same shapes in every round.
    batches: PyTree
    #: Figures for the log.
    metrics: dict[str, float]
    #: Environment steps by column: `meta`, `expert`, `demonstration`, `evaluation`.
    steps: dict[str, int]


@dataclass(frozen=True, eq=False)
class Method(abc.ABC, Generic[Config, State, P]):
    """A meta-learner on the training tasks of a world. `gather` simulates; all else is pure.

    A method derives from `Method[its settings, its state, its policies]` and says how it starts,
    collects, learns and adapts. The metrics of `gather` hold `return/before` and `return/after`:
    mean returns of the training episodes before and after one adaptation step. The latter chooses
    the best checkpoint.
    """

    #: The class of its settings.
    Settings: ClassVar[type]
    #: What it takes from experts; where settings decide, see `takes`.
    needs: ClassVar[Needs] = "nothing"
    #: Whether it can learn from pictures.
    pictures: ClassVar[bool] = False
    #: Fewer episodes of a task say nothing to `adapt`.
    least_episodes: ClassVar[int] = 1
    #: Whether each episode of an adaptation step begins with what the ones before have left, so
    #: that they are played one after another. Then `adapt` to some at once and to one after the
    #: other are the same.
    sequential: ClassVar[bool] = False

    config: Config
    world: World
    #: The stacked training tasks.
    tasks: Task
    #: The expert that answers in visited states, if anybody does.
    controller: Controller | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Whatever a method's `adapt` is, it is given nothing that it cannot work on."""
        super().__init_subclass__(**options)
        if "adapt" in cls.__dict__:
            cls.adapt = _checked(cls.__dict__["adapt"])

    def __post_init__(self):
        self.require_fit(self.config, self.world.family)

    @classmethod
    def require_fit(cls, config: Config, family: TaskFamily) -> None:
        """That the method can learn in the family with these settings.

        Raises:
            GmpsError: it cannot; by default, the family shows pictures and the method needs states.
        """
        del config
        if family.has_camera and not cls.pictures:
            raise GmpsError(
                f"{cls.__name__} learns from states, and {family.name} shows pictures; choose a "
                "method that learns from pictures, such as gmps-latent, or the family without a "
                "camera."
            )

    @classmethod
    def takes(cls, config: Config) -> Needs:
        """What training takes from experts with these settings: by default what the class needs.
        Steps of experts are counted as the evaluation's where it is nothing."""
        del config
        return cls.needs

    @abc.abstractmethod
    def init(self, key: Key[Array, ""], demos: Demonstrations) -> State:
        """The state before the first round. Only methods that learn from experts use `demos`."""

    @abc.abstractmethod
    def policy(self, state: State) -> P:
        """The policy before adaptation."""

    @abc.abstractmethod
    def adapt(self, state: State, policies: P, data: Trajectories) -> P:
        """One adaptation step of each task's policy on that task's trajectories, which that policy
        collected.

        Raises:
            GmpsError: in every method: fewer episodes than `least_episodes`, observations of
                another size than the family's, or a reward that is not finite.
        """

    def actor(self, stochastic: bool = True) -> Actor:
        """What runs the method's policies; `stochastic=False` takes means, of latents too. By
        default they are `Policy`s."""
        return policy_actor(self.world.family, stochastic)

    def acting(self, policies: P) -> PyTree:
        """What of adapted policies decides how they act, for those who compare updates: by default
        all."""
        return policies

    def share(self, step: int) -> float:
        """How far the `step`-th adaptation step (from 1) goes of the way that `adapt` proposes, in
        (0, 1]: by default all of it. Steps that do not shrink by themselves would otherwise undo
        what earlier ones reached; see `gmps.deploy.adaptation.gradient_share`."""
        del step
        return 1.0

    @abc.abstractmethod
    def gather(self, state: State, key: Key[Array, ""]) -> tuple[State, Gathered]:
        """Collect the experience of one round."""

    @abc.abstractmethod
    def learn(self, state: State, batches: PyTree, key: Key[Array, ""]) -> tuple[State, Metrics]:
        """Learn from `Gathered.batches`; returns figures for the log. Pure: `update` compiles it,
        once for all rounds."""

    def update(
        self, state: State, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[State, Metrics]:
        """Learn from what was gathered; returns figures for the log."""
        return self.compiled_learn(state, gathered.batches, key)

    @functools.cached_property
    def compiled_learn(self) -> Callable[..., tuple[State, Metrics]]:
        """`learn`, compiled."""
        return jax.jit(self.learn)

    def aggregate(self, state: State) -> Aggregate | None:
        """What experts did in the states that training has gathered; None where it keeps none."""
        del state

    def imitation_steps(self, rounds: int) -> int:
        """Steps of imitation that so many rounds take, the start included; 0 where it asks nobody.
        The evaluation's controls are given as many."""
        del rounds
        return 0

    def deployed(self, state: State) -> Deployed:
        """What `gmps.deploy` needs to explore, adapt and act without gmps.

        Raises:
            GmpsError: this method's policies cannot be handed on.
        """
        del state
        raise GmpsError(
            f"{type(self).__name__} says not how its policies explore and adapt elsewhere, so they "
            "cannot be exported; define its method `deployed`."
        )

    def random_policy(self, key: Key[Array, ""]) -> Policy:
        """A random policy of what the family shows the learner.

        Its bias transformation starts at `bias_init`, where there is that setting, or else at 0.
        """
        config, family = self.config, self.world.family
        return init_policy(
            key,
            family.proprioception_size,
            family.spec.act_size,
            camera=family.has_camera,
            hidden=config.hidden,
            bias_size=config.bias_size,
            bias_init=getattr(config, "bias_init", 0.0),
            std=config.std,
            activation=getattr(config, "activation", "relu"),
        )

    def untrained(self, key: Key[Array, ""], demos: Demonstrations) -> Policy:
        """A policy that has learned nothing: the zero of the normalised score, and the start of the
        plain control. Its inputs are scaled to `demos` if `normalise`, whatever the method itself
        is shown."""
        policy = self.random_policy(key)
        if not self.config.normalise:
            return policy
        scale = renormalised if self.world.family.has_camera else normalised
        return scale(policy, demos)


def _checked(adapt: Callable[..., P]) -> Callable[..., P]:
    """An `adapt` that looks at its trajectories first."""

    @functools.wraps(adapt)
    def checked(self: Method, state: MethodState, policies: P, data: Trajectories) -> P:
        _check(type(self), self.world.family, data)
        return adapt(self, state, policies, data)

    return checked


def _check(method: type[Method], family: TaskFamily, data: Trajectories) -> None:
    episodes, size = data.reward.shape[1], data.obs.shape[-1]
    if episodes < method.least_episodes:
        raise GmpsError(
            f"{method.__name__} cannot adapt from {episodes} episode{'s' * (episodes != 1)}, "
            f"because it compares them; give it at least {method.least_episodes} (--episodes)."
        )
    if size != family.spec.obs_size:
        raise GmpsError(
            f"The observations have {size} numbers, but {family.name} has "
            f"{family.spec.obs_size}; give those of the family that was trained on."
        )
    if isinstance(data.reward, Tracer):
        return  # there are no numbers to look at yet
    bad = np.argwhere(~np.isfinite(np.asarray(data.reward)) & np.asarray(data.alive))
    if len(bad):
        task, episode, step = (int(i) for i in bad[0])
        raise GmpsError(
            f"The reward of step {step} in episode {episode} of task {task} is "
            f"{data.reward[task, episode, step]}; nothing can be learned from it: look at the "
            f"reward of {family.name}."
        )


def mean_returns(before: Trajectories, after: Trajectories) -> dict[str, float]:
    """The two figures that every method logs."""
    return {
        "return/before": float(before.returns.mean()),
        "return/after": float(after.returns.mean()),
    }


def policy_actor(family: TaskFamily, stochastic: bool = True) -> PolicyActor:
    """Runs the `Policy`s of a family: on pictures where it has a camera."""
    return PolicyActor(family.spec.act_size, stochastic, family.has_camera)

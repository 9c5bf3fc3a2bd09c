"""Training SAC experts on a family: collect episodes, learn from them, measure, save.

`contextual`: one learner that sees the task parameter, its tasks drawn anew for every collection.
`per-task`: one learner for each training task, all in one program; each sees only its own episodes.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gmps.core.optimise import over_tasks
from gmps.core.types import Rollout, Shared, Task, concatenated, env_steps, task_count, tree_index
from gmps.errors import GmpsError
from gmps.experts import sac
from gmps.experts.replay import Replay, add, start_replay
from gmps.experts.sac import SacActor, SacActorNet, SacState, actor_net, init_sac
from gmps.experts.sac_settings import SacConfig
from gmps.runs.checkpoint import save
from gmps.runs.interrupts import held_interrupts
from gmps.runs.run import CONFIG, Run, refuse_taken
from gmps.sim.episodes import reward_terms
from gmps.tasks.base import TaskFamily
from gmps.tasks.lists import draws_tasks, validation_tasks
from gmps.training.sac_settings import ExpertConfig
from gmps.training.shown import shown_episodes
from gmps.worlds.base import World

#: The trained actors of a run, for whoever asks them later.
EXPERT_FILE = "expert.safetensors"
#: Settings that may differ when a training goes on: none of them changes a round that was done.
FREE = ("rounds", "threads", "checkpoint_every", "keep")
#: Separate streams of the run's seed.
_INIT, _ROUNDS, _MEASURE = 0, 1, 2


class TrainingState(NamedTuple):
    """What training carries from round to round; a leading `learner` axis on all but `round`."""

    learners: SacState
    replay: Replay
    round: Int[Array, ""]


class Measurement(NamedTuple):
    """Episodes without action noise in each task."""

    tasks: Task
    returns: Float[np.ndarray, " task"]
    #: The family's figures of each task, `success` among them.
    outcome: dict[str, Float[np.ndarray, " task"]]
    env_steps: int


class Progress(NamedTuple):
    """What a watcher is told after each round."""

    round: int
    rounds: int
    metrics: dict[str, float]
    #: Wall-clock figures, in seconds.
    timing: dict[str, float]
    #: The last measurement, if there was one yet.
    measured: Measurement | None


Watcher = Callable[[Progress], None]


class ExpertTraining:
    """SAC experts of one family, being trained."""

    def __init__(self, config: ExpertConfig, world: World):
        """Raises GmpsError where `only` does not fit the family."""
        self.config, self.world, self.family = config, world, world.family
        if config.kind == "per-task":
            self.indices, self.own = per_task(self.family, config)
            self.measured: Task = self.own
        else:
            self.indices, self.own = (0,), None
            # The best measurement chooses the actor, so no held-out task has a part in it.
            lists = [self.family.tasks("train")]
            lists += [validation_tasks(self.family)] if draws_tasks(self.family) else []
            self.measured = concatenated(*lists)
        self.shown = None if config.demos is None else shown_episodes(config.demos, self.family)

    def init(self) -> TrainingState:
        """Before the first round."""
        config, spec = self.config, self.family.spec
        key = jax.random.fold_in(jax.random.key(config.seed), _INIT)
        # A learner's start depends on its task alone, not on who else is trained beside it.
        keys = jnp.stack([jax.random.fold_in(key, i) for i in self.indices])
        sizes = (spec.obs_size, spec.context_size, spec.act_size)
        states = [init_sac(k, config.sac, *sizes) for k in keys]
        empty = start_replay(
            config.capacity, spec.horizon, spec.obs_size, spec.act_size, spec.context_size
        )
        if self.shown is not None:
            states = [_having_seen(state, self.shown) for state in states]
        stacked = lambda *x: jnp.stack(x)  # noqa: E731
        return TrainingState(
            jax.tree.map(stacked, *states),
            jax.tree.map(stacked, *[empty] * len(states)),
            jnp.zeros((), jnp.int32),
        )

    def round(
        self, state: TrainingState
    ) -> tuple[TrainingState, dict[str, float], dict[str, float]]:
        """Collect episodes, learn from them; returns figures and wall-clock times too.

        The state given must not be used again: its buffers are overwritten.
        """
        config = self.config
        key = jax.random.fold_in(jax.random.key(config.seed), _ROUNDS)
        key = jax.random.fold_in(key, int(state.round))
        key_tasks, key_others, key_roll, key_learn = jax.random.split(key, 4)
        start = time.perf_counter()
        if self.own is None:
            tasks = self.family.tasks("train", config.tasks, key_tasks)
            count = config.tasks * config.relabel * self.family.shares_dynamics
            others = self.family.tasks("train", count, key_others) if count else None
        else:
            tasks, others = self.own, None
        roll = self._roll(state.learners, tasks, config.episodes, key_roll, stochastic=True)
        learners, replay = _store(
            self.family, len(self.indices), state.learners, state.replay, roll, tasks, others
        )
        jax.block_until_ready(replay.added)
        middle = time.perf_counter()
        keys = jnp.stack([jax.random.fold_in(key_learn, i) for i in self.indices])
        shown = None if self.shown is None else jax.tree.map(lambda x: x[None], self.shown)
        learners, figures = _learn(
            config.sac, learners, replay, config.gradient_steps, keys, shown, self._share(state)
        )
        metrics = {name: float(np.mean(x)) for name, x in jax.device_get(figures).items()}
        end = time.perf_counter()
        metrics["return/collected"] = float(roll.trajectories.returns.mean())
        metrics["steps/expert"] = env_steps(roll.trajectories)
        seconds = {"seconds/collect": middle - start, "seconds/learn": end - middle}
        return TrainingState(learners, replay, state.round + 1), metrics, seconds

    def _share(self, state: TrainingState) -> Float[np.ndarray, " learner"]:
        """Demonstrations fill half of each batch at first, and none once half of the rounds are
        over: a few episodes, seen as often as all others, keep a learner from becoming exact."""
        passed = int(state.round) / self.config.rounds
        return np.full(len(self.indices), max(1 - 2 * passed, 0), np.float32)

    def measure(self, state: TrainingState) -> Measurement:
        """Episodes without action noise; the start states are the same in every measurement."""
        key = jax.random.fold_in(jax.random.key(self.config.seed), _MEASURE)
        roll = self._roll(
            state.learners, self.measured, self.config.evaluation_episodes, key, stochastic=False
        )
        return Measurement(
            self.measured,
            np.asarray(roll.trajectories.returns).mean(1),
            {name: np.asarray(x).mean(1) for name, x in roll.outcome.items()},
            env_steps(roll.trajectories),
        )

    def nets(self, state: TrainingState) -> SacActorNet:
        """The actors as they are run, with a leading `learner` axis."""
        return jax.vmap(actor_net)(state.learners)

    def _roll(
        self, learners: SacState, tasks: Task, episodes: int, key: Key[Array, ""], stochastic: bool
    ) -> Rollout:
        nets: Any = jax.vmap(actor_net)(learners)
        params = Shared(tree_index(nets, 0)) if self.own is None else nets
        return self.world.rollout(SacActor(self.family, stochastic), params, tasks, episodes, key)


def per_task(family: TaskFamily, config: ExpertConfig) -> tuple[tuple[int, ...], Task]:
    """Indices of the tasks that per-task experts are trained for, and these tasks, stacked.

    Raises:
        GmpsError: `only` names a task that there is not.
    """
    listed = family.tasks("train")
    n = min(config.tasks, task_count(listed))
    indices = config.only or tuple(range(n))
    for i in indices:
        if not 0 <= i < n:
            raise GmpsError(f"--only names task {i}; {family.name} has the tasks 0 to {n - 1}.")
    return indices, tree_index(family.tasks("train", n), np.array(indices))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def _store(
    family: TaskFamily,
    n: int,
    learners: SacState,
    replay: Replay,
    roll: Rollout,
    tasks: Task,
    others: Task | None,
) -> tuple[SacState, Replay]:
    """Add the episodes to the buffers, and their inputs to the moments."""

    def one(learner: SacState, replay: Replay, roll: Rollout, tasks: Task, others: Task | None):
        data = roll.trajectories
        context = jax.vmap(family.context)(tasks)
        replay = add(replay, data, data.reward, context)
        if others is not None:

            def again(replay: Replay, tasks: Task):
                terms = reward_terms(family, tasks, roll.states, roll.sensors, data.act, data.alive)
                reward = sum(terms.values(), jnp.zeros_like(data.reward))
                return add(replay, data, reward, jax.vmap(family.context)(tasks)), None

            replay, _ = jax.lax.scan(again, replay, others)
        spread = jnp.broadcast_to(context[:, None, None], (*data.alive.shape, context.shape[-1]))
        seen = jnp.concatenate([data.obs, spread], -1)
        moments = sac.observe_inputs(
            learner.moments, seen.reshape(-1, seen.shape[-1]), data.alive.reshape(-1)
        )
        return learner._replace(moments=moments), replay

    split = lambda x: x.reshape(n, x.shape[0] // n, *x.shape[1:])  # noqa: E731
    if others is not None:
        per = task_count(tasks)
        others = jax.tree.map(lambda x: x.reshape(1, -1, per, *x.shape[1:]), others)
    roll, tasks = jax.tree.map(split, (roll, tasks))
    return jax.vmap(one)(learners, replay, roll, tasks, others)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _learn(
    config: SacConfig,
    learners: SacState,
    replay: Replay,
    steps: int,
    keys: Key[Array, " learner"],
    shown: Replay | None,
    share: Float[np.ndarray, " learner"],
) -> tuple[SacState, dict[str, Float[Array, " learner"]]]:
    """Gradient steps of all learners."""

    def one(learner: SacState, replay: Replay, key: Key[Array, ""], *theirs: Any):
        return sac.update(config, learner, replay, steps, key, *theirs)

    theirs = () if shown is None else (shown, share)
    return over_tasks(one, learners, replay, keys, *theirs)


def _having_seen(state: SacState, shown: Replay) -> SacState:
    """The learner with the demonstrations among what its inputs are scaled by."""
    context = jnp.broadcast_to(
        shown.context[:, None], (*shown.reward.shape, shown.context.shape[-1])
    )
    seen = jnp.concatenate([shown.obs[:, :-1], context], -1).reshape(-1, state.moments.mean.size)
    alive = jnp.arange(shown.reward.shape[1]) < shown.length[:, None]
    return state._replace(moments=sac.observe_inputs(state.moments, seen, alive.reshape(-1)))


def open_training(folder: Path, config: ExpertConfig) -> Run | None:
    """A new run in `folder`, or the one that is there, to go on; None where it is finished.

    Raises:
        GmpsError: the folder holds something else, or a training with other settings.
    """
    if not (folder / CONFIG).is_file():
        refuse_taken(folder)
        return Run.create(folder, config, config.keep)
    run = Run.open(folder, config.keep)
    run.check_config(config, FREE)
    # Metrics are written before the checkpoint: a kill may have come between.
    reached = max(run.checkpoints.steps(), default=-1) + 1
    finished = reached >= config.rounds and (folder / EXPERT_FILE).is_file()
    return None if finished else run


def train_expert(run: Run, training: ExpertTraining, watch: Watcher | None = None) -> None:
    """Train to the last round, from the last checkpoint where there is one.

    The actors of the best measurement lie in `expert.safetensors`. A resumed run equals an
    uninterrupted one. Ctrl-C saves and is raised again.
    """
    config = training.config
    state, steps, first = training.init(), {"expert": 0, "evaluation": 0}, 0
    restored = run.restore(state)
    if restored is not None:
        state, first = restored.tree, restored.step + 1
        steps = {name: restored.metadata["env_steps"][name] for name in steps}
    best, measured, saved = _best(run), None, first - 1
    # A round overwrites the buffers of the state before it: it is not to be broken off.
    with held_interrupts() as raise_pressed:
        try:
            for round_ in range(first, config.rounds):
                state, metrics, seconds = training.round(state)
                steps["expert"] += int(metrics.pop("steps/expert"))
                last = round_ + 1 == config.rounds
                if last or (round_ + 1) % config.evaluate_every == 0:
                    measured = training.measure(state)
                    steps["evaluation"] += measured.env_steps
                    metrics |= _figures(measured)
                    score = metrics["evaluation/return"]
                    if score >= best:
                        best = score
                        save_experts(run, training, state, round_, score)
                metrics |= {f"steps/{name}": n for name, n in steps.items()}
                run.log(round_, metrics, seconds)
                if watch is not None:
                    watch(Progress(round_, config.rounds, metrics, seconds, measured))
                if last or (round_ + 1) % config.checkpoint_every == 0:
                    run.save(round_, state, None, {"env_steps": steps})
                    saved = round_
                raise_pressed()
        except KeyboardInterrupt:
            done = int(state.round) - 1
            if done > saved:
                run.save(done, state, None, {"env_steps": steps})
            raise
        except Exception as error:
            # A round that broke off has overwritten the state before it.
            kept = f"The state after round {saved} is" if saved >= 0 else "Nothing yet is"
            error.add_note(f"{kept} saved in {run.path}; the same command goes on there.")
            raise


def save_experts(
    run: Run, training: ExpertTraining, state: TrainingState, round_: int, score: float
) -> None:
    """Write the actors, atomically."""
    metadata = {
        "family": training.config.family,
        "kind": training.config.kind,
        "tasks": list(training.indices),
        "round": round_,
        "score": score,
    }
    save(run.path / EXPERT_FILE, training.nets(state), metadata)


def _best(run: Run) -> float:
    """The best score measured up to the round that the run goes on from."""
    scores = [row.get("evaluation/return") for row in run.metrics()]
    return max((x for x in scores if x is not None), default=-np.inf)


def _figures(measured: Measurement) -> dict[str, float]:
    figures = {
        "evaluation/return": float(measured.returns.mean()),
        "evaluation/worst": float(measured.returns.min()),
        **{f"evaluation/{name}": float(x.mean()) for name, x in measured.outcome.items()},
    }
    return figures | {f"return/task_{i}": float(x) for i, x in enumerate(measured.returns)}

"""The training driver: rounds of gathering and learning, logged, saved, resumable."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from gmps.errors import GmpsError
from gmps.methods.base import MethodState
from gmps.runs.run import Run
from gmps.runs.user_files import keep_user_file
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment
from gmps.training.expert_data import EXPERTS, save_expert_data

#: Separate streams of the run's seed.
_INIT, _ROUNDS = 2, 3
#: The score that chooses the best checkpoint is the mean of the return after the update over this
#: many rounds: a single round's is mostly noise.
_SMOOTH = 5


class Round(NamedTuple):
    """What a callback is told after each round."""

    round: int
    #: How many there are to be.
    rounds: int
    metrics: dict[str, float]
    #: Wall-clock figures: seconds, and environment steps per second.
    timing: dict[str, float]
    #: The method's state after the round; `method.policy(state)` is the policy.
    state: MethodState

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second of wall-clock time in this round."""
        return self.timing["steps_per_second"]


#: Called after each round, in the order given; training stops after it if one returns True.
Callback = Callable[[Round], bool | None]


def train(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train to the last round, from the last checkpoint where there is one.

    Every round draws from `fold_in(key, round)`, so that a resumed run repeats an uninterrupted
    one. Where a callback stops it the run is complete up to there, and may be resumed. Ctrl-C, and
    any error but of the system, saves the last complete round and is raised again; one from within
    a callback drops that round. An error has a note that says what is saved.
    """
    if not (run.path / EXPERTS).exists():
        save_expert_data(run.path, experiment.data)
        keep_user_file(run.path, "family", config.family)
        keep_user_file(run.path, "method", config.method)
        for spec in config.expert[:1]:
            keep_user_file(run.path, "expert", spec)
    # In one order, whether experts were asked now or are read from the run: rows are equal bytes.
    steps, first = dict(sorted(experiment.steps.items())), 0
    restored = run.restore(_like(config, experiment))
    if restored is None:
        state = _start(config, experiment)
    else:
        state, saved_steps = restored.tree, restored.metadata["env_steps"]
        steps = {name: saved_steps[name] for name in steps}
        first = restored.step + 1
    saved, score = first - 1, None
    after = [row["return/after"] for row in run.metrics()]
    try:
        for round_ in range(first, config.rounds):
            done, spent = _round(run, config, experiment, state, steps, round_)
            # All of them are called, also after one that stops.
            stops = [callback(done) for callback in callbacks]
            state, steps = done.state, spent
            last = any(stops) or round_ + 1 == config.rounds
            after.append(done.metrics["return/after"])
            score = float(np.mean(after[-_SMOOTH:]))
            if (round_ + 1) % config.checkpoint_every == 0 or last:
                run.save(round_, state, score, {"env_steps": steps})
                saved = round_
            if last:
                break
    except BaseException as error:
        complete = int(state.round) - 1
        # Where the machine failed, writing more may fail as well.
        if complete > saved and not isinstance(error, OSError):
            run.save(complete, state, score, {"env_steps": steps})
            saved = complete
        if not isinstance(error, KeyboardInterrupt):
            error.add_note(what_is_safe(run, saved))
        raise


def what_is_safe(run: Run, saved: int) -> str:
    """What is left of a training that ended in an error, and how it goes on."""
    state = f"The state after round {saved} is saved" if saved >= 0 else "No round is saved yet"
    return f"{state}; mend it, then go on with: gmps resume {run.path}"


def _start(config: TrainConfig, experiment: Experiment) -> MethodState:
    """The state before the first round."""
    return experiment.method.init(initial_key(config), experiment.demos)


def initial_key(config: TrainConfig) -> Key[Array, ""]:
    """The key of the state before the first round."""
    return jax.random.fold_in(jax.random.key(config.seed), _INIT)


def _like(config: TrainConfig, experiment: Experiment) -> MethodState:
    """Structure, shapes and dtypes of a state, without the imitation that may go into one."""
    return jax.eval_shape(lambda: _start(config, experiment))


def _round(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    state: MethodState,
    steps: dict[str, int],
    round_: int,
) -> tuple[Round, dict[str, int]]:
    """One round: gather, learn, log."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), _ROUNDS), round_)
    key_gather, key_update = jax.random.split(key)
    start = time.perf_counter()
    gathered_state, gathered = experiment.method.gather(state, key_gather)
    middle = time.perf_counter()
    state, learned = experiment.method.update(gathered_state, gathered, key_update)
    figures = {name: float(value) for name, value in learned.items()}
    end = time.perf_counter()
    steps = {name: n + gathered.steps.get(name, 0) for name, n in steps.items()}
    metrics = {
        **gathered.metrics,
        **figures,
        **{f"steps/{name}": n for name, n in steps.items()},
    }
    timing = {
        "seconds/gather": middle - start,
        "seconds/update": end - middle,
        "steps_per_second": sum(gathered.steps.values()) / (end - start),
    }
    run.log(round_, metrics, timing)
    return Round(round_, config.rounds, metrics, timing, state), steps


def restore(
    run: Run, config: TrainConfig, experiment: Experiment, checkpoint: str = "best"
) -> tuple[MethodState, dict[str, Any]]:
    """The best or latest state of a run, with the checkpoint's metadata.

    Raises:
        GmpsError: the run has no checkpoint yet.
    """
    found = run.checkpoints.best() if checkpoint == "best" else run.checkpoints.latest()
    if found is None:
        raise GmpsError(
            f"{run.path} has no checkpoint yet; train it with `gmps resume {run.path}`."
        )
    state, metadata = run.checkpoints.load(found.step, _like(config, experiment))
    return state, {"round": found.step, **metadata}

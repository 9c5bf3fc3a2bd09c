"""How much of an adaptation survives in another simulation than that of training.

A second simulation, written in numpy and plain MuJoCo, plays the robot. It differs from training as
robots do: mass, friction, a delay of one step, noise in what is measured, actions of few levels,
another rate, all of them. The policy lives in another process, on a computer that has numpy and
safetensors alone (`robot_computer.py`), and meets the robot through a pipe. A scripted expert that
is told the goal plays too, where there is one: it shows what behaving as in training can reach.

example:
  python benchmarks/reality_gap.py push --policies policy-0 policy-1 policy-2
"""

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import mujoco
import numpy as np
import tyro
from reports import over_seeds, write_report

from gmps.runs.versions import collect_versions
from gmps.tasks import make_family, sawyer

COMPUTER = Path(__file__).parent / "robot_computer.py"


@dataclass(frozen=True)
class Gap:
    """How the robot differs from the simulation of training."""

    #: Factors of masses and of sliding friction.
    mass: float = 1.0
    friction: float = 1.0
    #: Control steps until an action has its effect.
    delay: int = 0
    #: Standard deviation of what is measured, in the unit of each number.
    noise: float = 0.0
    #: Distance of the levels that an action may have; 0: any.
    level: float = 0.0
    #: Seconds of a control step, as a multiple of training's.
    period: float = 1.0


def gaps(noise: float) -> dict[str, Gap]:
    """Each difference alone, and all of them."""
    found = {
        "none": Gap(),
        "mass": Gap(mass=3.0),
        "friction": Gap(friction=0.5),
        "a little friction less": Gap(friction=0.9),
        "friction more": Gap(friction=1.5),
        "delay": Gap(delay=1),
        "noise": Gap(noise=noise),
        "levels": Gap(level=0.5),
        "rate": Gap(period=1.4),
    }
    all_of_them = Gap(3.0, 0.5, 1, noise, 0.5, 1.4)
    found["all but friction"] = replace(all_of_them, friction=1.0)
    return {**found, "all": all_of_them}


class Robot(ABC):
    """One task of a second simulation. `obs` and `reward` are what its sensors say."""

    horizon: int
    error: str

    def __init__(self, model: mujoco.MjModel, substeps: int, gap: Gap, seed: int):
        self.model, self.gap = model, gap
        model.body_mass[:] *= gap.mass
        model.body_inertia[:] *= gap.mass
        model.geom_friction[:, 0] *= gap.friction
        self.data = mujoco.MjData(model)
        self.substeps = round(substeps * gap.period)
        self.rng = np.random.default_rng(seed)

    def reset(self) -> dict[str, Any]:
        mujoco.mj_resetData(self.model, self.data)
        self.steps, self.waiting = 0, [np.zeros(self.act_size)] * self.gap.delay
        self.begin()
        mujoco.mj_forward(self.model, self.data)
        return {"obs": self.measured(), "done": False}

    def step(self, act: list[float]) -> dict[str, Any]:
        wanted = np.clip(act, -1, 1)
        if self.gap.level:
            wanted = np.round(wanted / self.gap.level) * self.gap.level
        self.waiting.append(wanted)
        applied = self.waiting.pop(0)
        self.apply(applied)
        mujoco.mj_step(self.model, self.data, nstep=self.substeps)
        self.steps += 1
        terminated = self.fell()
        return {
            "obs": self.measured(),
            "reward": self.reward(applied),
            "terminated": terminated,
            "done": terminated or self.steps == self.horizon,
        }

    def measured(self) -> list[float]:
        obs = self.observe()
        return (obs + self.gap.noise * self.rng.standard_normal(obs.shape)).tolist()

    @property
    @abstractmethod
    def act_size(self) -> int: ...

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def apply(self, act: np.ndarray) -> None: ...

    @abstractmethod
    def observe(self) -> np.ndarray: ...

    @abstractmethod
    def reward(self, act: np.ndarray) -> float: ...

    def fell(self) -> bool:
        return False

    @abstractmethod
    def final(self) -> float:
        """The figure that counts at the end of an episode, m."""


class PushRobot(Robot):
    """The hand and the block; see `gmps.tasks.sawyer_push`."""

    act_size, horizon, error = 3, 50, "block error, m"

    def __init__(self, goal: np.ndarray, gap: Gap, seed: int):
        family = make_family("sawyer-push")
        super().__init__(family.model(), sawyer.FRAME_SKIP, replace(gap, mass=1.0), seed)  # pyright: ignore
        self.model.body("block").mass *= gap.mass
        self.goal, start = goal, family.reset(jax.random.key(0), goal)
        self.start = np.asarray(start.qpos), np.asarray(start.mocap_pos)

    def begin(self) -> None:
        self.data.qpos[:], self.data.mocap_pos[0] = self.start
        self.far = float(np.linalg.norm(self.start[0][3:5] - self.goal))

    def apply(self, act: np.ndarray) -> None:
        target = self.data.mocap_pos[0] + sawyer.STEP_SIZE * act
        self.data.mocap_pos[0] = np.clip(target, sawyer.TARGET_LOW, sawyer.TARGET_HIGH)

    def observe(self) -> np.ndarray:
        return self.data.qpos.copy()

    def reward(self, act: np.ndarray) -> float:
        del act
        hand, block = self.data.qpos[:3], self.data.qpos[3:]
        reach = np.linalg.norm(block - hand - np.array(sawyer.FINGER_CENTRE))
        return float(100 * max(0.0, self.far - self.final()) - reach)

    def final(self) -> float:
        return float(np.linalg.norm(self.data.qpos[3:5] - self.goal))


class AntRobot(Robot):
    """The ant; see `gmps.tasks.ant` and `gmps.tasks.ant_goal`."""

    act_size, horizon, error = 8, 200, "distance to the goal, m"

    def __init__(self, goal: np.ndarray, gap: Gap, seed: int):
        self.family = make_family("ant-goal")
        super().__init__(self.family.model(), 1, gap, seed)  # pyright: ignore
        if gap.period != 1:  # its control step is one physics step, which becomes longer
            self.model.opt.timestep *= gap.period
            self.substeps = 1
        self.goal = goal

    def begin(self) -> None:
        self.data.qpos[:] = (0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1)
        self.data.qpos += 0.01 * self.rng.standard_normal(15)
        self.data.qpos[3:7] /= np.linalg.norm(self.data.qpos[3:7])
        self.data.qvel[:] = 0.1 * self.rng.standard_normal(14)

    def apply(self, act: np.ndarray) -> None:
        self.data.ctrl[:] = act

    def observe(self) -> np.ndarray:
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, self.data.qpos[3:7])
        return np.concatenate([self.data.qpos, self.data.qvel, matrix])

    def reward(self, act: np.ndarray) -> float:
        mujoco.mj_subtreeVel(self.model, self.data)
        away = np.abs(self.data.subtree_com[1][:2] - self.goal).sum()
        return float(4.05 - away - 0.005 * (act**2).sum())

    def fell(self) -> bool:
        return not 0.2 <= self.data.qpos[2] <= 1.0

    def final(self) -> float:
        return float(np.linalg.norm(self.data.subtree_com[1][:2] - self.goal))


#: Robots with the noise of their measurements.
ROBOTS = {"push": (PushRobot, "sawyer-push", 0.003), "ant": (AntRobot, "ant-goal", 0.02)}


@dataclass(frozen=True)
class RealityGap:
    """Settings."""

    robot: tyro.conf.Positional[Literal["push", "ant"]]
    """Which robot."""
    policies: tuple[str, ...]
    """Folders that `gmps export` wrote, of several seeds."""
    name: str | None = None
    """Name of the study, in the name of its file; by default the robot's."""
    tasks: int = 10
    """Held-out tasks, evenly chosen."""
    episodes: int = 10
    """Exploring episodes of a step."""
    steps: int = 1
    """Adaptation steps."""
    only: tuple[str, ...] = field(default=())
    """Differences to try; by default all."""
    python: str | None = None
    """The robot's: that of an environment which holds `gmps[deploy]` alone, say. By default this
    one, where every other package is hidden."""
    out: str = "benchmarks/results"
    """Folder of the results."""


def run(settings: RealityGap, gap: Gap, goals: np.ndarray, folder: str) -> dict[str, Any]:
    """Final errors `(task,)` by phase, and the doubts, of one policy."""
    kind, _, _ = ROBOTS[settings.robot]
    python = [sys.executable] if settings.python is None else [settings.python, "-I"]
    words = [*python, str(COMPUTER), folder, str(settings.episodes), str(settings.steps)]
    errors: dict[str, list[float]] = {}
    doubts: list[list[str]] = []
    robot: Any = None
    phase = ""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        for line in other.stdout:
            asked = json.loads(line)
            if "task" in asked:
                more = asked["task"] < len(goals)
                answer: dict[str, Any] = {"more": more}
                if more:
                    robot = kind(goals[asked["task"]], gap, asked["task"])
            elif "reset" in asked:
                phase, answer = asked["reset"], robot.reset()
            elif "act" in asked:
                answer = robot.step(asked["act"])
                if answer["done"] and phase != "explore":
                    errors.setdefault(phase, []).append(robot.final())
            else:
                doubts.append(asked["doubts"])
                answer = {}
            other.stdin.write(json.dumps(answer) + "\n")
            other.stdin.flush()
    if other.returncode:
        raise SystemExit(f"The robot's computer ended with status {other.returncode}.")
    return {"errors": errors, "doubts": doubts}


def of_expert(settings: RealityGap, gap: Gap, goals: np.ndarray) -> np.ndarray | None:
    """Final errors `(task,)` of the family's scripted controller, which is told the goal."""
    kind, family, _ = ROBOTS[settings.robot]
    expert = make_family(family).expert
    if expert is None:
        return None
    act, errors = jax.jit(expert), []
    for number, goal in enumerate(goals):
        robot: Any = kind(goal, gap, number)
        seen = robot.reset()
        while not seen["done"]:
            seen = robot.step(np.asarray(act(goal, np.asarray(seen["obs"], np.float32))).tolist())
        errors.append(robot.final())
    return np.array(errors)


def study(settings: RealityGap) -> None:
    kind, family, noise = ROBOTS[settings.robot]
    goals = np.asarray(make_family(family).tasks("heldout", settings.tasks), np.float32)
    rows = {}
    for name, gap in gaps(noise).items():
        if settings.only and name not in settings.only:
            continue
        # Most of the time passes in the pipes, so the policies take turns well.
        with ThreadPoolExecutor(len(settings.policies)) as pool:
            found = list(pool.map(partial(run, settings, gap, goals), settings.policies))
        known = of_expert(settings, gap, goals)
        row: dict[str, Any] = {
            "gap": vars(gap),
            "expert": None if known is None else float(known.mean()),
        }
        for phase in found[0]["errors"]:
            values = np.array([seed["errors"][phase] for seed in found])
            row[phase] = over_seeds(values)
        count = sum(bool(doubts) for seed in found for doubts in seed["doubts"])
        row["doubted"] = count / (len(found) * len(goals))
        rows[name] = row
        words = {k: round(v["mean"], 4) for k, v in row.items() if k.startswith("after")}
        print(name, words, f"expert {row['expert']}, doubted {row['doubted']:.0%}", flush=True)
    report = {
        "about": __doc__,
        "robot": settings.robot,
        "figure": kind.error,
        "tasks": settings.tasks,
        "episodes": settings.episodes,
        "rows": rows,
        "versions": collect_versions(),
    }
    write_report(report, Path(settings.out) / f"reality-gap-{settings.name or settings.robot}.json")


if __name__ == "__main__":
    study(tyro.cli(RealityGap, description=__doc__))

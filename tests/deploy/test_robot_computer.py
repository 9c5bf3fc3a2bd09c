"""The whole loop on a computer that has numpy and safetensors alone, and a robot elsewhere."""

import json
import subprocess
import sys

import numpy as np
from test_meta_policy import Slide, write

from places import ROOT


def test_explore_adapt_and_act_where_numpy_is_all_there_is(tmp_path):
    policy, finals = write(tmp_path / "policy"), {}
    goals = [(0.5, -0.3), (-0.4, 0.6)]
    program = ROOT / "benchmarks/robot_computer.py"
    words = [sys.executable, str(program), str(policy), "10", "2"]
    robot, phase, doubts = Slide(), "", []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        for line in other.stdout:
            asked = json.loads(line)
            if "task" in asked:
                answer = {"more": asked["task"] < len(goals)}
                robot = Slide(goals[min(asked["task"], 1)])
            elif "reset" in asked:
                phase, answer = asked["reset"], {"obs": robot.reset().tolist(), "done": False}
            elif "act" in asked:
                obs, reward, done = robot.step(np.array(asked["act"]))
                answer = {"obs": obs.tolist(), "reward": reward, "terminated": False, "done": done}
                if done:
                    finals.setdefault(phase, []).append(np.linalg.norm(obs - robot.goal))
            else:
                doubts.append(asked["doubts"])
                answer = {}
            other.stdin.write(json.dumps(answer) + "\n")
            other.stdin.flush()
    assert other.returncode == 0
    assert [len(finals[p]) for p in ("after_0", "explore", "after_1", "after_2")] == [2, 40, 2, 2]
    for before, after in zip(finals["after_0"], finals["after_1"], strict=True):
        assert after < 0.9 * before
    assert len(doubts) == 2

"""The computer of a robot: numpy, safetensors and `gmps.deploy`; everything else is not there.

Reads and writes lines of JSON: what is asked of the robot goes out, what it measures comes in. For
each task it judges the policy, explores, adapts, judges again, and tells what it makes of the step.
`benchmarks/reality_gap.py` starts it.

usage: robot_computer.py POLICY EPISODES STEPS
"""

import json
import sys
import tempfile
from collections.abc import Callable
from typing import Any


class OnlyNumpy:
    """Finds no package beside these."""

    allowed = frozenset({"numpy", "safetensors", "gmps"}) | sys.stdlib_module_names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] not in self.allowed:
            raise ModuleNotFoundError(f"{name} is not on the robot's computer")


def ask(**words: Any) -> dict[str, Any]:
    """One line to the robot, and its answer."""
    print(json.dumps(words), flush=True)
    return json.loads(sys.stdin.readline())


def play(act: Callable[[Any], Any], record: Callable[..., None] | None, phase: str) -> None:
    """One episode, to its end."""
    seen = ask(reset=phase)
    while not seen["done"]:
        seen = ask(act=act(seen["obs"]).tolist())
        if record is not None:
            record(seen["reward"], seen["obs"], seen["terminated"])


def main() -> None:
    sys.meta_path.insert(0, OnlyNumpy())
    import gmps.deploy  # noqa: PLC0415 - as on the robot, where nothing else is

    folder, episodes, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    number = 0
    while ask(task=number)["more"]:
        meta = gmps.deploy.load(folder)
        play(meta.policy, None, "after_0")
        with tempfile.TemporaryDirectory() as recorded:
            for step in range(1, steps + 1):
                for episode in meta.explore(episodes, recorded, seed=number):
                    play(episode.act, episode.record, "explore")
                play(meta.adapt(), None, f"after_{step}")
        assert meta.trust is not None
        ask(doubts=list(meta.trust.doubts))
        number += 1


if __name__ == "__main__":
    main()

"""Golden runs: what a change of structure must not change, to the byte.

    python benchmarks/golden.py OUT                 # record with the source tree at hand
    python benchmarks/golden.py OUT --against OLD   # record, then compare with an earlier recording

Three rounds of every method on `point-goal`, GMPS with and without a latent on pushing and the
door, on pictures, from demonstrations, MAML's and PEARL's variants, Meta-World and SAC. Each writes
its command's run folder; compared are all metrics, and the figures of the evaluation. Floats depend
on the processor: record both on one machine. `--data` names the folder of the authors'
demonstrations; without it those cells are left out. Ten minutes on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

BRIEF = (
    "--rounds 3 --threads 1 --evaluation.steps 2 --evaluation.repeats 2 --evaluation.tasks 4 "
    "--evaluation.evaluation-episodes 1 --plain.steps 100"
)
CELLS = {
    "point-gmps": "train point-goal --method gmps",
    "point-latent": "train point-goal --method gmps-latent",
    "point-maml": "train point-goal --method maml",
    "point-maml-ppo": "train point-goal --method maml --maml.outer ppo",
    "point-maesn": "train point-goal --method maesn",
    "point-multitask": "train point-goal --method multitask",
    "point-bc": "train point-goal --method multitask-bc",
    "point-pearl": "train point-goal --method pearl --pearl.gradient-steps 50",
    "point-paper": "train point-goal --method gmps --preset paper --gmps.outer-steps 50",
    "push-gmps": "train sawyer-push --method gmps",
    "push-latent": "train sawyer-push --method gmps-latent --random-tasks 8",
    "door-gmps": "train sawyer-door --method gmps --train-tasks 6",
    "door-latent": "train sawyer-door --method gmps-latent --train-tasks 6",
    "gear-pearl": "train ant-gear --method pearl --train-tasks 4 --pearl.gradient-steps 20 "
    "--pearl.collect 2 --sac.rounds 2",
    "vision-latent": "train sawyer-push-vision --method gmps-latent --train-tasks 4 "
    "--gmps-latent.pretrain-steps 50 --gmps-latent.outer-steps 5",
    "vision-gmps": "train sawyer-push-vision --method gmps --train-tasks 4 "
    "--gmps.pretrain-steps 50",
    "reach-latent": "train ml1-reach-v3@150 --method gmps-latent --train-tasks 6",
    "push-demos": "train sawyer-push --method gmps-latent --demos {data}/sawyer-push-sac-demos.npz",
    "ant-demos": "train ant-goal --method gmps --demos {data}/ant-goal-demos.npz "
    "--gmps.pretrain-steps 300",
    "ant-clone": "train ant-goal --method gmps --demos {data}/ant-goal-demos.npz --clone "
    "--gmps.pretrain-steps 300",
    "point-sac": "expert train point-goal --rounds 3 --threads 1",
    "push-sac-each": "expert train sawyer-push --rounds 3 --threads 1 --kind per-task --tasks 2",
    "point-sweep": "sweep point-goal --method gmps --grid gmps.std=0.3 --seeds 0 "
    '--options="{brief}" --runs {out}',
}


def record(name: str, command: str, out: Path, data: str | None) -> None:
    """Run one cell, unless it has been run already."""
    run = out / name
    if (run / "done").exists():
        return
    words = command.format(data=data, brief=BRIEF, out=run)
    if command.startswith("train"):
        words += f" {BRIEF} --run {run}"
    if command.startswith("expert"):
        words += f" --run {run}"
    done = subprocess.run(
        f"{sys.executable} -m gmps {words}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
    )
    if done.returncode:
        raise SystemExit(f"{name}: gmps {words}\n{done.stdout}\n{done.stderr}")
    (run / "done").touch()
    print("recorded", name, flush=True)


def content(run: Path) -> dict[str, object]:
    """What must stay: metrics by their bytes, scores by their figures."""
    files: dict[str, object] = {
        str(path.relative_to(run)): path.read_bytes() for path in run.rglob("metrics.jsonl")
    }
    for path in run.rglob("scores.json"):
        files[str(path.relative_to(run))] = in_format_2(json.loads(path.read_text()))
    return files


def in_format_2(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores of an older recording as they are laid out today: adaptation scores stood among the
    conditions. Every figure stays."""
    if scores["format"] == 1:
        scores["format"] = 2
        for split in ("heldout", "train"):
            for mode, level in scores[split].items():
                score = level.pop("adaptation_score")
                scores[split][mode] = {"conditions": level, "adaptation_score": score}
    return scores


def differences(old: object, new: object, where: str) -> list[str]:
    """Where two contents differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = [f"{where}/{k}: absent" for k in old if k not in new]
        both = [k for k in old if k in new]
        return found + [d for k in both for d in differences(old[k], new[k], f"{where}/{k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}/{i}")]
    if isinstance(old, bytes) and isinstance(new, bytes) and old != new:
        rows = [[json.loads(x) for x in text.splitlines()] for text in (old, new)]
        return differences(*rows, where) or [f"{where}: the rows hold other columns"]
    return [] if old == new else [f"{where}: {str(old)[:60]} -> {str(new)[:60]}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--only", nargs="*", default=list(CELLS))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cells = {n: c for n, c in CELLS.items() if n in options.only}
    if options.data is None:
        cells = {n: c for n, c in cells.items() if "{data}" not in c}
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(record, n, c, options.out, options.data) for n, c in cells.items()]
        for job in jobs:
            job.result()
    if options.against is None:
        return
    found = {
        name: differences(content(options.against / name), content(options.out / name), name)
        for name in cells
    }
    for name, lines in found.items():
        print(f"{name}: {'equal' if not lines else f'{len(lines)} differences'}")
        for line in lines[:5]:
            print("   ", line)
    raise SystemExit(any(found.values()))


if __name__ == "__main__":
    main()

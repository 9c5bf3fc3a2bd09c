"""Run by a Python with LeRobot and robomimic, without gmps: what their own readers find in a folder
that `test_other_readers.py` filled, and a dataset of LeRobot's own writer beside it."""

import json
import sys
from pathlib import Path

import numpy as np
import robomimic.utils.file_utils as robomimic_files
import robomimic.utils.obs_utils as robomimic_obs
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from robomimic.utils.dataset import SequenceDataset

#: Length of the episodes that LeRobot writes, and its words for their tasks.
LENGTHS, WORDS = (6, 4, 5), ("Push the block left", "Push the block right")


def read_robomimic(path: Path) -> dict[str, np.ndarray]:
    """Every transition, as its training reads it."""
    keys = ("hand", "block", "frame_image")
    robomimic_obs.initialize_obs_utils_with_obs_specs(
        [{"obs": {"low_dim": ["hand", "block"], "rgb": ["frame_image"]}}]
    )
    about = robomimic_files.get_env_metadata_from_dataset(str(path))
    shapes = robomimic_files.get_shape_metadata_from_dataset(str(path), all_obs_keys=list(keys))
    assert shapes["ac_dim"] == 3 and shapes["all_shapes"]["block"] == [3], shapes
    dataset = SequenceDataset(
        str(path),
        obs_keys=keys,
        dataset_keys=("actions", "rewards", "dones"),
        load_next_obs=True,
        seq_length=1,
        frame_stack=1,
    )
    rows = [dataset[i] for i in range(len(dataset))]
    found = {key: np.concatenate([row[key] for row in rows]) for key in ("actions", "rewards")}
    for key in ("obs", "next_obs"):
        for name in keys:
            found[f"{key}/{name}"] = np.concatenate([row[key][name] for row in rows])
    found["dones"] = np.concatenate([row["dones"] for row in rows])
    found["demos"] = np.array(dataset.n_demos)
    found["env"] = np.array(about["env_name"])
    return found


def read_lerobot(folder: Path) -> dict[str, np.ndarray]:
    """Every frame, as its training reads it, and the action of the next step beside it."""
    dataset = LeRobotDataset("local/set", root=folder)
    ahead = LeRobotDataset(
        "local/set", root=folder, delta_timestamps={"action": [0.0, 1 / dataset.fps]}
    )
    rows = [dataset[i] for i in range(len(dataset))]
    names = [key for key in rows[0] if key != "task"]
    found = {name: np.stack([row[name].numpy() for row in rows]) for name in names}
    found["next_action"] = np.stack([ahead[i]["action"][1].numpy() for i in range(len(ahead))])
    found["padded"] = np.stack([ahead[i]["action_is_pad"][1].numpy() for i in range(len(ahead))])
    found["task"] = np.array([row["task"] for row in rows])
    found["mean"] = np.asarray(dataset.meta.stats["action"]["mean"])
    found["episodes"] = np.array(dataset.num_episodes)
    return found


def write_lerobot(folder: Path) -> dict[str, np.ndarray]:
    """A dataset by LeRobot's own writer, and what it holds."""
    random = np.random.default_rng(0)
    axes = {"shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.state": {"dtype": "float32", "shape": (6,), "names": list("abcdef")},
        "action": {"dtype": "float32", "shape": (3,), "names": list("xyz")},
        "observation.images.top": {"dtype": "image", **axes},
    }
    dataset = LeRobotDataset.create("local/new", 20, features, root=folder, use_videos=False)
    held: dict[str, list[np.ndarray]] = {"state": [], "action": [], "frames": []}
    middle = np.array([0, 0.6, 0.1, 0, 0.65, 0.02])
    for episode, length in enumerate(LENGTHS):
        for _ in range(length):
            state = (middle + random.uniform(-0.05, 0.05, 6)).astype(np.float32)
            action = random.uniform(-1, 1, 3).astype(np.float32)
            frame = random.integers(0, 255, (48, 64, 3), np.uint8)
            dataset.add_frame(
                {
                    "observation.state": torch.from_numpy(state),
                    "action": torch.from_numpy(action),
                    "observation.images.top": frame,
                    "task": WORDS[episode % 2],
                }
            )
            for key, value in zip(held, (state, action, frame), strict=True):
                held[key].append(value)
        dataset.save_episode()
    if hasattr(dataset, "finalize"):
        dataset.finalize()
    found = {key: np.stack(values) for key, values in held.items()}
    return {**found, "lengths": np.array(LENGTHS), "words": np.array(WORDS)}


def main(folder: Path) -> None:
    np.savez(folder / "robomimic.npz", **read_robomimic(folder / "set.hdf5"))
    np.savez(folder / "lerobot.npz", **read_lerobot(folder / "set"))
    np.savez(folder / "new.npz", **write_lerobot(folder / "new"))
    versions = {name: sys.modules[name].__version__ for name in ("robomimic", "lerobot", "torch")}
    (folder / "versions.json").write_text(json.dumps(versions))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Small files that follow the layouts which other projects publish, with their column names."""

import io
import json
from pathlib import Path

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

#: Steps of the episodes, and their tasks.
LENGTHS, TASKS = (6, 4, 5), (0, 1, 0)
WORDS = ("Push the block left", "Push the block right")
FPS = 10
#: Where hand and block are, m.
HAND, BLOCK = np.array([0, 0.6, 0.1]), np.array([0, 0.7, 0])


def rng(i: int) -> np.random.Generator:
    return np.random.default_rng(100 + i)


def robomimic(path: Path, images: bool = False, scale: float = 1.0) -> list[dict]:
    """robomimic's HDF5 of a robosuite environment; returns what is in each episode.

    Demonstrations are numbered by when they were recorded, so that `demo_10` follows `demo_2`.
    """
    episodes = []
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(LENGTHS)
        data.attrs["env_args"] = json.dumps(
            {
                "env_name": "Push",
                "type": 1,
                "env_kwargs": {"control_freq": FPS, "robots": ["Panda"]},
            }
        )
        for i, (name, n) in enumerate(zip(("demo_0", "demo_2", "demo_10"), LENGTHS, strict=True)):
            demo = data.create_group(name)
            demo.attrs["num_samples"] = n
            demo.attrs["model_file"] = "<mujoco/>"
            r = rng(i)
            block = np.concatenate([r.uniform(-0.1, 0.1, (n, 2)), np.full((n, 1), 0.02)], 1)
            obs = {
                "robot0_eef_pos": scale * (r.uniform(-0.2, 0.2, (n, 3)) + HAND),
                "robot0_eef_quat": r.normal(size=(n, 4)),
                "robot0_gripper_qpos": r.uniform(0, 0.04, (n, 2)),
                "object": np.concatenate([block + BLOCK, r.normal(size=(n, 4))], 1),
            }
            if images:
                obs["agentview_image"] = r.integers(0, 255, (n, 12, 16, 3), np.uint8)
            after = {k: np.concatenate([v[1:], v[-1:]]) for k, v in obs.items()}
            for key, array in obs.items():
                demo.create_dataset(f"obs/{key}", data=array, compression="gzip")
                demo.create_dataset(f"next_obs/{key}", data=after[key], compression="gzip")
            episode = obs | {
                "actions": r.uniform(-1, 1, (n, 7)),
                "rewards": (np.arange(n) == n - 1).astype(float),
                "dones": (np.arange(n) == n - 1).astype(np.int64),
            }
            for key in ("actions", "rewards", "dones"):
                demo.create_dataset(key, data=episode[key])
            demo.create_dataset("states", data=r.normal(size=(n, 32)))
            episodes.append(episode)
        file.create_dataset("mask/train", data=np.array([b"demo_0", b"demo_10"]))
        file.create_dataset("mask/valid", data=np.array([b"demo_2"]))
    return episodes


def lerobot(folder: Path, version: str, camera: str | None = None) -> list[dict]:
    """A LeRobot dataset, `v2.1` or `v3.0`, with a camera as `image` or `video` or without one."""
    episodes = [_episode(i, camera) for i in range(len(LENGTHS))]
    features = {
        "observation.state": {"dtype": "float32", "shape": [6], "names": ["x"] * 6},
        "action": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        "next.success": {"dtype": "bool", "shape": [1], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        "frame_index": {"dtype": "int64", "shape": [1], "names": None},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
        "index": {"dtype": "int64", "shape": [1], "names": None},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    name = "observation.images.top"
    if camera is not None:
        axes = ["height", "width", "channels"]
        features[name] = {"dtype": camera, "shape": [48, 64, 3], "names": axes}
    three = version.startswith("v3")
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "fps": FPS,
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(WORDS),
        "chunks_size": 1000,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        if three
        else "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
        if three
        else "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    tables = []
    start = 0
    for i, (episode, n) in enumerate(zip(episodes, LENGTHS, strict=True)):
        last = np.arange(n) == n - 1
        columns = {
            "observation.state": _lists(episode["state"]),
            "action": _lists(episode["action"]),
            "next.reward": pa.array(episode["reward"]),
            "next.done": pa.array(last),
            "next.success": pa.array(last & (i != 1)),
            "timestamp": pa.array(np.arange(n, dtype=np.float32) / FPS),
            "frame_index": pa.array(np.arange(n)),
            "episode_index": pa.array(np.full(n, i)),
            "index": pa.array(start + np.arange(n)),
            "task_index": pa.array(np.full(n, TASKS[i])),
        }
        if camera == "image":
            columns[name] = pa.array([{"bytes": _png(x), "path": None} for x in episode["frames"]])
        tables.append(pa.table(columns))
        start += n
    if three:
        path = folder / "data" / "chunk-000" / "file-000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.concat_tables(tables), path, row_group_size=4)
        ends = np.cumsum(LENGTHS)
        rows = {
            "episode_index": list(range(len(LENGTHS))),
            "tasks": [[WORDS[t]] for t in TASKS],
            "length": list(LENGTHS),
            "data/chunk_index": [0] * 3,
            "data/file_index": [0] * 3,
            "dataset_from_index": (ends - LENGTHS).tolist(),
            "dataset_to_index": ends.tolist(),
            "meta/episodes/chunk_index": [0] * 3,
            "meta/episodes/file_index": [0] * 3,
        }
        if camera == "video":
            rows |= {
                f"videos/{name}/chunk_index": [0] * 3,
                f"videos/{name}/file_index": [0] * 3,
                f"videos/{name}/from_timestamp": ((ends - LENGTHS) / FPS).tolist(),
                f"videos/{name}/to_timestamp": (ends / FPS).tolist(),
            }
        path = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(rows), path)
        tasks = pa.table({"task_index": [0, 1], "__index_level_0__": list(WORDS)})
        pq.write_table(tasks, folder / "meta" / "tasks.parquet")
        if camera == "video":
            frames = np.concatenate([e["frames"] for e in episodes])
            _mp4(folder / "videos" / name / "chunk-000" / "file-000.mp4", frames)
        return episodes
    for i, table in enumerate(tables):
        path = folder / "data" / "chunk-000" / f"episode_{i:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        if camera == "video":
            path = folder / "videos" / "chunk-000" / name / f"episode_{i:06d}.mp4"
            _mp4(path, episodes[i]["frames"])
    _lines(
        folder / "meta" / "episodes.jsonl",
        [
            {"episode_index": i, "tasks": [WORDS[TASKS[i]]], "length": n}
            for i, n in enumerate(LENGTHS)
        ],
    )
    tasks = [{"task_index": i, "task": words} for i, words in enumerate(WORDS)]
    _lines(folder / "meta" / "tasks.jsonl", tasks)
    return episodes


def _episode(i: int, camera: str | None) -> dict:
    r, n = rng(i), LENGTHS[i]
    hand = r.uniform(-0.2, 0.2, (n, 3)) + HAND
    block = np.concatenate([r.uniform(-0.1, 0.1, (n, 2)) + BLOCK[:2], np.full((n, 1), 0.02)], 1)
    episode = {
        "state": np.concatenate([hand, block], 1).astype(np.float32),
        "action": r.uniform(-1, 1, (n, 3)).astype(np.float32),
        "reward": r.normal(size=n).astype(np.float32),
    }
    if camera is not None:
        # Even colours survive a video's compression.
        colours = (40 * np.arange(n) + 20 * i)[:, None, None, None] % 250
        episode["frames"] = np.broadcast_to(colours, (n, 48, 64, 3)).astype(np.uint8)
    return episode


def _lists(array: np.ndarray):
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def _png(frame: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "PNG")
    return data.getvalue()


def _mp4(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "5", "g": "2"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

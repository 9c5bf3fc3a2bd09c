"""Pictures per second of mujoco-warp's ray tracer on a CPU, beside what `rendering.py` measures.

mujoco-warp needs a later MuJoCo than this project's lock holds, so it runs in an environment of its
own and imports nothing of gmps. `rendering.py --warp PYTHON` writes the scene and the states, and
calls this file with that interpreter:

    python -m venv warp && warp/bin/pip install mujoco-warp
    python benchmarks/rendering.py --warp warp/bin/python
"""

import json
import sys
import time
from pathlib import Path

import mujoco
import mujoco_warp
import numpy as np
import warp

#: Pictures drawn at once; repetitions of a timing.
WORLDS, REPEATS = 100, 5


def main(scene: Path, states: Path) -> None:
    """Draw the states in batches and print JSON."""
    warp.config.quiet = True
    warp.init()
    model = mujoco.MjModel.from_xml_path(str(scene))
    qpos = np.load(states).astype(np.float32)[:WORLDS]
    height, width = (int(n) for n in model.cam_resolution[0][::-1])
    with warp.ScopedDevice("cpu"):
        m = mujoco_warp.put_model(model)
        d = mujoco_warp.put_data(model, mujoco.MjData(model), nworld=len(qpos))
        context = mujoco_warp.create_render_context(
            model, nworld=len(qpos), cam_res=(width, height), render_rgb=True, use_textures=False
        )
        colours = warp.empty((len(qpos), height, width), dtype=warp.vec3)

        def draw() -> np.ndarray:
            d.qpos.assign(qpos)
            mujoco_warp.kinematics(m, d)
            mujoco_warp.camlight(m, d)
            mujoco_warp.refit_bvh(m, d, context)
            mujoco_warp.render(m, d, context)
            mujoco_warp.get_rgb(context, 0, colours)
            return colours.numpy()

        compiling = time.perf_counter()
        first = draw()
        compiling = time.perf_counter() - compiling
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(REPEATS):
            draw()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    colours_drawn = np.unique((255 * first[0]).astype(np.uint8).reshape(-1, 3), axis=0)
    count = REPEATS * len(qpos)
    row = {
        "pixels": [height, width],
        "per_second": round(count / wall),
        "per_cpu_second": round(count / cpu),
        "compile_seconds": round(compiling, 1),
        "distinct_colours": len(colours_drawn),
        "versions": {
            "mujoco": mujoco.__version__,
            "mujoco-warp": mujoco_warp.__version__,
            "warp": warp.__version__,
        },
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:3]))

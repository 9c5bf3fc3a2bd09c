"""How long one action takes on a robot's computer: `gmps.deploy`, numpy alone, one core.

Untrained weights of the published sizes (2 x 100 units; 48 x 64 pictures) act like trained ones.
"""

import json
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from reports import write_report

import gmps.deploy
from gmps.core.types import Demonstrations
from gmps.methods.registry import make_method
from gmps.presets import preset
from gmps.runs.versions import collect_versions
from gmps.tasks import make_family
from gmps.training.export import export
from gmps.worlds.factory import make_world

REPEATS, CALLS = 15, 2000
CASES = {"sawyer-push": 50e-6, "ant-goal": 50e-6, "sawyer-push-vision": 3e-3}


def exported(name: str, folder: Path) -> gmps.deploy.MetaPolicy:
    """An untrained `gmps-latent` of the family's preset, exported and loaded."""
    family = make_family(name)
    world, tasks = make_world(family, 1), family.tasks("train", 2)
    config = preset(name, "gmps-latent")
    method = make_method("gmps-latent", config.settings, world, tasks, None)
    spec = family.spec
    obs = jax.random.normal(jax.random.key(0), (2, 4, spec.obs_size))
    frames = None
    if family.has_camera:
        frames = np.zeros((2, 4, family.view.height, family.view.width, 3), np.uint8)  # pyright: ignore
    zeros = jnp.zeros((2, 4, spec.act_size))
    demos = Demonstrations(obs, zeros, jnp.ones((2, 4), bool), frames)
    facts = {"family": name, "method": "gmps-latent", "seed": 0, "round": 0, "episodes": 20}
    facts |= {"scores": None, "return": None, "versions": {}}
    state = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype) if hasattr(x, "shape") else x,
        jax.eval_shape(lambda: method.init(jax.random.key(1), demos)),
    )
    policy = method.untrained(jax.random.key(2), demos)
    params = state.params._replace(net=policy)
    return_std = jnp.ones((), jnp.float32)
    scale = state.scale._replace(std=jnp.ones_like(state.scale.std), return_std=return_std)
    state = state._replace(params=params, scale=scale)
    gmps.deploy.save(folder, *export(method, state, tasks, demos, facts))
    return gmps.deploy.load(folder)


def seconds(meta: gmps.deploy.MetaPolicy, calls: int) -> list[float]:
    """Seconds of one `act` and `record` while exploring, the mean of some calls, repeated."""
    rng = np.random.default_rng(0)
    obs = rng.normal(size=meta.spaces.obs_size).astype(np.float32)
    frame = None
    if meta.spaces.frame is not None:
        frame = rng.integers(0, 256, meta.spaces.frame).astype(np.uint8)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        episode = next(meta.explore(2, folder))
        for _ in range(REPEATS):
            start = time.perf_counter()
            for _ in range(calls):
                episode.act(obs, frame)
                episode.record(0.0)
            found.append((time.perf_counter() - start) / calls)
    return found


def main() -> None:
    rows = []
    for name, limit in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            meta = exported(name, Path(folder) / "policy")
            times = seconds(meta, CALLS if meta.spaces.frame is None else 50)
        low, middle, high = (float(np.quantile(times, q)) for q in (0.25, 0.5, 0.75))
        rows.append({"family": name, "seconds": middle, "quartiles": [low, high], "limit": limit})
        print(json.dumps(rows[-1]))
    report = {"results": rows, "versions": collect_versions()}
    write_report(report, Path(__file__).parent / "results" / "deploy_act.json")


if __name__ == "__main__":
    main()

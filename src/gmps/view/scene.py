"""The three-dimensional part of one browser's page: copies of the stage, paths, the goal."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gmps.core.types import Task, task_count, tree_index
from gmps.view.attempt import Explored, Played
from gmps.view.goals import Goals
from gmps.view.layout import FOV, Layout, layout, pick
from gmps.view.meshes import capsule
from gmps.view.pieces import KINDS, ramp
from gmps.view.stage import Stage, between

_GOAL, _TRAINED = (230, 50, 70), (120, 124, 130)
#: Thickness of lines in pixels.
_THIN, _THICK = 2.5, 5.0
#: Shares of the exploring paths that are shown one after the other.
GROWTH = 8


class Scene:
    """See the module docstring.

    Args:
        client: viser's handle of the browser.
        stage: what is shown.
        goals: the tasks of the family.
        chosen: is told the point of the plane that was clicked.
        free: the share of the picture's height, from above, that no controls cover.
    """

    def __init__(
        self,
        client: Any,
        stage: Stage,
        goals: Goals,
        chosen: Callable[[Float[np.ndarray, " 2"]], None],
        free: float = 1.0,
    ):
        self._client, self._stage, self._goals = client, stage, goals
        self._free = free
        self._lock = threading.RLock()
        self._layout: Layout | None = None
        self._rows: tuple[int, ...] = ()
        self._meshes: list[Any] = []
        self._named: dict[str, Any] = {}
        self._still: list[bool] = []
        self._explored: list[Explored] = []
        self._task: Task | None = None
        scene = client.scene
        scene.set_up_direction("+z")
        scene.configure_default_lights(enabled=True, cast_shadow=False)
        if goals.clickable:

            @scene.on_click()
            def _(event: Any) -> None:
                found = self._layout
                if found is None:
                    return
                ray = np.asarray(event.ray_origin), np.asarray(event.ray_direction)
                point = pick(stage, found.offsets, *ray)
                if point is not None:
                    chosen(point)

    # -- What there is -------------------------------------------------------------------------

    def goal(self, task: Task) -> None:
        """Put the goal's marker there."""
        with self._lock:
            self._task = task
            self._draw_goal()

    def explored(self, explored: Sequence[Explored]) -> None:
        """Keep the exploring episodes of the last step; `grow` shows them."""
        with self._lock:
            self._explored = list(explored)
            self._remove("/explored")

    def forget(self) -> None:
        """Take the paths away."""
        with self._lock:
            self._explored = []
            self._remove("/explored")

    def arrange(self, played: Sequence[Played], rows: Sequence[int]) -> None:
        """Make room for these episodes, and name them.

        Args:
            played: the episodes, those of one learner after the other.
            rows: how many each learner has.
        """
        with self._lock, self._client.atomic():
            if tuple(rows) != self._rows:
                self._rows = tuple(rows)
                self._place(len(played))
                self.look()
            self._still = [
                all(np.ptp(p.poses[:, part.body], axis=0).max() < 1e-6 for p in played)
                for part in self._stage.parts
            ]
            self._remove("/label")
            self._remove("/path")
            for i, episode in enumerate(played):
                self._write(i, episode)
            self._draw_goal()
            self.pose(played, 0.0, all_of_them=True)

    def grow(self, share: float) -> None:
        """Show this share of the exploring paths, from their starts."""
        with self._lock:
            found = self._layout
            if found is None:
                return
            firsts = np.cumsum([0, *self._rows[:-1]])
            for i, explored in enumerate(self._explored):
                shown = max(2, int(np.ceil(share * explored.paths.shape[1])))
                self._named[f"/explored/{i}"] = self._client.scene.add_line_segments(
                    f"/explored/{i}",
                    *self._segments(explored, shown),
                    thickness=_THIN,
                    thickness_units="screen",
                    position=found.offsets[firsts[i] if i < len(firsts) else 0],
                )

    def pose(self, played: Sequence[Played], at: float, all_of_them: bool = False) -> None:
        """Move the bodies to a moment, in control steps."""
        with self._lock:
            found = self._layout
            if found is None or len(found.offsets) != len(played):
                return
            poses = np.stack([between(episode.poses, at) for episode in played])
            poses[..., :3] += found.offsets[:, None]
            parts = zip(self._stage.parts, self._meshes, self._still, strict=True)
            with self._client.atomic():
                for part, mesh, still in parts:
                    if all_of_them or not still:
                        mesh.batched_positions = poses[:, part.body, :3]
                        mesh.batched_wxyzs = poses[:, part.body, 3:]

    def look(self) -> None:
        """Put the camera where everything is to be seen."""
        found = self._layout
        if found is None:
            return
        camera = self._client.camera
        with self._client.atomic():
            camera.fov = FOV
            camera.up_direction = (0.0, 0.0, 1.0)
            camera.position = found.position
            camera.look_at = found.lookat

    # -- How it is drawn -----------------------------------------------------------------------

    def _place(self, copies: int) -> None:
        stage, scene = self._stage, self._client.scene
        self._layout = layout(stage, self._rows, float(self._client.camera.aspect), self._free)
        for mesh in self._meshes:
            mesh.remove()
        self._meshes = []
        for i, part in enumerate(stage.parts):
            mesh = scene.add_batched_meshes_simple(
                f"/part/{i}",
                part.vertices,
                part.faces,
                np.tile([1.0, 0.0, 0.0, 0.0], (copies, 1)),
                self._layout.offsets,
                batched_colors=part.colour,
                lod="off",
                side="double",
                cast_shadow=False,
                receive_shadow=False,
            )
            self._meshes.append(mesh)
        self._draw_trained()

    def _draw_goal(self) -> None:
        if self._task is None or self._layout is None:
            return
        radius = 0.022 * float((self._stage.high - self._stage.low).max())
        vertices, faces = capsule(radius, 0.0)
        where = self._layout.offsets + self._stage.goal(self._task)
        self._named["/goal"] = self._client.scene.add_batched_meshes_simple(
            "/goal",
            vertices,
            faces,
            np.tile([1.0, 0.0, 0.0, 0.0], (len(where), 1)),
            where,
            batched_colors=_GOAL,
            opacity=0.65,
            lod="off",
            cast_shadow=False,
            receive_shadow=False,
        )

    def _draw_trained(self) -> None:
        """Dots where the goals of training were, where clicking makes sense."""
        assert self._layout is not None
        if not self._goals.clickable:
            return
        train = self._goals.train
        goals = np.stack([self._stage.goal(tree_index(train, i)) for i in range(task_count(train))])
        goals[:, 2] += self._rise
        where = (self._layout.offsets[:, None] + goals[None]).reshape(-1, 3)
        self._named["/trained"] = self._client.scene.add_point_cloud(
            "/trained",
            where.astype(np.float32),
            np.tile(np.array(_TRAINED, np.uint8), (len(where), 1)),
            point_size=0.008 * float((self._stage.high - self._stage.low).max()),
            point_shape="circle",
        )

    def _write(self, i: int, episode: Played) -> None:
        assert self._layout is not None
        scene, offset = self._client.scene, self._layout.offsets[i]
        stage = self._stage
        top = np.append((stage.low + stage.high) / 2, stage.height)
        back = -0.5 * float((stage.high - stage.low).max()) * stage.view.near
        self._named[f"/label/{i}"] = scene.add_label(
            f"/label/{i}", episode.label, position=offset + top + back, anchor="bottom-center"
        )
        if len(episode.path) > 1:
            self._named[f"/path/{i}"] = scene.add_line_segments(
                f"/path/{i}",
                self._raised(np.stack([episode.path[:-1], episode.path[1:]], 1)),
                np.array(KINDS[episode.kind], np.uint8),
                thickness=_THICK,
                thickness_units="screen",
                position=offset,
            )

    def _segments(self, explored: Explored, shown: int) -> tuple[np.ndarray, np.ndarray]:
        """Points `(n, 2, 3)` and colours of the exploring paths' first states."""
        paths = explored.paths[:, :shown]
        points = np.stack([paths[:, :-1], paths[:, 1:]], 2)
        colours = np.broadcast_to(ramp(explored.returns)[:, None, None], (*points.shape[:3], 3))
        return self._raised(points.reshape(-1, 2, 2)), colours.reshape(-1, 2, 3)

    @property
    def _rise(self) -> float:
        """How far lines and dots lie above the plane, so that they are not hidden in it, m."""
        return 0.006 * float((self._stage.high - self._stage.low).max())

    def _raised(self, points: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, "n 2 3"]:
        """Points of the plane, a little above what lies in it."""
        height = np.full((*points.shape[:-1], 1), self._stage.height + self._rise)
        return np.concatenate([points, height], -1).astype(np.float32)

    def _remove(self, under: str) -> None:
        for name in [x for x in self._named if x.startswith(under)]:
            self._named.pop(name).remove()

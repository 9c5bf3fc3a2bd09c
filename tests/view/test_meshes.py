"""Shapes: closed surfaces of the right volume, in the right place."""

import math

import mujoco
import numpy as np
import pytest

from gmps.view.meshes import box, capsule, cylinder, geom_triangles


def volume(vertices, faces):
    """Of a closed surface whose faces are seen from outside anticlockwise."""
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_volumes_are_those_of_the_shapes():
    assert volume(*box(np.array([1.0, 2.0, 0.5]))) == pytest.approx(8.0)
    # Polygons of 20 corners fill 98.4 % of a circle, and rows of a sphere a little less.
    assert volume(*cylinder(2.0, 0.5)) == pytest.approx(4 * math.pi, rel=0.02)
    assert volume(*capsule(1.0, 0.0)) == pytest.approx(4 / 3 * math.pi, rel=0.05)
    longer = volume(*capsule(1.0, 1.5)) - volume(*capsule(1.0, 0.0))
    assert longer == pytest.approx(3 * math.pi, rel=0.02)


def test_shapes_reach_as_far_as_their_sizes():
    vertices, _ = capsule(0.1, 0.4)
    assert np.ptp(vertices, axis=0) == pytest.approx([0.2, 0.2, 1.0], rel=0.03)
    vertices, faces = box(np.array([1.0, 2.0, 3.0]))
    assert np.ptp(vertices, axis=0).tolist() == [2.0, 4.0, 6.0]
    assert (len(vertices), len(faces)) == (24, 12)


def test_every_kind_of_geom_of_a_model():
    model = mujoco.MjModel.from_xml_string("""
<mujoco>
  <asset><mesh name="tetra" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/></asset>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <geom type="box" size=".1 .2 .3"/>
    <geom type="sphere" size=".1"/>
    <geom type="ellipsoid" size=".1 .2 .3"/>
    <geom type="mesh" mesh="tetra"/>
  </worldbody>
</mujoco>""")
    found = [geom_triangles(model, i) for i in range(model.ngeom)]
    assert found[0] is None  # a plane has no end
    boxed, ball, egg, mesh = found[1:]
    assert volume(*boxed) == pytest.approx(8 * 0.1 * 0.2 * 0.3)
    assert volume(*ball) == pytest.approx(4 / 3 * math.pi * 1e-3, rel=0.05)
    assert volume(*egg) == pytest.approx(4 / 3 * math.pi * 6e-3, rel=0.05)
    assert volume(*mesh) == pytest.approx(1 / 6)

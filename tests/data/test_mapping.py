"""Mappings: which columns become what, in which units."""

import json
import re

import numpy as np
import published
import pytest
from test_importing import PANDA, PUSH, quickly, refused  # noqa: F401 - a fixture

from gmps.data.demos import load_demos
from gmps.data.importing import import_demos
from gmps.data.mapping import Mapping, load_mapping


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "--map nothing is not understood; write COLUMN=TARGET"),
        (("obs/eef=hand",), "SOURCE has no column 'obs/eef'; it has obs/object (7), "),
        (("obs/robot0_eef_pos=arm",), "sawyer-push has no 'arm'; it has obs, act, reward, goal, "),
        (("obs/robot0_eef_quat=hand",), "fills 4 numbers, but hand of sawyer-push has 3."),
        (("obs/robot0_eef_pos[2:9]=hand",), "the column has 3 numbers."),
        (("obs/robot0_eef_pos=hand",), "do not fill obs, which has 6 numbers in sawyer-push"),
        (
            ("obs/robot0_eef_pos=hand", "obs/robot0_eef_pos=hand", "obs/object[0:3]=block"),
            "each once",
        ),
        (
            (*PANDA.map, "rewards=reward", "rewards=reward"),
            "--map names several columns for reward, rewards, rewards; name one.",
        ),
        ((), "no column that is known to be obs (6 numbers in sawyer-push); name it with --map"),
        (
            ("obs/robot0_eef_pos=hand", "obs/object[0:3]=block"),
            "The actions of SOURCE have 7 numbers, but sawyer-push takes 3.",
        ),
        (
            (*PANDA.map[:3], "obs/object[0:2]=goal"),
            "changes within demo_0 of SOURCE, and so is no goal",
        ),
        (
            (*PANDA.map[:3], "obs/object[0:3]@last=goal"),
            "The goals of SOURCE have 3 numbers, but sawyer-push takes 2.",
        ),
    ],
)
def test_mappings_that_do_not_fit(tmp_path, words, message):
    path = tmp_path / "lift.hdf5"
    published.robomimic(path)
    with pytest.raises(ValueError, match=re.escape(message).replace("SOURCE", ".*")):
        import_demos(path, PUSH, tmp_path / "out", Mapping(map=words, hz=20))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"scale": ("hand",)},
        {"scale": ("hand=x",)},
        {"scale": ("act=2:1",)},
        {"scale": ("act=nan",)},
        {"hz": 0},
        {"hz": float("nan")},
        {"actions": "torque"},
        {"actions": "target"},
        {"failures": "all"},
    ],
)
def test_options_of_a_mapping_are_checked(change):
    with pytest.raises(ValueError, match=r"^--\w+ .*\.$"):
        Mapping(**change)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"map": "a=b"}', '{"other": 1}', '{"hz": "x"}', '{"map": [1]}', "[" * 10_000],
)
def test_damaged_mappings(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match=r"The mapping .* is damaged: ") as caught:
        load_mapping(tmp_path / "m.json")
    assert "\n" not in str(caught.value)


def test_millimetres_are_asked_about_and_scaled(tmp_path):
    path = tmp_path / "lift.hdf5"
    published.robomimic(path, scale=1000)
    message = refused(tmp_path, path, PANDA)
    assert re.match(
        r"hand is in \[-\d+, \d+\]; the family's is in m and in \[-0\.\d+, [01](\.\d+)?\]: "
        r"millimetres\? Bring them to the family's units with --scale TARGET=FACTOR, or give "
        r"--accept if they are right\.$",
        message,
    )
    mapping = Mapping(**vars(PANDA) | {"scale": ("hand=0.001",)})
    import_demos(path, PUSH, tmp_path / "out", mapping)
    published.robomimic(tmp_path / "metres.hdf5")
    import_demos(tmp_path / "metres.hdf5", PUSH, tmp_path / "metres", PANDA)
    metres, ours = (load_demos(tmp_path / name, PUSH).obs for name in ("metres", "out"))
    np.testing.assert_allclose(ours, metres, rtol=1e-5)
    kept = json.loads((tmp_path / "out" / "mapping.json").read_text())
    assert kept["scale"] == ["hand=0.001"]


def test_actions_in_other_units(tmp_path):
    path = tmp_path / "lift.hdf5"
    published.robomimic(path)
    wide = Mapping(**vars(PANDA) | {"scale": ("act=10",)})
    message = refused(tmp_path, path, wide)
    assert "of the numbers of actions are beyond [-1, 1], the largest 9." in message
    bounds = Mapping(**vars(PANDA) | {"scale": ("act=-2:2",)})
    import_demos(path, PUSH, tmp_path / "out", bounds)
    import_demos(path, PUSH, tmp_path / "one", PANDA)
    halves, ones = (load_demos(tmp_path / name, PUSH).act for name in ("out", "one"))
    np.testing.assert_allclose(halves, ones / 2, rtol=1e-6)

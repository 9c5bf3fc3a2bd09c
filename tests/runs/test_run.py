import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from gmps.errors import GmpsError
from gmps.runs import run as run_module
from gmps.runs.config_json import decode_config, encode_config
from gmps.runs.results import write_result
from gmps.runs.run import Run
from gmps.settings import Settings as BaseSettings
from gmps.settings import setting


@dataclass(frozen=True)
class Gmps:
    """A method."""

    step_size: float = 0.5
    loss: Literal["mse", "nll"] = "mse"


@dataclass(frozen=True)
class Maml:
    """Another method."""

    kl: float = 0.01


@dataclass(frozen=True)
class Settings:
    """Settings of a run."""

    family: str = "point-goal"
    rounds: int = 50
    demos: Path | None = None
    hidden: tuple[int, ...] = (100, 100)
    span: tuple[float, float] = (0.0, 1.0)
    method: Gmps | Maml = field(default_factory=Gmps)
    extra: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def run(tmp_path):
    with Run.create(tmp_path / "run", Settings()) as run:
        yield run


# -- Settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(demos=Path("a/b.npz"), hidden=(), method=Maml(0.02), extra={"a": [1, None]}),
        Settings(method=Gmps(float("inf")), span=(float("-inf"), 0.5)),
    ],
)
def test_settings_round_trip(tmp_path, settings):
    with Run.create(tmp_path / "a" / "b", settings):
        again = Run.open(tmp_path / "a" / "b")
    assert again.load_config(Settings) == settings
    again.check_config(settings)
    json.loads((tmp_path / "a/b/config.json").read_text())


def test_resume_with_other_settings_names_the_field(run):
    other = replace(Settings(), rounds=60)
    message = (
        f"The run {run.path} was started with rounds = 50, not 60; resume it unchanged, or start "
        "a new run with another --run."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run.check_config(other)
    run.check_config(other, free=("rounds",))


def test_all_fields_that_differ_are_named(run):
    other = replace(Settings(), family="ant-goal", method=Gmps(0.1))
    message = 'started with family = "point-goal", not "ant-goal" (1 more: method.step_size);'
    with pytest.raises(ValueError, match=re.escape(message)):
        run.check_config(other)
    with pytest.raises(ValueError, match=re.escape('method.kl = "absent", not 0.01')):
        run.check_config(
            replace(Settings(), method=Maml()), free=("method.step_size", "method.loss")
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": "many"}, 'The stored setting rounds = "many" is not of the type int; '),
        ({"rounds": True}, "The stored setting rounds = true is not of the type int; "),
        ({"method": {"step_size": 1, "loss": "l1"}}, "The stored setting method.loss = "),
        ({"span": [1.0]}, "The stored setting span has 1 entries, but 2 are expected; "),
        ({"typo": 1}, "The stored setting typo is not known; the run was made by another version"),
        ({"rounds": None}, "The stored setting rounds = null is not of the type int; "),
    ],
)
def test_settings_of_another_version(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        decode_config(Settings, {**encode_config(Settings()), **change})


def test_missing_setting():
    values = encode_config(Settings())
    del values["rounds"]
    with pytest.raises(ValueError, match=r"^The stored settings lack rounds; "):
        decode_config(Settings, values)


@dataclass(frozen=True)
class Learner(BaseSettings):
    """Settings with rules."""

    rate: float = setting(0.1, above=0)
    tries: int = setting(3, at_least=1, before=2)


@dataclass(frozen=True)
class Checked(BaseSettings):
    """The same, nested."""

    learner: Learner = field(default_factory=Learner)


def test_runs_stored_before_a_setting_existed_keep_what_they_did():
    assert decode_config(Checked, {"learner": {"rate": 0.2}}) == Checked(Learner(0.2, 2))
    with pytest.raises(ValueError, match=r"^The stored settings lack learner\.rate; "):
        decode_config(Checked, {"learner": {"tries": 4}})


def test_a_stored_value_that_breaks_its_rule_is_named():
    with pytest.raises(ValueError, match=r"^The stored setting learner\.tries is 0; it must be at"):
        decode_config(Checked, {"learner": {"rate": 0.2, "tries": 0}})


@pytest.mark.parametrize("value", [float("nan"), object(), np.zeros(2)])
def test_settings_that_do_not_fit_into_json(tmp_path, value):
    with pytest.raises(ValueError, match=r"^The setting extra\.x = .* does not fit into JSON\.$"):
        Run.create(tmp_path / "run", Settings(extra={"x": value}))
    assert not (tmp_path / "run").exists()


# -- The folder -------------------------------------------------------------------------------


def test_refuses_a_folder_in_use(tmp_path, run):
    before = {p: p.read_bytes() for p in run.path.iterdir()}
    message = (
        f"{run.path} already holds a run; continue it with `gmps resume {run.path}`, or choose "
        "another folder with --run."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Run.create(run.path, Settings())
    assert {p: p.read_bytes() for p in run.path.iterdir()} == before

    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(ValueError, match=r"thesis is not empty; choose another folder with --run"):
        Run.create(tmp_path / "thesis", Settings())
    with pytest.raises(ValueError, match=r"chapter\.tex is a file; choose another folder with"):
        Run.create(tmp_path / "thesis" / "chapter.tex", Settings())


def test_an_empty_folder_is_fine(tmp_path):
    Run.create(tmp_path, Settings()).close()
    assert Run.open(tmp_path).load_config(Settings) == Settings()


def test_not_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"^There is no folder .*none; name a folder that `gmps"):
        Run.open(tmp_path / "none")
    with pytest.raises(ValueError, match=r" is not a run: it has no config\.json; name a folder "):
        Run.open(tmp_path)


def test_damaged_config(run):
    (run.path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged: "):
        _ = Run.open(run.path).config


def test_one_writer(run):
    run.log(0, {"a": 1})
    with Run.open(run.path) as second:
        assert len(second.metrics()) == 1  # reading is free
        with pytest.raises(ValueError, match=r"^Another process is writing to .*run; wait until"):
            second.log(1, {"a": 1})
    run.close()
    with Run.open(run.path) as third:
        third.log(1, {"a": 1})


def test_versions(run):
    versions = run.versions
    assert versions.packages["numpy"] == np.__version__
    assert versions.cores >= 1
    assert versions.commit is None or re.fullmatch("[0-9a-f]{40}", versions.commit)


def test_other_versions_are_told(run):
    found = run.versions
    write_result(
        run.path / "versions.json", replace(found, packages=found.packages | {"jax": "0.1"})
    )
    with pytest.warns(UserWarning, match=r"was started with other versions \(jax 0\.1 -> "):
        run.restore({})


def test_without_versions_a_run_goes_on(run):
    (run.path / "versions.json").write_text("[" * 9999)
    with pytest.raises(GmpsError, match=r"versions\.json is damaged: it is nested too deeply\.$"):
        _ = run.versions
    assert run.load_config(Settings) == Settings()
    with pytest.warns(UserWarning, match=r"nested too deeply; it is not known whether the run"):
        run.restore({})


def test_settings_that_were_changed_since(run):
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"rounds": 50', '"rounds": 58'))
    message = (
        f"{path} was changed since the run was started; put it back as it was, or start a new run "
        f"with --config {path}."
    )
    with pytest.raises(GmpsError, match=f"^{re.escape(message)}$"):
        run.load_config(Settings)


# -- Resuming ---------------------------------------------------------------------------------


def train(run, rounds, start=0, x=1.0):
    for step in range(start, rounds):
        x = np.float64(np.sin(x + step))
        run.log(step, {"x": x}, timing={"seconds": np.random.default_rng().random()})
        if step % 3 == 2:
            run.save(step, {"x": x}, score=x, metadata={"next": step + 1})


def test_resumed_equals_uninterrupted(tmp_path):
    with Run.create(tmp_path / "whole", Settings()) as whole:
        train(whole, 20)
    with Run.create(tmp_path / "cut", Settings()) as cut:
        train(cut, 13)
    with (cut.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"round": 13, "x"')
    with Run.open(cut.path) as again:
        restored = again.restore({"x": np.float64(0)})
        assert restored is not None
        assert (restored.step, restored.metadata) == (11, {"next": 12})
        assert len(again.metrics()) == len(again.timing()) == 12
        train(again, 20, restored.step + 1, restored.tree["x"])
    for name in ("metrics.jsonl", "checkpoints/step_0000000017.safetensors"):
        assert (whole.path / name).read_bytes() == (cut.path / name).read_bytes()
    assert whole.checkpoints.steps() == cut.checkpoints.steps()
    assert len(cut.timing()) == 20


def test_without_a_checkpoint_the_metrics_start_anew(run):
    run.log(0, {"x": 1.0})
    assert run.restore({}) is None
    assert run.metrics() == []
    run.log(0, {"x": 1.0})


def test_damaged_checkpoint_falls_back(run):
    train(run, 9)
    path = run.checkpoints.path(8)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=r"^Skipped a damaged checkpoint\. .*0008\.safetensors is"):
        restored = run.restore({"x": np.float64(0)})
    assert restored is not None
    assert restored.step == 5
    assert [row["round"] for row in run.metrics()] == list(range(6))


KILLED = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_run import train
from gmps.runs.run import Run

with Run.open(sys.argv[1]) as run:
    restored = run.restore({"x": np.float64(0)})
    print("ready", flush=True)
    if restored is None:
        train(run, 5000)
    else:
        train(run, 5000, restored.step + 1, restored.tree["x"])
"""


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    with Run.create(tmp_path / "run", Settings()) as run:
        pass
    rng = np.random.default_rng(0)
    last = -1
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(run.path), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while max(run.checkpoints.steps(), default=-1) <= last:
            assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.01, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        last = run.checkpoints.steps()[-1]
    with Run.open(run.path) as again:
        restored = again.restore({"x": np.float64(0)})
        assert restored is not None
        rounds = restored.step + 4
        train(again, rounds, restored.step + 1, restored.tree["x"])
    with Run.create(tmp_path / "whole", Settings()) as whole:
        train(whole, rounds)
    metrics = [(r.path / "metrics.jsonl").read_bytes() for r in (whole, again)]
    assert metrics[0] == metrics[1]


# -- Results ----------------------------------------------------------------------------------


def test_results_and_paths(run):
    assert run.read_paths() is None
    paths = {"before/block": np.zeros((1, 2, 3, 2)), "task_names": np.array(["x = 1"])}
    run.write_paths(paths)
    read = run.read_paths()
    assert read is not None
    assert {k: v.tolist() for k, v in read.items()} == {k: v.tolist() for k, v in paths.items()}
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        run.write_paths({"x": np.array([None])})
    assert not [p.name for p in run.path.iterdir() if "paths" in p.name and p.name != "paths.npz"]


def test_file_names_are_as_documented():
    doc = run_module.__doc__
    assert doc is not None
    for name in ("CONFIG", "VERSIONS", "METRICS", "TIMING", "SCORES", "PATHS", "REPORT"):
        assert getattr(run_module, name) in doc

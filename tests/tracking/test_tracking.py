"""The trackers' own packages, offline, read what they were told; faults never reach a training."""

import importlib.util
import json
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from tensorboardX.proto.event_pb2 import Event

from gmps.commands.cli import main
from gmps.errors import GmpsError
from gmps.evaluation.scores import read_scores
from gmps.runs.run import Run
from gmps.tracking import courier, follow
from gmps.tracking.base import Facts, Row, Tracker
from gmps.tracking.follow import score_figures
from gmps.tracking.kinds import require_trackers
from synthetic_runs import Settings, write_run

#: Environment steps of a round: own, and those of the others.
OWN, OTHERS = 100, 7


class Done(NamedTuple):
    """What a callback is told, as far as trackers look at it."""

    round: int
    metrics: dict[str, float]
    timing: dict[str, float]


def done(i: int) -> Done:
    steps = {"steps/meta": OWN * (i + 1), "steps/expert": OTHERS}
    metrics = {"return/after": 0.5 + i, "gone": float("nan"), **steps}
    return Done(i, metrics, {"seconds/gather": 0.25})


def session(folder: Path, names: tuple[str, ...], first: int, last: int, judged: bool) -> None:
    """A training of the rounds `first` to `last`, as `gmps.training.train.train` does it."""
    with Run.open(folder) as run, follow.follow(run, names, "meta", "ant-goal") as tracking:
        for log in (run._metrics, run._timing):
            log.truncate_after(first - 1)
        for i in range(first, last + 1):
            told = done(i)
            run.log(i, told.metrics, told.timing)
            tracking(told)
        if judged:
            scores = read_scores(folder)
            assert scores is not None
            tracking.judged(scores)


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run without rounds, but with scores and a report to show."""
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "push", Settings(rounds=1), tasks=2)
    (folder / "metrics.jsonl").unlink()
    (folder / "report.html").write_text("<p>report</p>")
    return folder


def followed_twice(folder: Path, name: str) -> None:
    """Rounds 0 and 1; then, from a checkpoint of round 0, round 1 again, and 2; then judged."""
    session(folder, (name,), 0, 1, judged=False)
    session(folder, (), 1, 2, judged=True)


EXPECTED = [(OWN * (i + 1), 0.5 + i) for i in range(3)]
AFTER = "heldout/deterministic/after_1/return"


def score_of(folder: Path) -> float:
    scores = read_scores(folder)
    assert scores is not None
    return scores.heldout.deterministic.conditions["after_1"]["return"].mean


def tensorboard_scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each scalar."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in (run / "tracking" / "events").iterdir():
        data = path.read_bytes()
        while data:  # a record is: length 8 bytes, checksum 4, content, checksum 4
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + size :]
    return found


def test_tensorboard(run):
    followed_twice(run, "tensorboard")
    found = tensorboard_scalars(run)
    assert found["return/after"] == EXPECTED
    assert found["env_steps/all"] == [(x, x + OTHERS) for x, _ in EXPECTED]
    assert [value for _, value in found["round"]] == [0, 1, 2]
    assert found["seconds/gather"] == [(x, 0.25) for x, _ in EXPECTED]
    assert "gone" not in found
    assert found[AFTER][0][1] == pytest.approx(score_of(run))


def wandb_records(folder: Path) -> list[Any]:
    """The records of all offline files below a folder, in order: LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record  # noqa: PLC0415 - two seconds

    found = []
    for path in sorted(folder.rglob("*.wandb")):
        data, at, parts = path.read_bytes(), 7, b""
        while at < len(data):
            room = 32768 - at % 32768
            if room < 7:  # no header fits: the block ends with zeros
                at += room
                continue
            _, size, kind = struct.unpack("<IHB", data[at : at + 7])
            parts += data[at + 7 : at + 7 + size]
            at += 7 + size
            if kind in (1, 4):  # whole, or the last part
                found.append(Record.FromString(parts))
                parts = b""
    return found


def test_wandb(run, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    followed_twice(run, "wandb")
    assert len(list(run.rglob("*.wandb"))) == 2
    # Its service is another process, which writes the end a moment after it has said so.
    for _ in range(100):
        records = wandb_records(run)
        if sum(r.WhichOneof("record_type") == "exit" for r in records) == 2:
            break
        time.sleep(0.1)
    begun = [r.run for r in records if r.WhichOneof("record_type") == "run"]
    assert len({r.run_id for r in begun}) == 1
    assert {(r.project, r.display_name, r.run_group) for r in begun} == {
        ("gmps", "push", "ant-goal")
    }
    keys = {item.key: item.value_json for item in begun[0].config.update}
    assert keys["gmps.step_size"] == "0.5"
    rows = [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
        for r in records
        if r.WhichOneof("record_type") == "history"
    ]
    assert [(row["env_steps/own"], row["return/after"]) for row in rows] == EXPECTED
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert [row["env_steps/all"] for row in rows] == [x + OTHERS for x, _ in EXPECTED]
    axes = {r.metric.step_metric for r in records if r.WhichOneof("record_type") == "metric"}
    assert "env_steps/own" in axes
    # What is sent to the server to make an artifact of files stands in the file as a request.
    text = b"".join(path.read_bytes() for path in run.rglob("*.wandb"))
    assert b"scores.json" in text
    assert b"report.html" in text
    assert AFTER.encode() in text


def test_mlflow(run, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    place = (run.parent / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    followed_twice(run, "mlflow")
    client = mlflow.MlflowClient(place)
    experiment = client.get_experiment_by_name("gmps")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("push", "FINISHED")
    assert found.data.params["gmps.step_size"] == "0.5"
    id_ = found.info.run_id
    history = client.get_metric_history(id_, "return/after")
    assert [(m.step, m.value) for m in history] == EXPECTED
    assert [m.value for m in client.get_metric_history(id_, "round")] == [0, 1, 2]
    assert found.data.metrics["env_steps/all"] == 3 * OWN + OTHERS
    assert found.data.metrics[AFTER] == pytest.approx(score_of(run))
    assert {x.path for x in client.list_artifacts(id_)} == {"scores.json", "report.html"}


def test_trackio(run, monkeypatch):
    trackio = pytest.importorskip("trackio")
    storage = importlib.import_module("trackio.sqlite_storage")
    for module in (storage, importlib.import_module("trackio.utils")):
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", run.parent / "store")
    followed_twice(run, "trackio")
    (found,) = trackio.Api().runs("gmps")
    assert found.name.startswith("push-")
    rows = storage.SQLiteStorage.get_logs("gmps", found.name)
    rounds = [row for row in rows if "round" in row]
    assert [(row["step"], row["return/after"]) for row in rounds] == EXPECTED
    assert [row["round"] for row in rounds] == [0, 1, 2]
    assert rows[-1][AFTER] == pytest.approx(score_of(run))
    assert rows[-1]["step"] == read_scores(run).steps["meta"]


class Listening(Tracker):
    """Remembers what it is told."""

    told: list[Any]

    def __init__(self, facts: Facts, identity: str | None):
        self.identity = identity or "it"
        self.told.append(("begin", identity))

    def log(self, row: Row) -> None:
        self.told.append(row.round)

    def summary(self, figures, own) -> None:
        self.told.append(("summary", own))

    def artifact(self, path: Path) -> None:
        self.told.append(path.name)

    def close(self, status) -> None:
        self.told.append(status)


class Broken(Listening):
    """Fails at one of its calls."""

    at: str

    def __getattribute__(self, name: str):
        if name == object.__getattribute__(self, "at"):
            raise RuntimeError("no connection")
        return object.__getattribute__(self, name)


@pytest.fixture
def kinds(monkeypatch):
    """Trackers in the places of wandb and mlflow."""
    chosen = {"wandb": Broken, "mlflow": Listening}
    monkeypatch.setattr(follow, "_kind", chosen.__getitem__)
    for kind in (Broken, Listening):
        monkeypatch.setattr(kind, "told", [], raising=False)
    return chosen


@pytest.mark.parametrize("at", ["log", "summary", "artifact", "close"])
def test_one_that_fails_is_one_warning_and_the_others_go_on(run, kinds, monkeypatch, at):
    monkeypatch.setattr(Broken, "at", at, raising=False)
    said = r"wandb is told no more of this run, .* \(RuntimeError: no connection\)\.$"
    with pytest.warns(UserWarning, match=said) as warned:
        session(run, ("wandb", "mlflow"), 0, 3, judged=True)
    assert len(warned) == 1
    shown = ["scores.json", "report.html"]
    own = read_scores(run).steps["meta"]
    assert Listening.told == [
        ("begin", None), 0, 1, 2, 3, ("summary", own), *shown, "finished"
    ]  # fmt: skip
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4


def test_one_that_ends_the_process_or_cannot_begin_is_a_warning(run, kinds):
    def leaves(facts, identity):
        raise SystemExit(1)

    kinds["wandb"] = leaves
    with pytest.warns(UserWarning, match=r"wandb is told no more .*SystemExit: 1"):
        session(run, ("wandb",), 0, 1, judged=False)


def test_one_that_hangs_is_left_behind(run, kinds, monkeypatch):
    gate = threading.Event()

    class Hanging(Listening):
        told: ClassVar[list[Any]] = []  # what it does late is not the next test's

        def log(self, row: Row) -> None:
            gate.wait(20)

    kinds["wandb"] = Hanging
    monkeypatch.setattr(courier, "PATIENCE", 0.3)
    with pytest.warns(UserWarning, match=r"wandb is told no more .*did not answer for 0.3 s"):
        session(run, ("wandb",), 0, 2, judged=False)
    gate.set()


def test_rounds_that_were_missed_are_told_first(run, kinds):
    session(run, (), 0, 1, judged=False)
    session(run, ("mlflow",), 2, 2, judged=False)
    session(run, (), 3, 3, judged=False)
    assert Listening.told == [
        ("begin", None), 0, 1, 2, "finished", ("begin", "it"), 3, "finished"
    ]  # fmt: skip


def test_a_session_without_rounds_leaves_those_of_earlier_ones(run):
    session(run, ("tensorboard",), 0, 2, judged=False)
    session(run, (), 3, 2, judged=True)
    assert tensorboard_scalars(run)["return/after"] == EXPECTED
    assert tensorboard_scalars(run)[AFTER][0][1] == pytest.approx(score_of(run))


def test_how_it_ended_is_told(run, kinds):
    for error, status in ((KeyboardInterrupt, "stopped"), (GmpsError, "failed")):
        with (
            pytest.raises(error),
            Run.open(run) as opened,
            follow.follow(opened, ("mlflow",), "meta", "ant-goal"),
        ):
            raise error("Ctrl-C")
        assert Listening.told[-1] == status


def test_who_is_not_there_is_said_at_once(monkeypatch):
    with pytest.raises(GmpsError, match=r"^There is no tracker 'neptune'; choose among tensorb"):
        require_trackers(["neptune"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(GmpsError, match=r'^--track wandb takes .*pip install "gmps\[track\]"\.$'):
        require_trackers(["wandb"])


def test_one_that_is_not_installed_where_a_run_goes_on_is_a_warning(run, monkeypatch):
    session(run, ("tensorboard",), 0, 1, judged=False)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.warns(UserWarning, match=r"tensorboard is told no more .*ModuleNotFoundError"):
        session(run, (), 2, 2, judged=False)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


def test_scores_are_named(run):
    scores = read_scores(run)
    assert scores is not None
    figures = dict(score_figures(scores))
    assert figures[AFTER] == score_of(run)
    score = scores.heldout.stochastic.adaptation_score["after_2"].value
    assert figures["heldout/stochastic/after_2/adaptation_score"] == score


def test_a_training_is_followed_from_the_command_line(tmp_path, kinds, capsys):
    small = (
        "--method gmps --rounds 1 --train-tasks 2 --expert-episodes 1 --gmps.episodes 2 "
        "--gmps.hidden 4 --gmps.outer-steps 1 --gmps.labels 8 --gmps.pretrain-steps 2 "
        "--gmps.capacity 10 --evaluation.episodes 2 --evaluation.steps 1 --evaluation.repeats 2 "
        "--evaluation.tasks 2 --plain.steps 2 --plain.stds 0.3 --plain.step-sizes 0.05"
    )
    folder = tmp_path / "point"
    words = ["train", "point-goal", "--run", str(folder), *small.split()]
    assert main([*words, "--track", "mlflow"]) == 0
    own = json.loads((folder / "scores.json").read_text())["steps"]["meta"]
    first = [("begin", None), 0, ("summary", own), "scores.json", "report.html", "film.gif"]
    assert Listening.told == [*first, "finished"]
    assert (folder / "film.gif").read_bytes()[:6] == b"GIF89a"
    assert not list(folder.glob(".writing-*"))
    # It goes on with the trackers that it began with.
    assert main(["resume", str(folder), "--rounds", "2", "--no-eval"]) == 0
    assert Listening.told[7:] == [("begin", "it"), 1, "finished"]
    Listening.told.clear()
    assert main(["eval", str(folder)]) == 0
    shown = [("summary", 2 * own), "scores.json", "report.html", "film.gif"]
    assert Listening.told == [("begin", "it"), *shown, "finished"]

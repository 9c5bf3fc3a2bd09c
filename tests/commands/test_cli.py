"""Commands as a user types them, and what they say about bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gmps.commands import examining, session
from gmps.commands.cli import COMMANDS, main
from gmps.rendering.files import CAPTION, GAP
from gmps.runs.policy_file import load_policy
from gmps.sim import gl
from gmps.tasks import family_names

pytestmark = pytest.mark.usefixtures("frozen_commit")
QUICK = [
    "--method", "gmps", "--rounds", "2", "--train-tasks", "4", "--expert-episodes", "2",
    "--gmps.episodes", "4", "--gmps.hidden", "8", "--gmps.outer-steps", "2",
    "--gmps.labels", "10", "--gmps.pretrain-steps", "20", "--gmps.capacity", "50",
    "--evaluation.episodes", "4", "--evaluation.steps", "1", "--evaluation.repeats", "2",
    "--evaluation.tasks", "3", "--plain.steps", "20", "--plain.stds", "0.3",
    "--plain.step-sizes", "0.05",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "point-goal", *QUICK, "--run", str(folder)]) == 0
    return folder


def said(capsys, *argv: str) -> str:
    """What a command that must fail with status 2 says on stderr."""
    assert main(list(argv)) == 2
    return capsys.readouterr().err.strip()


def test_train_leaves_everything_in_the_run_folder(run: Path):
    names = {p.name for p in run.iterdir()}
    assert {"config.json", "versions.json", "metrics.jsonl", "scores.json", "report.html"} <= names
    page = (run / "report.html").read_text()
    assert "Random update, same size" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_eval_adapt_report_and_resume(run: Path, tmp_path: Path, capsys):
    assert main(["eval", str(run), "--repeats", "2", "--steps", "1", "--tasks", "3"]) == 0
    table = capsys.readouterr().out
    for row in ("before", "after 1 step(s)", "wrong task", "  + a plain step", "expert"):
        assert f"\n{row} " in table
    assert max(map(len, table.splitlines())) <= 80
    out = tmp_path / "policy.safetensors"
    adapt = ["adapt", str(run), "--task", "0.5", "0.5", "--out", str(out)]
    assert main(adapt) == 0
    policy, facts = load_policy(out)
    assert facts["task"] == [0.5, 0.5]
    assert policy(jnp.zeros(2))[0].shape == (2,)
    assert f"{out} already exists; choose another file with --out." in said(capsys, *adapt)
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert main(["resume", str(run), "--rounds", "3"]) == 0
    rows = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["round"] for r in rows] == [0, 1, 2]


def test_render_shows_before_after_and_expert(run: Path, tmp_path: Path, capsys):
    out = tmp_path / "a.gif"
    command = ["render", str(run), "--task", "0.6", "0.8", "--out", str(out)]
    assert main([*command, "--episodes", "4", "--width", "100", "--height", "80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "point-goal, 53 deg"
    assert [x.split(":")[0].strip() for x in lines[1:4]] == ["before", "after 1 step", "expert"]
    with Image.open(out) as image:
        assert image.size == (3 * 100 + 2 * GAP, 80 + CAPTION)
        assert image.n_frames > 5
    assert "already exists; choose another file with --out." in said(capsys, *command)
    other = ["render", str(run), "--task", "1", "--out", str(tmp_path / "b.gif")]
    assert "--task has 1 numbers, but a task of point-goal has 2" in said(capsys, *other)


def test_an_existing_run_is_never_overwritten(run: Path, capsys):
    before = (run / "config.json").read_bytes()
    text = said(capsys, "train", "point-goal", *QUICK, "--run", str(run))
    assert text == (
        f"gmps: {run} already holds a run; continue it with `gmps resume {run}`, or choose "
        "another folder with --run."
    )
    assert (run / "config.json").read_bytes() == before


def test_resume_with_another_setting_names_the_field(run: Path, capsys):
    text = said(capsys, "resume", str(run), "--gmps.step-size", "0.7")
    assert text == (
        f"gmps: The run {run} was started with gmps.step_size = 0.1, not 0.7; resume it "
        "unchanged, or start a new run with another --run."
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--rounds", "99999999999999999999"],
            "--rounds is 99999999999999999999; it must be at le",
        ),
        (["--seed", "99999999999999999999"], "--seed is 99999999999999999999; it must be at least"),
        (["--threads", "0"], "--threads is 0; it must be at least 1."),
        (["--expert-std", "nan"], "--expert-std is nan; it must be a finite number and at least 0"),
        (["--expert-std", "-1"], "--expert-std is -1.0; it must be at least 0 and at most 100."),
        (["--gmps-latent.hidden"], "--gmps-latent.hidden is empty; name at least one layer."),
        (["--plain.step-sizes"], "--plain.step-sizes is empty; name at least one step size to tr"),
        (["--plain.stds"], "--plain.stds is empty; name at least one standard deviation to try."),
        (["--evaluation.tasks", "1"], "--evaluation.tasks is 1; the wrong-task control takes anot"),
        (["--evaluation.steps", "0"], "--evaluation.steps is 0; it must be at least 1."),
        (["--gmps-latent.segments", "0"], "--gmps-latent.segments is 0; it must be at least 1."),
        (["--sac.sac.batch", "0"], "--sac.sac.batch is 0; it must be at least 1."),
    ],
)
def test_an_option_that_breaks_its_rule_is_named(tmp_path, monkeypatch, capsys, options, text):
    monkeypatch.chdir(tmp_path)
    message = said(capsys, "train", "point-goal", *options)
    assert message.startswith(f"gmps: {text}")
    assert "\n" not in message
    assert not any(tmp_path.iterdir())


def test_a_typo_in_an_option_names_it_and_suggests(tmp_path: Path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "point-goal", "--roundz", "3", "--run", str(tmp_path / "run")])
    assert stopped.value.code == 2
    text = capsys.readouterr().err
    assert "--roundz" in text
    assert "--rounds" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["trane"], "There is no command 'trane'. Did you mean 'train'?"),
        (["train"], "`gmps train` needs FAMILY first. Families: ant-dir, "),
        (["train", "ant-gaol"], "There is no task family 'ant-gaol'. Did you mean 'ant-goal'?"),
        (
            ["train", "ant-goal", "--expert", "scripted"],
            "ant-goal has no scripted expert; train one",
        ),
        (
            ["train", "ant-goal", "--method", "gmps-latent", "--gmps-latent.augment"],
            "gmps-latent.augment is True, but ant-goal knows no other observations to act alike",
        ),
        (["eval", "nowhere"], "There is no folder nowhere; name a folder that `gmps train` wrote."),
        (["demos", "inform"], "There is no command 'demos inform'; use `demos import`, `demos r"),
        (["demos", "info", "missing.npz"], "missing.npz"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, argv: list[str], text: str):
    monkeypatch.chdir(tmp_path)
    message = said(capsys, *argv)
    assert message.startswith(f"gmps: {text}") or text in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert not any(tmp_path.iterdir())


def test_wrong_size_of_task_is_said(run: Path, capsys):
    text = said(capsys, "adapt", str(run), "--task", "1.0")
    assert "--task has 1 numbers, but a task of point-goal has 2" in text


def test_what_cannot_be_written_is_said_before_anything_is_simulated(run: Path, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    adapt = ["adapt", str(run), "--out", str(tmp_path / "file" / "a"), "--task", "0.5"]
    text = said(capsys, *adapt, "0.5")
    assert f"{tmp_path / 'file'} is no folder to write to (it is a file); choose another" in text
    text = said(capsys, *adapt, "nan")
    assert "--task is (0.5, nan); each must be a finite number." in text
    text = said(capsys, *adapt, "0.5", "--episodes", "0")
    assert "--episodes is 0; it must be at least 1." in text


def test_a_run_may_be_judged_later_and_is_saved_when_that_is_stopped(
    tmp_path: Path, capsys, monkeypatch
):
    folder = tmp_path / "run"
    assert main(["train", "point-goal", *QUICK, "--no-eval", "--run", str(folder)]) == 0
    assert f"Judge it with: gmps eval {folder}" in capsys.readouterr().out.replace("\n", "")
    assert not (folder / "scores.json").exists()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "evaluate_run", stopped)
        assert main(["eval", str(folder)]) == 130
    said = capsys.readouterr().out.replace("\n", "")
    assert (
        f"What was trained is saved, and so is what was judged; go on with: gmps eval {folder}"
        in said
    )
    assert main(["eval", str(folder)]) == 0
    assert (folder / "scores.json").is_file()


def test_bad_demonstrations_leave_no_run_behind(tmp_path: Path, capsys):
    path, folder = tmp_path / "bad.npz", tmp_path / "run"
    obs = np.zeros((3, 2, 5, 2), np.float32)
    obs[1, 0, 2, 1] = np.nan
    np.savez(path, observations=obs, actions=np.zeros((3, 2, 5, 2)), goals=np.zeros((3, 2)))
    text = said(capsys, "train", "point-goal", "--demos", str(path), "--run", str(folder))
    assert "observations" in text
    assert "nan" in text
    assert not folder.exists()


def test_every_command_has_help_with_an_example(capsys):
    for name in COMMANDS:
        argv = {"demos": ["import"], "train": ["point-goal"]}.get(name, [])
        argv = argv or (["RUN"] if name in ("resume", "eval", "adapt") else [])
        if name in ("resume", "eval"):
            continue  # their defaults come from a run: see below
        with pytest.raises(SystemExit) as stopped:
            main([name, *argv, "--help"])
        assert stopped.value.code == 0
        assert f"gmps {name}" in capsys.readouterr().out
    main(["--help"])
    page = capsys.readouterr().out
    assert all(name in page for name in COMMANDS)


@pytest.mark.parametrize("words", [("expert", "train"), ("expert", "eval"), ("demos", "record")])
def test_help_of_two_words_asks_for_the_family(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    assert f"gmps {' '.join(words)} FAMILY --help" in capsys.readouterr().out


def test_help_of_resume_shows_the_runs_own_settings(run: Path, capsys):
    with pytest.raises(SystemExit):
        main(["resume", str(run), "--help-all"])
    text = capsys.readouterr().out
    assert "example:" in text
    assert "--gmps.step-size" in text


def test_the_papers_recipe_runs(tmp_path: Path):
    folder = tmp_path / "paper"
    options = [*QUICK, "--preset", "paper", "--run", str(folder)]
    assert main(["train", "point-goal", *options]) == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["weight_clip"] is None
    assert config["settings"]["imitation"] == "mse"


def test_doctor_names_the_package_where_opengl_is_missing(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no")
    monkeypatch.setattr(gl.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(examining, "choose_gl", gl.choose_gl.__wrapped__)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert examining._rendering() == (
        "rendering",
        True,
        "no 3-D pictures, which reports do not need: MuJoCo cannot draw with EGL or OSMesa on "
        "this machine; install Debian's libegl1 and libgl1-mesa-dri, or libosmesa6, or set "
        "MUJOCO_GL to what there is.",
    )


def test_tasks_and_doctor(capsys):
    assert main(["tasks"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name}: " in text for name in family_names())
    assert max(map(len, text.splitlines())) <= 100
    assert main(["tasks", "push-dynamics"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  spaces   observation 6, action 3 in [-1, 1]",
        "  horizon  50 steps of 0.05 s",
        "  reward   progress + reach",
        "  tasks    20 training, 16 held out, 12 validation, or random",
        "           --task 0.03 0.01  means: friction 0.03, 10 g",
        "  expert   scripted",
        "  runs on  native: MuJoCo on CPU threads, each task its own model; mjx: in JAX",
    ]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok") for line in lines) == 5


def test_a_backend_that_mujoco_cannot_load_is_one_sentence():
    # In a process of its own: MuJoCo reads the variable when it is first imported.
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "from gmps.commands.cli import main; raise SystemExit(main(['tasks']))",
        ],
        env={**os.environ, "MUJOCO_GL": "vulkan"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("gmps: MuJoCo cannot be imported with MUJOCO_GL='vulkan' (")
    assert "or unset the variable." in " ".join(found.stderr.split())

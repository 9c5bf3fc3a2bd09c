"""Which options there are: pages of help, a method's settings, settings from a file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_cli import QUICK

from gmps.commands.cli import main
from gmps.methods.registry import METHODS
from gmps.presets import preset
from gmps.presets.files import load_settings
from gmps.runs.config_json import encode_config
from gmps.runs.run import Run
from gmps.tasks import family_names
from gmps.training.config import TrainConfig

pytestmark = pytest.mark.usefixtures("frozen_commit")
#: Lines of a screen.
SCREEN = 50


def page(capsys, monkeypatch, *argv: str) -> list[str]:
    """The lines of a page of help, in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        main(list(argv))
    assert stopped.value.code == 0
    return capsys.readouterr().out.splitlines()


def options_on(lines: list[str]) -> set[str]:
    """The options that a page explains."""
    plain = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines)
    found = (re.match(r"[│| ]\s*(?:-h, )?(--[\w.-]+)", line) for line in plain)
    return {match[1] for match in found if match}


@pytest.mark.parametrize("words", [("train", "point-goal"), ("expert", "train", "point-goal")])
def test_the_first_page_is_one_screen(capsys, monkeypatch, words):
    lines = page(capsys, monkeypatch, *words, "--help")
    assert len(lines) <= SCREEN
    assert any("--help-all" in line for line in lines)
    assert {"--run", "--rounds", "--seed"} <= options_on(lines)
    assert page(capsys, monkeypatch, *words, "-h") == lines


def test_a_methods_settings_come_with_the_method_and_the_rest_with_help_all(capsys, monkeypatch):
    first, maml, everything = (
        options_on(page(capsys, monkeypatch, "train", "sawyer-push", *more))
        for more in (
            ("--help",),
            ("--method", "maml", "--help"),
            ("--method", "maml", "--help-all"),
        )
    )
    assert {"--demos", "--expert", "--method", "--preset", "--config", "--random-tasks"} <= first
    assert not any("." in option for option in first)
    added = maml - first
    assert {"--maml.episodes", "--maml.ppo.clip"} <= added
    assert all(option.startswith("--maml.") for option in added)
    assert {"--sac.sac.batch", "--plain.stds", "--evaluation.steps", "--keep"} <= everything - maml
    assert maml <= everything
    assert not any(option.startswith("--gmps") for option in everything)


def test_the_first_page_of_resume_has_what_may_change(tmp_path, capsys, monkeypatch):
    with Run.create(tmp_path / "run", preset("point-goal")):
        pass
    lines = page(capsys, monkeypatch, "resume", str(tmp_path / "run"), "--help")
    assert len(lines) <= SCREEN
    assert "--rounds" in options_on(lines)
    assert main(["resume", str(tmp_path / "run"), "--method", "maml"]) == 2
    assert "was started with method gmps-latent, not maml; resume" in capsys.readouterr().err


def test_help_names_every_method(capsys, monkeypatch):
    text = " ".join(page(capsys, monkeypatch, "train", "point-goal", "--help"))
    assert all(name in text for name in METHODS)


@pytest.mark.parametrize("family", [*family_names(), "ml1-reach-v3", "ml10", "ml45@150"])
def test_every_preset_is_a_method_with_its_settings(family):
    for method in METHODS:
        for name in ("default", "paper"):
            config = preset(family, method, name)
            assert (config.family, config.method) == (family, method)
            assert config.sac.family == family


# -- From a file --------------------------------------------------------------------------------


def test_a_runs_settings_are_replayed_to_the_byte(tmp_path: Path, capsys):
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    words = ["train", "point-goal"]
    assert main([*words, *QUICK, "--seed", "3", "--run", str(first)]) == 0
    replay = ["--config", str(first / "config.json")]
    assert main([*words, *replay, "--run", str(again)]) == 0
    assert (again / "config.json").read_bytes() == (first / "config.json").read_bytes()
    assert (again / "metrics.jsonl").read_bytes() == (first / "metrics.jsonl").read_bytes()
    assert main([*words, *replay, "--rounds", "1", "--gmps.std", "0.4", "--run", str(other)]) == 0
    changed = Run.open(other).load_config(TrainConfig)
    stored = Run.open(first).load_config(TrainConfig)
    assert changed == replace(stored, rounds=1, settings=replace(stored.settings, std=0.4))


def test_yaml_is_read_and_what_it_leaves_out_is_the_presets(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "method: maml\nrounds: 7\nsettings:\n  step_size: 1e-3\n  hidden: [8, 8]\n"
        "  ppo: {clip: 0.2}\n"
    )
    maml = preset("sawyer-push", "maml")
    settings = replace(
        maml.settings, step_size=1e-3, hidden=(8, 8), ppo=replace(maml.settings.ppo, clip=0.2)
    )
    assert load_settings(str(file), "sawyer-push") == replace(maml, rounds=7, settings=settings)
    for config in (preset("ml10"), preset("ant-goal", "gmps", "paper")):
        file.write_text(yaml.safe_dump(encode_config(config)))
        assert load_settings(str(file)) == config


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "a.json cannot be read as settings: "),
        ("a.yaml", "a: [1", "a.yaml cannot be read as settings: "),
        ("a.yaml", "!!python/object:os.system {}", "a.yaml cannot be read as settings: "),
        ("a.json", "[1]", "a.json holds no settings: it must hold names with values."),
        ("a.json", "[" * 100_000, "a.json cannot be read as settings: "),
        ("a.json", '{"family": "ant-goal"}', "a.json holds settings for ant-goal, not for point-"),
        ("a.json", '{"roundz": 3}', "The stored setting roundz is not known"),
        ("a.json", '{"rounds": "many"}', 'The stored setting rounds = "many" is not of the type'),
        ("a.json", '{"rounds": 0}', "The stored setting rounds is 0; it must be at least 1."),
        (
            "a.json",
            '{"settings": {"std": -1}}',
            "The stored setting gmps-latent.std is -1.0; it must be",
        ),
        ("a.json", '{"settings": 3}', "The stored setting settings = 3 is not of the type"),
        ("a.json", '{"method": 3}', "method in a.json is 3; it must be a method's name."),
        ("a.json", '{"method": "reptile"}', "There is no method 'reptile'. "),
        ("b.json", "", "There is no file a.json; give --config a run's config.json, or YAML."),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, monkeypatch, capsys, name, text, said):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    file = "a.json" if name == "b.json" else name
    assert main(["train", "point-goal", "--config", file]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith(f"gmps: {said}")
    assert "\n" not in message


def test_choices_that_contradict_a_file_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(json.dumps(encode_config(preset("point-goal"))))
    words = ["train", "point-goal", "--config", "a.json"]
    assert main([*words, "--preset", "paper"]) == 2
    assert "--config and --preset both say what the defaults are" in capsys.readouterr().err
    assert main([*words, "--method", "maml"]) == 2
    assert (
        "a.json holds settings of gmps-latent, not of maml; leave --meth" in capsys.readouterr().err
    )


def test_a_dry_run_prints_one_command_a_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    words = ["sweep", "point-goal", "--grid", "gmps.std=0.2,0.3", "--seeds", "0", "1", "--dry-run"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("gmps train point-goal ") for line in lines] == [True] * 4 + [False]
    assert lines[0].endswith("--gmps.std 0.2")


# -- What a command calls otherwise ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["train", "point-goal", "--out", "a"], "it is called --run there."),
        (["train", "point-goal", "--epochs=3"], "it is called --rounds there."),
        (["expert", "train", "point-goal", "--output_dir", "a"], "it is called --run there."),
        (["sweep", "point-goal", "--out", "a"], "it is called --runs there."),
        (["explore", "a", "--env", "b.py:c", "--out", "d"], "it is called --folder there."),
        (["demo", "--out", "a"], "it is called --run there."),
        (["adapt", "a", "--goal", "1", "2"], "it is called --task there."),
        (["report", "a", "-o", "b"], "it is called --out there."),
        (["view", "a", "--out", "b"], "it is called --export or --film there."),
        (["diagnose", "a", "--out", "b"], "it writes into the folder of the run."),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_another_name_of_an_option_is_told_apart(capsys, words, end):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("gmps: `gmps ") and "has no option -" in said
    assert said.strip().endswith(end)
    assert "--gmps-latent" not in said

"""What is installed, and what does not go together."""

import importlib.metadata

import pytest

from gmps.runs import versions

REQUIRED = [
    "numpy<3,>=2.1",
    'mujoco<5,>=3.3.0; extra == "train"',
    'jax<0.11,>=0.8; extra == "train"',
    'gmps[train]; extra == "mjx"',
    'mujoco-mjx<5,>=3.3.0; extra == "mjx"',
]


@pytest.fixture
def environment(monkeypatch):
    """Sets which packages there are."""

    def have(**packages: str) -> None:
        def version(name: str) -> str:
            if name.replace("-", "_") not in packages:
                raise importlib.metadata.PackageNotFoundError(name)
            return packages[name.replace("-", "_")]

        monkeypatch.setattr(importlib.metadata, "requires", lambda _: REQUIRED)
        monkeypatch.setattr(importlib.metadata, "version", version)

    return have


def test_absent_packages_are_listed_too(environment):
    environment(numpy="2.4.6", jax="0.10.2", mujoco="4.0.0")
    found = versions.installed()
    assert found["numpy"] == "2.4.6"
    assert found["mujoco-mjx"] is None
    assert found["optax"] is None
    assert list(found) == [*versions.PACKAGES, "mujoco-mjx"]


def test_what_goes_together_is_not_warned_of(environment):
    environment(numpy="2.4.6", jax="0.10.2", jaxlib="0.10.1", mujoco="3.3.0", metaworld="3.1.1")
    assert versions.conflicts() == []


@pytest.mark.parametrize(
    ("packages", "sentence"),
    [
        (
            {"mujoco": "5.0.1"},
            "mujoco 5.0.1 is outside of what gmps was tried with (<5,>=3.3.0); install another "
            "version.",
        ),
        (
            {"mujoco": "4.0.0", "metaworld": "3.1.1"},
            "metaworld 3.1.1 was made for MuJoCo 3.3 and mujoco is 4.0.0: its tasks behave "
            'otherwise or fail; pip install "gmps[metaworld]" in an environment of its own.',
        ),
        (
            {"jax": "0.10.2", "jaxlib": "0.9.0"},
            "jax 0.10.2 and jaxlib 0.9.0 are of different series; install jax again.",
        ),
    ],
)
def test_each_bad_pair_is_a_sentence(packages, sentence, environment):
    environment(**packages)
    assert versions.conflicts() == [sentence]


def test_a_bare_source_tree_requires_nothing_that_can_be_told(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert versions.requirements() == []
    assert list(versions.installed()) == list(versions.PACKAGES)

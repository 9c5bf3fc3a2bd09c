"""Every setting of every settings class through values that make no sense."""

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gmps.commands import (
    adapt,
    certify,
    demo,
    demos,
    diagnose,
    doctor,
    eval,
    expert,
    explore,
    export,
    pull,
    push,
    render,
    report,
    resume,
    sweep,
    tasks,
    train,
    view,
)
from gmps.commands.cli import COMMANDS
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.errors import GmpsError
from gmps.evaluation.diagnose_settings import DiagnoseConfig
from gmps.evaluation.settings import EvaluationConfig
from gmps.experts.sac_settings import SacConfig
from gmps.experts.score_settings import ExpertThreshold
from gmps.metaworld.harness_settings import HarnessConfig
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.in_context_settings import InContextConfig
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.outer_settings import PpoConfig
from gmps.methods.pearl_settings import PearlConfig
from gmps.methods.plain_settings import PlainConfig
from gmps.methods.rl2_settings import Rl2Config
from gmps.presets import preset
from gmps.settings import SettingError, Settings, check, checks_wait, setting
from gmps.theory.settings import CertifyConfig, SamplingConfig
from gmps.training.sac_settings import ExpertConfig

EXAMPLES: list[Settings] = [
    *(TrustRegionConfig(), DiagnoseConfig(), EvaluationConfig(), SacConfig(), ExpertThreshold()),
    *(HarnessConfig(), GmpsLatentConfig(), GmpsConfig(), MaesnConfig()),
    *(MamlConfig(), MultitaskBcConfig(), MultitaskConfig(), PpoConfig(), PearlConfig()),
    *(PlainConfig(), InContextConfig(), Rl2Config(), CertifyConfig(), SamplingConfig()),
    *(preset("point-goal"), ExpertConfig("point-goal", "per-task")),
    *(adapt.Adapt(), certify.Certify(), demo.Demo(), diagnose.Diagnose(), doctor.Doctor()),
    *(eval.Eval(), expert.Eval(), expert.Train(ExpertConfig("point-goal")), explore.Explore("x")),
    *(export.Export(), render.Render((0.0,)), report.Report(["x"]), tasks.Tasks()),
    *(resume.Resume(preset("point-goal")), sweep.Sweep(), train.Train(preset("point-goal"))),
    *(demos.Import("x", "point-goal", "y"), demos.Record("x"), demos.Info("x")),
    *(demos.Export("x", "point-goal", "minari", "y"), view.View(), push.Push(), pull.Pull()),
]
HUGE = 99999999999999999999


def fields() -> list[Any]:
    """Every field, with an instance that has it and its kind."""
    return [
        pytest.param(example, f, typing.get_type_hints(type(example))[f.name], id=f"{n}.{f.name}")
        for example in EXAMPLES
        for n in [type(example).__name__]
        for f in dataclasses.fields(example)
    ]


def numbers_of(kind: Any) -> set[type]:
    """Which kinds of numbers a field holds, in a tuple or not, beside None."""
    parts = {k for k in (kind, *typing.get_args(kind)) for k in (k, *typing.get_args(k))}
    return parts & {int, float}


def refused(example: Settings, name: str, value: Any) -> str | None:
    """The sentence that refuses a value, without the setting's name; None if it is accepted."""
    try:
        dataclasses.replace(example, **{name: value})
    except SettingError as error:
        shown = "empty" if value == () else repr(value)
        assert str(error).startswith(f"{error.name} is ")
        assert str(error).endswith(f"; {error.rule}.")
        if error.name == name:
            assert f" is {shown}; " in str(error)
        return error.rule
    except GmpsError as error:
        return str(error)
    return None


def test_every_settings_class_is_here():
    def below(cls: type) -> set[type]:
        return {cls, *(c for sub in cls.__subclasses__() for c in below(sub))}

    ours = {c for c in below(Settings) - {Settings} if c.__module__.startswith("gmps.")}
    # What others have in common is held to the rules with them.
    common = {base for example in EXAMPLES for base in type(example).__mro__[1:]}
    assert ours - common == {type(example) for example in EXAMPLES}


def test_every_command_has_rules():
    """The options of a command are settings; what else is in its module is no command."""
    modules = (adapt, certify, demo, demos, diagnose, doctor, eval, expert, explore, export)
    modules += (pull, push, render, report, resume, sweep, tasks, train, view)
    assert {m.__name__.rpartition(".")[2] for m in modules} == set(COMMANDS)
    commands = {
        c
        for m in modules
        for c in vars(m).values()
        if dataclasses.is_dataclass(c) and "example" in str(c.__doc__)
    }
    assert commands <= {type(example) for example in EXAMPLES}


@pytest.mark.parametrize(("example", "field", "kind"), fields())
def test_nonsense_is_one_sentence_and_the_rest_keeps_the_rule(example, field, kind):
    kinds, name, rules = numbers_of(kind), field.name, field.metadata
    wrap = (lambda x: (x,)) if "tuple" in str(kind) else lambda x: x
    if not kinds:
        assert refused(example, name, wrap(HUGE)) is not None
        return
    for value in (math.nan, 1e300, -1e300, HUGE, -HUGE, 10**400, "1", True, b"", (None,), object):
        if (float in kinds and value in (HUGE, -HUGE)) or (value == "1" and "str" in str(kind)):
            continue  # a float holds that; a file may be called that
        assert refused(example, name, wrap(value)) is not None, value
    infinite = refused(example, name, wrap(math.inf)) is None
    assert infinite == bool(rules.get("infinite"))
    for value in (0, -1):
        rule = refused(example, name, wrap(value))
        low = rules.get("above") is not None and not value > rules["above"]
        low |= rules.get("at_least") is not None and not value >= rules["at_least"]
        assert (rule is not None) == low
    if "tuple" in str(kind):
        assert (refused(example, name, ()) is not None) == bool(rules.get("not_empty"))


def test_a_number_without_a_bound_below_is_meant():
    unbounded = {
        f"{type(example).__name__}.{f.name}"
        for example in EXAMPLES
        for f in dataclasses.fields(example)
        if numbers_of(typing.get_type_hints(type(example))[f.name])
        and f.metadata.get("at_least") is None
        and f.metadata.get("above") is None
    }
    assert unbounded == {
        *(f"{method}Config.bias_init" for method in ("Gmps", "Maml")),
        *("ExpertThreshold.mean_return", "SacConfig.target_entropy"),
        *("Adapt.task", "Render.task"),
    }


@dataclass(frozen=True)
class Inner(Settings):
    size: int = setting(3, at_least=2, because="it compares two")
    rate: float = setting(0.1, above=0, below=1)
    kind: Literal["a", "b", "c"] = "a"


@dataclass(frozen=True)
class Outer(Settings):
    inner: Inner = field(default_factory=Inner)
    layers: tuple[int, ...] = setting((8,), at_least=1, not_empty="layer")
    pair: tuple[int, float] = (1, 2.0)
    folder: str | None = None
    limit: float | None = setting(1.0, above=0, infinite=True)

    def rules(self):
        if len(self.layers) > self.inner.size:
            self.refuse("layers", f"it must have at most {self.inner.size} entries")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Inner(1), "size is 1; it compares two, so it must be at least 2."),
        (lambda: Inner(2.5), "size is 2.5; it must be a whole number."),  # pyright: ignore
        (
            lambda: Inner(2**31),
            "size is 2147483648; it compares two, so it must be at least 2 and at most 2147483647.",
        ),
        (lambda: Inner(rate=1.0), "rate is 1.0; it must be above 0 and below 1."),
        (
            lambda: Inner(rate=math.nan),
            "rate is nan; it must be a finite number and above 0 and below 1.",
        ),
        (lambda: Inner(kind="d"), "kind is 'd'; it must be 'a', 'b' or 'c'."),  # pyright: ignore
        (lambda: Outer(layers=()), "layers is empty; name at least one layer."),
        (lambda: Outer(layers=(8, 0)), "layers is (8, 0); each must be at least 1."),
        (lambda: Outer(layers=[8]), "layers is [8]; it must be a tuple."),  # pyright: ignore
        (lambda: Outer(pair=(1,)), "pair is (1,); it must have 2 entries."),  # pyright: ignore
        (lambda: Outer(limit=-math.inf), "limit is -inf; it must be above 0."),
        (lambda: Outer(folder=""), "folder is empty; leave it out, or name something."),
        (lambda: Outer(inner=3), "inner is 3; it must be a Inner."),  # pyright: ignore
        (lambda: Outer(layers=(1,) * 4), "layers is (1, 1, 1, 1); it must have at most 3 entries."),
    ],
)
def test_the_sentence(make, text):
    with pytest.raises(SettingError) as error:
        make()
    assert str(error.value) == text


def test_what_is_right_is_accepted():
    assert Outer(limit=None).limit is None
    assert Outer(limit=math.inf).limit == math.inf
    assert Outer(pair=(1, 2)).pair == (1, 2)  # a whole number is a number


def test_a_nested_setting_is_named_from_the_outside():
    with checks_wait():
        outer = Outer(Inner(size=0))
    with pytest.raises(SettingError, match=r"^inner\.size is 0; it compares two"):
        check(outer)
    with checks_wait():
        outer = Outer(layers=(1,) * 4)
    with pytest.raises(SettingError, match=r"^all\.layers is \(1, 1, 1, 1\); it must have at most"):
        check(outer, "all")

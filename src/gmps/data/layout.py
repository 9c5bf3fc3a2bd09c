"""Where a family's numbers stand in somebody's recording."""

import re
from typing import NamedTuple

import numpy as np

from gmps.data.mapping import Mapping, Rule, parse_factor, parse_rule
from gmps.data.recording import Recording, from_bounds
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily

#: Columns that are taken without a mapping, by what they become; the first that is there.
_KNOWN = {
    "obs": (
        "observations",
        "observations/state",
        "observations/observation",
        "observation.state",
        "obs/state",
        "observation",
        "obs",
        "state",
    ),
    "act": ("actions", "action", "act"),
    "reward": ("rewards", "next.reward", "reward"),
    "goal": ("goal", "goals", "observations/desired_goal", "obs/goal"),
    "frame": (
        "observations/frame",
        "obs/frame_image",
        "observation.images.frame",
        "frame",
        "frames",
    ),
}


class Layout(NamedTuple):
    """Which columns make up each target, and what they are multiplied by."""

    obs: tuple[Rule, ...]
    act: tuple[Rule, ...]
    reward: Rule | None
    goal: tuple[Rule, ...]
    frame: str | None
    obs_factor: np.ndarray
    act_factor: np.ndarray
    act_offset: np.ndarray
    goal_factor: float
    reward_factor: float
    #: Which numbers of the observation, in the recording's units, are taken away from the actions.
    act_from: tuple[Rule, ...]


def parts(family: TaskFamily) -> dict[str, slice]:
    """The named parts of a family's observation."""
    found, start = {}, 0
    for part in family.parts:
        found[part.name] = slice(start, start + part.size)
        start += part.size
    return found


def lay_out(recording: Recording, family: TaskFamily, mapping: Mapping, source: str) -> Layout:
    """Find the columns of each target.

    Raises:
        GmpsError: columns that are named do not exist or are too short, or what the family takes
            is not filled exactly.
    """
    named, spec = parts(family), family.spec
    rules: dict[str, list[Rule]] = {k: [] for k in ("obs", "act", "reward", "goal", "frame")}
    for word in mapping.map:
        rule = parse_rule(word)
        _require_column(recording, rule, source)
        if rule.target in named:
            first = named[rule.target].start
            low = first + (rule.first or 0)
            high = first + rule.end if rule.end is not None else None
            high = low + _width(recording, rule) if high is None else high
            if high > named[rule.target].stop:
                raise GmpsError(
                    f"--map {word} fills {high - low} numbers, but {rule.target} of {family.name} "
                    f"has {named[rule.target].stop - first}."
                )
            rule = rule._replace(target="obs", first=low, end=high)
        if rule.target not in rules:
            words = ", ".join([*rules, *named])
            raise GmpsError(f"--map {word}: {family.name} has no {rule.target!r}; it has {words}.")
        rules[rule.target].append(rule)
    for target in ("reward", "frame"):
        if len(rules[target]) > 1:
            words = ", ".join(rule.column for rule in rules[target])
            raise GmpsError(f"--map names several columns for {target}, {words}; name one.")
    obs = _filled(recording, rules["obs"], spec.obs_size, "obs", family, source)
    obs = obs or _default_obs(recording, family, named, source)
    act = _filled(recording, rules["act"], spec.act_size, "act", family, source)
    act = act or _default(recording, "act", family, source)
    size = sum(_width(recording, rule) for rule in act)
    if size != spec.act_size:
        raise GmpsError(
            f"The actions of {source} have {size} numbers, but {family.name} takes {spec.act_size}."
        )
    reward = rules["reward"] or _known(recording, "reward")
    if reward and _width(recording, reward[0]) != 1:
        raise GmpsError(f"The rewards of {source} have {_width(recording, reward[0])} numbers.")
    frame = None
    if isinstance(family, PixelFamily):
        frame = _frame(recording, rules["frame"], family, source)
    act_factor, act_offset = _act_scale(recording, mapping, act)
    scales = dict(parse_factor(word) for word in mapping.scale)
    for target in scales:
        if target not in ("obs", "act", "reward", "goal", *named):
            raise GmpsError(f"--scale {target}: {family.name} has no such part.")
    return Layout(
        obs=obs,
        act=act,
        reward=reward[0] if reward else None,
        goal=tuple(rules["goal"]) or _known_goal(recording, spec.context_size),
        frame=frame,
        obs_factor=_obs_factor(scales, named, spec.obs_size),
        act_factor=act_factor,
        act_offset=act_offset,
        goal_factor=_plain(scales, "goal"),
        reward_factor=_plain(scales, "reward"),
        act_from=_act_from(recording, mapping, family, obs, named),
    )


def _act_from(
    recording: Recording,
    mapping: Mapping,
    family: TaskFamily,
    obs: tuple[Rule, ...],
    named: dict[str, slice],
) -> tuple[Rule, ...]:
    kind, _, part = (mapping.actions or "").partition(":")
    if kind != "target":
        return ()
    match = re.fullmatch(r"obs\[(\d+):(\d+)\]", part)
    wanted = slice(int(match[1]), int(match[2])) if match else named.get(part)
    if wanted is None or wanted.stop - wanted.start != family.spec.act_size:
        words = ", ".join([*named, "obs[0:3]"])
        raise GmpsError(
            f"--actions target:{part} of {family.name} needs a part of the observation with as "
            f"many numbers as an action, {family.spec.act_size}: {words}."
        )
    # Where each number of the observation comes from, in the recording's units.
    places: dict[int, Rule] = {}
    at = 0
    for rule in obs:
        at = at if rule.first is None else rule.first
        for i in range(_width(recording, rule)):
            start = (rule.start or 0) + i
            places[at + i] = rule._replace(start=start, stop=start + 1)
        at += _width(recording, rule)
    return tuple(places[i] for i in range(wanted.start, wanted.stop))


def _require_column(recording: Recording, rule: Rule, source: str) -> None:
    if rule.column in recording.unread:
        if rule.target == "frame":
            return
        raise GmpsError(f"--map {rule.column}: pictures can only become frame.")
    if rule.column not in recording.columns:
        raise GmpsError(
            f"{source} has no column {rule.column!r}; it has {column_words(recording)}."
        )
    size = int(np.prod(recording.columns[rule.column].shape[1:], dtype=int))
    if (rule.start or 0) >= (size if rule.stop is None else rule.stop) or (rule.stop or 0) > size:
        raise GmpsError(
            f"--map {rule.column}[{rule.start}:{rule.stop}]: the column has {size} numbers."
        )


def column_words(recording: Recording) -> str:
    """The columns of a recording and their sizes, in words."""
    sizes = {name: list(array.shape[1:]) for name, array in recording.columns.items()}
    return ", ".join(
        f"{name} ({' x '.join(map(str, shape)) or 1})"
        for name, shape in (sizes | recording.unread).items()
    )


def _width(recording: Recording, rule: Rule) -> int:
    size = int(np.prod(recording.columns[rule.column].shape[1:], dtype=int))
    return len(range(size)[rule.start : rule.stop])


def _filled(
    recording: Recording,
    rules: list[Rule],
    size: int,
    target: str,
    family: TaskFamily,
    source: str,
) -> tuple[Rule, ...]:
    """The rules of a target in the order of its numbers, which they must fill exactly once."""
    if not rules:
        return ()
    placed, at = [], 0
    for rule in rules:
        first = at if rule.first is None else rule.first
        width = _width(recording, rule)
        if rule.end is not None and rule.end - first != width:
            raise GmpsError(
                f"--map {rule.column}: {width} numbers are to fill {rule.end - first} of {target}."
            )
        placed.append(rule._replace(first=first, end=first + width))
        at = first + width
    placed.sort(key=lambda rule: rule.first or 0)
    ends = [0, *(rule.end or 0 for rule in placed)]
    exact = [rule.first for rule in placed] == ends[:-1]
    convertible = target == "obs" and hasattr(family, "convert_observations")
    if not exact or (ends[-1] != size and not convertible):
        words = ", ".join(f"{rule.column} fills {rule.first} to {rule.end}" for rule in placed)
        raise GmpsError(
            f"The columns mapped for {source} do not fill {target}, which has {size} numbers in "
            f"{family.name}, each once: {words}."
        )
    return tuple(placed)


def _known(recording: Recording, target: str) -> list[Rule]:
    for name in _KNOWN[target]:
        if name in recording.columns:
            return [Rule(name, None, None, None, target, None, None)]
    return []


def _default(
    recording: Recording, target: str, family: TaskFamily, source: str
) -> tuple[Rule, ...]:
    found = _known(recording, target)
    if not found:
        size = family.spec.obs_size if target == "obs" else family.spec.act_size
        raise GmpsError(
            f"{source} has no column that is known to be {target} ({size} numbers in "
            f"{family.name}); name it with --map COLUMN={target}: it has {column_words(recording)}."
        )
    return tuple(found)


def _default_obs(
    recording: Recording, family: TaskFamily, named: dict[str, slice], source: str
) -> tuple[Rule, ...]:
    """The parts of the family where columns are called like them, or a column known to be it."""
    for before in ("", "obs/", "observations/", "observation."):
        rules = [Rule(before + n, None, None, None, "obs", None, None) for n in named]
        if rules and all(rule.column in recording.columns for rule in rules):
            widths = [_width(recording, rule) for rule in rules]
            if widths == [part.stop - part.start for part in named.values()]:
                return tuple(rules)
    found = _default(recording, "obs", family, source)
    more = "observation.environment_state"
    if found[0].column == "observation.state" and more in recording.columns:
        both = (*found, found[0]._replace(column=more))
        if sum(_width(recording, rule) for rule in both) == family.spec.obs_size:
            return both
    return found


def _known_goal(recording: Recording, size: int) -> tuple[Rule, ...]:
    if any(goal is not None for goal in recording.facts.goals):
        return ()
    found = _known(recording, "goal")
    return tuple(found) if found and _width(recording, found[0]) == size else ()


def _frame(recording: Recording, rules: list[Rule], family: PixelFamily, source: str) -> str:
    cameras = [n for n, a in recording.columns.items() if a.dtype == np.uint8 and a.ndim == 4]
    known = [rule.column for rule in rules or _known(recording, "frame")]
    known = [name for name in known if name in cameras]
    if known or len(cameras) == 1:
        return (known or cameras)[0]
    raise GmpsError(
        f"{family.name} sees pictures, and {source} has {len(cameras)} cameras; name one with "
        f"--map COLUMN=frame: it has {column_words(recording)}."
    )


def _plain(scales: dict[str, str], target: str) -> float:
    factor = scales.get(target, "1")
    if ":" in factor:
        raise GmpsError(f"--scale {target}={factor}: bounds are for act; give a factor.")
    return float(factor)


def _obs_factor(scales: dict[str, str], named: dict[str, slice], size: int) -> np.ndarray:
    factor = np.full(size, _plain(scales, "obs"))
    for name, part in named.items():
        factor[part] *= _plain(scales, name)
    return factor


def _act_scale(
    recording: Recording, mapping: Mapping, act: tuple[Rule, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset of the actions: as told, or by the bounds that the file declares."""
    size = sum(_width(recording, rule) for rule in act)
    told = dict(parse_factor(word) for word in mapping.scale).get("act")
    if told is not None and ":" not in told:
        return np.full(size, float(told)), np.zeros(size)
    low, high = np.full(size, -1.0), np.full(size, 1.0)
    if told is not None:
        low, high = (np.full(size, float(x)) for x in told.split(":"))
    elif recording.action_bounds is not None and mapping.actions is None:
        sides = [np.asarray(side) for side in recording.action_bounds]
        if all(rule.column == "actions" for rule in act):
            low, high = (np.concatenate([x[r.start : r.stop] for r in act]) for x in sides)
    return from_bounds(low, high)

"""What two studies or runs must share, so that their scores compare."""

import shlex
from collections.abc import Mapping
from typing import Any

from tunewright.deliver.comparison.sides import Side
from tunewright.errors import UsageError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Goal

SAME_ROWS = (
    "data.image_size",
    "data.resize",
    "data.window",
    "data.weighted_sampler",
    "data.store",
    "data.workers",
    "data.mirror_right",
    "data.crops_per_photo",
    "data.hflip",
    "data.vflip",
    "data.train",
    "data.train_metadata",
    "data.train_rows",
)
"""Keys about data that leave the rows alone that a model is validated on."""
COUNTS = ("images", "pairs", "patients", "classes", "labels")
"""Figures of an evaluation that tell how large its data were."""


def refuse_unlike(one: Side, other: Side) -> None:
    """Raise UsageError for sides of different kinds, recipes or goals, with what can be done."""
    if one.kind != other.kind:
        study, run = (one, other) if one.kind == "study" else (other, one)
        final = None if study.place is None else StudyFolder(study.place).final
        model = "" if final is None else _quote(final.path)
        remedy = f"Compare its final model: tunewright compare {model} {_quote(run.name)}."
        raise UsageError(
            f"{one.name} is a {one.kind}, {other.name} is a {other.kind}",
            expected="two studies or two runs",
            remedy=remedy if final is not None and final.config.exists() else "",
        )
    if one.recipe != other.recipe:
        raise UsageError(
            f"{one.name} is of the recipe {one.recipe or 'of another program'}, {other.name} of "
            f"{other.recipe or 'another program'}",
            expected="two of one recipe, since their scores measure different things",
            remedy=_one_by_one(one, other),
        )
    if one.goals[0] != other.goals[0]:
        raise UsageError(
            f"the goal of {one.name} is {_format_goal(one.goals[0])}, that of {other.name} "
            f"{_format_goal(other.goals[0])}",
            expected="two with one goal",
            remedy=_one_by_one(one, other),
        )


def _one_by_one(one: Side, other: Side) -> str:
    words = [_quote(side.place or side.name) for side in (one, other)]
    return f"Look at them one by one: tunewright report {words[0]}; tunewright report {words[1]}."


def different_validation(one: Side, other: Side) -> str:
    """Return why the scores of the searches or trainings do not compare; empty where they do."""
    changed = [
        name
        for name in one.fingerprints
        if name in other.fingerprints and one.fingerprints[name] != other.fingerprints[name]
    ]
    if changed:
        return (
            f"the data differ ({', '.join(changed)}), so scores of the searches are not compared; "
            "the fingerprints of the files are stored with each study"
        )
    differing = _differing_data(one.configuration, other.configuration)
    if differing:
        return (
            f"the data differ ({', '.join(differing)}), so validation scores are not compared: "
            "search or train both on the same data"
        )
    if one.goals[0].metric.endswith("loss") and (changed := _differing_loss(one, other)):
        return (
            f"the goal is the loss itself, and it differs ({', '.join(changed)}), so these scores "
            "are not compared: other metrics are"
        )
    return ""


def on_same_data(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether two evaluations are called the same: of one split, or of one folder."""
    return all(first.get(name) == second.get(name) for name in ("split", "data"))


def no_shared_evaluation(one: Side, other: Side) -> str:
    """Return why no evaluations are compared where none of both is of the same split."""
    shown = [
        f"{side.name} on {' and '.join(str(found.get('split')) for found in side.evaluations)}"
        for side in (one, other)
    ]
    commands = [
        f"tunewright evaluate {_quote(side.place or side.name)} --data FOLDER"
        for side in (one, other)
    ]
    return (
        f"{shown[0]}, {shown[1]} were evaluated, so these are not compared: {commands[0]} and "
        f"{commands[1]} measure both on one folder"
    )


def different_evaluation(
    one: Side, other: Side, first: Mapping[str, Any], second: Mapping[str, Any]
) -> str:
    """Return why two evaluations of one split do not compare; empty where they do."""
    unequal = [name for name in COUNTS if first.get(name) != second.get(name)]
    unequal += ["digest"] if first.get("digest") != second.get("digest") else []
    if unequal:
        shown = ", ".join(f"{name} {first.get(name)} and {second.get(name)}" for name in unequal)
        return (
            f"the evaluations on {first.get('split')} were made on different data ({shown}), so "
            "these are not compared"
        )
    differing = _differing_data(one.configuration, other.configuration)
    if first.get("data") is None and differing:
        return f"the data differ ({', '.join(differing)}), so the evaluations are not compared"
    return ""


def _differing_loss(one: Side, other: Side) -> list[str]:
    """Return the keys of the loss that differ."""
    names = sorted(
        {n for side in (one, other) for n in side.configuration if n.startswith("loss.")}
    )
    first, second = one.configuration, other.configuration
    return [n for n in names if first.get(n) != second.get(n)]


def _differing_data(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return [name for name in _differing(first, second, "data.") if name not in SAME_ROWS]


def _differing(first: Mapping[str, Any], second: Mapping[str, Any], section: str) -> list[str]:
    names = sorted({name for name in (*first, *second) if name.startswith(section)})
    return [name for name in names if first.get(name) != second.get(name)]


def _format_goal(goal: Goal) -> str:
    return f"{goal.metric}:{goal.direction}"


def _quote(name: object) -> str:
    return shlex.quote(str(name))

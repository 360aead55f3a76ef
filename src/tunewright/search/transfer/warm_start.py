"""Start a new study from others: their best configuration, their trials."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.errors import StudyError, UsageError
from tunewright.recipes.recipe import Recipe
from tunewright.search.callbacks import StudyCallback
from tunewright.search.prepare import PreparedStudy
from tunewright.search.storage.urls import absolute_url, url_and_name, without_password
from tunewright.search.study.optuna_types import IMPORTED, SOURCES
from tunewright.search.transfer.csv_trials import csv_trials
from tunewright.search.transfer.publish import publish
from tunewright.search.transfer.sources import (
    TrialSource,
    any_storage,
    locate_study,
    own_study,
    place_name,
)
from tunewright.search.transfer.stored_trials import StoredTrial, attributes_of, import_trial
from tunewright.search.transfer.trial_matching import (
    REPEATED,
    Candidate,
    Mismatch,
    assumed_values,
    count_mismatches,
    match_trials,
)
from tunewright.spaces.advice import read_good
from tunewright.spaces.domain import nearest
from tunewright.spaces.rules import Good
from tunewright.spaces.specification import specification


def start_from(
    recipe: Recipe,
    prepared: PreparedStudy,
    studies: Sequence[str],
    files: Sequence[str],
    runs: Path,
) -> tuple[PreparedStudy, tuple[TrialSource, ...]]:
    """Return the study with the best of the first of `studies` as its first trial, and its sources.

    The best configurations of the other studies are tried after it.

    A study that was begun with the same sources resumes, and imports nothing twice. Raises
    StudyError for a study that was begun without them, and for sources of another recipe or
    direction.
    """
    asked = [*studies, *files]
    if not asked:
        return prepared, ()
    if recipe.define_by_run:
        raise UsageError(
            f"trials of {without_password(asked[0])} for an objective that suggests its own "
            "parameters",
            expected="a space, which imported trials are checked against",
            remedy="Write the objective as function(params, report), and give its space: "
            "tunewright.tune(function, space).",
        )
    typed = [prepared.url, *(url_and_name(file)[0] for file in files if "://" in file)]
    taken = () if prepared.known is None else _names_in_use(prepared)
    shown = {one: without_password(one) for one in asked}
    new = [
        one
        for one in asked
        if shown[one] not in taken and source_key(one, runs, typed) not in taken
    ]
    itself = place_name(prepared.url, prepared.name)
    if any(one in new and source_key(one, runs, typed) == itself for one in studies):
        raise StudyError(
            f"the study {prepared.name!r} cannot start from itself",
            remedy="Choose another --name for the new one.",
        )
    if prepared.known is not None:
        if new:
            without = ", ".join(shown[one] for one in new)
            raise StudyError(
                f"the study {prepared.name!r} was begun without {without}",
                expected="a new study, which imports trials before its first own one",
                remedy="Choose another --name.",
            )
        stored = prepared.known.space["parameters"]
        defaults = {p: f["default"] for p, f in stored.items() if f.get("default") is not None}
        return _with_good(_with_defaults(prepared, defaults), _good_of(prepared.known.space)), ()
    sources = []
    for place, study in enumerate(studies):
        source = replace(own_study(study, recipe, prepared, runs, typed), is_start=True)
        prepared = (_try_early if place else _start_at)(recipe, prepared, source)
        sources.append(source)
    for file in files:
        if is_table(file):
            sources.append(csv_trials(Path(file), recipe, prepared))
        else:
            sources.append(any_storage(file, recipe, prepared))
    places = [source.place for source in sources]
    if len(set(places)) < len(places):
        raise StudyError(
            f"{', '.join(map(without_password, asked))} name the same source twice",
            expected="each once",
        )
    return prepared, tuple(sources)


def import_trials(
    recipe: Recipe,
    prepared: PreparedStudy,
    sources: Sequence[TrialSource],
    asked: Sequence[str],
    watch: StudyCallback,
) -> None:
    """Begin the study with the trials of the sources that fit, numbered from 0.

    asked: the sources as they were typed. Raises StudyError when a file has none that fits.
    """
    kept, lines = trials_to_import(recipe, prepared, sources)
    publish(
        prepared.url,
        prepared.name,
        prepared.settings,
        [
            import_trial(old, prepared.space, values, {IMPORTED: f"{source.label}/{old.number}"})
            for source, old, values in kept
        ],
        {SOURCES: [*map(without_password, asked), *(source.place for source in sources)]},
    )
    for line in lines:
        watch.notice(line)


def trials_to_import(
    recipe: Recipe, prepared: PreparedStudy, sources: Sequence[TrialSource]
) -> tuple[list[tuple[TrialSource, StoredTrial, dict[str, Any]]], list[str]]:
    """Return the trials that fit, with their values here, and notices of counts and reasons.

    Raises StudyError when a file has none that fits.
    """
    trials = [(source, old, one) for source in sources for old, one in source.trials]
    matches = match_trials(
        recipe, prepared, [replace(one, number=n) for n, (_, _, one) in enumerate(trials)]
    )
    kept = [
        (source, old, match)
        for number, (source, old, _) in enumerate(trials)
        if not isinstance(match := matches[number], Mismatch)
    ]
    lines = []
    for source in sources:
        own = [matches[n] for n, (other, _, _) in enumerate(trials) if other is source]
        mismatches = [*source.left, *(v for v in own if isinstance(v, Mismatch))]
        fitting, count = len(own) + len(source.left) - len(mismatches), len(own) + len(source.left)
        reasons = [f"  not imported, {line}" for line in count_mismatches(mismatches)]
        if source.ignored:
            reasons.append(f"  ignored: {', '.join(source.ignored)}, unknown to {recipe.name}")
        reasons += _describe_assumed(
            recipe,
            prepared,
            [
                (one, match)
                for n, (other, _, one) in enumerate(trials)
                if other is source and isinstance(match := matches[n], dict)
            ],
        )
        repeated = any(misfit.alike == REPEATED for misfit in mismatches)
        if not fitting and not repeated and not source.is_start:
            why = "; ".join(line.strip() for line in reasons) or "it holds none"
            raise StudyError(
                f"no trial of {source.place} fits this study: {why}",
                expected="values in the space, and a score",
                remedy=f"Run tunewright space {recipe.name} to see the space.",
            )
        lines += [f"{fitting} of {count} trials of {source.label} are imported", *reasons]
        endless = [
            old
            for n, (other, old, one) in enumerate(trials)
            if other is source and one.foreign and old.diverged and isinstance(matches[n], dict)
        ]
        if endless:
            lines.append(f"  {len(endless)} of them as diverged, with a score that is not finite")
    return kept, lines


def _describe_assumed(
    recipe: Recipe,
    prepared: PreparedStudy,
    matched: Sequence[tuple[Candidate, Mapping[str, Any]]],
) -> list[str]:
    """Return notices of values that trials do not tell, and of values that make no difference."""
    counts: dict[tuple[str, str], int] = {}
    for candidate, values in matched:
        for path, value in assumed_values(recipe, prepared, candidate, values).items():
            counts[path, str(value)] = counts.get((path, str(value)), 0) + 1
    lines = [
        f"  {path} is unknown for {count} of them: its default, {value}, is taken"
        for (path, value), count in counts.items()
    ]
    told = {path for candidate, _ in matched for path in candidate.parameters}
    inert = [path for path in prepared.space.inert if path in told]
    if inert:
        lines.append(f"  their values of {', '.join(inert)} are set aside: inert here")
    return lines


def is_table(file: str) -> bool:
    """Return whether a file is read as rows of text."""
    return Path(file).suffix.lower() in (".csv", ".tsv")


def source_key(source: str, runs: Path, typed: Sequence[str] = ()) -> str:
    """Return the normalised location of a source; empty where it is unknown without opening it.

    typed: as for `locate_study`.
    """
    if is_table(source):
        return str(Path(source).resolve())
    try:
        place = locate_study(source, runs, typed)
    except StudyError:
        return ""
    return place_name(place.url, place.name) if place.name else ""


def _names_in_use(prepared: PreparedStudy) -> Sequence[str]:
    taken: Sequence[str] = attributes_of(prepared.url, prepared.name).get(SOURCES) or ()
    # An earlier version did not escape signs such as % in folder names.
    places = [url_and_name(one) for one in taken if "://" in one]
    return [*taken, *(place_name(absolute_url(url), name) for url, name in places if name)]


def _start_at(recipe: Recipe, prepared: PreparedStudy, source: TrialSource) -> PreparedStudy:
    """Return the study with the source's best values as its defaults."""
    if source.best is None:
        text = f"no trial of {source.label} has finished: starting at the defaults"
        return replace(prepared, notices=(*prepared.notices, text))
    values = {p.path: source.best.get(recipe.path(p.path)) for p in prepared.space.parameters}
    started = _with_defaults(prepared, {k: v for k, v in values.items() if v is not None})
    text = f"starting at the best configuration of {source.label}"
    outside = [
        f"{path} = {value}"
        for path, value in values.items()
        if value is not None and not prepared.space[path].domain.contains(value)
    ]
    if outside:
        text += f", as close as the space allows ({', '.join(outside)} lies outside)"
    if started.space.default() is None:
        text = f"the best configuration of {source.label} is forbidden here, so it is not tried"
    return replace(started, notices=(*started.notices, text))


def _try_early(recipe: Recipe, prepared: PreparedStudy, source: TrialSource) -> PreparedStudy:
    """Return the study with the source's best values as a good combination, tried early."""
    if source.best is None:
        text = f"no trial of {source.label} has finished, so its best is not tried"
        return replace(prepared, notices=(*prepared.notices, text))
    space = prepared.space
    known = {p.path: source.best.get(recipe.path(p.path)) for p in space.parameters}
    values = {k: nearest(space[k].domain, v) for k, v in known.items() if v is not None}
    point = space.point(values)
    good = Good(
        f"best of {source.label}",
        "the best configuration of an earlier study",
        {path: value for path, value in values.items() if path in point},
    )
    text = f"the best configuration of {source.label} is forbidden here, so it is not tried"
    if space.broken_rule(point) is None:
        text = f"the best configuration of {source.label} is tried early"
    return replace(_with_good(prepared, [good]), notices=(*prepared.notices, text))


def _good_of(stored: Mapping[str, Any]) -> tuple[Good, ...]:
    return read_good(stored.get("good") or ())


def _with_good(prepared: PreparedStudy, further: Sequence[Good]) -> PreparedStudy:
    """Return the study with further good combinations; those whose names it has stay."""
    have = {good.name for good in prepared.space.good}
    good = (*prepared.space.good, *(one for one in further if one.name not in have))
    space = replace(prepared.space, good=good)
    settings = replace(prepared.settings, space=specification(space))
    return replace(prepared, space=space, settings=settings)


def _with_defaults(prepared: PreparedStudy, values: Mapping[str, Any]) -> PreparedStudy:
    parameters = tuple(
        replace(p, default=nearest(p.domain, values[p.path])) if p.path in values else p
        for p in prepared.space.parameters
    )
    space = replace(prepared.space, parameters=parameters)
    settings = replace(prepared.settings, space=specification(space))
    return replace(prepared, space=space, settings=settings)

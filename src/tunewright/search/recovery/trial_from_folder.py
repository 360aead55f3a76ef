"""Rebuild a trial, as its database stores it, from its run folder."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.config.tree import get
from tunewright.errors import TunewrightError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.documents import parse_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Trial
from tunewright.runs.stored_outcome import read_stored_outcome
from tunewright.search.loop.trial_result import aggregate_runs
from tunewright.search.memory.memory_model import with_memory
from tunewright.search.memory.oom_retry import has_ended
from tunewright.search.storage.database import Settings, quiet
from tunewright.search.study.constraints import constraints
from tunewright.search.study.optuna_types import DROPPED, distribution, encode, end_of
from tunewright.search.study.trial_tags import PAUSED, marks, rung_in
from tunewright.spaces.advice import read_avoided, read_good
from tunewright.spaces.domain import nearest
from tunewright.spaces.rules import conditions
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import read_domain


@dataclass(frozen=True)
class RecoveredTrial:
    """A trial read from its folder.

    trial: as it would be stored. lost: what the folder cannot tell.
    """

    trial: FrozenTrial
    lost: tuple[str, ...] = ()


def placeholder(reason: str) -> FrozenTrial:
    """Return a failed trial without parameters, which keeps numbers and folders in agreement."""
    return create_trial(state=TrialState.FAIL, user_attrs={DROPPED: reason})


def read_trial_folder(
    folder: RunFolder, recipe: Recipe, settings: Settings, space: Space
) -> RecoveredTrial:
    """Return the trial of a folder; a placeholder with the reason where its parameters are lost.

    Parameters that the trial itself named are read with the domains that it named.
    """
    if (domains := folder.read_domains()) is not None:
        space = stored_space({"parameters": domains})
    try:
        parameters, started = _parameters(folder, recipe, space)
    except (TunewrightError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        return RecoveredTrial(placeholder(reason), (reason,))
    lost = []
    try:
        metric = settings.metric
        progress = [p for p in read_progress(folder.progress) if metric in p.metrics]
        values = {p.step: p.metrics[metric] for p in progress}
    except (TunewrightError, KeyError, TypeError, ValueError, AttributeError):
        lost.append("progress.jsonl is not readable: its curve is lost")
        values = {}
    curve = {step: value for step, value in values.items() if value == value}
    outcome = read_end(folder)
    if outcome is None and folder.outcome.exists() and _is_damaged(folder.outcome):
        lost.append("outcome.json is not readable: the trial will be resumed")
    trial = _ended_trial(folder, outcome, parameters, curve, recipe, settings) if outcome else None
    seconds = (trial.seconds if trial else None) or 0.0
    if trial is not None and seconds <= 0.0:  # a run that does not report its time
        seconds = max(0.0, folder.outcome.stat().st_mtime - started)
    frozen = _frozen(parameters, space, curve, trial, settings, started, seconds)
    if outcome is not None and (rung := rung_in(outcome.reason)):
        frozen.set_user_attr(PAUSED, rung)
    return RecoveredTrial(frozen, tuple(lost))


def _is_damaged(outcome: Path) -> bool:
    stored = read_json(outcome)
    return stored is None or read_stored_outcome(stored) is None


def _ended_trial(
    folder: RunFolder,
    outcome: Outcome,
    parameters: Mapping[str, Any],
    curve: Mapping[int, float],
    recipe: Recipe,
    settings: Settings,
) -> Trial | None:
    """Return the trial from its runs' outcomes; None while the run of another seed is pending."""
    limits = constraints(settings.constraints, recipe.measures)
    outcomes = {_seed_of(folder): outcome}
    if not has_ended(folder, outcome):
        return None
    for run in folder.with_seeds()[1:]:
        other = read_end(run)
        if other is not None and other.cause != "interrupted" and has_ended(run, other):
            outcomes[_seed_of(run)] = other
    number = int(folder.path.name)
    trial = aggregate_runs(number, parameters, curve, outcomes, settings.goals, limits)
    trial = with_memory(trial, folder, outcomes.values())
    return None if trial.state == "done" and len(outcomes) < settings.seeds else trial


def _seed_of(folder: RunFolder) -> int:
    name = folder.path.name
    if name.startswith("seed-"):
        return int(name.removeprefix("seed-"))
    with contextlib.suppress(TunewrightError):
        return int(folder.read_config().get("seed", 0))
    return 0


def read_end(folder: RunFolder) -> Outcome | None:
    """Return the outcome of the trial; None for one that is to be resumed.

    An outcome belongs to the attempt that wrote it; where no file tells the current attempt, the
    outcome counts as the last one.
    """
    stored = read_json(folder.outcome)
    current = folder.stored_attempt
    if stored is None or (current is not None and stored.get("attempt") != current):
        return None
    outcome = read_stored_outcome(stored)
    return None if outcome is None or outcome.state == "paused" else outcome


def repair_attempt_counter(folder: RunFolder) -> None:
    """Restore a lost attempt counter from the files that the attempts wrote.

    Otherwise the next attempt would reuse the number of an earlier one.
    """
    counter = folder.path / "attempt.json"
    if not folder.path.is_dir() or folder.stored_attempt is not None:
        return
    attempts = [0]
    with contextlib.suppress(OSError):
        for line in folder.progress.read_text(errors="replace").splitlines():
            with contextlib.suppress(TypeError, ValueError, KeyError):
                attempts.append(int(parse_json(line)["attempt"]))
    stored = read_json(folder.outcome)
    if stored is not None and isinstance(stored.get("attempt"), int):
        attempts.append(stored["attempt"])
    if max(attempts) > 0:
        write_json(counter, {"attempt": max(attempts)})


def stored_space(specification: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Space:
    """Return the space of a checked specification.

    fixed: see `Space`; needed to read older trials.
    """
    return Space(
        tuple(
            Parameter(
                path,
                read_domain(fields),
                fields.get("default"),
                conditions(fields["when"], f"when of {path}") if fields.get("when") else (),
            )
            for path, fields in specification["parameters"].items()
        ),
        derived=dict(specification.get("derived", {})),
        fixed=fixed or {},
        avoid=read_avoided(specification.get("avoid", ())),
        good=read_good(specification.get("good", ())),
    )


def _parameters(folder: RunFolder, recipe: Recipe, space: Space) -> tuple[dict[str, Any], float]:
    """Return the sampled parameters and the start time.

    For older trials they come from their configuration.
    """
    stored = folder.read_parameters()
    if stored is not None:
        values, started = stored
        known = {p: _value(space[p], value) for p, value in values.items() if p in space}
        if known.keys() == values.keys() == space.draw(lambda p: known.get(p.path)).keys():
            return known, started
        # From another space, as a kill during a rebase may leave it.
    if not folder.config.exists():
        raise ValueError("it has neither trial.json nor config.yaml")
    tree = folder.read_config()
    drawn = space.draw(lambda p: _value(p, get(tree, recipe.path(p.path))))
    return drawn, folder.config.stat().st_mtime


def _value(parameter: Parameter, value: Any) -> Any:
    """Return a value in the domain's spelling; raise ValueError when it is outside the domain."""
    domain = parameter.domain
    if not domain.contains(value):
        raise ValueError(f"{parameter.path} = {value!r} is not in the space ({domain})")
    return nearest(domain, value)


def _frozen(
    parameters: Mapping[str, Any],
    space: Space,
    curve: Mapping[int, float],
    trial: Trial | None,
    settings: Settings,
    started: float,
    seconds: float,
) -> FrozenTrial:
    end = end_of(trial, settings.goals, settings.constraints) if trial is not None else None
    with quiet():  # Optuna warns about steps that do not end at the upper bound
        frozen = create_trial(
            state=end.state if end else TrialState.RUNNING,
            values=end.values if end else None,
            params={path: encode(space[path].domain, v) for path, v in parameters.items()},
            distributions={path: distribution(space[path].domain) for path in parameters},
            user_attrs=marks(space, parameters) | (dict(end.attributes) if end else {}),
            intermediate_values=dict(curve),
            constraints=dict(end.constraints) if end else None,
        )
    frozen.datetime_start = datetime.fromtimestamp(started)
    if end is not None:
        frozen.datetime_complete = frozen.datetime_start + timedelta(seconds=seconds)
    return frozen

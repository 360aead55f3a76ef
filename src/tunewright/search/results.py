"""Result files of a study: the best configuration, the top ones, and the summary."""

import contextlib
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.analysis.winner.replication import Replication
from tunewright.config.tree import Tree
from tunewright.errors import RunError
from tunewright.runs.atomic import write_json, write_yaml
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import STATES, StudyRecord, Trial

Configure = Callable[[Trial], Tree]
"""Returns the complete configuration of a trial at full fidelity."""


def write_results(
    folder: StudyFolder,
    record: StudyRecord,
    configure: Configure,
    usage: str,
    replication: Replication | None = None,
) -> None:
    """Write `best_config.yaml`, `best_results.json` and `study_summary.json` of the winner.

    usage: what the configuration says about its use, as its recipe declares it. replication: what
    chose the winner; None where its search score did.
    """
    write_json(folder.summary, summary(record))
    best = record.winner
    if best is None:
        return
    place = record.rank_trials().index(best) + 1
    write_yaml(folder.best_config, configure(best), header=_header(record, best, place, usage))
    write_json(
        folder.best_results,
        {
            "study": record.name,
            "trial": best.number,
            "goal": record.goal,
            "score": best.score,
            "parameters": dict(best.parameters),
            "interval": best.interval,
            "seeds": dict(best.seeds),
            **_replication_results(folder, record, replication),
            "other_goals": dict(best.others),
            "costs": dict(best.costs),
            "curve": {str(step): value for step, value in best.curve.items()},
        },
    )


def _replication_results(
    folder: StudyFolder, record: StudyRecord, replication: Replication | None
) -> dict[str, Any]:
    """Return what replicates add to the results of the winner; empty without them.

    run: the folder with its weights, where that is not its trial.
    """
    winner = record.winner
    if replication is None or winner is None or replication.winner != winner.number:
        return {}
    arm, run = replication.arm(winner.number), winner_folder(folder, record, replication)
    found: dict[str, Any] = {
        "replicated": {
            "score": arm.value,
            "interval": (arm.low, arm.high),
            "seeds": dict(arm.scores),
        }
    }
    if run != folder.trial(winner.number):
        found["run"] = run.path.relative_to(folder.path).as_posix()
    return found


def winner_folder(folder: StudyFolder, record: StudyRecord, found: Replication | None) -> RunFolder:
    """Return the run that holds the winner's weights: its trial, else its first replicate."""
    winner, best = record.winner, record.best
    assert winner is not None
    if found is None or winner is best:
        return folder.trial(winner.number)
    seeds = [int(seed) for seed in found.arm(winner.number).scores]
    return folder.replicate(winner.number, min(seeds))


def refuse_failure(folder: StudyFolder, record: StudyRecord, failure: str = "") -> None:
    """Raise RunError for a search that failed: for the given reason, or since no trial finished.

    A search of which every trial was pruned, none failed, has no winner and is no failure.
    """
    counts = summary(record)["by_state"]
    ended = {state: counts[state] for state in ("pruned", "infeasible", "failed")}
    if not failure and (record.best is not None or ended["pruned"] == sum(ended.values())):
        return
    listed = ", ".join(f"{count} {state}" for state, count in ended.items())
    came = f"no trial of {record.name!r} finished: {listed}"
    reasons = Counter(trial.reason for trial in record.own if trial.reason)
    remedy = f"See all: tunewright analyze {shlex.quote(str(folder.path))}."
    if failure:
        came = f"the search of {record.name!r} ends: {failure}"
        remedy += " Mend the cause and run the same command again; study.max_failures=N ends a "
        remedy += "search after N failures in a row."
    elif broken := [t for t in record.own if t.cause == "constraint" and t.constraints]:
        nearest = min(broken, key=_violation)
        came += f"; trial {nearest.number} comes nearest to the constraints: {nearest.reason}"
    elif reasons:
        [(reason, count)] = reasons.most_common(1)
        came += f"; {count} of them: {reason}"
    raise RunError(came, remedy=remedy)


def _violation(trial: Trial) -> float:
    """Return the sum of what a trial violates, by which samplers rank such trials, too."""
    return sum(max(0.0, value) for value in trial.constraints.values())


def write_top_configs(
    folder: StudyFolder, record: StudyRecord, configure: Configure, count: int, usage: str
) -> list[Path]:
    """Write `top_configs/01.yaml` and so on, each ready to train; return the files."""
    files = []
    for place, trial in enumerate(record.rank_trials()[:count], start=1):
        file = folder.top_configs / f"{place:02d}.yaml"
        write_yaml(file, configure(trial), header=_header(record, trial, place, usage))
        files.append(file)
    return files


def link_foreign_names(folder: StudyFolder, names: Mapping[str, str]) -> None:
    """Link the file names that a guide uses to ours.

    names: a path in the study folder, to the target relative to that path's own folder. Skipped
    where the file system has no links, or where something else exists at the path.
    """
    for name, target in names.items():
        link = folder.path / name
        with contextlib.suppress(OSError):
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink() and (link.parent / target).exists():
                link.symlink_to(target)


def summary(record: StudyRecord) -> dict[str, Any]:
    """Return the figures of a study, with counts by state and cause."""
    own = replace(record, trials=record.own)
    causes: dict[str, int] = {}
    for trial in own.of_state("failed", "infeasible"):
        causes[trial.cause or "error"] = causes.get(trial.cause or "error", 0) + 1
    return {
        "study": record.name,
        "recipe": record.recipe,
        "goal": record.goal,
        "direction": record.direction,
        "trials": len(own.trials),
        "by_state": {state: len(own.of_state(state)) for state in STATES},
        "carried": len(record.trials) - len(own.trials),
        "failures_by_cause": causes,
        "winner": record.winner.number if record.winner else None,
        "best_trial": record.best.number if record.best else None,
        "best_score": record.best.score if record.best else None,
        "front": front(record),
        "epochs_trained": sum(max(trial.curve, default=0) for trial in own.trials),
    }


def front(record: StudyRecord) -> list[dict[str, Any]]:
    """Return the Pareto front of several goals, best first goal first; empty for one goal."""
    if not record.others:
        return []
    return [
        {"trial": trial.number, record.goal: trial.score, **trial.others}
        for trial in record.front()
    ]


def _header(record: StudyRecord, trial: Trial, place: int, usage: str) -> str:
    score = "none" if trial.score is None else f"{trial.score:.4f}"
    chosen = ", the winner by replicates" if record.replicated == trial.number else ""
    return (
        f"Place {place} of {len(record.trials)} trials of the study {record.name}: "
        f"trial {trial.number}, {record.goal} = {score}{chosen}.\n"
        f"{usage}"
    )

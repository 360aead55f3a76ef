"""`audit/audit.json` in a study's folder: what was trained, at which fidelity, with which score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tunewright.analysis.audit.judge import (
    FidelityAudit,
    judge_audit,
)
from tunewright.analysis.audit.levels import AuditedRun, FidelityLevel
from tunewright.errors import TunewrightError
from tunewright.result import to_json
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import StudyRecord

FORMAT = 1


@dataclass(frozen=True)
class StoredAudit:
    """The levels that were audited, and the trials that are trained at each of them."""

    chosen: Sequence[int] = ()
    levels: Sequence[FidelityLevel] = ()

    def with_level(self, level: FidelityLevel) -> "StoredAudit":
        """Return the audit with a level in place of the one that sets the same values."""
        others = [one for one in self.levels if dict(one.values) != dict(level.values)]
        chosen = dict.fromkeys([*self.chosen, *(run.trial for run in level.runs)])
        return StoredAudit(tuple(chosen), (*others, level))


def audit_folder(study: StudyFolder) -> Path:
    """Return the folder of a study's audit; its runs lie below it."""
    return study.path / "audit"


def read_audit(study: StudyFolder) -> StoredAudit:
    """Return the stored audit of a study; an empty one where there is none that can be read."""
    stored = read_json(audit_folder(study) / "audit.json")
    try:
        if stored is None or stored["format"] != FORMAT:
            return StoredAudit()
        chosen = tuple(int(number) for number in stored["chosen"])
        return StoredAudit(chosen, tuple(_level(one) for one in stored["levels"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return StoredAudit()


def write_audit(study: StudyFolder, audit: StoredAudit) -> None:
    """Store an audit; raise NotWritten where the disk refuses it."""
    levels = [{"values": one.values, "runs": to_json(list(one.runs))} for one in audit.levels]
    stored = {"format": FORMAT, "chosen": list(audit.chosen), "levels": levels}
    write_json(audit_folder(study) / "audit.json", stored)


def stored_result(study: StudyFolder | None, record: StudyRecord) -> FidelityAudit | None:
    """Return what a study's audit has found so far; None where nothing was trained for one."""
    if study is None:
        return None
    levels = read_audit(study).levels
    return judge_audit(record, levels) if any(level.runs for level in levels) else None


def read_run(trial: int, folders: Sequence[RunFolder], metric: str) -> AuditedRun | None:
    """Return what the runs of a configuration gave; None while one of them has not ended.

    folders: one a seed.
    """
    outcomes = [folder.read_outcome() for folder in folders]
    known = [outcome for outcome in outcomes if outcome is not None and outcome.state != "paused"]
    failed = [outcome for outcome in known if outcome.state != "done"]
    if len(known) < len(outcomes) and not failed:
        return None
    seconds = sum(outcome.seconds for outcome in known)
    scores = [outcome.all_metrics.get(metric) for outcome in known]
    if failed or any(score is None for score in scores):
        cause = failed[0].cause if failed else ""
        reason = failed[0].reason if failed else f"{metric} was not measured"
        return AuditedRun(
            trial, None, seconds=seconds, reason=": ".join(filter(None, (cause, reason)))
        )
    found = [score for score in scores if score is not None]
    try:
        reports = read_progress(folders[0].progress)
    except TunewrightError:
        reports = []
    curve = {one.step: one.metrics[metric] for one in reports if metric in one.metrics}
    names = [folder.path.name.removeprefix("seed-") for folder in folders]
    seeds = dict(zip(names, found, strict=True)) if len(found) > 1 else {}
    interval = known[0].interval if len(found) == 1 else None
    return AuditedRun(trial, fmean(found), curve, seconds, seeds, interval)


def _level(stored: Mapping[str, Any]) -> FidelityLevel:
    return FidelityLevel(dict(stored["values"]), tuple(_run(one) for one in stored["runs"]))


def _run(stored: Mapping[str, Any]) -> AuditedRun:
    score, interval = stored["score"], stored["interval"]
    return AuditedRun(
        int(stored["trial"]),
        None if score is None else float(score),
        {int(step): float(value) for step, value in stored["curve"].items()},
        float(stored["seconds"]),
        {str(seed): float(value) for seed, value in stored["seeds"].items()},
        None if interval is None else (float(interval[0]), float(interval[1])),
        str(stored["reason"]),
    )

"""The overview of a study that `analyze` prints or stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunewright.analysis.avoided import summarise_avoid_rules
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.grid.seed_ties import compare_seeds
from tunewright.analysis.importances import (
    FEWEST,
    JudgedTrials,
    judge_trials,
    nothing_to_explain,
    rarely_set,
)
from tunewright.analysis.shares.importances import Importances
from tunewright.analysis.winner.replication import Replication
from tunewright.result import Result
from tunewright.runs.record import STATES, StudyRecord, Trial

_OPTIONAL = ("storage", "seeds", "replication", "rungs", "importance_details", "other_importances")
ENOUGH = 50
"""Trials below which PED-ANOVA has fewer than five above its quantile."""
_NO_DIFFERENCE = "the best tenth of the trials differs in no parameter"


@dataclass(frozen=True)
class StudyOverview(Result):
    """Counts, the best trials, importances with their caveats, and failures of a study.

    others: the goals after the first one; front: the trials of their Pareto front. trials,
    by_state, seconds, epochs: of the study's own trials. carried: how many ran in other studies.
    best, top: trials as rows, by score. failures: by cause and reason. good, avoided: what became
    of the combinations that the space recommends or advises against. notes: on trials. storage: its
    database, without a password; empty for a study that was read from one. seeds: which trials with
    several seeds these tell apart; empty where there are none. findings: what was learned, the
    weightiest first. replication: what replicates of the best trials say, which then choose `best`.
    rungs: trials that wait at a rung or were left there, by where, such as `at 3 of 52`.
    importance_details: the importances with intervals, of the metric that was asked for; None where
    they were not computed. other_importances: those of further metrics.
    """

    study: str
    recipe: str
    goal: str
    direction: str
    others: Sequence[Mapping[str, Any]]
    front: Sequence[int]
    trials: int
    by_state: Mapping[str, int]
    carried: int
    best: Mapping[str, Any] | None
    top: Sequence[Mapping[str, Any]]
    importances: Mapping[str, float]
    importance_notes: Sequence[str]
    failures: Sequence[Mapping[str, Any]]
    good: Sequence[Mapping[str, Any]]
    avoided: Sequence[Mapping[str, Any]]
    seconds: float
    epochs: int
    notes: Sequence[Mapping[str, Any]] = ()
    storage: str = ""
    findings: Sequence[Finding] = ()
    seeds: str = ""
    replication: Replication | None = None
    rungs: Mapping[str, int] = field(default_factory=dict)
    importance_details: Importances | None = None
    other_importances: Sequence[Importances] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all fields; the last ones and `storage` only where there is something."""
        found = super().as_json()
        return {key: value for key, value in found.items() if value or key not in _OPTIONAL}


def overview(
    record: StudyRecord,
    importances: Mapping[str, float],
    *,
    top: int,
    judged: JudgedTrials | None = None,
) -> StudyOverview:
    """Return what `analyze` shows of a study.

    top: how many of its best trials. judged: the trials behind the importances, where they are
    known already.
    """
    own = replace(record, trials=record.own)
    ranked = record.rank_trials()
    best = record.winner if record.replicated is not None else next(iter(ranked), None)
    compared = compare_seeds(record)
    tied: frozenset[int] = frozenset() if compared is None else compared.tied
    return StudyOverview(
        study=record.name,
        recipe=record.recipe,
        goal=record.goal,
        direction=record.direction,
        others=[{"goal": goal.metric, "direction": goal.direction} for goal in record.others],
        front=[trial.number for trial in record.front()] if record.others else [],
        trials=len(own.trials),
        by_state={state: len(own.of_state(state)) for state in STATES},
        rungs=count_rungs(record),
        carried=len(record.trials) - len(own.trials),
        best=None if best is None else trial_row(best),
        top=[
            {**trial_row(trial), **({"tied": True} if trial.number in tied else {})}
            for trial in ranked[:top]
        ],
        importances=dict(importances),
        importance_notes=importance_notes(record, importances, judged or judge_trials(record)),
        failures=failures(record),
        good=[_good_row(trial) for trial in record.trials if trial.good],
        avoided=summarise_avoid_rules(record),
        seconds=sum(trial.seconds or 0.0 for trial in own.trials),
        epochs=sum(max(trial.curve, default=0) for trial in own.trials),
        notes=[{"trial": t.number, "note": t.note} for t in record.trials if t.note],
        seeds="" if compared is None else compared.verdict,
    )


def count_rungs(record: StudyRecord) -> dict[str, int]:
    """Return how many trials wait at each rung, or were left there, the first rung first."""
    places = [(max(t.curve, default=0), t.rung) for t in record.own if t.rung]
    return {
        rung: sum(other == rung for _, other in places) for _, rung in sorted(dict.fromkeys(places))
    }


def states_in_words(by_state: Mapping[str, int], rungs: Mapping[str, int]) -> str:
    """Return the counts of trials by state as text, with where paused trials wait.

    A trial that was left at a rung when the search ended is no pruned one: nothing stopped it but
    the end of the search. Empty where there are no trials.
    """
    paused = by_state.get("paused", 0)
    left = min(sum(rungs.values()) - paused, by_state.get("pruned", 0))
    counts = {**by_state, "pruned": by_state.get("pruned", 0) - left, "left at a rung": left}
    where = ", ".join(f"{count} {rung}" for rung, count in rungs.items())
    shown = {state: f" ({where})" for state in ("left at a rung", "paused") if counts.get(state)}
    parts = (f"{n} {state}{shown.get(state, '')}" for state, n in counts.items() if n)
    return ", ".join(parts)


def failures(record: StudyRecord) -> list[dict[str, Any]]:
    """Return the failed trials grouped by cause and reason, most frequent first."""
    gathered: dict[tuple[str, str], list[int]] = {}
    for trial in record.of_state("failed", "infeasible"):
        gathered.setdefault((trial.cause or "error", _short(trial.reason)), []).append(trial.number)
    return [
        {"cause": cause, "reason": reason, "count": len(numbers), "trials": numbers}
        for (cause, reason), numbers in sorted(gathered.items(), key=lambda item: -len(item[1]))
    ]


def searched_paths(record: StudyRecord) -> list[str]:
    """Return the parameters of the study, the most frequently sampled first."""
    counts: dict[str, int] = {}
    for trial in record.trials:
        for path in trial.parameters:
            counts[path] = counts.get(path, 0) + 1
    return sorted(counts, key=lambda path: -counts[path])


def trial_row(trial: Trial) -> dict[str, Any]:
    """Return a trial as the tables and `--json` show it."""
    return {
        "trial": trial.number,
        "score": trial.score,
        "interval": trial.interval,
        "others": dict(trial.others),
        "metrics": dict(trial.metrics),
        "seeds": dict(trial.seeds),
        "costs": dict(trial.costs),
        "epochs": max(trial.curve, default=0),
        "seconds": trial.seconds,
        "parameters": dict(trial.parameters),
        **({"carried": trial.imported_from} if trial.imported_from else {}),
        **({"good": trial.good} if trial.good else {}),
        **({"avoided": list(trial.avoided)} if trial.avoided else {}),
    }


def _good_row(trial: Trial) -> dict[str, Any]:
    """Return the result of a good combination."""
    return {"name": trial.good, "trial": trial.number, "state": trial.state, "score": trial.score}


def importance_notes(
    record: StudyRecord, importances: Mapping[str, float], judged: JudgedTrials
) -> list[str]:
    """Return the caveats of the importances, or why there are none."""
    if not importances:
        why = nothing_to_explain(record, judged) or _NO_DIFFERENCE
        return [f"no importances: {why}"]
    notes = []
    count, predicted = len(judged.trials), len(judged.predicted)
    stopped = record.of_state("pruned", "paused")
    pruned = len(stopped)
    kinds = {"paused" if trial.rung else "pruned" for trial in stopped}
    kind = " and ".join(sorted(kinds, reverse=True))
    if predicted:
        notes.append(
            f"{predicted} of {pruned} {kind} trials count with the score that their curves predict"
        )
    elif pruned and count >= ENOUGH:
        notes.append(
            f"{pruned} {kind} trials do not count: their curves do not predict {judged.goal.metric}"
        )
    if count < ENOUGH:
        completed = "" if predicted or not pruned else f" ({kind} trials do not count)"
        what = "trials" if predicted else "completed trials"
        notes.append(f"{count} {what}: importances are rough below {ENOUGH}{completed}")
    rare = rarely_set(record, judged)
    if rare:
        notes.append(f"not ranked, because fewer than {FEWEST} trials set them: {', '.join(rare)}")
    left_out = [p for p in searched_paths(record) if p not in importances and p not in rare]
    if left_out:
        notes.append(
            f"not ranked, because completed trials do not differ in them: {', '.join(left_out)}"
        )
    return notes


def why_not_ranked(record: StudyRecord, judged: JudgedTrials, path: str) -> str:
    """Return why a parameter has no importance."""
    if why := nothing_to_explain(record, judged):
        return why
    if path in rarely_set(record, judged):
        return f"fewer than {FEWEST} trials set it"
    values = {repr(t.parameters[path]) for t in judged.trials if path in t.parameters}
    if len(values) < 2:
        return "completed trials do not differ in it"
    return "its values cannot be ranked, or the scores of the trials that have it do not differ"


def _short(reason: str) -> str:
    """Replace numbers in a reason, so that reasons that differ only in numbers are one."""
    return " ".join("N" if word.strip(".,:;()").isdigit() else word for word in reason.split())

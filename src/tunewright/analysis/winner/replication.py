"""What the replicates of a study's best configurations say, as it is stored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tunewright.analysis.winner.choose import Choice, Excess
from tunewright.analysis.winner.race import RaceState
from tunewright.analysis.winner.replicates import Arm
from tunewright.result import Result
from tunewright.runs.record import Goal, StudyRecord

FORMAT = 1
"""Of `replication.json`. A later version reads this one; it adds fields and renames none."""


@dataclass(frozen=True)
class ReplicatedArm:
    """A configuration that was replicated, in the units of the goal.

    searched: its score in the search; None where it was pruned there. scores: by seed. costs: their
    means. value: the estimate with its 95 % interval low to high, shrunk for having been selected.
    mean: of the replicates. failure: why it is out. dropped: after how many replicates it was
    clearly worse.
    """

    trial: int
    searched: float | None
    scores: Mapping[str, float]
    costs: Mapping[str, float]
    is_default: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    failure: str = ""
    dropped: int | None = None


@dataclass(frozen=True)
class Replication(Result):
    """The replicates of a study.

    share: what was allowed, of all trainings; affordable: replicates that it paid for; spent: those
    that ran. winner: None before there are enough. tied: the trials that are not told from it.
    preferred: the cost by which it was chosen among them, if it was. best_seen: the trial with the
    best score of the search. optimism: by how much that score overstates its replicates; gain: what
    the winner gained over the defaults; for both, more than 0 whatever the direction. ended: why
    the race is over; empty while it runs. repeats: why the replicates may repeat one
    another, if so.
    """

    goal: str
    direction: str
    share: float
    affordable: int
    spent: int
    arms: Sequence[ReplicatedArm]
    best_seen: int
    winner: int | None = None
    tied: Sequence[int] = ()
    preferred: str = ""
    optimism: Excess | None = None
    gain: Excess | None = None
    ended: str = ""
    repeats: str = ""

    def arm(self, trial: int) -> ReplicatedArm:
        """Return the arm of a trial."""
        return next(arm for arm in self.arms if arm.trial == trial)

    def as_json(self) -> dict[str, Any]:
        """Return all fields, and the format."""
        return {"format": FORMAT, **super().as_json()}

    def is_current(self, record: StudyRecord) -> bool:
        """Return whether it knows the best trial of a record, which may have gone on since."""
        best = record.best
        known = {arm.trial for arm in self.arms}
        return best is not None and best.number in known and self.winner in (None, *known)


def summarise(
    goal: Goal,
    arms: Sequence[Arm],
    state: RaceState,
    choice: Choice | None,
    **facts: Any,
) -> Replication:
    """Return what replicates say, in the units of the goal.

    arms: with signs turned so that more is better. facts: further fields of `Replication`.
    """
    sign = goal.sign
    found = {} if choice is None else choice.estimates.by_trial
    rows = []
    for arm in arms:
        row = ReplicatedArm(
            arm.trial,
            sign * arm.searched if arm.searched == arm.searched else None,
            {str(seed): sign * score for seed, score in arm.scores.items()},
            dict(arm.costs),
            arm.is_default,
            failure=arm.failure,
            dropped=state.dropped.get(arm.trial),
        )
        if (known := found.get(arm.trial)) is not None:
            low, high = sorted((sign * known.low, sign * known.high))
            value, mean = sign * known.value, sign * known.mean
            row = replace(row, value=value, low=low, high=high, mean=mean)
        rows.append(row)
    top = max((arm for arm in arms if arm.among_best), key=lambda arm: arm.searched)
    return Replication(
        goal.metric,
        goal.direction,
        arms=tuple(rows),
        best_seen=top.trial,
        winner=None if choice is None else choice.winner,
        tied=() if choice is None else choice.tied,
        optimism=None if choice is None else choice.optimism,
        gain=None if choice is None else choice.gain,
        ended=state.ended,
        **facts,
    )


def read_stored(stored: Mapping[str, Any]) -> Replication | None:
    """Return what `replication.json` holds; None where it is damaged or lacks what is needed.

    Fields that are unknown here, of a later version, are left out.
    """
    try:
        own = {field.name for field in fields(Replication)}
        of_arm = {field.name for field in fields(ReplicatedArm)}
        given = {name: value for name, value in stored.items() if name in own}
        given["arms"] = tuple(
            ReplicatedArm(**{name: value for name, value in arm.items() if name in of_arm})
            for arm in stored["arms"]
        )
        given["tied"] = tuple(stored.get("tied") or ())
        for name in ("optimism", "gain"):
            if given.get(name) is not None:
                given[name] = Excess(**given[name])
        found = Replication(**given)
        known = {arm.trial for arm in found.arms}
        whole = found.best_seen in known and found.winner in (None, *known)
        return found if whole and set(found.tied) <= known else None
    except (KeyError, TypeError, AttributeError):
        return None

"""How the trials and the time of a study are split over its stages."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.config.study_schema import StudyConfig
from tunewright.runs.quantities import duration

TIME_BEFORE_FINAL = 0.75
"""Share of the time for refining that several regions take, where a final training follows."""


@dataclass(frozen=True)
class TrialSplit:
    """Trials of each stage. explore: of the first search. refine: of each region."""

    explore: int
    refine: tuple[int, ...]


def refines(study: StudyConfig) -> bool:
    """Return whether a study has a second search."""
    return "refine" in study.stages


def split_trials(study: StudyConfig) -> TrialSplit:
    """Return the trials of each stage, of which every search has at least one."""
    regions = min(study.refine.regions, max(1, study.trials - 1))
    refine = min(study.trials - 1, max(regions, round(study.refine.share * study.trials)))
    return TrialSplit(study.trials - refine, share_out(refine, regions))


def share_out(trials: int, regions: int) -> tuple[int, ...]:
    """Return trials in parts that differ by one at most, the larger ones first."""
    each, more = divmod(trials, regions)
    return tuple(each + (place < more) for place in range(regions))


def stage_seconds(study: StudyConfig, seconds: float, region: int, regions: int) -> float:
    """Return the time from the begin of a call by which a search ends.

    region: the place of the search among those that refine; -1 for the one that explores.
    """
    share = study.refine.share
    begin = seconds * (1.0 - share)
    if region < 0:
        return begin
    if regions == 1:
        return seconds
    room = TIME_BEFORE_FINAL if study.trains_winner else 1.0
    return begin + seconds * share * room * (region + 1) / regions


def describe_stages(study: StudyConfig, name: str) -> Sequence[str]:
    """Return a line on how the trials are split; none for a study without a second search."""
    if not refines(study):
        return ()
    split = split_trials(study)
    second = f"{sum(split.refine)} in the space that they leave, as {name}-refine"
    if len(split.refine) > 1:
        each = "/".join(map(str, split.refine))
        regions = f"{name}-refine-1 .. {len(split.refine)}"
        second = f"{each} around the best groups of trials, as {regions}"
    final = ", then the winner in full" if study.trains_winner else ""
    time = study.budget or study.timeout
    within = f"; {duration(stage_seconds(study, time, -1, 1))} for the first" if time else ""
    return (
        f"stages: {split.explore} trials explore, as {name}; {second}{final} "
        f"(study.refine.share={study.refine.share:g}){within}",
    )

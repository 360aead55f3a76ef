"""Say in sentences what the replicates of a study show."""

from collections.abc import Sequence

from tunewright.analysis.winner.choose import Excess
from tunewright.analysis.winner.replication import ReplicatedArm, Replication


def describe(found: Replication) -> list[str]:
    """Return the sentences: the winner, the optimism of the search, ties, the gain, the cost."""
    lines = [_winner(found)] if found.winner is not None else []
    if found.winner is None:
        lines.append(f"no winner of the replicates: {found.ended or 'they are not complete'}")
    if found.optimism is not None:
        lines.append(describe_optimism(found))
    if text := describe_ties(found):
        lines.append(text)
    if text := describe_gain(found):
        lines.append(text)
    worse = [arm for arm in found.arms if arm.dropped is not None]
    if worse:
        named = ", ".join(f"{_name(arm)} after {arm.dropped} replicates" for arm in worse)
        lines.append(f"clearly worse: {named}")
    lines += [f"{_name(arm)} is out: {arm.failure}" for arm in found.arms if arm.failure]
    lines.append(describe_spending(found))
    if found.repeats:
        lines.append(f"the replicates may repeat one another: {found.repeats}")
    return lines


def describe_optimism(found: Replication) -> str:
    """Return by how much the best score of the search overstates its replicates."""
    arm, optimism = found.arm(found.best_seen), found.optimism
    assert optimism is not None
    told = f"too good by {_span(optimism)}"
    if optimism.low <= 0.0:
        below = optimism.value < 0.0  # the search understated it
        by = optimism.negated() if below else optimism
        way = "more" if (found.direction == "max") is not below else "less"
        told = f"{by.value:.3g} {way} than that ({_ends(by)}), which the noise may explain"
    return (
        f"the best score of the search was {arm.searched:.4g} (trial {arm.trial}); the mean of its "
        f"{len(arm.scores)} replicates is {arm.mean:.4g}: {told}"
    )


def describe_ties(found: Replication) -> str:
    """Return which trials are not told apart; empty where the winner stands alone."""
    if not found.tied:
        return ""
    others = [_name(found.arm(trial)) for trial in found.tied if trial != found.winner]
    text = f"tied: the replicates do not tell trial {found.winner} from {_join_names(others)}"
    if not found.preferred or found.winner is None:
        return text
    cost = found.arm(found.winner).costs.get(found.preferred)
    shown = "" if cost is None else f" ({cost:.3g})"
    return f"{text}; it has the least {found.preferred}{shown}, which study.prefer asks for"


def describe_gain(found: Replication) -> str:
    """Return what the winner gained over the defaults; empty where that is unknown."""
    default = next((arm for arm in found.arms if arm.is_default), None)
    if default is not None and default.trial == found.winner:
        return "the defaults are the winner: the search found nothing that is better for sure"
    if found.gain is None:
        return ""
    way = "more" if found.direction == "max" else "less"
    tie = ", a tie" if found.gain.low <= 0.0 else ""
    return f"gain over the defaults, seed by seed: {_span(found.gain)} {way}{tie}"


def describe_spending(found: Replication) -> str:
    """Return how many replicates ran, of how many that were allowed, and why no more."""
    return (
        f"{found.spent} replicates, of {found.affordable} that study.replicate={found.share:g} "
        f"allows{': ' + found.ended if found.ended else ''}"
    )


def _winner(found: Replication) -> str:
    assert found.winner is not None
    arm = found.arm(found.winner)
    count = len(arm.scores)
    kind = "replicates" if found.repeats else "seeds that the search did not use"
    return (
        f"winner: {_name(arm)}, {found.goal} = {arm.value:.4g} ({arm.low:.4g} to {arm.high:.4g}) "
        f"over {count} {kind}, corrected for having been selected"
    )


def _name(arm: ReplicatedArm) -> str:
    return f"trial {arm.trial}{' (the defaults)' if arm.is_default else ''}"


def _join_names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _span(found: Excess) -> str:
    return f"{found.value:.3g} ({_ends(found)})"


def _ends(found: Excess) -> str:
    return f"{found.low:.3g} to {found.high:.3g}"

"""What replicates say of a study, on its page."""

from collections.abc import Sequence

from tunewright.analysis.winner.replication import ReplicatedArm, Replication
from tunewright.analysis.winner.wording import (
    describe_gain,
    describe_optimism,
    describe_spending,
    describe_ties,
)
from tunewright.reports.pages.page import Card, Table
from tunewright.runs.record import Trial


def winner_cards(found: Replication, best: Trial | None) -> list[Card]:
    """Return the cards of the winner, of its gain, and of what the search overstated.

    best: the trial with the best score of the search.
    """
    if found.winner is None:
        return []
    arm = found.arm(found.winner)
    assert arm.value is not None
    cards = [
        Card(
            f"{found.goal} of the winner",
            f"{arm.value:.5g}",
            f"95 % interval {arm.low:.4g} to {arm.high:.4g} over {len(arm.scores)} new seeds, "
            "corrected for having been selected",
        )
    ]
    if found.gain is not None:
        tie = found.gain.low <= 0.0
        way = "more" if found.direction == "max" else "less"
        cards.append(
            Card(
                "gain over the defaults",
                f"{found.gain.value:.4g} {way}{' (a tie)' if tie else ''}",
                f"95 % interval {found.gain.low:.3g} to {found.gain.high:.3g}, seed by seed",
                "" if tie else "better",
            )
        )
    if found.optimism is not None and best is not None and best.score is not None:
        by, way = found.optimism, "better"
        if by.value < 0.0:
            by, way = by.negated(), "worse"
        cards.append(
            Card(
                "best score of the search",
                f"{best.score:.5g}",
                f"trial {best.number}: {by.value:.3g} {way} than its replicates "
                f"({by.low:.3g} to {by.high:.3g})",
            )
        )
    return cards


def replicate_lead(found: Replication) -> str:
    """Return what the first screen says of ties and of the optimism of the search."""
    said = [describe_optimism(found) if found.optimism is not None else ""]
    said += [describe_ties(found), describe_gain(found) if found.gain is None else ""]
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in said if text)


def replicate_table(found: Replication) -> Table:
    """Return the replicates of each configuration, the winner first."""
    rows = [_row(found, arm) for arm in _in_order(found)]
    columns = ("trial", "", "search", "estimate", "95 % interval", "mean", "by seed")
    return Table("Replicates", columns, rows, f"{describe_spending(found)}.", numbers=False)


def _in_order(found: Replication) -> Sequence[ReplicatedArm]:
    sign = -1.0 if found.direction == "max" else 1.0
    return sorted(
        found.arms,
        key=lambda arm: (
            arm.trial != found.winner,
            arm.trial not in found.tied,
            arm.value is None,
            sign * (arm.value or 0.0),
        ),
    )


def _row(found: Replication, arm: ReplicatedArm) -> list[str]:
    names = []
    if arm.trial == found.winner:
        names.append("winner")
    elif arm.trial in found.tied:
        names.append("tied")
    if arm.is_default:
        names.append("the defaults")
    if arm.dropped is not None:
        names.append(f"clearly worse after {arm.dropped}")
    if arm.failure:
        names.append(f"out: {arm.failure}")
    interval = "" if arm.low is None else f"{arm.low:.4g} to {arm.high:.4g}"
    seeds = ", ".join(f"{seed}: {score:.4g}" for seed, score in arm.scores.items())
    figures = [_figure(arm.searched), _figure(arm.value), interval, _figure(arm.mean)]
    return [str(arm.trial), ", ".join(names), *figures, seeds]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"

"""All findings of a study, the weightiest first."""

import logging
from collections.abc import Callable, Mapping, Sequence

from tunewright.analysis.findings.evidence import Evidence, gather
from tunewright.analysis.findings.finding import Finding, StudyContext
from tunewright.analysis.findings.kinds.best_trials import find_top
from tunewright.analysis.findings.kinds.costs import find_idle, find_slow
from tunewright.analysis.findings.kinds.curves import find_overfitting, find_pruned_winners
from tunewright.analysis.findings.kinds.data import find_flat_tail, find_unlike_subset
from tunewright.analysis.findings.kinds.failures import find_out_of_memory, find_unstable
from tunewright.analysis.findings.kinds.parameters import find_decided, find_edge, find_no_effect
from tunewright.analysis.findings.kinds.scores import (
    find_alike,
    find_noise,
    find_repeats,
    find_too_few,
)
from tunewright.analysis.findings.kinds.set_up import (
    find_batch_size,
    find_long_warmup,
    find_test_split,
)
from tunewright.analysis.findings.kinds.unread import find_unread, find_unused
from tunewright.runs.record import StudyRecord
from tunewright.spaces.space import Parameter

LOG = logging.getLogger(__name__)

KINDS: Mapping[str, Callable[[Evidence], list[Finding]]] = {
    "alike": find_alike,
    "noise": find_noise,
    "too_few": find_too_few,
    "repeats": find_repeats,
    "top": find_top,
    "no_effect": find_no_effect,
    "unread": find_unread,
    "unused": find_unused,
    "edge": find_edge,
    "decided": find_decided,
    "pruning": find_pruned_winners,
    "overfitting": find_overfitting,
    "unstable": find_unstable,
    "out_of_memory": find_out_of_memory,
    "slow": find_slow,
    "idle": find_idle,
    "warmup": find_long_warmup,
    "test_split": find_test_split,
    "tail_flat": find_flat_tail,
    "batch_size": find_batch_size,
    "subset": find_unlike_subset,
}
"""What looks for each kind; `top` for both of `top_agree` and `top_disagree`."""


def find(
    record: StudyRecord,
    parameters: Sequence[Parameter] | None = None,
    context: StudyContext | None = None,
) -> list[Finding]:
    """Return what a study has learned, the weightiest first; empty where there is nothing.

    With several goals, on the first one. parameters: of the space; None reads domains off the
    trials. context: how the study was run; None for one of another program. A kind that cannot be
    computed is left out, with a warning in the log.
    """
    evidence = gather(record, parameters, context or StudyContext())
    found: list[Finding] = []
    for name, look in KINDS.items():
        try:
            found += look(evidence)
        except Exception as error:  # whatever a study holds, the rest of the analysis is shown
            LOG.warning("the finding %s could not be computed: %s", name, error)
    return sorted(found, key=lambda finding: -finding.weight)

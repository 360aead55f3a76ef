"""Parameters that matter since a part of their range ruins trials, not for the best score."""

import math
from collections import Counter
from collections.abc import Sequence

from tunewright.analysis.grid.run_result import label_of, plain_value
from tunewright.analysis.importances import JudgedTrials
from tunewright.analysis.shares.importances import ParameterShare

LARGE = 0.2
"""Share from which a parameter is worth a note."""
FADED = 0.5
"""Share among the good trials at most, relative to the share among all."""
INSIDE = 0.95
"""Share of the better half of the trials that lies in the named part of a range."""


def bad_end_notes(judged: JudgedTrials, rows: Sequence[ParameterShare]) -> list[str]:
    """Return a note on each parameter that mostly has a bad end to avoid: where good trials lie."""
    notes = []
    for row in rows:
        share, good = row.share or 0.0, row.among_good
        if share >= LARGE and row.low and good is not None and good <= FADED * share:
            notes.append(
                f"{row.parameter} mostly has a bad end to avoid ({share:.2f} among all trials, "
                f"{good:.2f} among the better half): {_better_half(judged, row.parameter)}"
            )
    return notes


def _better_half(judged: JudgedTrials, path: str) -> str:
    """Return where the better half of the trials that have a parameter lies."""
    having = [trial for trial in judged.trials if path in trial.parameters]
    having.sort(key=lambda trial: -judged.goal.sign * judged.values[trial.number])
    better = having[: math.ceil(len(having) / 2)]
    values = [plain_value(trial.parameters[path]) for trial in better]
    numbers = sorted(value for value in values if isinstance(value, float))
    if len(numbers) < len(values):
        counts = Counter(map(label_of, values)).most_common()
        return f"most of that half have {counts[0][0]} ({counts[0][1]} of {len(values)})"
    # As few as possible are left out, wherever they lie: the shortest stretch.
    count = math.ceil(INSIDE * len(numbers))
    ends = [(numbers[i], numbers[i + count - 1]) for i in range(len(numbers) - count + 1)]
    logarithmic = numbers[0] > 0 and numbers[-1] / numbers[0] >= 100.0
    low, high = min(ends, key=lambda e: e[1] / e[0] if logarithmic else e[1] - e[0])
    return f"{100 * INSIDE:.0f} % of that half lie within {low:.3g} .. {high:.3g}"

"""What a search spent, and what each gain cost."""

import pytest

from tunewright.analysis.history import best_by_hours
from tunewright.analysis.spending import spending
from tunewright.runs.record import StudyRecord, Trial


def study(direction="max", **named):
    """Four trials, one after another: two gains after the first score, one trial pruned."""
    scores = (0.5, None, 0.6, 0.9) if direction == "max" else (0.5, None, 0.4, 0.1)
    trials = tuple(
        Trial(
            n, "pruned" if score is None else "done", {"x": n}, score, {},
            started=1e9 + 3600.0 * n, seconds=3600.0, **named,
        )
        for n, score in enumerate(scores)
    )  # fmt: skip
    return StudyRecord("s", "own", "v", direction, trials)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_each_gain_has_its_price(direction):
    found = spending(study(direction))
    assert found.trial_hours == pytest.approx(4.0)
    assert [gain.hours for gain in found.gains] == pytest.approx([1.0, 3.0, 4.0])
    assert [gain.gain for gain in found.gains[1:]] == pytest.approx([0.1, 0.3])
    assert [gain.rate for gain in found.gains[1:]] == pytest.approx([0.05, 0.3])
    assert found.last_gain == pytest.approx(1.0)
    assert found.energy_kwh is None


def test_energy_is_summed_in_kwh_where_trials_report_it():
    assert spending(study(metrics={"energy_wh": 500.0})).energy_kwh == pytest.approx(2.0)


def test_without_times_there_are_no_gains():
    record = StudyRecord("s", "own", "v", "max", (Trial(0, "done", {}, 0.5, {}),))
    found = spending(record)
    assert (best_by_hours(record), found.trial_hours, found.last_gain) == ([], 0.0, None)
    assert spending(StudyRecord("s", "own", "v", "max", ())).trial_hours == 0.0

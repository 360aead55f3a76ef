"""The share of an epoch that a training waits for its batches."""

import time
from collections.abc import Iterator

import pytest

from tunewright.training.usage import data_wait
from tunewright.training.usage.data_wait import TimedBatches


def test_the_share_is_the_time_until_each_batch_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(data_wait.time, "perf_counter", lambda: now[0])

    def loaded() -> Iterator[int]:
        for number in range(4):
            now[0] += 1.0
            yield number
        now[0] += 1.0  # until it is known that there is no more

    batches = TimedBatches(loaded())
    seen = []
    for batch in batches:
        seen.append(batch)
        now[0] += 1.25
    assert seen == [0, 1, 2, 3]
    assert batches.share() == pytest.approx(5 / 10)


def test_an_error_of_the_loader_passes() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    batches = TimedBatches(broken())
    assert next(batches) == 1
    with pytest.raises(OSError, match="gone"):
        next(batches)


def test_a_look_costs_less_than_ten_microseconds() -> None:
    """A step takes hundreds; the bound is loose, since a loaded machine runs this, too."""
    best = min(_seconds(TimedBatches(range(20_000))) for _ in range(3))
    assert best / 20_000 < 1e-5


def _seconds(batches: TimedBatches[int]) -> float:
    began = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - began

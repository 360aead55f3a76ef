"""What a run reported, whatever happened to the processes that reported it."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from tunewright.runs.progress import ProgressTail, ProgressWriter, read_progress
from tunewright.runs.record import Progress


def report(step, attempt=1, value=0.5):
    return Progress(attempt, step, {"val": value}, seconds=1.0 * step, memory_mib=2.0)


def written(path, attempt, resumed_from, steps):
    writer = ProgressWriter(path, attempt, resumed_from)
    for step in steps:
        writer.write(report(step, attempt, value=attempt + step / 100))
    writer.close()


def test_reports_are_read_back(tmp_path):
    file = tmp_path / "progress.jsonl"
    written(file, 1, 0, [1, 2])
    assert read_progress(file) == [report(1, value=1.01), report(2, value=1.02)]
    assert read_progress(tmp_path / "none.jsonl") == []


def test_a_metric_that_is_not_finite_comes_back_as_nan(tmp_path):
    writer = ProgressWriter(tmp_path / "p", 1, 0)
    writer.write(Progress(1, 1, {"loss": math.inf, "val": 1.0}, 1.0))
    writer.close()
    [found] = read_progress(tmp_path / "p")
    assert math.isnan(found.metrics["loss"])
    assert found.metrics["val"] == 1.0


def test_the_learning_rate_stands_beside_the_metrics(tmp_path):
    writer = ProgressWriter(tmp_path / "p", 1, 0)
    told = [Progress(1, 1, {"val": 0.5}, 1.0, lr=3e-4), Progress(1, 2, {"val": 0.5}, 1.0)]
    for one in told:
        writer.write(one)
    writer.close()
    assert read_progress(tmp_path / "p") == told
    lines = [json.loads(line) for line in (tmp_path / "p").read_text().splitlines()]
    assert ["lr" in line for line in lines] == [False, True, False]
    assert all("lr" not in line.get("metrics", {}) for line in lines)


def test_a_tail_sees_each_whole_line_once(tmp_path):
    file = tmp_path / "progress.jsonl"
    tail = ProgressTail(file, 1)
    assert tail.poll() == []
    writer = ProgressWriter(file, 1, 0)
    writer.write(report(1))
    assert tail.poll() == [report(1)]
    with file.open("ab") as stream:
        stream.write(b'{"attempt": 1, "st')
    assert tail.poll() == []
    with file.open("ab") as stream:
        stream.write(b'ep": 2, "metrics": {}, "seconds": 0.0, "memory_mib": 0.0}\n')
    assert [progress.step for progress in tail.poll()] == [2]
    writer.close()


def test_a_tail_drops_late_lines_of_an_earlier_attempt(tmp_path):
    file = tmp_path / "progress.jsonl"
    old, new = ProgressWriter(file, 1, 0), ProgressWriter(file, 2, 0)
    tail = ProgressTail(file, 2)
    old.write(report(5, attempt=1))
    new.write(report(1, attempt=2))
    assert tail.poll() == [report(1, attempt=2)]
    assert read_progress(file) == [report(1, attempt=2)]
    old.close()
    new.close()


def test_a_later_attempt_can_be_left_out(tmp_path):
    file = tmp_path / "progress.jsonl"
    written(file, 1, 0, [1, 2, 3])
    written(file, 2, 1, [2])
    assert [p.step for p in read_progress(file, before_attempt=2)] == [1, 2, 3]
    assert [p.step for p in read_progress(file)] == [1, 2]


ATTEMPTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 40)), max_size=5)
"""For each attempt: from which step, how many steps, how many bytes of its end a kill tore off."""


@given(ATTEMPTS)
def test_the_history_is_what_the_last_attempts_stand_on(tmp_path_factory, attempts):
    file = tmp_path_factory.mktemp("run") / "progress.jsonl"
    expected: dict[int, int] = {}
    for attempt, (resumed_from, count, torn) in enumerate(attempts, start=1):
        steps = range(resumed_from + 1, resumed_from + 1 + count)
        written(file, attempt, resumed_from, steps)
        lines = file.read_bytes().splitlines(keepends=True)
        torn = min(torn, len(lines[-1]) - 1) if count else 0
        file.write_bytes(b"".join(lines)[: -torn or None])
        survived = list(steps)[: -1 if torn > 1 else None]  # one byte is the line end alone
        expected = {step: a for step, a in expected.items() if step <= resumed_from}
        expected |= dict.fromkeys(survived, attempt)
    found = read_progress(file)
    assert [p.step for p in found] == sorted(expected)
    assert {p.step: p.attempt for p in found} == expected


def test_of_two_reports_of_a_step_in_one_attempt_the_first_stands(tmp_path):
    file = tmp_path / "progress.jsonl"
    writer = ProgressWriter(file, 1, 0)
    for step, value in ((1, 0.1), (2, 0.2), (1, 0.9)):
        writer.write(report(step, value=value))
    writer.close()
    assert [p.metrics["val"] for p in read_progress(file)] == [0.1, 0.2]
    written(file, 2, 1, [2])  # what it resumed beyond is its own
    assert [p.metrics["val"] for p in read_progress(file)] == [0.1, 2.02]


def test_notices_are_heard_by_the_tail_and_are_no_reports(tmp_path):
    file = tmp_path / "progress.jsonl"
    first, second = ProgressWriter(file, 1, 0), ProgressWriter(file, 2, 0)
    tail = ProgressTail(file, 2)
    first.notice("late")
    second.notice("look here")
    second.write(report(1, attempt=2))
    assert tail.poll() == [report(1, attempt=2)]
    assert tail.notices == ["look here"]
    assert read_progress(file) == [report(1, attempt=2)]
    first.close()
    second.close()

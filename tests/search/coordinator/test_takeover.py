"""A coordinator that dies or falls asleep is followed; its runs go on, and it writes no more."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from practice.quadratic.studies import rows

from tunewright.runs.folder import StudyFolder
from tunewright.runs.progress import read_progress

pytestmark = pytest.mark.slow
COORDINATE = (
    "import sys; from practice.components.outliving import coordinate; coordinate(*sys.argv[1:])"
)
EPOCHS, TRIALS = 8, 4
ENDS = "SELECT number, state FROM trials ORDER BY number"
VALUES = "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values ORDER BY 1, 2"

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begins coordinators of one study, on hosts of several names."""
    begun: list[subprocess.Popen[str]] = []

    def coordinator(host: str, *overrides: str) -> "subprocess.Popen[str]":
        words = (f"training.epochs={EPOCHS}", f"study.trials={TRIALS}", *overrides)
        command = [sys.executable, "-c", COORDINATE, str(tmp_path), host, *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        begun.append(subprocess.Popen(command, **pipes))  # type: ignore[call-overload]
        return begun[-1]

    yield coordinator
    for process in begun:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_reports(study: StudyFolder, numbers: tuple[int, ...]) -> None:
    until = time.monotonic() + 120
    while not all(read_progress(study.trial(number).progress) for number in numbers):
        assert time.monotonic() < until
        time.sleep(0.05)


def hear(process: "subprocess.Popen[str]", text: str) -> None:
    """Wait until a coordinator has said something."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return
    pytest.fail("".join(said))


QUICK = ("epoch_seconds=0.02", "study.pruner.type=none")
ADOPTED = "trial 0, trial 1 still running: taken over, not started again"


@pytest.mark.parametrize("sampler", ["random", "curves"])
def test_runs_of_a_killed_coordinator_are_adopted(
    sampler: str, begin: Begin, tmp_path: Path
) -> None:
    study, hold = StudyFolder(tmp_path / "study"), tmp_path / "hold"
    hold.touch()
    old = begin("old", *QUICK, f"study.sampler.type={sampler}")
    wait_for_reports(study, (0, 1))
    old.kill()
    old.wait()
    new = begin("new", *QUICK, f"study.sampler.type={sampler}")
    hear(new, "left by process")
    hear(new, ADOPTED)
    hold.unlink()
    hear(new, "ended")
    ends = rows(study.database, ENDS)
    assert [number for number, _ in ends] == list(range(TRIALS))
    if sampler == "random":
        assert {state for _, state in ends} == {"COMPLETE"}
        assert [study.trial(number).attempt for number in range(TRIALS)] == [1] * TRIALS
        values = rows(study.database, VALUES)
        assert len(values) == len({(trial, step) for trial, step, _ in values}) == TRIALS * EPOCHS
    for number in (0, 1):
        lines = study.trial(number).progress.read_text().count('"attempt": 1, "resumed_from"')
        assert lines == 1, "its first attempt was not begun a second time"


def test_a_coordinator_that_wakes_up_writes_no_more(begin: Begin, tmp_path: Path) -> None:
    study, hold = StudyFolder(tmp_path / "study"), tmp_path / "hold"
    hold.touch()
    old = begin("old", *QUICK)
    wait_for_reports(study, (0, 1))
    old.send_signal(signal.SIGSTOP)
    new = begin("new", *QUICK)
    hear(new, ADOPTED)
    old.send_signal(signal.SIGCONT)
    hear(old, "was taken over by process")
    assert old.wait(timeout=100) != 0
    hold.unlink()
    hear(new, "ended")
    assert rows(study.database, ENDS) == [(number, "COMPLETE") for number in range(TRIALS)]
    assert [study.trial(number).attempt for number in range(TRIALS)] == [1] * TRIALS

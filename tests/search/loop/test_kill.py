"""Real processes, really killed: nothing that was finished or reported is ever lost."""

import json
import os
import random
import signal
import time

import pytest
from shell_study import Shell, command_of, epochs_reported, until

from tunewright.runs.folder import RunFolder

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_coordinator_killed_again_and_again_loses_nothing(shell: Shell, seed: int) -> None:
    """The kills fall anywhere: while the server starts, in a write, between two trials."""
    words = ["--trials", "10", "epoch_seconds=0.1", "training.epochs=6"]
    chance = random.Random(seed)
    finished: set[tuple[object, ...]] = set()
    reported: set[tuple[int, int, float]] = set()
    for _ in range(6):
        process = shell.start(*words)
        time.sleep(chance.uniform(2.0, 7.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda: not shell.processes(), seconds=10)
        finished |= shell.finished()
        reported |= shell.reported()
    shell.finish(*words)
    assert sorted(shell.states()) == list(range(10))
    assert set(shell.states().values()) <= {"COMPLETE", "PRUNED"}
    assert finished <= shell.finished(), "a finished trial was touched"
    assert reported <= shell.stored(), "a reported value was lost"
    for folder in (shell.study / "trials").iterdir():
        lines = (folder / "progress.jsonl").read_text().splitlines()
        steps = [json.loads(line)["step"] for line in lines if '"step"' in line]
        attempts = [json.loads(line) for line in lines if "resumed_from" in line]
        # A checkpoint an epoch: each new attempt repeats one epoch at most.
        assert len(steps) - len(set(steps)) <= len(attempts) - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_everything_and_says_how_to_resume(
    shell: Shell, number: signal.Signals
) -> None:
    words = ["--trials", "4", "epoch_seconds=0.1", "study.pruner.type=none"]
    process = shell.start(*words)
    until(lambda: (shell.study / "trials/00001/progress.jsonl").exists())
    until(lambda: epochs_reported(shell, 1) >= 2)
    os.killpg(process.pid, number)  # as a terminal does: to everything in the foreground
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "same command again to resume" in " ".join(printed.split())
    assert "Traceback" not in printed
    until(lambda: not shell.processes(), seconds=5)
    shell.finish(*words)
    assert shell.states() == dict.fromkeys(range(4), "COMPLETE")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_an_announced_end_or_a_lost_terminal_saves_everything(
    shell: Shell, number: signal.Signals
) -> None:
    """The signal goes to all processes of the job, as SLURM and terminals send it."""
    words = ["--trials", "4", "epoch_seconds=0.1", "study.pruner.type=none"]
    process = shell.start(*words)
    until(lambda: (shell.study / "trials/00001/progress.jsonl").exists())
    until(lambda: epochs_reported(shell, 1) >= 2)
    for one in shell.processes():
        one.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    until(lambda: not shell.processes(), seconds=5)
    shell.finish(*words)
    assert shell.states() == dict.fromkeys(range(4), "COMPLETE")


def test_ctrl_c_while_the_workers_start_is_no_accident(shell: Shell) -> None:
    process = shell.start("--trials", "2", "study.pruner.type=none")
    until(lambda: any("forkserver" in " ".join(command_of(p)) for p in shell.processes()))
    time.sleep(0.3)  # torch is being imported
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    shell.finish("--trials", "2", "study.pruner.type=none")
    assert shell.states() == {0: "COMPLETE", 1: "COMPLETE"}


def test_a_second_coordinator_is_refused_with_the_reason(shell: Shell) -> None:
    """In the same folder by the lock, from another folder by the lease in the storage."""
    storage = f"sqlite:///{shell.folder}/shared.db"
    words = ["--trials", "2", "--storage", storage, "study.pruner.type=none"]
    words += ["epoch_seconds=300"]  # on any machine longer than the commands below take
    first = shell.start(*words)
    until(lambda: (shell.study / "trials/00000/progress.jsonl").exists(), seconds=120)
    for runs in ("runs", "elsewhere"):
        second = shell.start(*words, runs=runs)
        printed, _ = second.communicate(timeout=120)
        assert second.returncode == 2, printed
        assert "is in use by process" in printed
        assert str(first.pid) in printed
        assert "--name" in printed
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: not shell.processes())
    third = shell.start(*words)  # a dead coordinator does not bar the way
    until(lambda: RunFolder(shell.study / "trials/00000").attempt == 2, seconds=120)
    third.send_signal(signal.SIGKILL)
    third.communicate()
    until(lambda: not shell.processes())

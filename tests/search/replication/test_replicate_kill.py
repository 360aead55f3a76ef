"""Real processes, really killed while replicates run: none of them is lost or trained twice."""

import json
import re
import signal
import time

import pytest
from shell_study import Shell, until

pytestmark = pytest.mark.slow
WORDS = (
    "--trials",
    "8",
    "epoch_seconds=0.15",
    "training.epochs=6",
    "study.pruner.type=none",
    "study.replicate=0.5",
)


def ended(shell: Shell) -> dict[str, bytes]:
    """The outcomes of the replicates that have ended."""
    found = shell.study.glob("replicates/*/*/outcome.json")
    return {
        str(file.parent.relative_to(shell.study)): file.read_bytes()
        for file in found
        if json.loads(file.read_text())["state"] == "done"
    }


def test_a_coordinator_killed_while_replicates_run_resumes_them(shell: Shell) -> None:
    process = shell.start(*WORDS)
    until(lambda: len(ended(shell)) >= 2, seconds=120)
    until(lambda: len(list(shell.study.glob("replicates/*/*/checkpoints/last*"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not shell.processes(), seconds=20)
    before, trials = ended(shell), shell.finished()
    assert not (shell.study / "replication.json").exists()
    printed = shell.finish(*WORDS)
    assert "resuming the replicate of trial" in " ".join(printed.split())
    assert trials == shell.finished(), "a trial was touched"
    after = ended(shell)
    assert {name: after[name] for name in before} == before, "a replicate ran twice"
    stored = json.loads((shell.study / "replication.json").read_text())
    assert stored["winner"] in {arm["trial"] for arm in stored["arms"]}
    assert stored["ended"]
    for folder in shell.study.glob("replicates/*/*"):
        steps = [
            json.loads(line)["step"]
            for line in (folder / "progress.jsonl").read_text().splitlines()
            if '"step"' in line
        ]
        attempts = json.loads((folder / "attempt.json").read_text())["attempt"]
        # A checkpoint an epoch: each new attempt repeats one epoch at most.
        assert len(steps) - len(set(steps)) <= attempts - 1
    kept = {file.parents[1] for file in shell.study.glob("replicates/*/*/checkpoints/*")}
    assert len(kept) <= 1, "weights of replicates that nobody needs"


def test_ctrl_c_while_replicates_run_says_what_is_complete(shell: Shell) -> None:
    process = shell.start(*WORDS)
    until(lambda: list(shell.study.glob("replicates/*/*/progress.jsonl")), seconds=120)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    said = " ".join(printed.split())
    assert "the search of 'study' is complete" in said
    assert "study.replicate=0 goes without them" in said
    until(lambda: not shell.processes(), seconds=10)
    without = shell.finish(*WORDS[:-1], "study.replicate=0")
    assert "winner: trial" not in without
    shell.finish(*WORDS)
    assert json.loads((shell.study / "replication.json").read_text())["winner"] is not None


def test_the_workers_of_the_search_train_the_replicates(shell: Shell) -> None:
    shell.finish(*WORDS)

    def processes(pattern: str) -> set[str]:
        logs = [file.read_text() for file in shell.study.glob(pattern)]
        assert logs
        return {pid for log in logs for pid in re.findall(r"in process (\d+)", log)}

    assert processes("replicates/*/*/log.txt") <= processes("trials/*/log.txt")

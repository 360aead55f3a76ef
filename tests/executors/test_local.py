"""Workers that are replaced when they grow, and what they are told to hold at most."""

from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.executors import host_memory, local
from tunewright.executors.executor import Handle, Resources, WorkerDeath
from tunewright.executors.host_memory import RunPlace
from tunewright.executors.local import LocalExecutor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part

NOTHING = Resources()


def started(
    executor: LocalExecutor, folder: RunFolder, resources: Resources = NOTHING, *words: str
) -> Handle:
    """Start a run of eight epochs."""
    folder.write_config(run_part(compose(find_recipe("quadratic"), list(words)).tree))
    folder.begin_attempt()
    [handle] = executor.start([folder], resources)
    return handle


def ended(executor: LocalExecutor, handle: Handle) -> None:
    while not handle.ended:
        executor.wait(5.0)


def run(executor: LocalExecutor, folder: RunFolder, *words: str) -> int:
    """Train once; the process it was trained in."""
    ended(executor, started(executor, folder, NOTHING, *words))
    return int(folder.log.read_text().rsplit("in process ", 1)[1].split()[0])


@pytest.mark.parametrize(("leak_mib", "replaced"), [(0, False), (60, False), (400, True)])
def test_a_worker_that_idles_with_far_more_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak_mib: int, replaced: bool
) -> None:
    monkeypatch.setattr(local, "GROWTH", 1.0)
    monkeypatch.setattr(local, "GROWTH_MIB", 200.0)
    executor = LocalExecutor(1, threads=1)
    try:
        first = run(executor, RunFolder(tmp_path / "first"))
        leaking = run(executor, RunFolder(tmp_path / "leaking"), f"faults.leak_mib={leak_mib}")
        after = run(executor, RunFolder(tmp_path / "after"))
    finally:
        executor.close()
    assert first == leaking
    assert (after != first) == replaced


def test_a_run_that_is_alone_may_hold_the_share_of_all() -> None:
    executor = LocalExecutor(3, threads=1, memory_gib=0.5)
    assert executor.memory_limit(Resources()) == 0.5
    assert executor.memory_limit(Resources(alone=True)) == 1.5
    assert LocalExecutor(3, threads=1).memory_limit(Resources(alone=True)) is None


def test_a_run_waits_for_memory_or_until_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"mib": 1e6}
    monkeypatch.setattr(host_memory, "free_mib", lambda: free["mib"])
    executor = LocalExecutor(3, threads=1)
    try:
        first = started(executor, RunFolder(tmp_path / "first"))
        assert executor.refusal(Resources(memory_mib=1000.0)) is None
        assert executor.refusal(Resources(alone=True)) == (
            "it runs alone, after those that are running"
        )
        free["mib"] = 0.0
        assert executor.refusal(Resources(memory_mib=1024.0)) == (
            "needs about 1.0 GiB, 0.0 GiB free"
        )
        ended(executor, first)
        alone = started(executor, RunFolder(tmp_path / "alone"), Resources(alone=True))
        assert executor.refusal(Resources()) == "a run that must be alone is running"
        ended(executor, alone)
        assert executor.refusal(Resources(memory_mib=1e9)) is None
    finally:
        executor.close()


@pytest.mark.parametrize(("counted", "out_of_memory"), [([0, 1], True), ([1, 1], False)])
def test_a_kill_that_the_kernel_counts_is_for_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int], out_of_memory: bool
) -> None:
    answers = iter(counted)
    monkeypatch.setattr(host_memory, "kills", lambda: next(answers))
    executor = LocalExecutor(1, threads=1)
    try:
        handle = started(executor, RunFolder(tmp_path / "run"), NOTHING, "faults.kind=signal 9")
        ended(executor, handle)
    finally:
        executor.close()
    assert handle.death == WorkerDeath(signal=9, out_of_memory=out_of_memory)
    assert str(handle.death) == (
        "killed by the kernel for lack of memory" if out_of_memory else "killed by signal 9"
    )


def test_new_workers_take_the_gpus_in_turn() -> None:
    executor = LocalExecutor(2, threads=1, gpus=["GPU-7", "3"])
    assert executor.next_place() == RunPlace(0.0, "GPU-7")

"""What fits beside the runs of this machine: four slots, 4 GiB free, peaks of 1,400 MiB."""

from pathlib import Path

import pytest

from tunewright.executors import host_memory
from tunewright.executors.executor import Resources
from tunewright.executors.host_memory import HostMemory, Occupant, RunPlace
from tunewright.runs.folder import RunFolder

PEAK = Resources(memory_mib=1400.0, device_mib=1600.0)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> HostMemory:
    monkeypatch.setattr(host_memory, "free_mib", lambda: 4096.0)
    return HostMemory(None)


@pytest.fixture
def three(tmp_path: Path) -> list[Occupant]:
    """Runs that hold 300 MiB each and still grow by 1,100."""
    return [occupant(tmp_path, number) for number in range(3)]


def occupant(study: Path, number: int, gpu: str | None = None) -> Occupant:
    return Occupant(RunFolder(study / str(number)), PEAK, RunPlace(300.0, gpu))


def test_as_many_as_fit_beside_what_the_others_still_take(
    memory: HostMemory, three: list[Occupant]
) -> None:
    assert memory.shortage(PEAK, RunPlace(), three[:2]) is None
    # 4,096 free, minus 256 in reserve and 3 * 1,100 that those running still take
    assert memory.shortage(PEAK, RunPlace(), three) == "needs about 1.4 GiB, 0.5 GiB free"


def test_an_idle_worker_has_part_of_it_already(memory: HostMemory, three: list[Occupant]) -> None:
    assert memory.shortage(PEAK, RunPlace(900.0), three) is None


def test_a_smaller_one_passes(memory: HostMemory, three: list[Occupant]) -> None:
    assert memory.shortage(Resources(memory_mib=400.0), RunPlace(), three) is None
    assert memory.shortage(Resources(), RunPlace(), three) is None, "it asks for nothing"


def test_a_limit_bounds_what_each_can_take(
    memory: HostMemory, monkeypatch: pytest.MonkeyPatch, three: list[Occupant]
) -> None:
    assert HostMemory(0.5).shortage(PEAK, RunPlace(), three) is None
    three[0] = Occupant(three[0].folder, PEAK, RunPlace(300.0, "0"))
    lack = HostMemory(0.5).shortage(PEAK, RunPlace(gpu="0"), three)
    assert lack == "needs about 1.4 GiB, 0.5 GiB free", "on a GPU it is the GPU's limit"


def test_a_gpu_that_is_shared_is_asked_for(
    memory: HostMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def free(gpu: str) -> float:
        asked.append(gpu)
        return 3000.0

    monkeypatch.setattr(host_memory, "free_device_mib", free)
    elsewhere, here = occupant(tmp_path, 0, "1"), occupant(tmp_path, 1, "0")
    place = RunPlace(300.0, "0")
    assert memory.shortage(PEAK, place, [elsewhere]) is None
    assert asked == [], "its GPU has nobody"
    for _ in range(2):
        lack = memory.shortage(PEAK, place, [here])
        assert lack == "needs about 1.6 GiB, 1.4 GiB free"
    assert asked == ["0"], "the driver is slow to answer"


def test_each_kill_of_the_kernel_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter([3, 3, 5, 5, 5])
    monkeypatch.setattr(host_memory, "kills", lambda: next(counted))
    memory = HostMemory(None)
    assert [memory.was_short() for _ in range(4)] == [False, True, True, False]

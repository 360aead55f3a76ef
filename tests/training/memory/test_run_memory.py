"""What a run takes of the machine: its own peak, not the worker's past, and no shared pages."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from tunewright.training.memory import peak as memory
from tunewright.training.memory.device import CONTEXT_MIB, context_of
from tunewright.training.memory.peak import MemoryPeak, children_mib, held_memory

MIB = 2**20
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def touched(mib: int) -> np.ndarray:
    return np.ones(mib * MIB, np.uint8)


@ON_LINUX
class TestPeak:
    def test_a_peak_between_two_looks_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "SAMPLE_SECONDS", 3600.0)
        peak = MemoryPeak()
        touched(300)
        found = peak.mib() - peak.idle_mib
        peak.close()
        assert 280 <= found <= 340

    def test_a_peak_is_found_where_the_mark_may_not_be_reset(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "reset_mark", lambda: False)
        touched(500)  # the mark now stands too high for what follows
        peak = MemoryPeak()
        samples, measure = [], memory.held_memory
        monkeypatch.setattr(memory, "held_memory", lambda: samples.append(1) or measure())
        kept = touched(200)
        seen, deadline = len(samples), time.monotonic() + 10
        while len(samples) < seen + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        del kept
        found = peak.mib() - peak.idle_mib
        peak.close()
        assert 190 <= found <= 240

    def test_what_was_before_does_not_count(self) -> None:
        touched(400)
        peak = MemoryPeak()
        assert peak.mib() - peak.idle_mib < 40
        peak.close()

    def test_mapped_files_do_not_count(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", touched(200))
        peak = MemoryPeak()
        mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
        assert mapped.sum() == 200 * MIB
        now = held_memory()
        assert now is not None
        assert now.mapped_mib > 190
        assert peak.mib() - peak.idle_mib < 40
        mapped[: 100 * MIB] = 2  # a private copy does
        found = peak.mib() - peak.idle_mib
        peak.close()
        assert 90 <= found <= 140

    def test_child_processes_count(self) -> None:
        near, far = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_hold, args=(far, 150))
        child.start()
        assert near.recv() == "held"
        assert child.pid is not None
        found = children_mib(multiprocessing.process.current_process().pid or 0)
        child.kill()
        child.join()
        assert found >= 140

    def test_a_process_that_is_gone_holds_nothing(self) -> None:
        child = multiprocessing.get_context("fork").Process(target=int)
        child.start()
        child.join()
        assert child.pid is not None
        assert held_memory(child.pid) is None


def _hold(pipe: object, mib: int) -> None:
    kept = touched(mib)
    pipe.send("held")  # type: ignore[attr-defined]
    time.sleep(60)
    del kept


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("17, 900\n42, 1700\n", 700.0),
        ("42, 900\n", 0.0),
        ("42, [N/A]\n", CONTEXT_MIB),
        ("17, 900\n", CONTEXT_MIB),
        ("", CONTEXT_MIB),
    ],
)
def test_the_context_is_what_the_allocator_does_not_know(listed: str, expected: float) -> None:
    assert context_of(listed, 42, 1000.0) == expected

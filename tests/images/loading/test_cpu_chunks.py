"""Every row is worked on once, with one thread of torch, which has its threads back afterwards."""

import threading

import pytest
import torch

from tunewright.images.loading.cpu_chunks import LARGEST, SMALLEST, chunked_on_cpu, cut


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class TestCut:
    @pytest.mark.parametrize("threads", [1, 2, 5])
    @pytest.mark.parametrize("count", [1, 2, 7, 128])
    @pytest.mark.parametrize("size", [1, SMALLEST // 3, LARGEST, 3 * LARGEST])
    def test_slices_cover_the_rows(self, count, size, threads):
        parts = cut(count, size, threads)
        covered = [row for part in parts for row in range(part.start, part.stop)]
        assert covered == list(range(count))
        assert all(part.start < part.stop for part in parts)
        assert all(
            (part.stop - part.start) * size <= LARGEST or part.stop - part.start == 1
            for part in parts
        )

    def test_little_work_is_not_shared(self):
        assert len(cut(16, 1000, 8)) == 1
        assert len(cut(16, SMALLEST // 4, 8)) == 4
        assert len(cut(16, SMALLEST, 8)) == 8


@pytest.mark.parametrize("size", [1, SMALLEST])
def test_torch_has_one_thread_within_and_all_afterwards(two_threads, size):
    seen = []
    chunked_on_cpu(lambda part: seen.append((part.start, torch.get_num_threads())), 8, size)
    assert {threads for _, threads in seen} == {1}
    assert torch.get_num_threads() == 2
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [2]


@pytest.mark.parametrize("size", [1, SMALLEST])
def test_errors_come_out(two_threads, size):
    def fail(part):
        raise ValueError(part.start)

    with pytest.raises(ValueError, match="0"):
        chunked_on_cpu(fail, 8, size)
    assert torch.get_num_threads() == 2
